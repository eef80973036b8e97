//! A field of 500 runners, each with a fix a second and the way that it came.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::chromium::Chromium;
use crate::page::Page;
use crate::support::{Client, Server};

const RUNNERS: u32 = 500;

/// Frames, in parts of those of an empty canvas.
const SMOOTH: f64 = 0.6;

/// How many seconds it has to show them in one.
const WINDOWS_MAX: u32 = 30;

/// Counts how often the dots are drawn, and does no more than that.
const COUNT_DRAWINGS: &str = "
    window.frames_drawn = 0;
    const clearRect = CanvasRenderingContext2D.prototype.clearRect;
    CanvasRenderingContext2D.prototype.clearRect = function (...box) {
        if (this.canvas.id === 'dots') frames_drawn += 1;
        clearRect.apply(this, box);
    };";

/// Says how many frames of the next second something is drawn in.
const FRAMES_DRAWN: &str = "new Promise(done => {
    const begin = performance.now(), before = frames_drawn;
    setTimeout(() => done((frames_drawn - before) / (performance.now() - begin) * 1000), 1000);
})";

/// Has the page draw nearly nothing in each frame, on a canvas of the map's size.
fn draw_on_an_empty_canvas(page: &Page) {
    page.get(
        "(() => {
            const canvas = document.body.appendChild(document.createElement('canvas'));
            Object.assign(canvas, { width: 944, height: 800 });
            const sheet = canvas.getContext('2d');
            window.frames_drawn = 0;
            requestAnimationFrame(function draw() {
                sheet.clearRect(0, 0, 944, 800);
                sheet.fillRect(frames_drawn % 900, 9, 9, 9);
                frames_drawn += 1;
                requestAnimationFrame(draw);
            });
        })()",
    );
}

fn count(page: &Page, frames: &str) -> f64 {
    page.get(frames).as_f64().expect("a number")
}

/// Where a runner is after so many seconds, 110 m on its way for each.
fn place(id: u32, seconds: f64) -> (f64, f64) {
    let angle = f64::from(id) + seconds / 10.0;
    (51.5 + angle.sin() * 0.01, -0.16 + angle.cos() * 0.01)
}

/// Each of them has come some way before anybody looks.
fn send_ways(gateway: &mut Client) {
    for step in 0..20_u32 {
        for id in 0..RUNNERS {
            let (lat, lng) = place(id, f64::from(step) - 20.0);
            let timestamp = 1_714_470_000_000_u64 + 1000 * u64::from(step);
            gateway.send(&format!(
                r#"{{"userId":{id},"lat":{lat},"lng":{lng},"timestamp":{timestamp}}}"#
            ));
        }
    }
    gateway.barrier();
}

#[test]
fn five_hundred_gliding_runners_are_drawn_nearly_as_often_as_an_empty_canvas() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none", "--follow-all"]);
    let mut gateway = server.connect();
    send_ways(&mut gateway);
    let page = Page::new(chromium);
    draw_on_an_empty_canvas(&page);
    let empty = count(&page, FRAMES_DRAWN);
    page.at_each_start(COUNT_DRAWINGS);
    page.go(&format!("http://{}/?follow=*", server.address()));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let begin = Instant::now();
            while !is_over.load(Ordering::Relaxed) {
                for id in 0..RUNNERS {
                    let (lat, lng) = place(id, begin.elapsed().as_secs_f64());
                    let heading = f64::from(id) % 360.0;
                    gateway.send(&format!(
                        r#"{{"userId":{id},"lat":{lat},"lng":{lng},"heading":{heading}}}"#
                    ));
                }
                gateway.hear_nothing_for(Duration::from_secs(1));
            }
        });
        page.wait_for_text("#count", "500 live");
        page.wait_ms(2000);
        let drawn = ["light", "dark"].map(|scheme| {
            page.emulate("prefers-color-scheme", scheme);
            // What else a machine does, such as other tests, only takes frames away.
            let mut most: f64 = 0.0;
            for _ in 0..WINDOWS_MAX {
                most = most.max(count(&page, FRAMES_DRAWN));
                if most >= SMOOTH * empty {
                    break;
                }
            }
            most
        });
        is_over.store(true, Ordering::Relaxed);
        println!("frames a second, light and dark: {drawn:.1?}, and {empty:.1} of an empty canvas");
        assert!(
            drawn.iter().all(|drawn| *drawn >= SMOOTH * empty),
            "{drawn:?} and {empty}"
        );
    });
    page.assert_no_complaints();
}
