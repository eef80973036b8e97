//! What the page asks the network for, what it is allowed to, and what lies under the runners.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::chromium::Chromium;
use crate::page::Page;
use crate::support::{Answer, Server};

/// A PNG of one red pixel.
const TILE: &[u8] = &[
    0x89, b'P', b'N', b'G', 13, 10, 26, 10, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0,
    0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xde, 0, 0, 0, 12, b'I', b'D', b'A', b'T', 8, 0xd7,
    0x63, 0xf8, 0xcf, 0xc0, 0, 0, 3, 1, 1, 0, 0x18, 0xdd, 0x8d, 0xb0, 0, 0, 0, 0, b'I', b'E', b'N',
    b'D', 0xae, 0x42, 0x60, 0x82,
];

/// A tile server: its port, and the requests that it gets.
fn tile_server() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it listens").port();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && socket.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let length = TILE.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = socket.write_all(&[answer.as_bytes(), TILE].concat());
            if sender
                .send(String::from_utf8_lossy(&head).into_owned())
                .is_err()
            {
                return;
            }
        }
    });
    (port, receiver)
}

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
fn tiles_are_asked_for_around_the_runners_by_the_name_of_the_site_alone() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (port, requests) = tile_server();
    let template = format!("http://127.0.0.1:{port}/t/{{z}}/{{x}}/{{y}}.png © Someone & Co");
    let server = Server::start(&["--tiles", &template]);
    let page = Page::open(chromium, server.address(), "?follow=secret");
    server
        .connect()
        .send(r#"{"userId":"secret","lat":51.5073,"lng":-0.1657}"#);
    page.wait_for_state("secret", "live");
    page.wait_until_still();
    // Hyde Park is in this tile (by the formula of the OpenStreetMap wiki's "Slippy map tilenames").
    let wanted = "GET /t/16/32737/21792.png ";
    loop {
        let request = requests
            .recv_timeout(Duration::from_secs(20))
            .expect("tiles are asked for");
        assert!(
            request.contains(&format!("Referer: http://{}/\r\n", server.address())),
            "{request}"
        );
        assert!(!request.contains("secret"), "{request}");
        // Those of the whole world and those around the runner, and none of the way between.
        let zoom: u32 = (request.split('/').nth(2).and_then(|zoom| zoom.parse().ok()))
            .expect("the template's zoom");
        assert!(zoom <= 3 || zoom == 16, "{request}");
        if request.starts_with(wanted) {
            break;
        }
    }
    assert_eq!(page.text("#credit"), "© Someone & Co");
    page.assert_no_complaints();
}

#[test]
fn a_tile_server_that_fails_leaves_the_grid_and_the_runners() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    // Nobody listens on the port once the socket is dropped.
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port")
        .port();
    let server = Server::start(&[
        "--tiles",
        &format!("http://127.0.0.1:{port}/{{z}}/{{x}}/{{y}}.png"),
    ]);
    server
        .connect()
        .send(r#"{"userId":5,"lat":51.5,"lng":-0.16}"#);
    let page = Page::open(chromium, server.address(), "?follow=5");
    page.wait_for_state("5", "live");
    page.wait_until_still();
    let (x, y) = page.spot(51.5, -0.16);
    assert_eq!(page.pixel(x, y), page.list_colour("5"));
    assert_eq!(page.text("#credit"), "© OpenStreetMap contributors");
    let ground = page.pixel_of("ground", 5.0, 300.0);
    assert_eq!(ground, [244, 243, 239, 255]);
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
    assert_eq!(
        page.get(
            "getComputedStyle(document.getElementById('ground')).filter.startsWith('invert(1)')"
        ),
        true
    );
}
