//! What no app sends: it is answered, and takes nothing half.

use super::*;

fn has_reports(posted: &Posted) -> bool {
    read(posted).is_ok_and(|batch| !batch.reports.is_empty())
}

#[test]
fn json_cut_anywhere_brings_no_point() {
    let own = r#"[{"userId":5,"lat":1,"lng":2},{"userId":6,"lat":1,"lng":2}]"#;
    for (object, _) in samples::OBJECTS.iter().chain([&(own, "")]) {
        for at in 0..object.len() {
            let cut = Posted {
                query: "u=jane",
                ..body(&object[..at])
            };
            assert!(!has_reports(&cut), "{:?}", &object[..at]);
            assert!(at == 0 || read(&cut).is_err(), "{:?}", &object[..at]);
        }
    }
}

#[test]
fn pairs_cut_anywhere_are_one_point_at_most() {
    for (pairs, _) in samples::PAIRS {
        for at in 0..pairs.len() {
            let pairs = &pairs[..at];
            for posted in [query(pairs), body(pairs)] {
                let count = read(&posted).map_or(0, |batch| batch.reports.len());
                assert_eq!(count == 1, has_coordinates(pairs), "{pairs}");
            }
        }
    }
}

#[test]
fn what_is_not_utf_8_is_no_json_and_no_id() {
    for (object, _) in samples::OBJECTS {
        for at in 1..object.len() {
            let mut bytes = object.as_bytes().to_vec();
            bytes[at] = 0xff;
            let posted = Posted {
                body: &bytes,
                ..Posted::default()
            };
            let Err(Unreadable::Malformed(line)) = read(&posted) else {
                panic!("{object} with a byte at {at}")
            };
            assert!(line.starts_with("JSON is UTF-8"), "{line}");
        }
    }
    let pairs = Posted {
        body: b"lat=1&lon=2&\xff=\xff&id=\xff",
        ..Posted::default()
    };
    assert_eq!(told(&pairs), "osmand  lat=1 lng=2");
}

#[test]
fn what_is_nothing_at_all_says_what_to_mend() {
    let pairs = "400 there is no position in this: send the pairs id, lat and lon, or the JSON of a tracker app";
    let object =
        "400 there is no position in this: an object has lat and lng, or is that of a tracker app";
    for (text, expected) in [
        ("hello", pairs),
        ("null", pairs),
        ("\u{feff}{}", object),
        ("{}", object),
        (
            r#"{"_type":null,"location":null,"locations":{},"latitude":1}"#,
            object,
        ),
        (
            r#"{"coords":{"latitude":1,"longitude":2},"timestamp":1}"#,
            object,
        ),
        (
            "{",
            "400 this is not the JSON of positions: EOF while parsing an object at line 1 column 1",
        ),
        (
            r#"{"lat":1,"lng":2}x"#,
            "400 this is not the JSON of positions: trailing characters at line 1 column 18",
        ),
        (
            "[1]x",
            "400 this is not the JSON of positions: trailing characters at line 1 column 4",
        ),
        (
            r#"{"lat":1,"lat":1,"lng":2}"#,
            "400 this is not the JSON of positions: duplicate field `lat` at line 1 column 14",
        ),
        (
            r#"{"lat":1,"speed":1,"speed":2,"lng":2}"#,
            "400 this is not the JSON of one message: duplicate field `speed` at line 1 column 26",
        ),
        (
            r#"{"_type":"location","tst":1,"tst":1}"#,
            "400 this is not the JSON of positions: duplicate field `tst` at line 1 column 33",
        ),
    ] {
        assert_eq!(told(&body(text)), expected, "{text}");
    }
}

#[test]
fn a_list_of_ours_has_a_thousand_positions_at_most() {
    let list = |count| {
        let positions: Vec<String> = (0..count)
            .map(|at| format!(r#"{{"userId":{at},"lat":1,"lng":2}}"#))
            .collect();
        format!("[{}]", positions.join(","))
    };
    let full = list(LIST_POSITIONS_MAX);
    let batch = read(&body(&full)).expect("a thousand");
    assert_eq!(batch.reports.len(), 1000);
    assert!(batch.reports.iter().all(|report| report.fix.is_ok()));
    let over = list(1001);
    let error = read(&body(&over)).expect_err("one more");
    assert_eq!(error, Unreadable::TooMany(1001));
    assert_eq!(
        error.to_string(),
        "a list has at most 1000 positions: of these 1001 none was taken, send them in parts"
    );
}

#[test]
fn a_queue_of_overlands_is_as_long_as_the_content_may_be() {
    let record = r#"{"geometry":{"type":"Point","coordinates":[1,2]}}"#;
    let queue = format!(r#"{{"locations":[{}]}}"#, vec![record; 5000].join(","));
    assert_eq!(read(&body(&queue)).expect("a queue").reports.len(), 5000);
}

#[test]
fn long_rows_of_anything_are_answered() {
    const BYTES: usize = 1024 * 1024;
    for piece in [
        "[",
        "{\"lat\":",
        "{\"a\":",
        "[0,",
        "\"",
        "\\",
        "{",
        "&",
        "a=b&",
        "lat=1&",
        "id=5&",
        "%",
        "%41",
        "+",
        "9",
        " ",
        "\u{e4}",
    ] {
        let filling = piece.repeat(BYTES / 16 / piece.len());
        for open in [
            "",
            "[",
            "{\"locations\":[",
            "{\"_type\":\"location\",\"lat\":",
            "id=5&lat=1&lon=2&time=",
            "lat=",
        ] {
            let text = format!("{open}{filling}");
            // A failure shows neither here nor there but as a panic, or by never coming back.
            let _ = read(&body(&text));
            let _ = read(&query(&text));
        }
    }
    let deep = format!(
        r#"{{"lat":1,"lng":2,"x":{}{}}}"#,
        "[".repeat(BYTES),
        "]".repeat(BYTES)
    );
    assert_eq!(told(&body(&deep)), "json - lat=1 lng=2");
    let zeros = format!("id=5&lat=0.{0}1&lon={0}2", "0".repeat(BYTES));
    assert_eq!(told(&query(&zeros)), "osmand 5 lat=0 lng=2");
}

#[test]
fn a_sign_of_life_may_leave_it_to_a_token_whose_it_is() {
    for text in ["", " ", "id=&timestamp=1"] {
        let batch = read(&body(text)).expect(text);
        assert_eq!((batch.id, batch.reports.len()), (None, 0), "{text}");
    }
}

#[test]
fn more_pairs_than_any_app_sends_are_not_read() {
    let pairs = |count: usize| "a&".repeat(count - 3) + "id=5&lat=1&lon=2";
    assert!(read(&body(&pairs(1000))).is_ok());
    let Err(Unreadable::Malformed(line)) = read(&body(&pairs(1001))) else {
        panic!("one more");
    };
    assert!(line.contains("1000 pairs"), "{line}");
    let list = format!("[{}1,2]", "0,".repeat(1000));
    let feature = format!(
        r#"{{"locations":[{{"geometry":{{"type":"Point","coordinates":{list}}},"properties":{{"device_id":"5"}}}}]}}"#
    );
    let batch = read(&body(&feature)).expect("a queue");
    assert!(batch.reports[0].fix.is_err());
}
