//! Requests to the door, and what is read.

mod answers;
mod bad;
mod objects;
mod pairs;
mod samples;

use super::*;
use crate::dialect::Dialect;
use crate::fix::{Extra, Fix};

fn read(posted: &Posted) -> Result<Batch, Unreadable> {
    super::read(posted, Bounds::Finite)
}

/// A request with this query and nothing else.
fn query(query: &str) -> Posted<'_> {
    Posted {
        query,
        ..Posted::default()
    }
}

/// A request with this content and nothing else.
fn body(body: &str) -> Posted<'_> {
    Posted {
        body: body.as_bytes(),
        ..Posted::default()
    }
}

fn position(fix: &Fix) -> String {
    let mut position = format!("lat={} lng={}", fix.lat_digits(), fix.lng_digits());
    for (extra, digits) in fix.extras() {
        position += &format!(" {}={digits}", extra.name());
    }
    position
}

/// What is read of a request, in a line for each point: whose, and where.
fn told(posted: &Posted) -> String {
    let batch = match read(posted) {
        Ok(batch) => batch,
        Err(Unreadable::Malformed(line)) => return format!("400 {line}"),
        Err(Unreadable::TooMany(count)) => return format!("413 {count}"),
    };
    let source = batch.dialect.word();
    if batch.reports.is_empty() {
        let id = batch.id.as_deref().unwrap_or("-");
        return format!("{source} {id} moves nobody");
    }
    assert_eq!(batch.id, None);
    let lines = batch.reports.iter().map(|report| {
        let id = report.id.as_deref().unwrap_or("-");
        match &report.fix {
            Ok(fix) => format!("{source} {id} {}", position(fix)),
            Err(refusal) => format!("{source} {id} refused: {refusal}"),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_content_says_which_app_it_is() {
    for (posted, app) in [
        (query("id=5&lat=1&lon=2"), Dialect::Osmand),
        (body("id=5&lat=1&lon=2"), Dialect::Osmand),
        (
            body(r#" {"_type":"location","lat":1,"lon":2}"#),
            Dialect::OwnTracks,
        ),
        (
            body(r#"{"_type":"x","location":{},"locations":[]}"#),
            Dialect::OwnTracks,
        ),
        (body(r#"{"location":{},"locations":[]}"#), Dialect::Traccar),
        (
            body(r#"{"location":null,"device_id":"5"}"#),
            Dialect::Traccar,
        ),
        (
            body("\r\n\t{\"locations\":[],\"lat\":1}"),
            Dialect::Overland,
        ),
        (body(r#"{"lat":1,"lng":2}"#), Dialect::Json),
        (body(r#"{"lng":2,"location":"Bern"}"#), Dialect::Json),
        (body("\n[]\n"), Dialect::Json),
        (
            Posted {
                query: "id=5&lat=1&lon=2",
                ..body(r#"{"_type":"location"}"#)
            },
            Dialect::OwnTracks,
        ),
        (query("u=jane"), Dialect::OwnTracks),
        // There would be a position to lose.
        (query("u=jane&lat=1&lon=2"), Dialect::Osmand),
        (
            Posted {
                limit_user: Some("jane"),
                ..body(" \n")
            },
            Dialect::OwnTracks,
        ),
    ] {
        let batch = read(&posted).unwrap_or_else(|error| panic!("{posted:?}: {error}"));
        assert_eq!(batch.dialect, app, "{posted:?}");
    }
}

#[test]
fn a_list_is_a_batch_and_nothing_else_is() {
    let position = r#"{"userId":5,"lat":1,"lng":2}"#;
    for (text, is_batch) in [
        (position.to_owned(), false),
        (format!("[{position}]"), true),
        ("[]".to_owned(), true),
        (r#"{"locations":[]}"#.to_owned(), true),
        (r#"{"_type":"location","lat":1,"lon":2}"#.to_owned(), false),
        (
            r#"{"location":{"coords":{"latitude":1,"longitude":2}}}"#.to_owned(),
            false,
        ),
        ("lat=1&lon=2".to_owned(), false),
    ] {
        let batch = read(&body(&text)).expect(&text);
        assert_eq!(batch.is_batch, is_batch, "{text}");
    }
}

#[test]
fn a_batch_is_taken_in_the_order_of_its_times_and_points_without_one_last() {
    let list = r#"[{"userId":"a","lat":1,"lng":1},
        {"userId":"b","lat":1,"lng":1,"timestamp":1714470003000},
        {"userId":"c","lat":1,"lng":1,"timestamp":1714470001},
        {"userId":"d","lat":1,"lng":1,"timestamp":1714470001000},
        {"userId":"e","lat":1,"lng":"1","timestamp":1714470000000},
        {"userId":"f","lat":1,"lng":1,"timestamp":1714470002000.5},
        {"userId":"g","lat":1,"lng":1,"timestamp":-5}]"#;
    let batch = read(&body(list)).expect("a list");
    let ids: Vec<&str> = (batch.reports.iter())
        .filter_map(|report| report.id.as_deref())
        .collect();
    assert_eq!(ids, ["g", "c", "d", "f", "b", "a", "e"]);
}
