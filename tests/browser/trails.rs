//! The ways behind the dots.

use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::fake::{Fake, Visit};
use crate::page::{Page, row};
use crate::support::Server;

/// Follows 5 and 6, who are at the ends of two ways that go side by side to the north.
fn open(chromium: &'static Chromium) -> (Fake, Page, Visit) {
    let fake = Fake::start();
    let page = Page::new(chromium);
    page.emulate("prefers-reduced-motion", "reduce");
    page.start(&format!("http://{}/?follow=5,6", fake.address()));
    let mut visit = fake.accept();
    for user in [5, 6] {
        tell(&mut visit, user);
    }
    page.wait_for_state("6", "live");
    page.wait_until_still();
    (fake, page, visit)
}

fn lng(user: u32) -> f64 {
    f64::from(user) / 1000.0
}

/// What the server says first of a runner.
fn tell(visit: &mut Visit, user: u32) {
    let points: Vec<Value> = (0..5)
        .map(|step| json!([lng(user), 51.5 + f64::from(step) * 0.000_5, 1000 * step]))
        .collect();
    for message in [
        json!({"presence": {"userId": user, "state": "live", "connected": true, "age": 1}}),
        json!({"trail": {"userId": user, "points": points}}),
        json!({"userId": user, "lat": 51.502, "lng": lng(user), "age": 1}),
    ] {
        visit.send(&message.to_string());
    }
}

/// How opaque the trails are where this runner came through.
fn opacity(page: &Page, user: u32, lat: f64) -> u8 {
    let (x, y) = page.spot(lat, lng(user));
    page.pixel_of("trails", x, y)[3]
}

fn is_clear(page: &Page, sheet: &str) -> bool {
    page.get(&format!(
        "(({{ width, height }}) => document.getElementById({sheet:?}).getContext('2d')
            .getImageData(0, 0, width, height).data.every(byte => byte === 0))(document.getElementById({sheet:?}))"
    )) == true
}

#[test]
fn the_way_that_a_runner_came_is_drawn_and_goes_on_with_the_dot() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (_fake, page, mut visit) = open(chromium);
    assert!(opacity(&page, 5, 51.500_7) > 80 && opacity(&page, 6, 51.500_7) > 80);
    assert_eq!(opacity(&page, 5, 51.502_5), 0);
    visit.send(&json!({"userId": 5, "lat": 51.503, "lng": lng(5)}).to_string());
    page.open_details("5");
    page.wait_for_text(&row("5"), "51.50300");
    page.wait_until_still();
    assert!(opacity(&page, 5, 51.502_5) > 80);
    // Told again, with a point that came late: it is where it belongs, and what was there is not twice.
    let aside = lng(5) + 0.000_3;
    let points = json!([
        [lng(5), 51.5, 0],
        [aside, 51.501, 2000],
        [lng(5), 51.503, 9000]
    ]);
    visit.send(&json!({"trail": {"userId": 5, "points": points}}).to_string());
    let (x, y) = page.spot(51.501, aside);
    let is_there = format!(
        "document.getElementById('trails').getContext('2d').getImageData({}, {}, 1, 1).data[3] > 80",
        x.round(),
        y.round()
    );
    page.wait_for(&is_there);
    assert_eq!(opacity(&page, 5, 51.501), 0);
    page.assert_no_complaints();
}

#[test]
fn the_way_of_who_is_chosen_is_strong_and_all_others_are_light() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (_fake, page, _visit) = open(chromium);
    let light = opacity(&page, 5, 51.500_7);
    page.click(&format!("{} .runner", row("5")));
    page.wait_until_still();
    let (strong, other) = (opacity(&page, 5, 51.501_7), opacity(&page, 6, 51.501_7));
    assert!(strong > light + 50, "{strong} after {light}");
    assert!(other <= light + 5, "{other} after {light}");
}

