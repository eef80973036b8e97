//! Messages, good and bad.

use std::time::Duration;

use super::*;
use crate::dialect::Dialect;
use crate::user::Spelling;
use crate::user::{Called, Freshness};

fn relayed(text: &str) -> String {
    let Ok(ClientMessage::Position(publication)) = decode(text, Bounds::Finite) else {
        panic!("no position: {text}")
    };
    let user = publication.user.expect("a user");
    let mut out = Vec::new();
    let known = Known {
        user: user.text(),
        written: &user.written(),
        fix: &publication.fix,
        age: Duration::ZERO,
        dialect: Dialect::WebSocket,
    };
    encode_position(&known, &mut out);
    String::from_utf8(out).expect("UTF-8")
}

fn refused(text: &str) -> (&'static str, String) {
    let refusal = decode(text, Bounds::Finite).expect_err(text);
    (refusal.code().word(), refusal.to_string())
}

#[test]
fn a_position_keeps_the_senders_digits_and_way_of_writing_the_id() {
    for (sent, expected) in [
        (
            r#"{"userId":5,"lat":1.50,"lng":2E0}"#,
            r#"{"userId":5,"lat":1.50,"lng":2E0}"#,
        ),
        (
            r#"{"lng": -0, "lat" : 1e-7 ,"userId":"5"}"#,
            r#"{"userId":"5","lat":1e-7,"lng":-0}"#,
        ),
        (
            r#"{"\u0075serId":"\u0035","lat":1,"lng":1}"#,
            r#"{"userId":"\u0035","lat":1,"lng":1}"#,
        ),
    ] {
        assert_eq!(relayed(sent), expected);
    }
}

#[test]
fn optional_fields_follow_in_a_fixed_order_without_nulls_and_unknown_values() {
    let sent = r#"{"userId":5,"battery":0.5,"timestamp":-7,"speed":-1,"heading":360,"altitudeAccuracy":null,
        "altitude":-3.0,"accuracy":5,"colour":"red","lat":1,"lng":2}"#;
    assert_eq!(
        relayed(sent),
        r#"{"userId":5,"lat":1,"lng":2,"accuracy":5,"altitude":-3.0,"heading":360,"timestamp":-7,"battery":0.5}"#
    );
}

