//! What the objects of each app, and ours, may say.

use super::*;

#[test]
fn owntracks_names_its_user_in_four_places_one_before_the_other() {
    let topic = r#"{"_type":"lwt","topic":"owntracks/topical/phone"}"#;
    let posted = Posted {
        query: "d=3s&u=q%75ery",
        limit_user: Some("header"),
        basic_user: Some("basic"),
        body: topic.as_bytes(),
    };
    assert_eq!(told(&posted), "owntracks header moves nobody");
    let posted = Posted {
        limit_user: Some(""),
        ..posted
    };
    assert_eq!(told(&posted), "owntracks query moves nobody");
    let posted = Posted {
        query: "u=",
        ..posted
    };
    assert_eq!(told(&posted), "owntracks topical moves nobody");
    for topic in [
        r#""owntracks""#,
        r#""owntracks//phone""#,
        r#""other/jane/phone""#,
        "7",
        "null",
    ] {
        let object = format!(r#"{{"_type":"lwt","topic":{topic}}}"#);
        let posted = Posted {
            body: object.as_bytes(),
            ..posted
        };
        assert_eq!(told(&posted), "owntracks basic moves nobody", "{topic}");
    }
    let nobody = r#"{"_type":"location","lat":1,"lon":2,"tid":"JJ"}"#;
    assert_eq!(told(&body(nobody)), "owntracks - lat=1 lng=2");
}

#[test]
fn only_locations_of_owntracks_move_somebody() {
    for kind in [
        "lwt",
        "transition",
        "waypoint",
        "waypoints",
        "status",
        "cmd",
        "card",
        "steps",
        "encrypted",
        "request",
        "",
        "tomorrow's",
    ] {
        let object = format!(
            r#"{{"_type":"{kind}","topic":"owntracks/jane/phone","lat":1,"lon":2,"tst":1700000000}}"#
        );
        assert_eq!(told(&body(&object)), "owntracks jane moves nobody");
    }
    for object in [
        r#"{"_type":7,"lat":1,"lon":2}"#,
        r#"{"_type":["location"],"lat":1,"lng":2}"#,
        r#"{"_type":"location"}"#,
        r#"{"_type":"location","lat":null,"lon":""}"#,
    ] {
        assert_eq!(told(&body(object)), "owntracks - moves nobody");
    }
}

#[test]
fn what_an_app_writes_for_unknown_and_what_is_no_measure_is_left_out() {
    for (fields, expected) in [
        (
            r#""acc":-1,"vac":-1,"cog":-1,"vel":-1,"batt":-1,"tst":-1,"alt":-1"#,
            " altitude=-1",
        ),
        (
            r#""acc":null,"vac":"","cog":true,"vel":[],"batt":{},"tst":"now","alt":"x""#,
            "",
        ),
        (r#""cog":361,"batt":101,"acc":1e999,"tst":1e300"#, ""),
        (
            r#""acc":"5","alt":"-3.50","vel":"36","batt":"50","tst":"1700000000""#,
            " accuracy=5 altitude=-3.50 speed=10 timestamp=1700000000000 battery=0.5",
        ),
        (
            r#""vel":5.5,"acc":1.50,"cog":0.0,"tst":1700000000.25"#,
            " accuracy=1.50 heading=0.0 speed=1.528 timestamp=1700000000250",
        ),
    ] {
        let object = format!(r#"{{"_type":"location","lat":"49.60","lon":6,{fields}}}"#);
        assert_eq!(
            told(&body(&object)),
            format!("owntracks - lat=49.60 lng=6{expected}")
        );
    }
}

#[test]
fn a_location_of_traccar_without_coordinates_moves_nobody() {
    for location in [
        "{}",
        "null",
        r#"{"coords":null}"#,
        r#"{"coords":{}}"#,
        r#"{"coords":[1,2]}"#,
        r#"{"coords":{"latitude":null}}"#,
        r#"{"type":"Feature","geometry":{"type":"Point","coordinates":[1,2]}}"#,
    ] {
        let object = format!(r#"{{"device_id":7,"location":{location}}}"#);
        assert_eq!(told(&body(&object)), "traccar 7 moves nobody");
    }
    let half = r#"{"device_id":"7","location":{"coords":{"latitude":1}}}"#;
    assert_eq!(
        told(&body(half)),
        "traccar 7 refused: lng is missing: a position needs lat and lng"
    );
}

#[test]
fn records_of_overland_that_are_no_points_are_passed_over() {
    let point = |lng: &str, properties: &str| {
        format!(
            r#"{{"geometry":{{"type":"Point","coordinates":[{lng},1,99]}},"properties":{properties}}}"#
        )
    };
    let records = [
        point(
            "2",
            r#"{"device_id":"","unique_id":"u","timestamp":"2026-05-01T10:00:02Z","course":271,"speed":-1,"vertical_accuracy":3}"#,
        ),
        "7".to_owned(),
        "null".to_owned(),
        "{}".to_owned(),
        r#"{"geometry":null,"properties":{"device_id":"x"}}"#.to_owned(),
        r#"{"geometry":{"type":"LineString","coordinates":[[1,2],[3,4]]}}"#.to_owned(),
        point(
            "3",
            r#"{"device_id":"d","unique_id":"u","timestamp":"2026-05-01T12:00:01+0200"}"#,
        ),
        point("181", r#"{"device_id":7}"#),
        point("\"x\"", "null"),
        r#"{"geometry":{"type":"Point","coordinates":{}},"properties":{"device_id":true}}"#
            .to_owned(),
        r#"{"geometry":{"type":"Point"},"geometry":{}}"#.to_owned(),
    ];
    let current = point(
        "4",
        r#"{"device_id":"d","timestamp":"2026-05-01T10:00:00Z"}"#,
    );
    let queue = format!(
        r#"{{"locations":[{}],"current":{current},"trip":{{}}}}"#,
        records.join(",")
    );
    assert_eq!(
        told(&body(&queue)),
        "overland d lat=1 lng=4 timestamp=1777629600000\n\
         overland d lat=1 lng=3 timestamp=1777629601000\n\
         overland u lat=1 lng=2 altitudeAccuracy=3 heading=271 timestamp=1777629602000\n\
         overland 7 refused: lng must be from -180 to 180\n\
         overland - refused: lng must be a number\n\
         overland  refused: lat is missing: a position needs lat and lng\n\
         overland - refused: this is not the JSON of one message: duplicate field `geometry` at line 1 column 39"
    );
    let alone = format!(r#"{{"locations":[],"current":{current}}}"#);
    assert_eq!(
        told(&body(&alone)),
        "overland d lat=1 lng=4 timestamp=1777629600000"
    );
}

#[test]
fn our_own_positions_keep_the_rules_of_the_protocol() {
    for (object, expected) in [
        (
            r#"{"userId":5,"lat":1.50,"lng":-200,"speed":-1,"battery":0.5,"timestamp":7}"#,
            "json 5 lat=1.50 lng=-200 timestamp=7 battery=0.5",
        ),
        (
            r#"{"userId":"\u0035","lat":1,"lng":2}"#,
            "json 5 lat=1 lng=2",
        ),
        (r#"{"lat":1,"lng":2}"#, "json - lat=1 lng=2"),
        (
            r#"{"initialRequest":true,"lat":1,"lng":2}"#,
            "json - lat=1 lng=2",
        ),
        (
            r#"{"userId":5,"lat":1,"lng":2,"battery":50}"#,
            "json 5 refused: battery must be at most 1",
        ),
        (
            r#"{"userId":5,"lat":"1","lng":2}"#,
            "json 5 refused: lat must be a number",
        ),
        (
            r#"{"userId":5,"lat":1e999,"lng":2}"#,
            "json 5 refused: lat must be a finite number",
        ),
        (
            r#"{"userId":5,"lat":1}"#,
            "json 5 refused: lng is missing: a position needs lat and lng",
        ),
        (
            r#"{"userId":5,"lat":0.11111111111111111111111111111111,"lng":1}"#,
            "json 5 refused: lat must be written in at most 32 characters",
        ),
        (
            r#"[{"userId":5,"lat":1,"lng":2},7,[],{},{"userId":6,"lat":1,"lng":2,"lat":1}]"#,
            "json 5 lat=1 lng=2\n\
             json - refused: a message is a JSON object: it must begin with {\n\
             json - refused: a message is a JSON object: it must begin with {\n\
             json - refused: lat is missing: a position needs lat and lng\n\
             json - refused: this is not the JSON of one message: duplicate field `lat` at line 1 column 33",
        ),
    ] {
        assert_eq!(told(&body(object)), expected, "{object}");
    }
}

#[test]
fn ids_in_json_are_texts_or_integers_and_all_else_is_an_empty_text() {
    for (json, id) in [
        ("\"anna\"", Some("anna")),
        ("\"\\u00e4\"", Some("\u{e4}")),
        ("7", Some("7")),
        ("-7", Some("-7")),
        ("5.0", Some("")),
        ("1e2", Some("")),
        ("true", Some("")),
        ("{}", Some("")),
        ("[7]", Some("")),
        ("\"\\ud800\"", Some("")),
    ] {
        let own = format!(r#"{{"userId":{json},"lat":1,"lng":2}}"#);
        let traccar = format!(
            r#"{{"device_id":{json},"location":{{"coords":{{"latitude":1,"longitude":2}}}}}}"#
        );
        for text in [own, traccar] {
            let batch = read(&body(&text)).expect(&text);
            assert_eq!(batch.reports[0].id.as_deref(), id, "{text}");
        }
    }
    // Apps say so that they have none; a position of ours does not.
    for json in ["null", "\"\""] {
        let traccar = format!(r#"{{"device_id":{json},"location":{{}}}}"#);
        assert_eq!(read(&body(&traccar)).expect("a sign of life").id, None);
        let own = format!(r#"{{"userId":{json},"lat":1,"lng":2}}"#);
        let batch = read(&body(&own)).expect("a position");
        assert_eq!(batch.reports[0].id.as_deref(), Some(""));
    }
}
