//! Requests to the door, and what is read.

mod answers;
mod bad;
mod objects;
mod pairs;
mod samples;

use super::*;
use crate::fix::Fix;

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
    let source = batch.app.source();
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
        (query("id=5&lat=1&lon=2"), App::Osmand),
        (body("id=5&lat=1&lon=2"), App::Osmand),
        (
            body(r#" {"_type":"location","lat":1,"lon":2}"#),
            App::OwnTracks,
        ),
        (
            body(r#"{"_type":"x","location":{},"locations":[]}"#),
            App::OwnTracks,
        ),
        (body(r#"{"location":{},"locations":[]}"#), App::Traccar),
        (body(r#"{"location":null,"device_id":"5"}"#), App::Traccar),
        (body("\r\n\t{\"locations\":[],\"lat\":1}"), App::Overland),
        (body(r#"{"lat":1,"lng":2}"#), App::Json),
        (body(r#"{"lng":2,"location":"Bern"}"#), App::Json),
        (body("\n[]\n"), App::Json),
        (
            Posted {
                query: "id=5&lat=1&lon=2",
                ..body(r#"{"_type":"location"}"#)
            },
            App::OwnTracks,
        ),
        (query("u=jane"), App::OwnTracks),
        // There would be a position to lose.
        (query("u=jane&lat=1&lon=2"), App::Osmand),
        (
            Posted {
                limit_user: Some("jane"),
                ..body(" \n")
            },
            App::OwnTracks,
        ),
    ] {
        let batch = read(&posted).unwrap_or_else(|error| panic!("{posted:?}: {error}"));
        assert_eq!(batch.app, app, "{posted:?}");
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

#[test]
fn each_app_is_a_source_of_its_own() {
    let sources: Vec<&str> = App::ALL.iter().map(|app| app.source()).collect();
    assert_eq!(
        sources,
        ["osmand", "traccar", "owntracks", "overland", "json"]
    );
}

#[test]
fn coordinates_and_ids_are_seen_in_a_query() {
    for (query, coordinates, id) in [
        ("", false, false),
        ("follow=5,6&panel=none", false, false),
        ("lat=1&lon=2", true, false),
        ("latitude=x&id=5", true, true),
        ("l%61t=1", true, false),
        ("location=1,2", true, false),
        ("lat=&lon=&id=", false, false),
        ("aid=%20", false, true),
        ("ids=5&LAT=1", false, false),
        ("u=jane", false, false),
    ] {
        assert_eq!(has_coordinates(query), coordinates, "{query}");
        assert_eq!(has_id(query), id, "{query}");
    }
}
