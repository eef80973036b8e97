//! Runners on the map and in the list beside it: where, in which state, since when.

use serde_json::json;

use crate::chromium::Chromium;
use crate::fake::Fake;
use crate::page::{Page, row};
use crate::support::Server;

/// What begins to record where the dot in this colour is from frame to frame: the middle of its
/// pixels that are opaque, in the row `y`.
fn record(colour: [u8; 4], y: f64) -> String {
    format!(
        "window.places = [];
        (function look() {{
            const dots = document.getElementById('dots');
            const {{ data }} = dots.getContext('2d').getImageData(0, {}, dots.width, 1);
            const xs = [];
            for (let x = 0; x < dots.width; x += 1) {{
                const [r, g, b, a] = data.slice(4 * x, 4 * x + 4);
                if (a === 255 && [r, g, b].join() === '{}') xs.push(x);
            }}
            if (xs.length > 0) places.push((xs[0] + xs.at(-1)) / 2);
            requestAnimationFrame(look);
        }})()",
        y.round(),
        colour[..3]
            .iter()
            .map(u8::to_string)
            .collect::<Vec<_>>()
            .join(",")
    )
}

#[test]
fn dots_are_where_the_runners_are_in_the_colours_of_the_list() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let mut gateway = server.connect();
    let places = [
        ("5", 51.5073, -0.1657),
        ("6", 51.5110, -0.1600),
        ("7", 51.5050, -0.1720),
    ];
    for (user, lat, lng) in places {
        let heading = if user == "6" { "90" } else { "null" };
        gateway.send(&format!(
            r#"{{"userId":{user},"lat":{lat},"lng":{lng},"heading":{heading}}}"#
        ));
    }
    gateway.barrier();
    let page = Page::open(chromium, server.address(), "?follow=5,6,7");
    for (user, ..) in places {
        page.wait_for_state(user, "live");
    }
    page.wait_until_still();
    let mut colours = Vec::new();
    for (user, lat, lng) in places {
        let (x, y) = page.spot(lat, lng);
        let dot = page.pixel(x, y);
        assert_eq!(dot, page.list_colour(user), "{user} at {x}, {y}");
        assert_eq!(
            page.pixel(x - 30.0, y - 30.0)[3],
            0,
            "nothing is beside {user}"
        );
        // An arrow to the east.
        let east = page.pixel(x + 12.0, y);
        let expected = if user == "6" { dot } else { [0; 4] };
        assert_eq!(east, expected, "{user} goes there");
        colours.push(dot);
    }
    colours.sort_unstable();
    colours.dedup();
    assert_eq!(colours.len(), 3);
    page.assert_no_complaints();
}

#[test]
fn who_is_chosen_is_not_hidden_under_somebody_else() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let mut gateway = server.connect();
    for user in [5, 6] {
        gateway.send(&format!(r#"{{"userId":{user},"lat":51.5,"lng":-0.16}}"#));
    }
    gateway.barrier();
    let page = Page::open(chromium, server.address(), "?follow=5,6");
    page.wait_for_text("#count", "2 live");
    for user in ["5", "6", "5"] {
        page.open_details(user);
        page.wait_until_still();
        let (x, y) = page.spot(51.5, -0.16);
        assert_eq!(page.pixel(x, y), page.list_colour(user), "{user}");
    }
}

#[test]
fn who_is_off_the_map_is_listed_and_not_drawn() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let mut gateway = server.connect();
    for (user, lat, lng) in [
        ("north", 95.6, 12.3),
        ("east", 12.3, 181.0),
        ("here", 0.0, 0.0),
    ] {
        gateway.send(&format!(r#"{{"userId":"{user}","lat":{lat},"lng":{lng}}}"#));
    }
    gateway.barrier();
    let page = Page::new(chromium);
    // A name that came into sight at the edge of a map in flight stays above its dot.
    page.emulate("prefers-reduced-motion", "reduce");
    page.go(&format!(
        "http://{}/?follow=north,east,here,nobody",
        server.address()
    ));
    for (user, place) in [
        ("north", "95.60000, 12.30000"),
        ("east", "12.30000, 181.00000"),
    ] {
        page.wait_for_text(&row(user), "off the map");
        page.open_details(user);
        page.wait_for_text(&row(user), &format!("off the map: {place}"));
    }
    page.wait_for_text(&row("nobody"), "no position yet");
    page.wait_for_state("nobody", "unknown");
    page.wait_for_text("#count", "3 live, 1 not seen");
    page.wait_until_still();
    let (x, y) = page.spot(0.0, 0.0);
    assert_eq!(page.pixel(x, y), page.list_colour("here"));
    let drawn = page.get(
        "(() => {
            const { width, height } = document.getElementById('dots');
            const { data } = document.getElementById('dots').getContext('2d').getImageData(0, 0, width, height);
            const rows = [];
            for (let i = 3; i < data.length; i += 4) if (data[i] > 0) rows.push(Math.floor(i / 4 / width));
            return [rows[0], rows.at(-1)];
        })()",
    );
    let inside = |index: usize| (drawn[index].as_f64().expect("a row") - y).abs() < 15.0;
    assert!(
        inside(0) && inside(1),
        "only one dot is drawn: {drawn} around {y}"
    );
}

