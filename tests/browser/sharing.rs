//! "Share my position": what the browser measures reaches the followers, and who watches is told.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::fake::{Fake, Visit};
use crate::page::{Page, row};
use crate::support::Server;

#[test]
fn a_shared_position_reaches_its_followers_and_the_page_says_how_many_there_are() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let (mut follower, _) = server.spectator(r#"["me"]"#);
    let page = Page::open(chromium, server.address(), "");
    page.allow_geolocation();
    page.measure(51.5, -0.16, 7.0);
    page.get(
        "navigator.wakeLock.request = async kind => {
            window.lock = kind;
            return { release() { window.lock = null; } };
        }; 0",
    );
    page.click("summary");
    page.click("#me");
    page.write("me");
    page.press("Enter");
    page.wait_for_text("#sharing", "Sharing as me");
    page.wait_for_text("#audience", "1 is watching");
    page.wait_for("window.lock === 'screen'");
    let position: Value = serde_json::from_str(&follower.receive()).expect("JSON");
    let timestamp = position["timestamp"].as_f64().expect("a time");
    assert!(
        timestamp > 1.6e12 && timestamp.fract() == 0.0,
        "{timestamp}"
    );
    let expected = json!({"userId": "me", "lat": 51.5, "lng": -0.16, "accuracy": 7, "timestamp": position["timestamp"]});
    assert_eq!(position, expected);
    // It is on one's own map too, and one does not count as one's watcher.
    page.wait_for_state("me", "live");
    let mut second = server.join("6", r#"["me"]"#);
    second.receive();
    page.wait_for_text("#audience", "2 are watching");
    page.measure(51.501, -0.16, 7.0);
    let position: Value = serde_json::from_str(&follower.receive()).expect("JSON");
    assert_eq!(
        (&position["lat"], &position["userId"]),
        (&json!(51.501), &json!("me"))
    );

    // Somebody who asks for presence sees that the page is no longer this runner.
    let mut witness = server.connect();
    witness.send(r#"{"initialRequest":true,"presence":true,"following":["me"]}"#);
    assert!(witness.receive().contains(r#""connected":true"#));
    page.click("#stop");
    page.wait_for("window.lock === null");
    // Where it was is forgotten before it is somebody else.
    let mut told = String::new();
    while !told.contains(r#""connected":false"#) {
        told = witness.receive();
    }
    assert!(told.contains(r#""state":"unknown""#), "{told}");
    page.wait_for("document.getElementById('sharing').hidden && !document.getElementById('share-form').hidden");
    page.wait_for_text("#link", "Connected");
    page.measure(51.502, -0.16, 7.0);
    page.wait_for_state("me", "unknown");
    page.wait_for_text(&row("me"), "no position yet");
    page.assert_no_complaints();
}

#[test]
fn who_stops_while_cut_off_is_forgotten_as_soon_as_the_server_can_be_told() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "");
    page.allow_geolocation();
    page.measure(51.5, -0.16, 7.0);
    page.click("summary");
    page.click("#me");
    page.write("me");
    page.press("Enter");
    page.wait_for_state("me", "live");
    let mut witness = server.connect();
    witness.send(r#"{"initialRequest":true,"presence":true,"following":["me"]}"#);
    assert!(witness.receive().contains(r#""state":"live""#));
    page.offline(true);
    page.wait_for_text("#link", "trying again");
    page.measure(51.501, -0.16, 7.0);
    page.wait_for_text("#fix", "51.50100");
    // The line about the connection is counting down, and may move the button under a mouse.
    page.get("(document.querySelector('#stop').click(), 'clicked')");
    page.wait_for_text("#note", "Others see your last place");
    page.offline(false);
    page.wait_for_text("#note", "others do not see");
    let mut told = String::new();
    while !told.contains(r#""state":"unknown""#) {
        told = witness.receive();
        assert!(!told.contains("51.501"), "{told}");
    }
    page.open_details("me");
    page.wait_for_text(&row("me"), "not connected to the server");
    page.wait_for_text("#link", "Connected");
    assert_eq!(server.spectator(r#"["me"]"#).1, [""; 0]);
}

#[test]
fn a_position_measured_while_cut_off_is_sent_when_the_connection_is_back() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let (mut follower, _) = server.spectator(r#"["me"]"#);
    let page = Page::open(chromium, server.address(), "");
    page.allow_geolocation();
    page.measure(51.5, -0.16, 7.0);
    page.click("summary");
    page.click("#me");
    page.write("me");
    page.press("Enter");
    follower.receive();
    page.offline(true);
    page.wait_for_text("#link", "trying again");
    page.wait_for_text("#audience", "nobody sees you");
    page.measure(51.501, -0.16, 7.0);
    page.wait_for_text("#fix", "51.50100");
    page.measure(51.502, -0.16, 7.0);
    page.wait_for_text("#fix", "51.50200");
    page.offline(false);
    let back = Instant::now();
    assert!(follower.receive().contains(r#""lat":51.502,"#));
    // At once: after a while it would have been measured again anyway.
    assert!(back.elapsed() < Duration::from_secs(10));
    page.wait_for_text("#audience", "1 is watching");
}

#[test]
fn a_device_at_rest_is_measured_again_before_it_goes_stale() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let (mut follower, _) = server.spectator(r#"["me"]"#);
    let page = Page::new(chromium);
    page.with_clock_that_skips();
    page.go(&format!("http://{}/", server.address()));
    page.allow_geolocation();
    page.measure(51.5, -0.16, 7.0);
    page.click("summary");
    page.click("#me");
    page.write("me");
    page.press("Enter");
    let first = follower.receive();
    page.wait_for_text("#fix", "51.50000");
    page.get("window.skip = 16_000");
    assert_eq!(follower.receive(), first);
}

#[test]
fn without_permission_the_page_says_what_to_do() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "");
    page.deny_geolocation();
    page.click("summary");
    page.click("#me");
    page.write("me");
    page.press("Enter");
    page.wait_for_text(
        "#note",
        "Your browser does not let this page see your position",
    );
    page.wait_for("document.getElementById('sharing').hidden");
}

#[test]
fn outside_of_a_secure_context_the_page_says_why_it_cannot_share() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::new(chromium);
    page.go(&format!(
        "http://plain.test:{}/?follow=5",
        server.address().port()
    ));
    page.wait_for_text("#link", "Connected");
    page.click("summary");
    page.wait_for_text("#share-form", "only over a secure connection");
    page.wait_for("document.getElementById('me').disabled");
    // There is no clipboard there either.
    page.click("#copy");
    page.wait_for("document.getElementById('address').value.endsWith('/?follow=5') && !document.getElementById('address').hidden");
}

#[test]
fn what_is_no_id_is_not_shared_as() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "");
    page.click("summary");
    page.click("#me");
    page.write(&"é".repeat(33));
    page.press("Enter");
    page.wait_for_text("#note", "An id has 1 to 64 bytes");
    page.wait_for("document.getElementById('sharing').hidden");
}

/// Has a page share a position as `me` with a server that does as it is told.
fn share_with(page: &Page, fake: &Fake) -> Visit {
    page.allow_geolocation();
    page.measure(51.5, -0.16, 7.0);
    page.start(&format!("http://{}/?follow=", fake.address()));
    let mut visit = fake.accept();
    page.wait_for_text("#link", "Connected");
    assert!(visit.receive().contains("initialRequest"));
    page.click("summary");
    page.click("#me");
    page.write("me");
    page.press("Enter");
    // Whether somebody else is this runner is known with the answer.
    assert_eq!(visit.receive(), r#"{"follow":["me"]}"#);
    assert_eq!(visit.receive(), r#"{"ping":1}"#);
    visit.send(r#"{"pong":1}"#);
    assert!(visit.receive().contains(r#""userId":"me""#));
    assert!(visit.receive().contains(r#""lat":51.5,"#));
    visit
}

#[test]
fn sharing_ends_when_a_position_is_refused_whatever_the_words_and_not_when_a_follow_is() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let refuse =
        |words: &str| json!({"error": {"code": "not_allowed", "message": words}}).to_string();
    let fake = Fake::start();
    let page = Page::new(chromium);
    let mut visit = share_with(&page, &fake);
    page.click("#ids");
    page.write("7");
    page.press("Enter");
    assert_eq!(visit.receive(), r#"{"follow":["7"]}"#);
    visit.send(&refuse("no follows, nor positions"));
    page.wait_for_text("#note", "no follows, nor positions");
    visit.send(r#"{"pong":2}"#);
    visit.send(r#"{"audience":3}"#);
    page.wait_for_text("#audience", "3 are watching");
    let is_over = page.get("document.getElementById('sharing').hidden");
    assert_eq!(is_over, false);
    visit.send(&refuse("verboten"));
    page.wait_for_text("#note", "verboten");
    page.wait_for("document.getElementById('sharing').hidden");
}

#[test]
fn sharing_ends_when_somebody_else_is_meant_whatever_the_words() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    let mut visit = share_with(&page, &fake);
    visit.send(r#"{"error":{"code":"wrong_user","message":""}}"#);
    page.wait_for("document.getElementById('sharing').hidden");
}

#[test]
fn a_device_that_does_not_say_where_it_is_is_asked_again_and_the_page_says_so() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::new(chromium);
    page.with_clock_that_skips();
    page.go(&format!("http://{}/", server.address()));
    page.get(
        "window.asked = [];
        navigator.geolocation.watchPosition = (hear, hearNo, options) => asked.push({ hearNo, options }); 0",
    );
    page.click("summary");
    page.click("#me");
    page.write("me");
    page.press("Enter");
    page.wait_for_text("#fix", "Waiting for your position");
    assert_eq!(page.get("asked[0].options.timeout <= 60_000"), true);
    page.get("asked[0].hearNo({ code: GeolocationPositionError.TIMEOUT })");
    page.wait_for_text(
        "#fix",
        "Your device does not know where it is. Still trying.",
    );
    page.get("window.skip = 16_000");
    page.wait_for("asked.length === 2");
}

#[test]
fn who_shares_as_somebody_who_is_live_is_asked_first() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let mut runner = server.connect();
    runner.send(r#"{"initialRequest":true,"userId":5,"name":"Anna Berg"}"#);
    runner.send(r#"{"lat":51.5,"lng":-0.16}"#);
    runner.barrier();
    let page = Page::open(chromium, server.address(), "?follow=");
    page.allow_geolocation();
    page.measure(51.6, -0.16, 7.0);
    page.wait_for_text("#link", "Connected");
    page.click("summary");
    let share = || {
        page.click("#me");
        page.get("document.getElementById('me').select()");
        page.write("5");
        page.press("Enter");
        page.wait_for("document.getElementById('ask').open");
    };
    share();
    page.wait_for_text(
        "#question",
        "\u{2068}Anna Berg\u{2069} (\u{2068}5\u{2069}) is live right now. Share as \u{2068}5\u{2069} all the same?",
    );
    page.press("Escape");
    page.wait_for("!document.getElementById('ask').open");
    // Nothing was shared, and nobody is followed.
    page.wait_for_text("#count", "Nobody followed");
    assert_eq!(page.get("document.getElementById('sharing').hidden"), true);
    share();
    page.click("#ask [value=yes]");
    page.wait_for_text("#sharing", "Sharing as 5");
    page.wait_for_text("#fix", "51.60000");
    page.wait_for_state("5", "live");
    page.assert_no_complaints();
}
