//! How the map runs on when a finger lets go of it.

use crate::chromium::Chromium;
use crate::page::Page;
use crate::support::Server;

/// Opens the map, drags it to the left at a good speed and lets go of it. Where it was then, and the page.
fn throw(chromium: &'static Chromium, server: &Server, motion: &str) -> (f64, Page) {
    let page = Page::new(chromium);
    page.emulate("prefers-reduced-motion", motion);
    page.go(&format!("http://{}/", server.address()));
    page.wait_for("'lng' in document.getElementById('map').dataset");
    page.wait_until_still();
    // In the page, so that it is as fast however slow this machine is.
    page.get(
        "new Promise(done => {
            const map = document.getElementById('map');
            const point = (type, x) => map.dispatchEvent(new PointerEvent(type,
                { pointerId: 1, clientX: x, clientY: 400, bubbles: true, isPrimary: true }));
            map.setPointerCapture = () => {};
            point('pointerdown', 700);
            let x = 700;
            const timer = setInterval(() => {
                x -= 30;
                point('pointermove', x);
                if (x > 400) return;
                clearInterval(timer);
                point('pointerup', x);
                requestAnimationFrame(() => done());
            }, 10);
        })",
    );
    (longitude(&page), page)
}

fn longitude(page: &Page) -> f64 {
    let lng = page.get("Number(document.getElementById('map').dataset.lng)");
    lng.as_f64().expect("a number")
}

#[test]
fn a_map_that_is_let_go_in_motion_runs_on_and_comes_to_rest() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let (begin, page) = throw(chromium, &server, "no-preference");
    page.wait_until_still();
    let end = longitude(&page);
    // A good part of the drag, in its direction.
    assert!(end - begin > 20.0, "{begin} to {end}");
}

#[test]
fn a_touch_stops_a_map_that_runs_on_and_chooses_nobody() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let (_, page) = throw(chromium, &server, "no-preference");
    page.mouse("mousePressed", 500.0, 400.0, 1);
    page.wait_for_a_frame();
    let begin = longitude(&page);
    page.wait_ms(300);
    assert!((longitude(&page) - begin).abs() < 1e-6);
    page.mouse("mouseReleased", 500.0, 400.0, 1);
    page.wait_for_a_frame();
    assert!((longitude(&page) - begin).abs() < 1e-6);
}

#[test]
fn with_reduced_motion_a_map_stays_where_it_is_let_go() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let (begin, page) = throw(chromium, &server, "reduce");
    page.wait_ms(500);
    assert!((longitude(&page) - begin).abs() < 1e-6);
}