#[test]
fn a_dot_glides_to_its_next_fix_and_never_beyond() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let mut gateway = server.connect();
    let page = Page::open(chromium, server.address(), "?follow=5");
    gateway.send(r#"{"userId":5,"lat":51.5,"lng":-0.16}"#);
    page.wait_for_state("5", "live");
    page.wait_until_still();
    let (begin, y) = page.spot(51.5, -0.16);
    let (end, _) = page.spot(51.5, -0.158);
    assert!(end - begin > 60.0, "{begin} to {end}");
    page.wait_ms(800);
    page.get(&record(page.list_colour("5"), y));
    gateway.send(r#"{"userId":5,"lat":51.5,"lng":-0.158}"#);
    page.wait_for(&format!(
        "Math.abs(places.at(-1) - {end}) < 1 && places.length > 20"
    ));
    let places: Vec<f64> = serde_json::from_value(page.get("places")).expect("numbers");
    assert!((places[0] - begin).abs() < 1.5, "{places:?}");
    assert!(places.iter().all(|x| *x < end + 1.5), "{places:?}");
    assert!(places.is_sorted_by(|a, b| *a <= *b + 1.0), "{places:?}");
    let under_way: std::collections::BTreeSet<i64> = places
        .iter()
        .filter(|x| (begin + 5.0..end - 5.0).contains(*x))
        .map(|x| x.round() as i64)
        .collect();
    assert!(under_way.len() >= 5, "it jumps: {places:?}");
    // Behind it stays a trail, which is no dot.
    let trail = page.pixel_of("trails", f64::midpoint(begin, end), y);
    assert!((80..180).contains(&trail[3]), "{trail:?}");
    page.assert_no_complaints();
}

#[test]
fn fixes_that_come_faster_than_the_dot_are_all_on_its_way() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let mut gateway = server.connect();
    let page = Page::open(chromium, server.address(), "?follow=5");
    gateway.send(r#"{"userId":5,"lat":51.5,"lng":-0.16}"#);
    page.wait_for_state("5", "live");
    page.wait_until_still();
    page.wait_ms(500);
    gateway.send(r#"{"userId":5,"lat":51.5,"lng":-0.158}"#);
    gateway.send(r#"{"userId":5,"lat":51.501,"lng":-0.158}"#);
    let (corner_x, corner_y) = page.spot(51.5, -0.158);
    let (end_x, end_y) = page.spot(51.501, -0.158);
    page.wait_for(&format!(
        "document.getElementById('dots').getContext('2d').getImageData({}, {}, 1, 1).data[3] === 255",
        end_x.round(),
        end_y.round()
    ));
    page.wait_for_a_frame();
    let trail = page.pixel_of("trails", corner_x, corner_y);
    assert!((80..180).contains(&trail[3]), "{trail:?}");
}

#[test]
fn with_reduced_motion_a_dot_jumps() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let mut gateway = server.connect();
    let page = Page::new(chromium);
    page.emulate("prefers-reduced-motion", "reduce");
    page.go(&format!("http://{}/?follow=5", server.address()));
    gateway.send(r#"{"userId":5,"lat":51.5,"lng":-0.16}"#);
    page.wait_for_state("5", "live");
    page.wait_until_still();
    let (begin, y) = page.spot(51.5, -0.16);
    let (end, _) = page.spot(51.5, -0.158);
    page.wait_ms(800);
    page.get(&record(page.list_colour("5"), y));
    gateway.send(r#"{"userId":5,"lat":51.5,"lng":-0.158}"#);
    page.wait_for(&format!(
        "Math.abs(places.at(-1) - {end}) < 1 && places.length > 20"
    ));
    let places: Vec<f64> = serde_json::from_value(page.get("places")).expect("numbers");
    let jumped = |x: &f64| (x - begin).abs() < 1.5 || (x - end).abs() < 1.5;
    assert!(places.iter().all(jumped), "{places:?}");
}

#[test]
fn a_runner_goes_stale_fades_and_comes_back() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none", "--stale-after", "6s"]);
    let mut runner = server.join("5", "[]");
    let page = Page::open(chromium, server.address(), "?follow=5");
    page.open_details("5");
    page.wait_for_text(&row("5"), "connected, but sends nothing");
    runner.send(r#"{"lat":51.5,"lng":-0.16}"#);
    page.wait_for_state("5", "live");
    page.wait_for_text(&row("5"), "live, heard ");
    page.wait_until_still();
    let (x, y) = page.spot(51.5, -0.16);
    let colour = page.list_colour("5");
    assert_eq!(page.pixel(x, y), colour);
    page.wait_for_state("5", "stale");
    page.wait_for_text(&row("5"), "last seen");
    page.wait_for_text(&row("5"), "stale, heard ");
    page.wait_for_text("#count", "1 stale");
    page.wait_for(
        "document.getElementById('news').textContent.includes('\u{2068}5\u{2069} is stale')",
    );
    let faded = page.pixel(x, y);
    assert!(faded[..3] == [255; 3] && faded[3] < 255, "{faded:?}");
    runner.send(r#"{"lat":51.5,"lng":-0.16}"#);
    page.wait_for_state("5", "live");
    page.wait_until_still();
    assert_eq!(page.pixel(x, y), colour);
    page.wait_for(
        "document.getElementById('news').textContent.includes('\u{2068}5\u{2069} is live')",
    );
    drop(runner);
    page.wait_for_text(&row("5"), "not connected to the server");
    page.assert_no_complaints();
}

#[test]
fn ages_go_on_by_the_pages_own_clock() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let mut gateway = server.connect();
    let page = Page::new(chromium);
    page.with_clock_that_skips();
    page.go(&format!("http://{}/?follow=5", server.address()));
    gateway.send(r#"{"userId":5,"lat":51.5,"lng":-0.16,"heading":90,"speed":2.5,"accuracy":4,"battery":0.5}"#);
    page.open_details("5");
    for words in [
        "live, heard ",
        "6:40 /km",
        "east",
        "±4 m",
        "50 %",
        "51.50000, -0.16000",
    ] {
        page.wait_for_text(&row("5"), words);
    }
    page.get("window.skip = 15_000");
    page.wait_for_text(&row("5"), "live, heard 1");
    page.wait_for_text(&format!("{} small", row("5")), "1");
}

#[test]
fn integers_of_any_length_and_names_are_followed_as_they_are() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let mut gateway = server.connect();
    gateway.send(r#"{"userId":12345678901234567890123,"lat":1,"lng":2}"#);
    gateway.send(r#"{"userId":"<b>Anna</b> & Co","lat":1,"lng":2.1}"#);
    gateway.barrier();
    let page = Page::open(
        chromium,
        server.address(),
        "?follow=12345678901234567890123,%3Cb%3EAnna%3C/b%3E+%26+Co",
    );
    page.wait_for_state("12345678901234567890123", "live");
    page.open_details("12345678901234567890123");
    page.wait_for_text(&row("12345678901234567890123"), "1.00000, 2.00000");
    page.wait_for_state("<b>Anna</b> & Co", "live");
    assert_eq!(page.get("[...document.querySelectorAll('li b')].some(name => name.innerText === '<b>Anna</b> & Co')"), true);
    // And no way leads from text to markup.
    let refused = page.get(
        "(() => { try { document.body.innerHTML = '<b>'; return 'taken' } catch { return 'refused' } })()",
    );
    assert_eq!(refused, "refused");
}

#[test]
fn an_id_is_followed_with_the_spaces_that_a_link_gives_it() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let mut gateway = server.connect();
    for id in [" Anna  B ", "8 9"] {
        gateway.send(&format!(r#"{{"userId":"{id}","lat":1,"lng":2}}"#));
    }
    gateway.barrier();
    let rest = "?follow=%20Anna%20%20B%20,8%209";
    let page = Page::open(chromium, server.address(), rest);
    page.wait_for_state(" Anna  B ", "live");
    page.wait_for_state("8 9", "live");
    assert_eq!(page.text("li b"), " Anna  B ");
    assert_eq!(page.get("location.search"), rest);
}

#[test]
fn numbers_that_nobody_can_have_measured_are_left_out() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let mut gateway = server.connect();
    gateway
        .send(r#"{"userId":5,"lat":51.5,"lng":-0.16,"speed":1e308,"accuracy":1e300,"heading":90}"#);
    gateway.send(r#"{"userId":6,"lat":51.5,"lng":-0.16,"speed":3e6,"accuracy":1e7,"heading":90}"#);
    gateway.barrier();
    let page = Page::open(chromium, server.address(), "?follow=5,6");
    page.open_details("6");
    page.wait_for_text(&row("6"), "±10000000 m");
    page.open_details("5");
    page.wait_for_text(&row("5"), "east");
    let known = page.get("[...document.querySelectorAll('dt')].map(what => what.innerText).join()");
    assert_eq!(known, "State,Heading,Place");
    for user in ["5", "6"] {
        let status = format!("{} span", row(user));
        page.wait_for(&format!(
            "document.querySelector({status:?}).innerText === ''"
        ));
    }
}

/// The pixels beside the dot of a runner with this id, who has been stale for three minutes.
fn tag(chromium: &'static Chromium, id: &str) -> serde_json::Value {
    let fake = Fake::start();
    let page = Page::new(chromium);
    page.emulate("prefers-reduced-motion", "reduce");
    page.start(&format!("http://{}/?follow={id}", fake.address()));
    let mut visit = fake.accept();
    let stale = json!({"userId": id, "state": "stale", "connected": true, "age": 200});
    visit.send(&json!({ "presence": stale }).to_string());
    visit.send(&json!({"userId": id, "lat": 51.5, "lng": -0.16, "age": 200}).to_string());
    page.wait_for_state(id, "stale");
    page.wait_until_still();
    let (x, y) = page.spot(51.5, -0.16);
    page.open_details(id);
    let title = page.get("document.querySelector('.centre').ariaLabel");
    page.click(".runner");
    let marks = ['\u{202e}', '\u{2069}'];
    assert_eq!(
        title,
        format!(
            "Keep in the centre: \u{2068}{}\u{2069}",
            id.replace(marks, "")
        )
    );
    page.get(&format!(
        "document.getElementById('dots').getContext('2d').getImageData({}, {}, 120, 20).data.join()",
        x.round() + 15.0,
        y.round() - 10.0
    ))
}

#[test]
fn no_mark_of_direction_in_a_name_turns_its_tag_round() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    // The same from both sides.
    let plain = tag(chromium, "8888");
    assert_ne!(plain, tag(chromium, "8889"));
    for name in ["8888\u{200f}", "\u{202e}8888", "\u{2069}\u{202e}8888"] {
        assert_eq!(plain, tag(chromium, name), "{name:?}");
    }
}
