//! Whom to follow and what to look at: the address, the form, keys, fingers, small windows.

use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::page::Page;
use crate::support::Server;

fn number(page: &Page, name: &str) -> f64 {
    let value = page.get(&format!(
        "Number(document.getElementById('map').dataset.{name})"
    ));
    value.as_f64().expect("a number")
}

#[test]
fn the_address_names_who_is_followed_and_opens_the_same_again() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "?follow=5,Anna%20B&follow=5");
    page.allow(&["clipboardReadWrite", "clipboardSanitizedWrite"]);
    page.wait_for_text("#count", "2 not seen");
    page.click("#ids");
    page.write(" 6,  5, ü ,, 8 9");
    page.press("Enter");
    page.wait_for_text("#count", "6 not seen");
    assert_eq!(
        page.get("location.search"),
        "?follow=5,Anna%20B,6,%C3%BC,8,9"
    );
    page.open_details("5");
    page.click(".unfollow");
    page.wait_for_text("#count", "5 not seen");
    server.wait_for_metric("spectate_follows", 5.0);
    page.click("summary");
    page.click("#copy");
    page.wait_for_text("#copy", "Copied");
    let link = page.get("navigator.clipboard.readText()");
    assert_eq!(
        link,
        format!("http://{}/?follow=Anna%20B,6,%C3%BC,8,9", server.address())
    );
    let other = Page::new(chromium);
    other.go(link.as_str().expect("text"));
    other.wait_for_text("#count", "5 not seen");
    other.wait_for(
        "[...document.querySelectorAll('li b')].map(name => name.textContent).join('|') === '6|8|9|Anna B|ü'",
    );
    page.assert_no_complaints();
}

#[test]
fn a_comma_inside_of_an_id_is_no_comma_between_ids() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    server
        .connect()
        .send(r#"{"userId":"Berg, Anna","lat":1,"lng":2}"#);
    let rest = "?follow=Berg%2C%20Anna,6";
    let page = Page::open(chromium, server.address(), &format!("{rest}&x=1"));
    page.wait_for_text("#count", "1 live, 1 not seen");
    page.wait_for_state("Berg, Anna", "live");
    assert_eq!(page.get("location.search"), rest);
    let page = Page::open(chromium, server.address(), "?follow=,%00,");
    page.wait_for_text("#count", "Nobody followed");
    page.wait_for("document.getElementById('hint').checkVisibility()");
}

/// The ids in the list, in its order.
fn followed(page: &Page) -> Value {
    page.get("[...document.querySelectorAll('li b')].map(name => name.textContent).join('|')")
}

#[test]
fn a_fragment_names_whom_to_follow_and_stays_without_its_token() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(
        chromium,
        server.address(),
        "#follow=5,a%2Cb&token=aaaa.bbbb.cccc",
    );
    page.wait_for_text("#count", "2 not seen");
    assert_eq!(followed(&page), "5|a,b");
    let address = |rest: &str| format!("http://{}/{rest}", server.address());
    assert_eq!(page.get("location.href"), address("#follow=5,a%2Cb"));
    page.reload();
    page.wait_for_text("#count", "2 not seen");
    page.click("#ids");
    page.write("6");
    page.press("Enter");
    page.wait_for_text("#count", "3 not seen");
    assert_eq!(page.get("location.href"), address("#follow=5,a%2Cb,6"));
    // Another link to the same page, and another token.
    page.get("location.hash = '#follow=6,7'");
    page.wait_for_text("#count", "2 not seen");
    assert_eq!(followed(&page), "6|7");
    server.wait_for_metric("spectate_follows", 2.0);
    page.get("location.hash = '#token=dddd.eeee.ffff'");
    page.wait_for("location.hash === '#follow=6,7'");
    assert_eq!(followed(&page), "6|7");
    page.assert_no_complaints();
}

#[test]
fn more_ids_than_a_request_holds_go_into_the_fragment() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none", "--max-follows", "5000"]);
    let ids: Vec<String> = (0..4000).map(|id| format!("runner-{id}")).collect();
    let rest = format!("#follow={}", ids.join(","));
    let page = Page::open(chromium, server.address(), &rest);
    server.wait_for_metric("spectate_follows", 4000.0);
    page.reload();
    page.wait_for_text("#count", "4000 not seen");
    let page = Page::open(chromium, server.address(), "?follow=5");
    page.get(&format!(
        "document.getElementById('ids').value = {:?}",
        ids.join(",")
    ));
    page.get("document.getElementById('ids').focus()");
    page.press("Enter");
    page.wait_for_text("#count", "4001 not seen");
    page.wait_for("location.search === '' && location.hash.startsWith('#follow=5,runner-0,')");
    page.reload();
    page.wait_for_text("#count", "4001 not seen");
}