#[test]
fn nothing_is_left_of_a_way_whose_runner_is_gone() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (fake, page, mut visit) = open(chromium);
    let unknown =
        |user: u32| json!({"presence": {"userId": user, "state": "unknown", "connected": false}});
    let is_gone = |user: u32| {
        page.wait_for_a_frame();
        assert_eq!(opacity(&page, user, 51.500_7), 0, "{user}");
    };
    visit.send(&unknown(5).to_string());
    page.wait_for_state("5", "unknown");
    is_gone(5);
    assert!(opacity(&page, 6, 51.500_7) > 80);
    // Back, without the way of before.
    visit.send(&json!({"userId": 5, "lat": 51.502, "lng": lng(5)}).to_string());
    page.wait_for_state("5", "live");
    is_gone(5);
    page.open_details("6");
    page.click(".unfollow");
    is_gone(6);
    // A server that never knew it, after a reconnect, does not say that it is gone; one that did does.
    visit.close(1012);
    page.click("#retry");
    let mut visit = fake.accept();
    visit.send(&unknown(5).to_string());
    page.wait_for_state("5", "stale");
    visit.send(&json!({"userId": 5, "lat": 51.502, "lng": lng(5)}).to_string());
    page.wait_for_state("5", "live");
    visit.send(&unknown(5).to_string());
    page.wait_for_state("5", "unknown");
    page.wait_for_a_frame();
    assert!(is_clear(&page, "trails") && is_clear(&page, "dots"));
}

/// The places of a way, some 55 m from one to the next: north, with a bend to the east.
fn place(user: u32, step: u32) -> (f64, f64) {
    let bend = if step == 6 { 0.000_8 } else { 0.0 };
    (51.5 + f64::from(step) * 0.000_5, lng(user) + bend)
}

/// A runner goes these steps of the way, one a minute.
fn walk(server: &Server, user: u32, steps: std::ops::Range<u32>) {
    let mut gateway = server.connect();
    for step in steps {
        let (lat, lng) = place(user, step);
        let timestamp = 1_714_470_000_000_u64 + 60_000 * u64::from(step);
        let fix = json!({"userId": user, "lat": lat, "lng": lng, "timestamp": timestamp});
        gateway.send(&fix.to_string());
    }
    gateway.barrier();
}

#[test]
fn who_opens_the_map_sees_the_ways_that_runners_came_before() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    for (trail, is_shown) in [("240", true), ("0", false)] {
        let server = Server::start(&["--tiles", "none", "--follow-all", "--trail", trail]);
        walk(&server, 5, 0..5);
        for rest in ["?follow=5", "?follow=*"] {
            let page = Page::open(chromium, server.address(), rest);
            page.wait_for_state("5", "live");
            page.wait_until_still();
            let is_there = opacity(&page, 5, 51.500_7) > 80;
            assert_eq!(is_there, is_shown, "--trail {trail}, {rest}");
            assert_eq!(page.get("document.getElementById('note').hidden"), true);
            page.assert_no_complaints();
        }
    }
}

#[test]
fn the_way_that_was_missed_without_a_connection_is_filled_in_and_the_rest_of_it_stays() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none", "--trail", "5"]);
    walk(&server, 5, 0..5);
    let page = Page::new(chromium);
    page.emulate("prefers-reduced-motion", "reduce");
    page.go(&format!("http://{}/?follow=5", server.address()));
    page.wait_for_state("5", "live");
    page.offline(true);
    page.wait_for_text("#link", "No connection");
    walk(&server, 5, 5..8);
    page.offline(false);
    page.wait_for_text("#link", "Connected");
    page.open_details("5");
    page.wait_for_text(&row("5"), "51.50350");
    page.wait_until_still();
    // The server has forgotten the first of it by now.
    assert!(opacity(&page, 5, 51.500_2) > 80);
    let (lat, east) = place(5, 6);
    let (x, y) = page.spot(lat, east);
    assert!(page.pixel_of("trails", x, y)[3] > 80);
    assert_eq!(opacity(&page, 5, lat), 0, "not straight on");
}
