//! When the map is drawn: no oftener than there is something new to see.

use std::time::Duration;

use crate::chromium::Chromium;
use crate::page::Page;
use crate::support::{Client, Server};

const SHEETS: [&str; 4] = ["ground", "course", "trails", "dots"];

fn open(chromium: &'static Chromium, server: &Server, rest: &str) -> Page {
    let page = Page::new(chromium);
    page.with_record_of_drawing();
    page.go(&format!("http://{}/{rest}", server.address()));
    page
}

fn send(gateway: &mut Client, user: u32, lat: f64) {
    let lng = f64::from(user) / 1000.0;
    gateway.send(&format!(
        r#"{{"userId":{user},"lat":{lat},"lng":{lng},"heading":0}}"#
    ));
}

#[test]
fn nothing_is_drawn_while_nothing_changes() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let mut gateway = server.connect();
    send(&mut gateway, 1, 51.5);
    send(&mut gateway, 2, 51.5);
    gateway.barrier();
    let page = open(chromium, &server, "?follow=1,2");
    page.wait_for_state("2", "live");
    page.wait_for("drawn.tags.length === 2");
    page.wait_until_still();
    let times = || SHEETS.map(|sheet| page.times_drawn(sheet));
    let before = times();
    page.wait_ms(2000);
    assert_eq!(times(), before);
    // Nor is it for who is told of again, at the same place.
    send(&mut gateway, 1, 51.5);
    gateway.barrier();
    page.wait_ms(1000);
    assert_eq!(times(), before);
    send(&mut gateway, 1, 51.501);
    page.wait_for(&format!("drawn.times.dots > {}", before[3]));
    // What lies under the dots stays.
    assert_eq!(page.times_drawn("course"), before[1]);
}

#[test]
fn slow_runners_are_drawn_when_they_have_moved_by_what_can_be_seen() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let mut gateway = server.connect();
    for user in 1..=25 {
        send(&mut gateway, user, 51.5 + f64::from(user) / 1000.0);
    }
    gateway.barrier();
    let ids: Vec<String> = (1..=25).map(|id| id.to_string()).collect();
    let page = open(chromium, &server, &format!("?follow={}", ids.join(",")));
    page.wait_for_text("#count", "25 live");
    page.wait_until_still();
    page.get("(function count() { window.frames_seen = (window.frames_seen ?? 0) + 1; requestAnimationFrame(count); })()");
    let (mut drawn, mut frames) = (0, 0);
    for second in 1..=4 {
        for user in 1..=25 {
            let lat = 51.5 + f64::from(user) / 1000.0 + f64::from(second) * 0.000_03;
            send(&mut gateway, user, lat);
        }
        let seen = || page.get("frames_seen").as_u64().expect("a count");
        let before = (page.times_drawn("dots"), seen());
        gateway.hear_nothing_for(Duration::from_secs(1));
        drawn += page.times_drawn("dots") - before.0;
        frames += seen() - before.1;
    }
    assert!(
        drawn > 0 && drawn * 2 < frames,
        "{drawn} drawings in {frames} frames"
    );
}