/// Which of these elements are in sight.
fn in_sight(page: &Page) -> Value {
    page.get(
        "['map', 'link', 'note', 'ids', 'runners', 'share', 'count', 'keys', 'handle']
            .filter(id => document.getElementById(id).checkVisibility()).join(' ')",
    )
}

#[test]
fn without_its_panel_the_map_is_alone_until_something_is_wrong() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none", "--max-follows", "2"]);
    server
        .connect()
        .send(r#"{"userId":5,"lat":51.5,"lng":-0.16}"#);
    let page = Page::new(chromium);
    page.resize(320, 240);
    page.go(&format!(
        "http://{}/?follow=5,6&panel=none",
        server.address()
    ));
    page.wait_for("document.querySelector('[data-user=\"5\"][data-state=live]')");
    page.wait_for("document.getElementById('link').dataset.state === 'open'");
    assert_eq!(in_sight(&page), "map");
    assert_eq!(
        page.get("[map.clientWidth, map.clientHeight].join()"),
        "320,240"
    );
    page.wait_until_still();
    let (x, y) = page.spot(51.5, -0.16);
    assert_eq!(page.pixel(x, y)[3], 255);
    assert_eq!(page.get("location.search"), "?follow=5,6&panel=none");
    page.offline(true);
    page.wait_for_text("#link", "trying again in");
    assert_eq!(in_sight(&page), "map link");
    let inside = page.get(
        "(({ left, right, top, bottom }) => left >= 0 && right <= 320 && top >= 0 && bottom <= 240)
            (document.getElementById('link').getBoundingClientRect())",
    );
    assert_eq!(inside, true);
    page.offline(false);
    page.wait_for("document.getElementById('link').dataset.state === 'open'");
    assert_eq!(in_sight(&page), "map");
    page.get("location.hash = '#follow=5,6,7'");
    page.wait_for_text("#note", "at most 2 users");
    assert_eq!(in_sight(&page), "map note");
}

#[test]
fn everything_can_be_done_from_the_keyboard_with_the_focus_in_sight() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let mut gateway = server.connect();
    gateway.send(r#"{"userId":5,"lat":51.5,"lng":-0.16}"#);
    gateway.send(r#"{"userId":6,"lat":51.6,"lng":-0.16}"#);
    gateway.barrier();
    let page = Page::new(chromium);
    page.emulate("prefers-reduced-motion", "reduce");
    page.go(&format!("http://{}/?follow=5", server.address()));
    page.wait_for_state("5", "live");
    page.wait_until_still();
    page.press("Tab");
    // Tab goes on from what has the focus. From nowhere it may go on from what was clicked.
    page.get("['summary', '.runner'].forEach(what => document.querySelector(what).click())");
    let mut stops = Vec::new();
    loop {
        let stop = page.get(
            "(() => {
                const { activeElement: now } = document;
                if (now === document.body) return null;
                if (getComputedStyle(now).outlineStyle === 'none') throw now.outerHTML;
                return now.id || now.getAttribute('aria-label') || now.innerText.split('\\n')[0];
            })()",
        );
        let Value::String(stop) = stop else { break };
        if stops.first() == Some(&stop) || stops.len() > 30 {
            break;
        }
        stops.push(stop);
        page.press("Tab");
    }
    let expected = [
        "map",
        "zoom-in",
        "zoom-out",
        "fit",
        "ids",
        "sort",
        "units",
        "5",
        "Keep in the centre: \u{2068}5\u{2069}",
        "Unfollow \u{2068}5\u{2069}",
        "Share this map, or my position",
        "copy",
        "show-code",
        "me",
        "Share",
    ];
    assert_eq!(stops, expected);

    page.get("document.getElementById('map').focus()");
    let zoom = number(&page, "zoom");
    page.press("-");
    page.wait_for_a_frame();
    assert!((number(&page, "zoom") - (zoom - 1.0)).abs() < 0.01);
    page.press("+");
    page.wait_for_a_frame();
    assert!((number(&page, "zoom") - zoom).abs() < 0.01);
    let (lat, lng) = (number(&page, "lat"), number(&page, "lng"));
    page.press("ArrowRight");
    page.press("ArrowUp");
    page.wait_for_a_frame();
    assert!(number(&page, "lng") > lng && number(&page, "lat") > lat);
    page.press("0");
    page.wait_for_a_frame();
    assert!((number(&page, "lng") - -0.16).abs() < 1e-4);

    page.get("document.getElementById('ids').focus()");
    page.write("6");
    page.press("Enter");
    page.wait_for_state("6", "live");
    // Whoever comes is brought into view, and can be kept in its centre.
    page.wait_for("Number(document.getElementById('map').dataset.zoom) < 13");
    page.get("document.querySelector('[data-user=\"6\"] .runner').focus()");
    page.press("Enter");
    page.press("Tab");
    page.press("Enter");
    page.wait_for_a_frame();
    assert!(
        (number(&page, "lat") - 51.6).abs() < 1e-4,
        "{}",
        number(&page, "lat")
    );
    gateway.send(r#"{"userId":6,"lat":51.61,"lng":-0.16}"#);
    page.wait_for("Math.abs(document.getElementById('map').dataset.lat - 51.61) < 1e-4");
    page.get("document.getElementById('map').focus()");
    page.press("Escape");
    page.wait_for("document.querySelectorAll('[aria-pressed=true]').length === 0");
    page.get("document.querySelector('.unfollow').focus()");
    page.press("Enter");
    page.wait_for("document.querySelectorAll('li').length === 1");
    assert_eq!(
        page.get("document.activeElement.innerText.split('\\n')[0]"),
        "5"
    );
    page.assert_no_complaints();
}

