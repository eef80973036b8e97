//! The tiles under the runners: which are asked for, and what is there while there are none.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::chromium::Chromium;
use crate::page::Page;
use crate::support::{Server, wait_until_readable};

/// A PNG of one red pixel.
const TILE: &[u8] = &[
    0x89, b'P', b'N', b'G', 13, 10, 26, 10, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0,
    0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xde, 0, 0, 0, 12, b'I', b'D', b'A', b'T', 8, 0xd7,
    0x63, 0xf8, 0xcf, 0xc0, 0, 0, 3, 1, 1, 0, 0x18, 0xdd, 0x8d, 0xb0, 0, 0, 0, 0, b'I', b'E', b'N',
    b'D', 0xae, 0x42, 0x60, 0x82,
];

/// A tile server: its port, and the requests that it gets.
fn tile_server() -> (u16, Receiver<String>) {
    tile_server_while(Arc::new(AtomicBool::new(true)))
}

/// The same that has tiles while this is `true`.
fn tile_server_while(has_tiles: Arc<AtomicBool>) -> (u16, Receiver<String>) {
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
            let (status, body) = match has_tiles.load(Ordering::Relaxed) {
                true => ("200 OK", TILE),
                false => ("503 Service Unavailable", &[][..]),
            };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: image/png\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = socket.write_all(&[answer.as_bytes(), body].concat());
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
    page.wait_for_text("#no-tiles", "No map tiles could be loaded");
}

/// The zoom of a tile that is asked for.
fn zoom_of(request: &str) -> u32 {
    let zoom = request.split('/').nth(2).and_then(|zoom| zoom.parse().ok());
    zoom.expect("the template's zoom")
}

/// Waits until there are tiles on the map.
fn wait_for_red(page: &Page) {
    for _ in 0..500 {
        if page.pixel_on_screen(400.0, 500.0) == [255, 0, 0, 255] {
            return;
        }
    }
    panic!("there are no tiles on the map");
}

#[test]
fn a_fine_screen_gets_tiles_of_the_next_zoom_at_half_their_size() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    for (scale, zoom, across) in [(1, 2, 1024.0), (2, 3, 2048.0)] {
        let (port, requests) = tile_server();
        let template = format!("http://127.0.0.1:{port}/t/{{z}}/{{x}}/{{y}}.png");
        let server = Server::start(&["--tiles", &template]);
        let page = Page::new(chromium);
        page.resize_on(1280, 800, scale);
        page.go(&format!("http://{}/", server.address()));
        let first = requests.recv_timeout(Duration::from_secs(20));
        assert_eq!(zoom_of(&first.expect("tiles are asked for")), zoom);
        // The world is as wide as it was, in pixels of the page.
        let width = "(map => 256 * 2 ** Number(map.dataset.zoom))(document.getElementById('map'))";
        let width = page.get(width).as_f64().expect("a number") * f64::from(scale);
        assert!((width - across).abs() < 0.1, "{width}");
        page.wait_for("document.getElementById('no-tiles').hidden");
        wait_for_red(&page);
    }
}

#[test]
fn above_the_last_zoom_of_the_tiles_they_are_scaled_up() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (port, requests) = tile_server();
    let template = format!("http://127.0.0.1:{port}/t/{{z:5}}/{{x}}/{{y}}.png");
    let server = Server::start(&["--tiles", &template]);
    server
        .connect()
        .send(r#"{"userId":5,"lat":51.5,"lng":-0.16}"#);
    let page = Page::open(chromium, server.address(), "?follow=5");
    page.wait_for_state("5", "live");
    page.wait_until_still();
    let zoom = page.get("Number(document.getElementById('map').dataset.zoom)");
    assert_eq!(zoom, 16.0);
    wait_for_red(&page);
    let zooms: Vec<u32> = requests.try_iter().map(|line| zoom_of(&line)).collect();
    assert!(
        zooms.contains(&5) && zooms.iter().all(|zoom| *zoom <= 5),
        "{zooms:?}"
    );
}

#[test]
fn tiles_that_left_the_view_are_not_waited_for() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    // It takes connections and answers nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = silent.local_addr().expect("it listens").port();
    let template = format!("http://127.0.0.1:{port}/{{z}}/{{x}}/{{y}}.png");
    let server = Server::start(&["--tiles", &template]);
    let page = Page::new(chromium);
    page.emulate("prefers-reduced-motion", "reduce");
    // They belong to the load of a page, if they are asked for early enough.
    page.start(&format!("http://{}/", server.address()));
    assert!(wait_until_readable(&silent), "no tile is asked for");
    page.wait_for("Number(document.getElementById('map').dataset.zoom) === 2");
    let events = || page.all_events();
    let asked = |zoom: u32| {
        let part = format!("/{zoom}/");
        let is_it = |event: &&serde_json::Value| {
            let url = event["params"]["request"]["url"].as_str();
            event["method"] == "Network.requestWillBeSent"
                && url.is_some_and(|url| url.contains(&format!(":{port}{part}")))
        };
        let ids = |event: &serde_json::Value| event["params"]["requestId"].clone();
        events().iter().filter(is_it).map(ids).collect::<Vec<_>>()
    };
    page.wait_for_a_frame();
    let coarse = asked(2);
    assert!(!coarse.is_empty());
    page.click("#zoom-in");
    page.wait_for("Number(document.getElementById('map').dataset.zoom) === 3");
    page.wait_for_a_frame();
    let events = events();
    let cancelled: Vec<_> = events
        .iter()
        .filter(|event| {
            event["method"] == "Network.loadingFailed" && event["params"]["canceled"] == true
        })
        .map(|event| event["params"]["requestId"].clone())
        .collect();
    for id in coarse {
        assert!(cancelled.contains(&id), "{id} is still waited for");
    }
    assert!(asked(3).iter().any(|id| !cancelled.contains(id)));
    drop(silent);
}

#[test]
fn a_line_says_that_no_tiles_can_be_loaded_until_one_is() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let has_tiles = Arc::new(AtomicBool::new(false));
    let (port, _requests) = tile_server_while(Arc::clone(&has_tiles));
    let template = format!("http://127.0.0.1:{port}/{{z}}/{{x}}/{{y}}.png");
    let server = Server::start(&["--tiles", &template]);
    let page = Page::open(chromium, server.address(), "");
    page.wait_for_text("#no-tiles", "No map tiles could be loaded");
    has_tiles.store(true, Ordering::Relaxed);
    page.click("#zoom-in");
    page.wait_for("document.getElementById('no-tiles').hidden");
    assert_eq!(page.text("#credit"), "© OpenStreetMap contributors");
}

#[test]
fn in_the_dark_tiles_are_dark_and_keep_their_hues() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (port, _requests) = tile_server();
    let template = format!("http://127.0.0.1:{port}/{{z}}/{{x}}/{{y}}.png");
    let server = Server::start(&["--tiles", &template]);
    let page = Page::open(chromium, server.address(), "");
    wait_for_red(&page);
    page.emulate("prefers-color-scheme", "dark");
    page.wait_for_a_frame();
    // Red is rather dark, and so rather light now.
    let [r, g, b, _] = page.pixel_on_screen(400.0, 500.0);
    assert!(
        r > 200 && g > 60 && g.abs_diff(b) < 10 && r - g > 60,
        "{r} {g} {b}"
    );
    page.emulate("prefers-color-scheme", "light");
    wait_for_red(&page);
}
