//! The list on a phone: a sheet over a map that fills the screen.

use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::page::Page;
use crate::support::Server;

const STOP: &str = "document.documentElement.dataset.sheet";

/// The map of a server with two runners, on a screen of this size.
fn open(chromium: &'static Chromium, server: &Server, width: u32, height: u32) -> Page {
    let mut gateway = server.connect();
    gateway.send(r#"{"userId":5,"lat":51.5,"lng":-0.16}"#);
    gateway.send(r#"{"userId":6,"lat":51.6,"lng":-0.16}"#);
    gateway.barrier();
    let page = Page::new(chromium);
    page.emulate("prefers-reduced-motion", "reduce");
    page.resize(width, height);
    page.go(&format!("http://{}/?follow=5,6,7", server.address()));
    page.wait_for_text("#count", "2 live, 1 not seen");
    page.wait_for_text("#link", "Connected");
    page
}

/// The top of the sheet.
fn top(page: &Page) -> f64 {
    let top = page.get("document.getElementById('panel').getBoundingClientRect().top");
    top.as_f64().expect("a number")
}

fn drag(page: &Page, from: f64, to: f64) {
    let x = 180.0;
    let touch = |kind: &str, points: Value| {
        let touch = json!({"type": kind, "touchPoints": points});
        page.tab.call("Input.dispatchTouchEvent", touch);
    };
    touch("touchStart", json!([{"x": x, "y": from}]));
    for step in 1..=8 {
        let y = from + (to - from) * f64::from(step) / 8.0;
        touch("touchMove", json!([{"x": x, "y": y}]));
    }
    touch("touchEnd", json!([]));
}

#[test]
fn the_sheet_is_dragged_up_and_down_and_its_status_is_always_in_sight() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    for (width, height) in [(360_u32, 740_u32), (740, 360)] {
        let page = open(chromium, &server, width, height);
        let map = page.get("[map.clientWidth, map.clientHeight]");
        assert_eq!(map, json!([width, height]), "the map fills the screen");
        let status_is_in_sight = || {
            page.get(
                "['count', 'link'].every(id => {
                    const { left, top, right, bottom } = document.getElementById(id).getBoundingClientRect();
                    return left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight;
                })",
            )
        };
        let content =
            "document.getElementById('ids').checkVisibility({ visibilityProperty: true })";
        assert_eq!(
            (page.get(STOP), page.get(content)),
            (json!("peek"), json!(false))
        );
        assert_eq!(status_is_in_sight(), true);
        let height = f64::from(height);
        for (to, stop) in [
            (height * 0.45, "half"),
            (20.0, "full"),
            (height * 0.55, "half"),
            (height, "peek"),
        ] {
            drag(&page, top(&page) + 12.0, to);
            page.wait_for(&format!("{STOP} === {stop:?}"));
            assert_eq!(status_is_in_sight(), true, "{stop}");
            assert_eq!(page.get(content), stop != "peek", "{stop}");
        }
        page.assert_no_complaints();
    }
}

#[test]
fn the_sheet_has_a_button_that_says_whether_it_is_open() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = open(chromium, &server, 360, 740);
    let expanded = "document.getElementById('handle').ariaExpanded";
    assert_eq!(page.get(expanded), "false");
    page.get("document.getElementById('handle').focus()");
    for (key, stop) in [
        ("Enter", "half"),
        ("Enter", "full"),
        ("Enter", "peek"),
        ("ArrowUp", "half"),
        ("ArrowDown", "peek"),
    ] {
        page.press(key);
        page.wait_for(&format!("{STOP} === {stop:?}"));
        assert_eq!(page.get(expanded), (stop != "peek").to_string());
    }
    page.click("#count");
    page.wait_for(&format!("{STOP} === 'half'"));
    page.get("document.getElementById('handle').focus()");
    page.press("Escape");
    page.wait_for(&format!("{STOP} === 'peek'"));
    // On a desk there is no sheet.
    page.resize(1280, 800);
    page.wait_for(&format!("{STOP} === 'none'"));
    assert_eq!(
        page.get("document.getElementById('handle').checkVisibility()"),
        false
    );
}

#[test]
fn everybody_is_fitted_into_what_the_sheet_leaves_of_the_map() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = open(chromium, &server, 360, 740);
    page.click("#handle");
    page.wait_for(&format!("{STOP} === 'half'"));
    page.wait_until_still();
    let (south, north) = (page.spot(51.5, -0.16), page.spot(51.6, -0.16));
    let edge = top(&page);
    assert!((edge - 370.0).abs() < 1.0, "{edge}");
    assert!(
        north.1 > 40.0 && south.1 < edge - 20.0,
        "{north:?} {south:?}"
    );
    assert!(south.1 - north.1 > 150.0, "{north:?} {south:?}");
    // So is who is kept in the centre.
    page.open_details("6");
    page.click(".centre");
    page.wait_for_a_frame();
    let (x, y) = page.spot(51.6, -0.16);
    assert!(
        (x - 180.0).abs() < 1.0 && (y - edge / 2.0).abs() < 1.0,
        "{x} {y}"
    );
    // What belongs to the map is above the sheet too.
    let scale = page.get("document.getElementById('scale').getBoundingClientRect().bottom");
    assert!(scale.as_f64().expect("a number") < edge);
}

#[test]
fn a_finger_hits_whatever_it_can_press() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = open(chromium, &server, 360, 740);
    page.press("Tab");
    page.click("#handle");
    page.click("#count");
    page.wait_for(&format!("{STOP} === 'full'"));
    page.open_details("5");
    page.click("summary");
    page.get("document.getElementById('sharing').hidden = false");
    let small = page.get(
        "[...document.querySelectorAll('button, input, select, summary')].filter(control => {
            const { width, height } = control.getBoundingClientRect();
            return control.checkVisibility() && (width < 44 || height < 43.9);
        }).map(control => control.outerHTML)",
    );
    assert_eq!(small, json!([]));
    assert_eq!(page.get("document.documentElement.scrollWidth"), 360);
}

#[test]
fn who_is_tapped_on_the_map_is_told_of_in_the_sheet() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = open(chromium, &server, 360, 740);
    page.wait_until_still();
    let (x, y) = page.spot(51.6, -0.16);
    page.mouse("mousePressed", x, y, 1);
    page.mouse("mouseReleased", x, y, 1);
    page.wait_for(&format!("{STOP} === 'half'"));
    page.wait_for("document.querySelector('li.selected').dataset.user === '6'");
    page.wait_until_still();
    assert!(page.spot(51.6, -0.16).1 < top(&page));
}

#[test]
fn what_can_be_done_with_a_runner_and_what_can_be_shared_is_seen_without_scrolling() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = open(chromium, &server, 360, 740);
    let is_in_sight = |selector: &str| {
        page.get(&format!(
            "(element => {{
                const {{ left, top, width, height }} = element.getBoundingClientRect();
                return element.contains(document.elementFromPoint(left + width / 2, top + height - 2));
            }})(document.querySelector({selector:?}))"
        )) == true
    };
    page.get("document.querySelector('[data-user=\"6\"] .runner').click()");
    page.wait_for(&format!("{STOP} === 'half'"));
    page.wait_for_a_frame();
    assert!(is_in_sight(".centre") && is_in_sight(".unfollow"));
    page.click("summary");
    page.wait_for(&format!("{STOP} === 'full'"));
    page.wait_for_a_frame();
    assert!(is_in_sight("#copy") && is_in_sight("#share-hint"));
}
