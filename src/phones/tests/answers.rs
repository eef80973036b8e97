//! What apps hear.

use serde_json::Value;

use super::*;
use crate::fix::Bounds;

#[test]
fn each_app_hears_what_it_takes_for_yes() {
    let counts = Counts {
        accepted: 2,
        late: 1,
        refused: 0,
    };
    for (app, body) in [
        (Dialect::Osmand, ""),
        (Dialect::Traccar, ""),
        (Dialect::OwnTracks, "[]"),
        (Dialect::Overland, r#"{"result":"ok"}"#),
        (Dialect::Json, r#"{"accepted":2,"late":1,"refused":0}"#),
    ] {
        let answer = answer(app, counts);
        assert_eq!(answer.body, body);
        let json = (!body.is_empty()).then_some("application/json");
        assert_eq!(answer.media_type, json);
    }
}

fn fix(lat: &str, lng: &str, timestamp: &str) -> Fix {
    let extra = |extra| (extra == Extra::Timestamp).then_some(timestamp);
    Fix::new(Bounds::Finite, Some(lat), Some(lng), extra).expect("numbers")
}

#[test]
fn friends_are_locations_with_the_senders_digits_and_cards_where_there_is_a_name() {
    let anna = fix("1.50", "-2E0", "1714470000999");
    let quoted = fix("1", "2", "null");
    let nowhere = fix("91", "2", "null");
    let friend = |id, name, fix| Friend {
        id,
        name,
        fix,
        received_unix_s: 1_700_000_000,
    };
    let friends = [
        friend("anna", Some("Anna \"A\""), &anna),
        friend("x\"\u{e4}\\", None, &quoted),
        friend("7", Some(""), &quoted),
        friend("nobody", Some("N"), &nowhere),
    ];
    let answer = answer_friends(friends.into_iter());
    assert_eq!(answer.media_type, Some("application/json"));
    assert_eq!(
        answer.body,
        [
            r#"[{"_type":"location","tid":"na","lat":1.50,"lon":-2E0,"tst":1714470000,"topic":"owntracks/anna/phone"},"#,
            r#"{"_type":"card","tid":"na","name":"Anna \"A\"","topic":"owntracks/anna/phone"},"#,
            "{\"_type\":\"location\",\"tid\":\"\u{e4}\\\\\",\"lat\":1,\"lon\":2,\"tst\":1700000000,\"topic\":\"owntracks/x\\\"\u{e4}\\\\/phone\"},",
            r#"{"_type":"location","tid":"7","lat":1,"lon":2,"tst":1700000000,"topic":"owntracks/7/phone"},"#,
            r#"{"_type":"card","tid":"7","name":"","topic":"owntracks/7/phone"}]"#,
        ]
        .concat()
    );
    let parsed: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(parsed[2]["topic"], "owntracks/x\"\u{e4}\\/phone");
    assert_eq!(answer_friends([].into_iter()).body, "[]");
}

#[test]
fn the_time_of_a_friend_is_the_fixs_own_if_it_is_one() {
    for (timestamp, tst) in [
        ("1714470000", 1_714_470_000),
        ("1714470000.9", 1_714_470_000),
        ("1714470000000", 1_714_470_000),
        ("-1", 7),
        ("1e300", 7),
        ("null", 7),
    ] {
        let fix = fix("1", "2", timestamp);
        let friend = Friend {
            id: "a",
            name: None,
            fix: &fix,
            received_unix_s: 7,
        };
        let answer = answer_friends([friend].into_iter());
        let parsed: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(parsed[0]["tst"], tst, "{timestamp}");
    }
}
