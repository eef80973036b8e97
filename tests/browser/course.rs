//! The way of the race on the map.

use serde_json::Value;

use crate::chromium::Chromium;
use crate::page::Page;
use crate::scratch::Scratch;
use crate::support::Server;

/// Keeps where which words are drawn on the course's sheet, the last time that they are.
const RECORD_WORDS: &str = "
    window.words = {};
    const fillText = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        if (this.canvas.id === 'course') window.words[text] = [x, y];
        fillText.call(this, text, x, y);
    };";

/// A degree of latitude as the server measures it.
const M_PER_DEGREE: f64 = 111_195.08;

fn gpx(segments: &[&[(f64, f64)]]) -> String {
    let segments = segments.iter().map(|points| {
        let points = points.iter();
        let points = points.map(|(lat, lng)| format!(r#"<trkpt lat="{lat}" lon="{lng}"/>"#));
        format!("<trkseg>{}</trkseg>", points.collect::<String>())
    });
    let segments: String = segments.collect();
    format!(r#"<gpx version="1.1" creator="t"><trk><name>A</name>{segments}</trk></gpx>"#)
}

fn open(chromium: &'static Chromium, server: &Server, rest: &str) -> Page {
    let page = Page::new(chromium);
    page.emulate("prefers-reduced-motion", "reduce");
    page.at_each_start(RECORD_WORDS);
    page.go(&format!("http://{}/{rest}", server.address()));
    page
}

/// Where these words were drawn last.
fn words_at(page: &Page, words: &str) -> (f64, f64) {
    let place = page.get(&format!("window.words[{words:?}]"));
    let [x, y] = [0, 1].map(|index: usize| place[index].as_f64().expect("it is drawn"));
    (x, y)
}

#[test]
fn the_course_is_drawn_with_its_ends_and_its_kilometres_and_fills_a_map_without_runners() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let text = gpx(&[
        &[(46.0, 7.25), (46.004, 7.25), (46.01, 7.25)],
        &[(46.02, 7.25), (46.03, 7.25)],
    ]);
    let file = Scratch::new("map-course.gpx", text.as_bytes());
    let server = Server::start(&["--tiles", "none", "--course", file.path()]);
    let page = open(chromium, &server, "");
    page.wait_for("Number(document.getElementById('map').dataset.zoom) > 10");
    page.wait_until_still();
    page.get("window.words = {}");
    page.click("#fit");
    page.wait_for_a_frame();
    let words = page.get("Object.keys(window.words).sort()");
    let words: Vec<String> = serde_json::from_value(words).expect("words");
    // Between the two pieces nobody runs.
    assert_eq!(words, ["1 km", "2 km", "Finish", "Start"]);
    let second_km = 46.02 + 2000.0 / M_PER_DEGREE - 0.01;
    for (words, lat) in [
        ("Start", 46.0),
        ("1 km", 46.0 + 1000.0 / M_PER_DEGREE),
        ("2 km", second_km),
        ("Finish", 46.03),
    ] {
        let ((x, y), (at_x, at_y)) = (words_at(&page, words), page.spot(lat, 7.25));
        // To the right of who goes north, where no dot on the line covers them.
        let is_beside = (y - at_y).abs() < 1.5 && (20.0..60.0).contains(&(x - at_x));
        assert!(is_beside, "{words} at {x}, {y} for {at_x}, {at_y}");
    }
    let opacity = |lat: f64| {
        let (x, y) = page.spot(lat, 7.25);
        page.pixel_of("course", x, y)[3]
    };
    assert!(opacity(46.004) > 100 && opacity(46.025) > 100);
    assert_eq!(opacity(46.015), 0);
    page.assert_no_complaints();
}

#[test]
fn a_course_lies_under_the_runners_who_come_first_when_the_map_is_fitted() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let lap = [
        (46.0, 179.999),
        (46.0, -179.999),
        (46.002, -179.999),
        (46.0, 179.999),
    ];
    let file = Scratch::new("map-lap.gpx", gpx(&[&lap]).as_bytes());
    let server = Server::start(&["--tiles", "none", "--course", file.path()]);
    server
        .connect()
        .send(r#"{"userId":5,"lat":46.0,"lng":180}"#);
    let page = open(chromium, &server, "?follow=5");
    page.wait_for_state("5", "live");
    page.wait_for("Object.keys(window.words).length > 0");
    page.wait_until_still();
    let lng = page.get("Number(document.getElementById('map').dataset.lng)");
    let lng = lng.as_f64().expect("a number");
    assert!((lng.abs() - 180.0).abs() < 1e-9, "{lng}");
    // Who begins where they end has one mark for both, and the line goes the short way round.
    let words = page.get("Object.keys(window.words)");
    assert_eq!(words, serde_json::json!(["Start, finish"]));
    let (x, y) = page.spot(46.0, lng);
    assert_eq!(page.pixel(x, y), page.list_colour("5"));
    assert!(page.pixel_of("course", x, y)[3] > 100);
    assert!(page.pixel_of("course", x + 20.0, y)[3] > 100);
    assert_eq!(page.pixel_of("course", x - 400.0, y)[3], 0);
    page.assert_no_complaints();
}

#[test]
fn a_server_without_a_course_is_asked_for_none() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = open(chromium, &server, "");
    page.wait_for_text("#link", "Connected");
    let events = page.all_events();
    let requests = Page::requests_in(&events);
    assert!(!requests.iter().any(|url| url.ends_with("/course")));
    assert_eq!(Page::complaints_in(&events), Vec::<String>::new());
    assert_eq!(
        page.get("document.getElementById('map').dataset.course"),
        Value::from("")
    );
}
