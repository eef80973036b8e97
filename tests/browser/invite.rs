//! How the link to a map gets to others: as a code, and by what a phone shares with.

use serde_json::json;

use crate::camera::read_codes;
use crate::chromium::Chromium;
use crate::needs;
use crate::page::Page;
use crate::support::Server;

/// Longest link that the server draws, in characters.
const LINK_CHARACTERS_MAX: usize = 1000;

#[test]
fn a_camera_reads_the_link_without_its_token_off_the_map() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let Some(zbarimg) = needs::program(&["zbarimg"], "zbar-tools") else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let rest = "?follow=5,J%C3%B6rg%2C%20B#token=aaaa.bbbb.cccc";
    let page = Page::open(chromium, server.address(), rest);
    page.wait_for_text("#count", "2 not seen");
    page.click("summary");
    page.click("#show-code");
    page.wait_for("document.querySelector('#code img').checkVisibility()");
    assert_eq!(
        page.get("document.getElementById('show-code').ariaExpanded"),
        "true"
    );
    assert_eq!(
        page.get("document.querySelector('#code img').src.startsWith('data:image/svg+xml,')"),
        true
    );
    page.wait_for_a_frame();
    let read = read_codes(&page, &zbarimg, "map-code.png");
    let link = format!("http://{}/?follow=5,J%C3%B6rg%2C%20B\n", server.address());
    assert_eq!(read, link);

    // It shows who is followed, or nothing.
    page.click("#ids");
    page.write("6");
    page.press("Enter");
    page.wait_for("document.getElementById('code').hidden");
    page.click("#show-code");
    page.wait_for("!document.getElementById('code').hidden");
    page.click("#show-code");
    page.wait_for("document.getElementById('code').hidden");
    assert_eq!(
        page.get("document.getElementById('show-code').ariaExpanded"),
        "false"
    );
    page.assert_no_complaints();
}

#[test]
fn of_a_link_that_no_phone_can_read_no_code_is_asked_for() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let ids = (0..150)
        .map(|id| format!("runner{id}"))
        .collect::<Vec<_>>()
        .join(",");
    assert!(ids.len() > LINK_CHARACTERS_MAX);
    let page = Page::open(chromium, server.address(), &format!("?follow={ids}"));
    page.wait_for_text("#count", "not seen");
    page.click("summary");
    page.click("#show-code");
    page.wait_for_text("#note", "too long for a code");
    assert_eq!(page.get("document.getElementById('code').hidden"), true);
    page.assert_no_complaints();
}

#[test]
fn a_phone_shares_the_link_where_its_browser_can() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::new(chromium);
    // The sheet is drawn up for what is to be shared, and a button on its way is hard to hit.
    page.emulate("prefers-reduced-motion", "reduce");
    page.resize(360, 740);
    let url = format!("http://{}/?follow=5", server.address());
    page.at_each_start("Navigator.prototype.share = undefined;");
    page.go(&url);
    let open = || {
        page.wait_for_text("#count", "1 not seen");
        page.click("#handle");
        page.wait_for(
            "document.querySelector('summary').checkVisibility({ visibilityProperty: true })",
        );
        page.click("summary");
    };
    open();
    assert_eq!(
        page.get("document.getElementById('send').checkVisibility()"),
        false
    );
    page.at_each_start(
        "Navigator.prototype.share = async what => {
            window.what = what;
            if (window.refusal) throw new DOMException('', window.refusal);
        };",
    );
    page.reload();
    open();
    assert_eq!(page.get("document.documentElement.scrollWidth"), 360);
    page.click("#send");
    page.wait_for("window.what");
    assert_eq!(page.get("what"), json!({"title": "Live map", "url": url}));
    // Who thinks better of it knows.
    page.get("window.refusal = 'AbortError'");
    page.click("#send");
    page.wait_ms(50);
    assert_eq!(page.get("document.getElementById('note').hidden"), true);
    page.get("window.refusal = 'NotAllowedError'");
    page.click("#send");
    page.wait_for_text("#note", "Your browser does not share");
    page.assert_no_complaints();
}
