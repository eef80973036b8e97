//! How the map runs on when a finger lets go of it.

use crate::chromium::Chromium;
use crate::page::Page;
use crate::support::Server;

/// Where the map is in the page's own module, which is ahead of what is drawn.
const LONGITUDE: &str = "import('/map/view.js').then(({ view }) => (view.x - 0.5) * 360)";

/// Pixels that the map is dragged, all within the time that tells its speed: 1.2 px per ms.
const DRAG_PX: f64 = 120.0;

/// As far as it runs on then, slowed down by 0.003 px per ms in each ms.
const DRIFT_PX: f64 = 240.0;

/// Degrees of longitude in a pixel where the map begins, at zoom 2.
const DEGREES_PER_PX: f64 = 360.0 / 1024.0;

fn open(chromium: &'static Chromium, server: &Server, motion: &str) -> Page {
    let page = Page::new(chromium);
    page.emulate("prefers-reduced-motion", motion);
    page.go(&format!("http://{}/", server.address()));
    page.wait_for("'lng' in document.getElementById('map').dataset");
    page.wait_until_still();
    page
}

/// Drags the map to the left and lets go of it, at once, so that a slow machine is as fast; then does this.
fn throw(page: &Page, then: &str) {
    page.get(&format!(
        "(async () => {{
            const map = document.getElementById('map');
            map.setPointerCapture = () => {{}};
            const point = (type, x) => map.dispatchEvent(new PointerEvent(type,
                {{ pointerId: 1, clientX: x, clientY: 400, bubbles: true, isPrimary: true }}));
            point('pointerdown', 700);
            for (let x = 685; x >= 700 - {DRAG_PX}; x -= 15) point('pointermove', x);
            point('pointerup', 700 - {DRAG_PX});
            {then}
        }})()"
    ));
}

fn longitude(page: &Page) -> f64 {
    page.get(LONGITUDE).as_f64().expect("a number")
}

#[test]
fn a_map_that_is_let_go_in_motion_runs_on_and_comes_to_rest() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = open(chromium, &server, "no-preference");
    throw(&page, "");
    page.wait_until_still();
    let expected = (DRAG_PX + DRIFT_PX) * DEGREES_PER_PX;
    let end = longitude(&page);
    assert!((end - expected).abs() < 1.0, "{end} and not {expected}");
}

#[test]
fn a_touch_stops_a_map_that_runs_on() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = open(chromium, &server, "no-preference");
    throw(
        &page,
        "await new Promise(requestAnimationFrame); point('pointerdown', 500);",
    );
    let begin = longitude(&page);
    let drag = DRAG_PX * DEGREES_PER_PX;
    assert!(begin >= drag - 1e-6, "{begin} before {drag}");
    page.wait_until_still();
    assert!((longitude(&page) - begin).abs() < 1e-6);
    assert!(
        begin < drag + DRIFT_PX * DEGREES_PER_PX,
        "it came to rest by itself"
    );
}

#[test]
fn with_reduced_motion_a_map_stays_where_it_is_let_go() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = open(chromium, &server, "reduce");
    throw(&page, "");
    page.wait_until_still();
    let (end, drag) = (longitude(&page), DRAG_PX * DEGREES_PER_PX);
    assert!((end - drag).abs() < 1e-6, "{end} and not {drag}");
}