#[test]
fn mouse_and_wheel_move_the_map_and_a_click_finds_a_runner() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    server
        .connect()
        .send(r#"{"userId":5,"lat":51.5,"lng":-0.16}"#);
    let page = Page::new(chromium);
    page.emulate("prefers-reduced-motion", "reduce");
    page.go(&format!("http://{}/?follow=5", server.address()));
    page.wait_for_state("5", "live");
    page.wait_until_still();
    let before = page.spot(51.5, -0.16);
    page.mouse("mousePressed", 300.0, 300.0, 1);
    page.mouse("mouseMoved", 350.0, 320.0, 0);
    page.mouse("mouseMoved", 400.0, 340.0, 0);
    page.mouse("mouseReleased", 400.0, 340.0, 1);
    page.wait_for_a_frame();
    let after = page.spot(51.5, -0.16);
    assert!((after.0 - before.0 - 100.0).abs() < 1.0 && (after.1 - before.1 - 40.0).abs() < 1.0);
    let wheel =
        json!({"type": "mouseWheel", "x": after.0, "y": after.1, "deltaX": 0, "deltaY": -300});
    page.tab.call("Input.dispatchMouseEvent", wheel);
    page.wait_for_a_frame();
    let zoomed = page.spot(51.5, -0.16);
    assert!(
        (zoomed.0 - after.0).abs() < 2.0 && (zoomed.1 - after.1).abs() < 2.0,
        "{after:?} {zoomed:?}"
    );
    page.mouse("mousePressed", zoomed.0 + 3.0, zoomed.1, 1);
    page.mouse("mouseReleased", zoomed.0 + 3.0, zoomed.1, 1);
    page.wait_for("document.querySelector('li').className === 'selected'");
    let zoom = || page.get("Number(document.getElementById('map').dataset.zoom)");
    let [before, after] = ["#zoom-in", "#zoom-out"].map(|button| {
        page.click(button);
        page.wait_for_a_frame();
        zoom().as_f64().expect("a number")
    });
    assert!(before > after, "{before} {after}");
    page.click("#fit");
    page.wait_until_still();
    let centre = page.get("[map.clientWidth / 2, map.clientHeight / 2]");
    let spot = page.spot(51.5, -0.16);
    assert!(
        (spot.0 - centre[0].as_f64().expect("a number")).abs() < 1.0,
        "{spot:?} {centre}"
    );
    assert!(
        (spot.1 - centre[1].as_f64().expect("a number")).abs() < 1.0,
        "{spot:?} {centre}"
    );
}