#[test]
fn bad_positions_are_refused_with_the_field_to_mend() {
    for (text, message) in [
        (
            r#"{"userId":5,"lat":1e999,"lng":1}"#,
            "lat must be a finite number",
        ),
        (r#"{"userId":5,"lat":"1","lng":1}"#, "lat must be a number"),
        (
            r#"{"userId":5,"lat":null,"lng":1}"#,
            "lat is missing: a position needs lat and lng",
        ),
        (
            r#"{"userId":5,"lat":1}"#,
            "lng is missing: a position needs lat and lng",
        ),
        (r#"{"userId":5,"lat":1,"lng":[1]}"#, "lng must be a number"),
        (
            r#"{"userId":5,"lat":1,"lng":1,"heading":360.1}"#,
            "heading must be at most 360",
        ),
        (
            r#"{"userId":5,"lat":1,"lng":1,"battery":1.01}"#,
            "battery must be at most 1",
        ),
        (
            r#"{"userId":5,"lat":1,"lng":1,"speed":"fast"}"#,
            "speed must be a number",
        ),
        (
            r#"{"userId":5,"lat":1,"lng":1,"accuracy":-1e999}"#,
            "accuracy must be a finite number",
        ),
    ] {
        assert_eq!(
            refused(text),
            ("bad_position", message.to_owned()),
            "{text}"
        );
    }
}

#[test]
fn wgs84_bounds_hold_where_they_are_asked_for() {
    let text = r#"{"userId":5,"lat":90.5,"lng":1}"#;
    assert!(decode(text, Bounds::Finite).is_ok());
    assert_eq!(
        decode(text, Bounds::Wgs84)
            .expect_err("over 90")
            .to_string(),
        "lat must be from -90 to 90"
    );
    assert!(decode(r#"{"userId":5,"lat":-90,"lng":180.0}"#, Bounds::Wgs84).is_ok());
    assert!(decode(r#"{"userId":5,"lat":0,"lng":-180.01}"#, Bounds::Wgs84).is_err());
}

#[test]
fn what_is_not_json_or_has_a_key_of_ours_twice_is_bad_json() {
    for text in [
        "hello",
        "{",
        "\u{feff}{}",
        r#"{"userId":5,"lat":05,"lng":1}"#,
        r#"{"userId":5,"lat":NaN,"lng":1}"#,
        r#"{"userId":5,"lat":1,"lng":1}x"#,
        r#"{"userId":5,"lat":1,"lat":1,"lng":1}"#,
        r#"{"userId":007,"lat":1,"lng":1}"#,
    ] {
        assert_eq!(refused(text).0, "bad_json", "{text}");
    }
}

#[test]
fn white_space_around_a_message_is_json() {
    let position = r#"{"userId":5,"lat":1,"lng":2}"#;
    for text in [
        format!(" {position}"),
        format!("\r\n\t {position}\n"),
        format!("{position}   "),
    ] {
        assert_eq!(relayed(&text), position);
    }
    // Other white space is none of JSON's.
    for space in ["\u{a0}", "\u{c}", "\u{b}", "\u{feff}"] {
        assert_eq!(refused(&format!("{space}{position}")).0, "bad_json");
        assert_eq!(refused(&format!("{position}{space}")).0, "bad_json");
    }
}

#[test]
fn heartbeats_are_known_and_a_ping_keeps_its_digits() {
    for text in ["", "ping", " \n", " ping\n"] {
        let decoded = decode(text, Bounds::Finite);
        assert!(matches!(decoded, Ok(ClientMessage::Heartbeat)), "{text:?}");
    }
    for number in ["7", "-0", "1.50", "2E0"] {
        let text = format!(r#"{{"ping":{number}}}"#);
        let Ok(ClientMessage::Ping(digits)) = decode(&text, Bounds::Finite) else {
            panic!("no ping: {text}")
        };
        let mut pong = Vec::new();
        encode_pong(digits, &mut pong);
        assert_eq!(pong, format!(r#"{{"pong":{number}}}"#).into_bytes());
    }
    // What is more than a ping is that.
    let text = r#"{"ping":7,"userId":5,"lat":1,"lng":2}"#;
    assert_eq!(relayed(text), r#"{"userId":5,"lat":1,"lng":2}"#);
}

#[test]
fn json_that_is_no_message_of_ours_is_a_bad_message() {
    for text in [
        "[5,1,2]",
        "5",
        "null",
        "\"{}\"",
        "{}",
        r#"{"ping":null}"#,
        r#"{"ping":"7"}"#,
        r#"{"ping":1e999}"#,
        r#"{"ping":0.11111111111111111111111111111111}"#,
        r#"{"initialRequest":1}"#,
        r#"{"follow":null}"#,
    ] {
        assert_eq!(refused(text).0, "bad_message", "{text}");
    }
    let Ok(ClientMessage::Change(change)) =
        decode(r#"{"follow":5,"unfollow":[1]}"#, Bounds::Finite)
    else {
        panic!("a change")
    };
    assert_eq!(change.follow.refusal, Some(Refusal::NotAList("follow")));
    assert_eq!(change.unfollow.valid.len(), 1);
}

#[test]
fn a_star_in_the_place_of_a_list_is_everyone_and_in_a_list_is_a_user() {
    for (json, is_everyone, valid) in [
        (r#""*""#, true, 0),
        (r#""\u002a""#, true, 0),
        (r#"["*"]"#, false, 1),
        (r#"["*",5,null]"#, false, 2),
        (r#""5""#, false, 0),
        ("null", false, 0),
    ] {
        let text = format!(r#"{{"initialRequest":true,"following":{json}}}"#);
        let Ok(ClientMessage::Hello(hello)) = decode(&text, Bounds::Finite) else {
            panic!("no hello: {text}");
        };
        let ids = hello.following;
        assert_eq!(
            (ids.everyone, ids.valid.len()),
            (is_everyone, valid),
            "{json}"
        );
    }
}

#[test]
fn ids_are_strings_or_integers_and_nothing_else() {
    for json in [
        "5",
        "-5",
        "\"5\"",
        "\"007\"",
        "\"ä\"",
        "123456789012345678901234567890",
        r#""\u0035\"""#,
    ] {
        assert!(user_id(json).is_ok(), "{json}");
    }
    let long = format!("\"{}\"", "x".repeat(65));
    let digits = "1".repeat(65);
    for json in [
        "5.0",
        "1e2",
        "null",
        "\"\"",
        "true",
        "[5]",
        "{}",
        r#""\u0000""#,
        r#""\u009f""#,
        r#""\ud800""#,
        &long,
        &digits,
    ] {
        assert!(user_id(json).is_err(), "{json}");
    }
    assert!(user_id(&format!("\"{}\"", "x".repeat(64))).is_ok());
    assert_eq!(
        user_id("5").expect("an id").text(),
        user_id("\"5\"").expect("an id").text()
    );
    assert_ne!(
        user_id("7").expect("an id").text(),
        user_id("\"007\"").expect("an id").text()
    );
}

#[test]
fn a_hello_is_carried_out_field_by_field() {
    let text = r#"{"initialRequest":true,"userId":5.5,"following":[1,"",2,null,"x"],"lat":3}"#;
    let Ok(ClientMessage::Hello(hello)) = decode(text, Bounds::Finite) else {
        panic!("a hello")
    };
    assert!(matches!(&hello.user, Some(Err(refusal)) if refusal.code().word() == "bad_id"));
    let valid: Vec<&str> = hello.following.valid.iter().map(UserId::text).collect();
    assert_eq!(valid, ["1", "2", "x"]);
    assert_eq!(
        hello.following.refusal,
        Some(Refusal::BadIds(2, "\"\"".to_owned()))
    );
    let Ok(ClientMessage::Hello(hello)) = decode(
        r#"{"initialRequest":true,"userId":null,"following":null}"#,
        Bounds::Finite,
    ) else {
        panic!("a hello")
    };
    assert!(
        hello.user.is_none()
            && hello.following.valid.is_empty()
            && hello.following.refusal.is_none()
    );
}

#[test]
fn a_hundred_thousand_levels_neither_overflow_the_stack_nor_hide_the_message() {
    for depth in [100, 100_000] {
        let text = format!(
            "{{\"userId\":5,\"lat\":1,\"lng\":2,\"x\":{}{}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        );
        assert_eq!(relayed(&text), r#"{"userId":5,"lat":1,"lng":2}"#);
    }
}

#[test]
fn an_error_quotes_little_and_escapes_it() {
    let json = format!("\"{}\\\"\"", "é".repeat(200));
    let refusal = user_id(&json).expect_err("too long");
    let mut out = Vec::new();
    encode_error(&refusal, &mut out);
    assert!(out.len() < 400);
    let parsed: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(parsed["error"]["code"], "bad_id");
}

#[test]
fn a_name_is_a_text_of_a_line() {
    let named = |json: &str| {
        let text = format!(r#"{{"initialRequest":true,"name":{json},"following":[5]}}"#);
        match decode(&text, Bounds::Finite) {
            Ok(ClientMessage::Hello(hello)) => {
                assert_eq!(hello.following.valid.len(), 1);
                hello.name.map(|name| name.map(|name| name.to_string()))
            }
            other => panic!("no hello: {other:?}"),
        }
    };
    let longest = "ä".repeat(32);
    for (json, name) in [
        (r#""Anna Berg""#, "Anna Berg"),
        (r#""J\u00f6rg \"J\"""#, "Jörg \"J\""),
        (&format!("\"{longest}\""), &longest),
    ] {
        assert_eq!(named(json), Some(Ok(name.to_owned())), "{json}");
    }
    assert_eq!(named("null"), None);
    for json in [
        "5",
        "true",
        "[]",
        r#""""#,
        r#""a\n""#,
        "\"\u{85}\"",
        r#""\ud800""#,
        &format!("\"{longest}x\""),
    ] {
        assert_eq!(named(json), Some(Err(Refusal::BadName)), "{json}");
    }
    assert_eq!(Refusal::BadName.code().word(), "bad_message");
}

#[test]
fn goodbye_is_a_change_that_is_true_and_means_nothing_elsewhere() {
    let goodbye = |text: &str| match decode(text, Bounds::Finite) {
        Ok(ClientMessage::Change(change)) => change.goodbye,
        other => panic!("no change: {other:?}"),
    };
    assert_eq!(goodbye(r#"{"goodbye":true}"#), Some(Ok(())));
    assert_eq!(goodbye(r#"{"goodbye":true,"unfollow":[5]}"#), Some(Ok(())));
    assert_eq!(goodbye(r#"{"goodbye":null,"unfollow":[5]}"#), None);
    for value in ["false", "1", r#""true""#, "[]"] {
        let said = goodbye(&format!(r#"{{"goodbye":{value}}}"#));
        assert_eq!(said, Some(Err(Refusal::NotTrue("goodbye"))), "{value}");
    }
    assert_eq!(Refusal::NotTrue("goodbye").code().word(), "bad_message");
    assert_eq!(refused(r#"{"goodbye":null}"#).0, "bad_message");
    assert_eq!(refused(r#"{"goodbye":true,"goodbye":true}"#).0, "bad_json");
    let hello = decode(r#"{"initialRequest":true,"goodbye":1}"#, Bounds::Finite);
    assert!(matches!(hello, Ok(ClientMessage::Hello(_))));
    assert_eq!(
        relayed(r#"{"userId":5,"lat":1,"lng":2,"goodbye":7,"name":{}}"#),
        r#"{"userId":5,"lat":1,"lng":2}"#
    );
}

#[test]
fn presence_and_the_roster_tell_what_users_are_called() {
    let presence = |name, color| {
        let mut out = Vec::new();
        let presence = Presence {
            user: "5",
            called: Called { name, color },
            spelling: Spelling::Integer,
            freshness: Freshness::Unknown,
            is_connected: false,
            age: None,
        };
        encode_presence(&presence, &mut out);
        String::from_utf8(out).expect("UTF-8")
    };
    let rest = r#","state":"unknown","connected":false}}"#;
    for (name, color, fields) in [
        (None, None, ""),
        (Some("Anna"), None, r#","name":"Anna""#),
        (
            Some("\"Ä\"\\"),
            Some("#Cc3300"),
            r##","name":"\"Ä\"\\","color":"#Cc3300""##,
        ),
    ] {
        let expected = format!(r#"{{"presence":{{"userId":5{fields}{rest}"#);
        assert_eq!(presence(name, color), expected);
    }
    let users = [
        ("5", Some("Anna"), Some("#cc3300")),
        ("\"6\"", Some("B"), None),
    ];
    let users = users.map(|(id, name, color)| (id, Called { name, color }));
    assert_eq!(
        encode_roster(users.into_iter()),
        r##"[{"userId":"5","name":"Anna","color":"#cc3300"},{"userId":"\"6\"","name":"B"}]"##
    );
    assert_eq!(encode_roster([].into_iter()), "[]");
}
