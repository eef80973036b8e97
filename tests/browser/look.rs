//! What the page asks the network for, what it is allowed to, and what it looks like.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::fake::{Fake, Visit};
use crate::page::Page;
use crate::support::{Answer, Server};

#[test]
fn the_page_is_served_with_its_policy_to_get_and_head() {
    let server = Server::start(&[]);
    let answer = server.get("/?follow=5,6");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "),
        "{policy}"
    );
    assert!(
        policy.contains("img-src data: https://tile.openstreetmap.org;"),
        "{policy}"
    );
    assert_eq!(answer.header("referrer-policy"), Some("strict-origin"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert!(answer.body.contains("OpenStreetMap contributors"));
    let length = answer.body.len().to_string();
    let head = Answer::to(server.socket(), b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), Some(length.as_str()));
    // What is put there is no page, and what is posted is a report.
    for (method, status) in [("PUT", 405), ("POST", 400)] {
        let request = format!("{method} / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(
            Answer::to(server.socket(), request.as_bytes()).status,
            status,
            "{method}"
        );
    }
}

#[test]
fn what_the_browser_holds_is_not_sent_again() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "");
    page.wait_for_text("#link", "Connected");
    page.reload();
    page.wait_for_text("#link", "Connected");
    let events = page.all_events();
    let answered = |status: u64| {
        let is_it = |event: &&Value| {
            event["method"] == "Network.responseReceivedExtraInfo"
                && event["params"]["statusCode"] == status
        };
        events.iter().filter(is_it).count()
    };
    let sent = answered(200);
    assert!(sent > 10, "{sent}");
    assert_eq!(answered(304), sent);
    page.assert_no_complaints();
}

#[test]
fn without_tiles_nothing_is_asked_for_anywhere_else() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    server
        .connect()
        .send(r#"{"userId":5,"lat":51.5,"lng":-0.16}"#);
    let page = Page::open(chromium, server.address(), "?follow=5");
    page.wait_for_state("5", "live");
    page.click("#zoom-out");
    page.wait_until_still();
    let events = page.all_events();
    let ours = [
        format!("http://{}/?follow=5", server.address()),
        format!("http://{}/spectate.js", server.address()),
        format!("ws://{}/", server.address()),
    ];
    let map = format!("http://{}/map/", server.address());
    let requests = Page::requests_in(&events).into_iter();
    let (parts, others): (Vec<_>, Vec<_>) = requests.partition(|url| url.starts_with(&map));
    assert_eq!(others, ours);
    let each: BTreeSet<&String> = parts.iter().collect();
    assert!(each.contains(&format!("{map}start.js")), "{parts:?}");
    assert_eq!(each.len(), parts.len(), "each once: {parts:?}");
    assert_eq!(Page::complaints_in(&events), Vec::<String>::new());
    page.wait_for("!document.getElementById('credit').checkVisibility()");
    page.wait_for("/^[125]0* k?m$/.test(document.getElementById('scale').innerText)");
    // The ground is a grid: some pixels of a row are lines.
    let shades = page.get(
        "(() => {
            const ground = document.getElementById('ground');
            const { data } = ground.getContext('2d').getImageData(0, 300, ground.width, 1);
            const shades = new Set();
            for (let i = 0; i < data.length; i += 4) shades.add(data.slice(i, i + 3).join());
            return [...shades].join(' ');
        })()",
    );
    assert_eq!(shades, "244,243,239 220,217,208");
}

#[test]
fn scripts_that_are_not_the_pages_own_do_not_run() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "");
    page.wait_for_text("#link", "Connected");
    let outcome = page.get(
        "new Promise(done => {
            addEventListener('securitypolicyviolation', event => done(event.effectiveDirective));
            const image = new Image();
            image.src = 'http://127.0.0.1:1/';
            setTimeout(() => done('nothing is blocked'), 5000);
        })",
    );
    assert_eq!(outcome, "img-src");
    let outcome = page.get(
        "fetch('http://127.0.0.1:1/').then(() => 'reached', error => error.name)
            .then(name => new Promise(done => setTimeout(() => done(name), 0)))",
    );
    assert_eq!(outcome, "TypeError");
    let blocked = Page::complaints_in(&page.all_events());
    assert!(
        blocked.iter().any(|line| line.contains("connect-src")),
        "{blocked:?}"
    );
}