#[test]
fn a_phone_of_360_pixels_has_room_for_all_of_it() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    server.connect().send(
        r#"{"userId":"a name that is long enough to be cut off somewhere","lat":51.5,"lng":-0.16}"#,
    );
    let page = Page::new(chromium);
    page.emulate("prefers-reduced-motion", "reduce");
    page.resize(360, 740);
    page.go(&format!(
        "http://{}/?follow=a+name+that+is+long+enough+to+be+cut+off+somewhere,6",
        server.address()
    ));
    page.wait_for_text("#count", "1 live");
    page.click("summary");
    page.wait_until_still();
    let wide = page.get(
        "[...document.querySelectorAll('body *')].filter(element => element.checkVisibility()
            && element.id !== 'news' && element.getBoundingClientRect().right > 360.5).map(element => element.outerHTML)",
    );
    assert_eq!(wide, json!([]));
    assert_eq!(page.get("document.documentElement.scrollWidth"), 360);
    assert_eq!(
        page.get("document.documentElement.scrollHeight <= 740"),
        true
    );
    assert_eq!(
        page.get("document.getElementById('map').clientHeight > 300"),
        true
    );
    let small = page.get(
        "[...document.querySelectorAll('button')].filter(button => button.checkVisibility()
            && (button.clientHeight < 32 || button.clientWidth < 32)).length",
    );
    assert_eq!(small, 0);

    let touch = |kind: &str, points: &[(f64, f64)]| {
        let points: Vec<Value> = points
            .iter()
            .map(|(x, y)| json!({"x": x, "y": y}))
            .collect();
        page.tab.call(
            "Input.dispatchTouchEvent",
            json!({"type": kind, "touchPoints": points}),
        );
    };
    let before = page.spot(51.5, -0.16);
    touch("touchStart", &[(180.0, 200.0)]);
    touch("touchMove", &[(160.0, 200.0)]);
    touch("touchMove", &[(140.0, 200.0)]);
    touch("touchEnd", &[]);
    page.wait_for_a_frame();
    let after = page.spot(51.5, -0.16);
    assert!(
        (before.0 - after.0 - 40.0).abs() < 2.0,
        "{before:?} {after:?}"
    );
    let zoom = number(&page, "zoom");
    touch("touchStart", &[(150.0, 200.0), (210.0, 200.0)]);
    touch("touchMove", &[(120.0, 200.0), (240.0, 200.0)]);
    touch("touchEnd", &[]);
    page.wait_for_a_frame();
    assert!((number(&page, "zoom") - zoom - 1.0).abs() < 0.1);
}

#[test]
fn nothing_is_wider_than_its_place_in_windows_of_any_width() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none", "--max-follows", "3"]);
    let name = "W".repeat(64);
    server.connect().send(&format!(
        r#"{{"userId":"{name}","lat":51.5,"lng":-0.16,"speed":3,"battery":1}}"#
    ));
    let page = Page::open(chromium, server.address(), &format!("?follow=5,{name},6,7"));
    page.wait_for_text("#note", "at most 3 users");
    page.wait_for_state(&name, "live");
    page.click("summary");
    // Whoever shares sees another form, and who copies a link may see it.
    page.get("document.getElementById('sharing-as').textContent = document.querySelector('li:nth-child(2) b').textContent");
    let hidden = ["share-form", "sharing", "address", "hint", "code"];
    for (width, height) in [
        (360, 740),
        (768, 1024),
        (1024, 768),
        (1280, 800),
        (1920, 1080),
    ] {
        page.resize(width, height);
        for shown in hidden {
            let shows = format!(
                "{hidden:?}.forEach(id => document.getElementById(id).hidden = id !== '{shown}')"
            );
            page.get(&shows);
            page.wait_for_a_frame();
            assert_eq!(page.get("document.documentElement.scrollWidth"), width);
            let wide = page.get(
                "[...document.querySelectorAll('body *')].filter(element => {
                    if (!element.checkVisibility() || getComputedStyle(element).clipPath !== 'none') return false;
                    const { left, right } = element.getBoundingClientRect();
                    const outer = element.parentElement.getBoundingClientRect();
                    const isOut = left < outer.left - 0.5 || right > outer.right + 0.5;
                    const isCut = element.scrollWidth > element.clientWidth && getComputedStyle(element).display !== 'inline';
                    return isOut || isCut && !element.matches('b, input');
                }).map(element => element.outerHTML)",
            );
            assert_eq!(wide, json!([]), "{shown} at {width}");
        }
    }
}

#[test]
fn fingers_that_meet_do_not_throw_the_map_far_out() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "");
    page.wait_for_text("#link", "Connected");
    page.wait_until_still();
    let zoom = number(&page, "zoom");
    for (kind, fingers) in [
        (
            "touchStart",
            json!([{"x": 300, "y": 200}, {"x": 310, "y": 200}]),
        ),
        (
            "touchMove",
            json!([{"x": 305, "y": 200}, {"x": 305, "y": 200}]),
        ),
        ("touchEnd", json!([])),
    ] {
        let touch = json!({"type": kind, "touchPoints": fingers});
        page.tab.call("Input.dispatchTouchEvent", touch);
    }
    page.wait_for_a_frame();
    // One after the other halves what is between them, and then nothing is.
    assert!(number(&page, "zoom") > zoom - 1.1);
}
