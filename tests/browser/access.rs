//! The map for who does not see it, sees little, or has no pointer.

use serde_json::json;

use crate::chromium::Chromium;
use crate::fake::Fake;
use crate::page::{Page, row};
use crate::support::Server;

#[test]
fn escape_goes_one_step_back_and_at_last_to_the_map() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "?follow=5,6");
    page.wait_for_text("#count", "2 not seen");
    page.open_details("5");
    page.click("#ids");
    page.write("6");
    page.wait_for("document.querySelectorAll('li:not([hidden])').length === 1");
    page.press("Escape");
    page.wait_for("document.getElementById('ids').value === ''");
    page.wait_for("document.querySelectorAll('li:not([hidden])').length === 2");
    page.get("document.querySelector('.unfollow').focus()");
    page.press("Escape");
    page.wait_for("document.querySelector('.more') === null");
    let focused = "document.activeElement.closest('li')?.dataset.user ?? document.activeElement.id";
    assert_eq!(page.get(focused), "5");
    page.press("Escape");
    assert_eq!(page.get(focused), "map");
    page.assert_no_complaints();
}

#[test]
fn one_element_speaks_and_of_a_crowd_it_says_how_many() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    page.start(&format!("http://{}/?follow=1,2,3,4,5", fake.address()));
    let mut visit = fake.accept();
    let mut say = |user: u32, state: &str| {
        let presence = json!({"userId": user, "state": state, "connected": true, "age": 1});
        visit.send(&json!({ "presence": presence }).to_string());
    };
    (1..=5).for_each(|user| say(user, "live"));
    page.wait_for_text("#count", "5 live");
    page.get(
        "window.spoken = [];
        new MutationObserver(() => spoken.push([performance.now(), document.getElementById('news').textContent]))
            .observe(document.getElementById('news'), { childList: true })",
    );
    (1..=5).for_each(|user| say(user, "stale"));
    page.wait_for("spoken.some(([, words]) => words === '5 runners went stale.')");
    say(1, "live");
    page.wait_for("spoken.at(-1)[1] === '\u{2068}1\u{2069} is live.'");
    let apart = page.get("spoken.slice(1).every(([at], index) => at - spoken[index][0] > 3000)");
    assert_eq!(apart, true);
    let live = page.get(
        "[...document.querySelectorAll('[aria-live], [role=status], [role=alert], [role=log], output')].map(({ id }) => id)",
    );
    assert_eq!(live, json!(["news"]));
}

#[test]
fn every_control_has_a_name_and_without_scripts_the_page_says_what_it_needs() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "?follow=5");
    page.wait_for_text("#count", "1 not seen");
    page.click("summary");
    page.open_details("5");
    let tree = page.tab.call("Accessibility.getFullAXTree", json!({}));
    let nodes = tree["nodes"].as_array().expect("nodes");
    let roles = [
        "button",
        "textbox",
        "searchbox",
        "combobox",
        "application",
        "main",
    ];
    let controls = nodes.iter().filter(|node| {
        roles.iter().any(|role| node["role"]["value"] == *role) && node["ignored"] == false
    });
    let (named, nameless): (Vec<_>, Vec<_>) = controls.partition(|node| {
        node["name"]["value"]
            .as_str()
            .is_some_and(|name| !name.is_empty())
    });
    assert!(named.len() > 10, "{}", named.len());
    assert!(nameless.is_empty(), "{nameless:?}");

    let page = Page::new(chromium);
    page.tab.call(
        "Emulation.setScriptExecutionDisabled",
        json!({"value": true}),
    );
    page.go(&format!("http://{}/", server.address()));
    let words = page
        .tab
        .call("DOMSnapshot.captureSnapshot", json!({"computedStyles": []}));
    assert!(words.to_string().contains("This map needs JavaScript"));
}

#[test]
fn in_forced_colours_a_state_is_a_shape_and_a_word() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    page.emulate("forced-colors", "active");
    page.start(&format!("http://{}/?follow=5,6,7", fake.address()));
    let mut visit = fake.accept();
    for (user, state) in [(5, "live"), (6, "stale"), (7, "unknown")] {
        let presence = json!({"userId": user, "state": state, "connected": true});
        visit.send(&json!({ "presence": presence }).to_string());
        if state != "unknown" {
            visit.send(&json!({"userId": user, "lat": 1, "lng": 2, "age": 90}).to_string());
        }
    }
    page.wait_for_text(&row("6"), "last seen");
    page.wait_for_text(&row("7"), "no position yet");
    let shape = |user: &str| {
        page.get(&format!(
            "(({{ backgroundColor, borderTopStyle }}) => [backgroundColor === 'rgba(0, 0, 0, 0)', borderTopStyle])
                (getComputedStyle(document.querySelector({:?})))",
            format!("{} i", row(user))
        ))
    };
    assert_eq!(shape("5"), json!([false, "solid"]));
    assert_eq!(shape("6"), json!([true, "solid"]));
    assert_eq!(shape("7"), json!([true, "dashed"]));
}

#[test]
fn whoever_comes_back_to_the_page_or_online_does_not_wait_for_the_next_attempt() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    // No wait ends by itself.
    page.at_each_start(
        "const { setTimeout: later } = window;
        window.setTimeout = (act, ms, ...rest) => ms > 400 && ms < 60_000 ? 0 : later(act, ms, ...rest);",
    );
    page.start(&format!("http://{}/", fake.address()));
    for event in [
        "document.dispatchEvent(new Event('visibilitychange'))",
        "window.dispatchEvent(new Event('online'))",
    ] {
        let visit = fake.accept();
        page.wait_for_text("#link", "Connected");
        visit.close(1013);
        page.wait_for_text("#link", "The server is full, trying again in");
        page.get(event);
    }
    let _visit = fake.accept();
    page.wait_for_text("#link", "Connected");
}