#[test]
fn the_focus_of_the_map_is_seen_above_what_is_drawn_on_it() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "");
    page.wait_until_still();
    let edges = || [(1.0, 400.0), (400.0, 798.0)].map(|(x, y)| page.pixel_on_screen(x, y));
    let ground = [[244, 243, 239, 255]; 2];
    assert_eq!(edges(), ground);
    page.get("document.getElementById('map').focus()");
    page.press("Escape");
    page.wait_for("document.getElementById('map').matches(':focus-visible')");
    assert_eq!(edges(), [[0x0b, 0x57, 0xd0, 255]; 2]);
    page.get("document.getElementById('ids').focus()");
    page.wait_for_a_frame();
    assert_eq!(edges(), ground);
}

/// Opens the map with two runners, 5 who is live, and 6 who is stale, while the connection is held.
fn open_two(
    chromium: &'static Chromium,
    features: &[(&str, &str)],
) -> (Page, [(f64, f64); 2], Visit) {
    let fake = Fake::start();
    let page = Page::new(chromium);
    let features: Vec<_> = features
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    page.tab.call(
        "Emulation.setEmulatedMedia",
        json!({ "features": features }),
    );
    page.start(&format!("http://{}/?follow=5,6", fake.address()));
    let mut visit = fake.accept();
    for (user, state) in [(5, "live"), (6, "stale")] {
        let presence = json!({"userId": user, "state": state, "connected": true, "age": 1, "color": "#000033"});
        visit.send(&json!({ "presence": presence }).to_string());
        let lng = f64::from(user) / 1000.0;
        visit.send(&json!({"userId": user, "lat": 51.5, "lng": lng, "age": 1}).to_string());
    }
    page.wait_for_state("6", "stale");
    page.wait_until_still();
    let spots = [5.0, 6.0].map(|user: f64| page.spot(51.5, user / 1000.0));
    (page, spots, visit)
}

#[test]
fn under_forced_colours_a_live_runner_is_solid_and_a_stale_one_is_hollow() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (page, [live, stale], _visit) = open_two(chromium, &[("forced-colors", "active")]);
    let style = "getComputedStyle(document.documentElement)";
    let ink = page.get(&format!("{style}.color"));
    let [r, g, b, _] = page.pixel(live.0, live.1);
    assert_eq!(ink, format!("rgb({r}, {g}, {b})"));
    let [r, g, b, _] = page.pixel(stale.0, stale.1);
    let paper = page.get(&format!("{style}.backgroundColor"));
    assert_eq!(paper, format!("rgb({r}, {g}, {b})"));
    assert_ne!(ink, paper);
}

#[test]
fn a_runner_in_a_dark_colour_is_seen_in_the_dark() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (page, [live, _], _visit) = open_two(chromium, &[("prefers-color-scheme", "dark")]);
    let shown = page.pixel(live.0, live.1);
    assert!(shown[2] > 90 && shown[2] > shown[0], "{shown:?}");
    assert_eq!(page.list_colour("5"), shown);
    page.emulate("prefers-color-scheme", "light");
    page.wait_for(
        "getComputedStyle(document.querySelector('li i')).borderTopColor === 'rgb(0, 0, 51)'",
    );
    let (page, [live, _], _visit) = open_two(chromium, &[("prefers-color-scheme", "light")]);
    assert_eq!(page.pixel(live.0, live.1), [0, 0, 0x33, 255]);
}

#[test]
fn in_the_dark_the_ground_is_dark_and_the_words_are_light() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "");
    let lightness = "(() => {
        const style = getComputedStyle(document.documentElement);
        const sum = colour => colour.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
        return [sum(style.color), sum(style.backgroundColor)].map(sum => sum > 382 ? 'light' : 'dark').join(' on ');
    })()";
    assert_eq!(page.get(lightness), "dark on light");
    page.emulate("prefers-color-scheme", "dark");
    assert_eq!(page.get(lightness), "light on dark");
    // A line of the grid is lighter than what it lies on.
    let shades = "(() => {
        const ground = document.getElementById('ground');
        const { data } = ground.getContext('2d').getImageData(0, 300, ground.width, 1);
        return [...new Set(Array.from({ length: ground.width }, (_, x) => data[4 * x]))].sort((a, b) => a - b);
    })()";
    // It is drawn again with the next picture.
    page.wait_for(&format!("{shades}[0] < 128"));
    let shades = page.get(shades);
    let shades: Vec<u8> = serde_json::from_value(shades).expect("bytes");
    assert!(
        shades.len() == 2 && shades[0] > 30 && shades[1] > shades[0] + 10 && shades[1] < 90,
        "{shades:?}"
    );
}
