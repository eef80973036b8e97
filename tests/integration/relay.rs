//! Who gets which positions: the prototype's three messages, changes of follows, optional fields,
//! late fixes, last known positions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::slow::{heavy_position, position};
use crate::support::{Client, Server, assert_last_known, error, text_frame};

/// The number after `"lat":` in a message.
fn lat(text: &str) -> u64 {
    let rest = text.split_once(r#""lat":"#).expect("a position").1;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
    digits
        .and_then(|digits| digits.parse().ok())
        .expect("an integer")
}

fn unix_ms() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    now.as_millis() as u64
}

/// Raises a flag when the test is over, also when it fails.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_follower_gets_every_position_with_the_senders_digits() {
    let server = Server::start(&[]);
    let mut runner = server.join("5", "[5,6]");
    let mut other = server.join("6", "[5]");
    other.barrier();
    let numbers = [
        ("12.3", "45.6"),
        ("1.50", "2E0"),
        ("-0", "-0.0"),
        ("0", "1e-7"),
        ("99.99999999999999999999999999999", "100"),
        ("100", "1000000"),
        ("1E+2", "-1e2"),
    ];
    for (lat, lng) in numbers {
        let position = format!(r#"{{"userId":5,"lat":{lat},"lng":{lng}}}"#);
        runner.send(&position);
        assert_eq!(runner.receive(), position);
        assert_eq!(other.receive(), position);
    }
    other.send(r#"{"userId":6,"lat":1,"lng":2}"#);
    assert_eq!(runner.receive(), r#"{"userId":6,"lat":1,"lng":2}"#);
    assert!(runner.barrier().is_empty());
    assert!(other.barrier().is_empty(), "6 does not follow itself");
}

#[test]
fn a_relayed_position_has_one_form_whatever_the_order_and_spaces_of_the_sent_one() {
    let server = Server::start(&[]);
    let mut runner = server.join("5", "[5]");
    for (sent, relayed) in [
        (
            "{ \"lng\" : 2.0 ,\n\"unknown\":{\"lat\":7},\t\"lat\": 1 , \"userId\": 5 }",
            r#"{"userId":5,"lat":1,"lng":2.0}"#,
        ),
        (
            r#"{"\u0075serId":5,"l\u0061t":1,"lng":2}"#,
            r#"{"userId":5,"lat":1,"lng":2}"#,
        ),
        (
            r#"{"initialRequest":false,"userId":5,"lat":1,"lng":2}"#,
            r#"{"userId":5,"lat":1,"lng":2}"#,
        ),
        (
            r#"{"userId":5,"lat":1,"lng":2,"follow":[6],"token":null}"#,
            r#"{"userId":5,"lat":1,"lng":2}"#,
        ),
    ] {
        runner.send(sent);
        assert_eq!(runner.barrier(), [relayed], "{sent}");
    }
    assert_eq!(
        server.metric("spectate_follows"),
        1.0,
        "a position changes no follows"
    );
}

#[test]
fn a_number_and_its_string_are_one_user_and_each_position_keeps_its_own_way_of_writing() {
    let server = Server::start(&[]);
    let (mut by_number, _) = server.spectator("[5]");
    let (mut by_string, _) = server.spectator(r#"["5"]"#);
    let (mut by_escape, _) = server.spectator(r#"["\u0035"]"#);
    let mut runner = server.connect();
    for id in ["5", r#""5""#, r#""\u0035""#] {
        let position = format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#);
        runner.send(&position);
        for follower in [&mut by_number, &mut by_string, &mut by_escape] {
            assert_eq!(follower.receive(), position);
        }
    }
}

#[test]
fn different_texts_are_different_users() {
    let server = Server::start(&[]);
    let (mut follower, _) =
        server.spectator(r#"[7,"é","00",-0,"a b","123456789012345678901234567891"]"#);
    let mut runner = server.connect();
    for id in [
        r#""007""#,
        "-7",
        r#""7 ""#,
        r#""e\u0301""#,
        "0",
        r#""A b""#,
        "123456789012345678901234567890",
        "12345678901234567890123456789",
    ] {
        runner.send(&format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#));
    }
    assert!(runner.barrier().is_empty(), "all of them are ids");
    assert!(follower.barrier().is_empty());
    for id in ["7", r#""\u00e9""#, r#""-0""#] {
        let position = format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#);
        runner.send(&position);
        assert_eq!(follower.receive(), position);
    }
}

#[test]
fn ids_are_taken_up_to_64_bytes_or_digits() {
    let server = Server::start(&[]);
    let ids = [
        format!("\"{}\"", "x".repeat(64)),
        format!("\"{}\"", "é".repeat(32)),
        format!("\"{}\"", "\\u0041".repeat(64)),
        "9".repeat(64),
        format!("-{}", "9".repeat(63)),
    ];
    let (mut follower, _) = server.spectator(&format!("[{}]", ids.join(",")));
    let mut runner = server.connect();
    for id in ids {
        let position = format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#);
        runner.send(&position);
        assert_eq!(follower.receive(), position);
    }
}

#[test]
fn following_twice_delivers_once_and_sends_no_second_last_known_position() {
    let server = Server::start(&[]);
    let position = r#"{"userId":5,"lat":1,"lng":2}"#;
    let mut runner = server.connect();
    runner.send(position);
    runner.barrier();
    let (mut follower, last_known) = server.spectator(r#"[5,"5",5]"#);
    assert_eq!(last_known.len(), 1, "{last_known:?}");
    assert_last_known(&last_known[0], position);
    follower.hello("9", r#"[5,"\u0035"]"#);
    follower.send(r#"{"follow":[5,"5"]}"#);
    assert!(follower.barrier().is_empty());
    runner.send(position);
    runner.barrier();
    assert_eq!(follower.barrier(), [position]);
    assert_eq!(server.metric("spectate_follows"), 1.0);
}

#[test]
fn unfollowing_and_following_sends_the_last_known_position_again() {
    let server = Server::start(&[]);
    let position = r#"{"userId":5,"lat":1,"lng":2}"#;
    let mut runner = server.connect();
    runner.send(position);
    runner.barrier();
    let (mut follower, last_known) = server.spectator("[5]");
    assert_eq!(last_known.len(), 1);
    follower.send(r#"{"unfollow":[5]}"#);
    assert!(follower.barrier().is_empty());
    follower.send(r#"{"follow":[5]}"#);
    assert_last_known(&follower.receive(), position);
    follower.send(r#"{"unfollow":["5"]}"#);
    follower.send(r#"{"follow":["5"]}"#);
    assert_last_known(&follower.receive(), position);
    assert!(follower.barrier().is_empty());
}

#[test]
fn a_hello_sent_again_adds_follows() {
    let server = Server::start(&[]);
    let mut follower = server.join("1", "[5]");
    follower.hello("1", "[6]");
    follower.hello("1", "[]");
    follower.send(r#"{"initialRequest":true}"#);
    assert!(follower.barrier().is_empty());
    assert_eq!(server.metric("spectate_follows"), 2.0);
    let mut runners = server.connect();
    for id in [5, 6, 7] {
        runners.send(&format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#));
    }
    runners.barrier();
    assert_eq!(
        follower.barrier(),
        [
            r#"{"userId":5,"lat":1,"lng":2}"#,
            r#"{"userId":6,"lat":1,"lng":2}"#
        ]
    );
}

#[test]
fn a_hello_needs_neither_a_user_nor_follows() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for hello in [
        r#"{"initialRequest":true}"#,
        r#"{"initialRequest":true,"following":[]}"#,
        r#"{"initialRequest":true,"userId":null,"following":null}"#,
        r#"{"initialRequest":true,"following":[5]}"#,
    ] {
        client.send(hello);
        assert!(client.barrier().is_empty(), "{hello}");
    }
    let mut runner = server.join("5", "[]");
    runner.send(r#"{"userId":5,"lat":1,"lng":2}"#);
    assert_eq!(client.receive(), r#"{"userId":5,"lat":1,"lng":2}"#);
    assert!(runner.barrier().is_empty());
}

#[test]
fn follow_and_unfollow_change_what_arrives() {
    let server = Server::start(&[]);
    let mut follower = server.connect();
    follower.send(r#"{"follow":[7,"8",9]}"#);
    follower.send(r#"{"unfollow":[9,"nobody"]}"#);
    assert!(follower.barrier().is_empty());
    let mut runners = server.connect();
    let mut run = |follower: &mut Client| {
        for id in [7, 8, 9] {
            runners.send(&format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#));
        }
        runners.barrier();
        follower.barrier()
    };
    let [seven, eight, nine] = [7, 8, 9].map(|id| format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#));
    assert_eq!(run(&mut follower), [seven.as_str(), &eight]);
    follower.send(r#"{"unfollow":[7]}"#);
    assert!(follower.barrier().is_empty());
    assert_eq!(run(&mut follower), [eight.as_str()]);
    follower.send(r#"{"follow":[9],"unfollow":[8]}"#);
    let last_known = follower.barrier();
    assert_eq!(last_known.len(), 1);
    assert_last_known(&last_known[0], &nine);
    assert_eq!(run(&mut follower), [nine.as_str()]);
    follower.send(r#"{"unfollow":[9]}"#);
    assert!(follower.barrier().is_empty());
    assert!(run(&mut follower).is_empty());
    assert_eq!(server.metric("spectate_follows"), 0.0);
}

#[test]
fn a_change_carries_out_its_follows_before_its_unfollows() {
    let server = Server::start(&[]);
    let mut follower = server.connect();
    follower.send(r#"{"unfollow":[7],"follow":[7]}"#);
    follower.send(r#"{"follow":[8],"unfollow":[8]}"#);
    follower.barrier();
    assert_eq!(server.metric("spectate_follows"), 0.0);
    let mut runner = server.connect();
    runner.send(r#"{"userId":7,"lat":1,"lng":2}"#);
    runner.barrier();
    assert!(follower.barrier().is_empty());
}

#[test]
fn unfollowing_in_any_order_leaves_the_other_follows_as_they_were() {
    let server = Server::start(&[]);
    let ids: Vec<u32> = (0..12).collect();
    let position = |id: &u32| format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#);
    let mut followers: Vec<(Client, Vec<u32>)> = (0..4)
        .map(|_| (server.spectator(&format!("{ids:?}")).0, ids.clone()))
        .collect();
    let mut runners = server.connect();
    for round in 0..8 {
        for (index, (follower, left)) in followers.iter_mut().enumerate() {
            let gone = left.remove((round * (index + 3)) % left.len());
            follower.send(&format!(r#"{{"unfollow":[{gone}]}}"#));
            assert!(follower.barrier().is_empty());
        }
        for id in &ids {
            runners.send(&position(id));
        }
        runners.barrier();
        for (follower, left) in &mut followers {
            let expected: Vec<String> = left.iter().map(position).collect();
            assert_eq!(follower.barrier(), expected);
        }
    }
}

#[test]
fn what_one_runner_sends_arrives_whole_and_in_order() {
    let server = Server::start(&[]);
    let (mut first, _) = server.spectator("[0,1,2]");
    let (mut second, _) = server.spectator("[2,0]");
    let mut runners: Vec<Client> = (0..3)
        .map(|id| server.join(&id.to_string(), "[]"))
        .collect();
    let mut arrived: [[Vec<u64>; 3]; 2] = Default::default();
    for batch in 0..20 {
        for lat in batch * 30..(batch + 1) * 30 {
            for (id, runner) in runners.iter_mut().enumerate() {
                runner.send(&format!(r#"{{"userId":{id},"lat":{lat},"lng":0}}"#));
            }
        }
        for runner in &mut runners {
            assert!(runner.barrier().is_empty());
        }
        for (follower, arrived) in [&mut first, &mut second].into_iter().zip(&mut arrived) {
            for text in follower.barrier() {
                let id: usize = text[r#"{"userId":"#.len()..][..1].parse().expect("0 to 2");
                arrived[id].push(lat(&text));
            }
        }
    }
    let all: Vec<u64> = (0..600).collect();
    assert_eq!(arrived[0], [all.clone(), all.clone(), all.clone()]);
    assert_eq!(arrived[1], [all.clone(), Vec::new(), all]);
    assert_eq!(server.metric("spectate_positions_conflated_total"), 0.0);
    assert_eq!(server.metric("spectate_positions_delivered_total"), 3000.0);
}

#[test]
fn a_position_without_a_user_id_is_relayed_as_the_hello_wrote_it() {
    let server = Server::start(&[]);
    let (mut follower, _) = server.spectator(r#"[5,"x\u0079"]"#);
    for id in ["5", r#""5""#, r#""x\u0079""#] {
        let mut runner = server.join(id, "[]");
        runner.send(r#"{"lat":1.0,"lng":2}"#);
        assert_eq!(
            follower.receive(),
            format!(r#"{{"userId":{id},"lat":1.0,"lng":2}}"#)
        );
    }
    let mut runner = server.join("5", "[]");
    runner.send(r#"{"userId":"5","lat":1,"lng":2}"#);
    assert_eq!(follower.receive(), r#"{"userId":"5","lat":1,"lng":2}"#);
    runner.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(follower.receive(), r#"{"userId":5,"lat":1,"lng":2}"#);
}

#[test]
fn a_position_without_a_user_id_and_without_a_hello_is_refused() {
    let server = Server::start(&[]);
    let mut runner = server.connect();
    runner.send(r#"{"lat":1,"lng":2}"#);
    let (code, message) = runner.receive_error();
    assert_eq!(code, "bad_id");
    assert!(message.contains("userId"), "{message}");
    runner.send(r#"{"initialRequest":true,"following":[5]}"#);
    runner.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(runner.receive_error().0, "bad_id");
    runner.hello("5", "[]");
    runner.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(runner.receive(), r#"{"userId":5,"lat":1,"lng":2}"#);
}

#[test]
fn a_connection_that_said_who_it_is_cannot_be_somebody_else() {
    let server = Server::start(&[]);
    let (mut follower, _) = server.spectator("[5,6]");
    let mut runner = server.join("5", "[]");
    runner.send(r#"{"userId":6,"lat":1,"lng":2}"#);
    let (code, message) = runner.receive_error();
    assert_eq!(code, "wrong_user");
    assert!(message.contains('5'), "{message}");
    runner.hello("6", "[7]");
    assert_eq!(runner.receive_error().0, "wrong_user");
    assert!(follower.barrier().is_empty());
    assert_eq!(
        server.metric("spectate_follows"),
        3.0,
        "the hello's follows are carried out"
    );
    let mut seven = server.join("7", "[]");
    seven.send(r#"{"lat":7,"lng":7}"#);
    assert_eq!(runner.receive(), r#"{"userId":7,"lat":7,"lng":7}"#);
    runner.send(r#"{"lat":1,"lng":2}"#);
    runner.send(r#"{"userId":"5","lat":3,"lng":4}"#);
    assert_eq!(follower.receive(), r#"{"userId":5,"lat":1,"lng":2}"#);
    assert_eq!(follower.receive(), r#"{"userId":"5","lat":3,"lng":4}"#);
    assert!(runner.barrier().is_empty());
    assert_eq!(
        server.metric(r#"spectate_positions_rejected_total{reason="wrong_user"}"#),
        1.0
    );
}

#[test]
fn a_gateway_that_declared_no_id_publishes_for_anybody() {
    let server = Server::start(&[]);
    let (mut follower, _) = server.spectator("[5,6]");
    let mut gateway = server.connect();
    gateway.send(r#"{"initialRequest":true,"following":[]}"#);
    for id in [5, 6, 5] {
        let position = format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#);
        gateway.send(&position);
        assert_eq!(follower.receive(), position);
    }
    assert!(gateway.barrier().is_empty());
}

#[test]
fn optional_fields_are_relayed_behind_lng_in_one_order_and_only_when_known() {
    let server = Server::start(&[]);
    let mut runner = server.join("5", "[5]");
    for (sent, relayed) in [
        (
            r#""battery":0.50,"timestamp":1000.5,"speed":3.0,"heading":359.9,"altitudeAccuracy":2,"altitude":-1.0,"accuracy":1e1"#,
            r#","accuracy":1e1,"altitude":-1.0,"altitudeAccuracy":2,"heading":359.9,"speed":3.0,"timestamp":1000.5,"battery":0.50"#,
        ),
        (
            r#""accuracy":null,"altitude":null,"altitudeAccuracy":null,"heading":null,"speed":null,"timestamp":null,"battery":null"#,
            "",
        ),
        (
            r#""accuracy":-1,"altitudeAccuracy":-1,"heading":-1,"speed":-0.5,"battery":-1,"altitude":-430.5"#,
            r#","altitude":-430.5"#,
        ),
        (
            r#""accuracy":0,"altitudeAccuracy":0,"heading":0,"speed":0,"battery":0,"altitude":0"#,
            r#","accuracy":0,"altitude":0,"altitudeAccuracy":0,"heading":0,"speed":0,"battery":0"#,
        ),
        (r#""heading":360"#, r#","heading":360"#),
        (
            r#""heading":360.0,"battery":1.0"#,
            r#","heading":360.0,"battery":1.0"#,
        ),
        (r#""name":"x","age":3,"Speed":4,"altitude_accuracy":5"#, ""),
    ] {
        runner.send(&format!(r#"{{"userId":5,"lat":1,"lng":2,{sent}}}"#));
        let expected = format!(r#"{{"userId":5,"lat":1,"lng":2{relayed}}}"#);
        assert_eq!(runner.barrier(), [expected], "{sent}");
    }
}

#[test]
fn an_optional_field_that_cannot_be_refuses_the_whole_position() {
    let server = Server::start(&[]);
    let mut runner = server.join("5", "[5]");
    let mut count = 0.0;
    for field in [
        "accuracy",
        "altitude",
        "altitudeAccuracy",
        "heading",
        "speed",
        "timestamp",
        "battery",
    ] {
        let mut values = vec!["\"1\"", "true", "[1]", "{}", "1e999", "-1e999"];
        match field {
            "heading" => values.extend(["360.5", "361"]),
            "battery" => values.extend(["1.01", "50"]),
            _ => {}
        }
        for value in values {
            runner.send(&format!(
                r#"{{"userId":5,"lat":1,"lng":2,"{field}":{value}}}"#
            ));
            let (code, message) = runner.receive_error();
            assert_eq!(code, "bad_position", "{field} {value}");
            assert!(message.starts_with(field), "{message}");
            count += 1.0;
        }
    }
    assert!(runner.barrier().is_empty());
    assert_eq!(
        server.metric(r#"spectate_positions_rejected_total{reason="bad_position"}"#),
        count
    );
    assert_eq!(
        server.metric(r#"spectate_positions_received_total{source="websocket"}"#),
        0.0
    );
}

#[test]
fn a_fix_older_than_the_newest_is_counted_and_not_relayed() {
    let server = Server::start(&[]);
    let (mut follower, _) = server.spectator("[5,6]");
    let mut runner = server.join("5", "[]");
    let mut send = |lat: u32, timestamp: &str| {
        runner.send(&format!(
            r#"{{"lat":{lat},"lng":0,"timestamp":{timestamp}}}"#
        ));
        assert!(runner.barrier().is_empty(), "no error");
        let arrived = follower.barrier();
        if arrived.is_empty() {
            return false;
        }
        assert_eq!(
            arrived,
            [format!(
                r#"{{"userId":5,"lat":{lat},"lng":0,"timestamp":{timestamp}}}"#
            )]
        );
        true
    };
    assert!(send(1, "5000"));
    assert!(!send(2, "4999"), "older");
    assert!(!send(3, "-5000"), "long before");
    assert!(!send(4, "4999.999"), "older by less than a millisecond");
    assert!(send(5, "5000"), "as old");
    assert!(send(6, "5.000e3"), "as old, otherwise written");
    assert!(send(7, "5000.5"));
    assert!(!send(8, "5000"));
    assert_eq!(server.metric("spectate_positions_late_total"), 4.0);
    assert_eq!(
        server.metric(r#"spectate_positions_received_total{source="websocket"}"#),
        4.0
    );
    let mut other = server.join("6", "[]");
    other.send(r#"{"lat":1,"lng":2,"timestamp":1}"#);
    assert_eq!(
        follower.receive(),
        r#"{"userId":6,"lat":1,"lng":2,"timestamp":1}"#,
        "each runner has a newest of its own"
    );
    let (_, last_known) = server.spectator("[5]");
    assert_last_known(
        &last_known[0],
        r#"{"userId":5,"lat":7,"lng":0,"timestamp":5000.5}"#,
    );
}

#[test]
fn a_position_without_a_timestamp_is_always_relayed_and_leaves_the_newest_fix_as_it_was() {
    let server = Server::start(&[]);
    let mut runner = server.join("5", "[5]");
    for (sent, relayed) in [
        (r#"{"lat":1,"lng":0}"#, true),
        (r#"{"lat":2,"lng":0,"timestamp":5000}"#, true),
        (r#"{"lat":3,"lng":0}"#, true),
        (r#"{"lat":4,"lng":0,"timestamp":null}"#, true),
        (r#"{"lat":5,"lng":0,"timestamp":4000}"#, false),
        (r#"{"lat":6,"lng":0}"#, true),
        (r#"{"lat":7,"lng":0,"timestamp":5000}"#, true),
    ] {
        runner.send(sent);
        assert_eq!(runner.barrier().len(), usize::from(relayed), "{sent}");
    }
    assert_eq!(server.metric("spectate_positions_late_total"), 1.0);
}

#[test]
fn a_clock_over_a_minute_ahead_counts_as_now_and_freezes_no_dot() {
    let server = Server::start(&[]);
    let mut runner = server.join("5", "[5]");
    let mut send = |timestamp: &str| {
        let position = format!(r#"{{"userId":5,"lat":1,"lng":0,"timestamp":{timestamp}}}"#);
        runner.send(&position);
        let arrived = runner.barrier();
        assert!(arrived.is_empty() || arrived == [position], "{arrived:?}");
        !arrived.is_empty()
    };
    let begin = unix_ms();
    assert!(send("4102444800000"), "relayed as sent");
    assert!(send("1e300"));
    assert!(!send(&(begin - 1000).to_string()), "older than now");
    // Up to a minute ahead is taken at its word, so what is behind it is late.
    assert!(send(&(unix_ms() + 50_000).to_string()));
    assert!(!send(&(unix_ms() + 20_000).to_string()));
    assert!(send(&(unix_ms() + 55_000).to_string()));
}

#[test]
fn a_clock_over_a_minute_ahead_makes_no_later_fix_late() {
    let server = Server::start(&[]);
    let mut runner = server.join("5", "[5]");
    runner.send(r#"{"lat":1,"lng":0,"timestamp":4102444800000}"#);
    assert_eq!(runner.barrier().len(), 1);
    let mended = format!(r#"{{"lat":2,"lng":0,"timestamp":{}}}"#, unix_ms() + 5);
    runner.send(&mended);
    assert_eq!(runner.barrier().len(), 1, "the clock was set right");
}

#[test]
fn last_known_positions_come_once_for_each_known_user_and_the_newest_only() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    for lat in 1..=3 {
        for id in ["5", r#""6""#] {
            gateway.send(&format!(
                r#"{{"userId":{id},"lat":{lat},"lng":0,"speed":1.50}}"#
            ));
        }
    }
    gateway.barrier();
    let mut follower = server.connect();
    follower.send(r#"{"initialRequest":true,"userId":5,"following":["5",7,6]}"#);
    let mut arrived = follower.barrier();
    arrived.sort();
    assert_eq!(arrived.len(), 2, "{arrived:?}");
    assert_last_known(
        &arrived[0],
        r#"{"userId":"6","lat":3,"lng":0,"speed":1.50}"#,
    );
    assert_last_known(&arrived[1], r#"{"userId":5,"lat":3,"lng":0,"speed":1.50}"#);
    gateway.send(r#"{"userId":7,"lat":1,"lng":2}"#);
    gateway.barrier();
    assert_eq!(follower.barrier(), [r#"{"userId":7,"lat":1,"lng":2}"#]);
}

#[test]
fn a_last_known_position_outlives_its_runners_connection() {
    let server = Server::start(&[]);
    let position = r#"{"userId":5,"lat":1,"lng":2}"#;
    let mut runner = server.join("5", "[]");
    runner.send(position);
    runner.barrier();
    drop(runner);
    server.wait_for_metric("spectate_connections", 0.0);
    let (_, last_known) = server.spectator("[5]");
    assert_last_known(&last_known[0], position);
}

#[test]
fn the_last_known_position_and_the_follow_are_one_step() {
    let server = Server::start(&[]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _done = OnDrop(&done);
        scope.spawn(|| {
            let mut runner = server.join("5", "[]");
            let mut lat = 0;
            while !done.load(Ordering::Relaxed) {
                for _ in 0..20 {
                    lat += 1;
                    runner.send(&format!(r#"{{"lat":{lat},"lng":0}}"#));
                }
                runner.barrier();
            }
        });
        let follow = |follower: &mut Client| {
            let mut newest = 0;
            for round in 0..60 {
                follower.send(r#"{"follow":[5]}"#);
                // Of what was sent before the unfollow, some may still be under way.
                let snapshot = loop {
                    let text = follower.receive();
                    assert!(lat(&text) >= newest, "{text} after {newest}");
                    newest = lat(&text);
                    if text.contains("age") {
                        break newest;
                    }
                    assert!(round > 0, "live before the last known: {text}");
                };
                for next in snapshot + 1..=snapshot + 25 {
                    assert_eq!(
                        follower.receive(),
                        format!(r#"{{"userId":5,"lat":{next},"lng":0}}"#)
                    );
                    newest = next;
                }
                follower.send(r#"{"unfollow":[5]}"#);
            }
        };
        // The publisher has begun as soon as a position arrives.
        let (mut first, last_known) = server.spectator("[5]");
        if last_known.is_empty() {
            first.receive();
        }
        first.send(r#"{"unfollow":[5]}"#);
        first.barrier();
        follow(&mut first);
    });
}

#[test]
fn the_age_of_a_last_known_position_is_the_time_since_it_came() {
    let server = Server::start(&["--ping-interval", "2s"]);
    let position = r#"{"userId":5,"lat":1,"lng":2,"timestamp":1000}"#;
    let mut runner = server.connect();
    runner.send(position);
    runner.barrier();
    let (mut follower, last_known) = server.spectator("[5]");
    assert!(assert_last_known(&last_known[0], position) < 1.5, "new");
    // The server's own ping tells that time has passed.
    let begin = std::time::Instant::now();
    follower.wait_for_ping();
    let passed = begin.elapsed().as_secs_f64();
    follower.send(r#"{"unfollow":[5]}"#);
    follower.send(r#"{"follow":[5]}"#);
    let age = assert_last_known(&follower.receive(), position);
    assert!(age >= passed - 0.1, "{age} after {passed}");
}

#[test]
fn who_speaks_only_the_prototypes_messages_receives_nothing_else() {
    let server = Server::start(&[]);
    let mut prototype = server.join("1", "[1,2]");
    assert!(prototype.barrier().is_empty(), "nobody is known yet");
    let mut other = server.connect();
    other.send(
        r#"{"initialRequest":true,"userId":2,"following":[1],"presence":true,"audience":true}"#,
    );
    other.send(r#"{"follow":[1,2,3],"unfollow":[3]}"#);
    other.send(r#"{"userId":3,"lat":1,"lng":2}"#);
    other.send("nonsense");
    other.send(r#"{"userId":2,"lat":1,"lng":2}"#);
    other.barrier();
    drop(other);
    server.wait_for_metric("spectate_connections", 1.0);
    prototype.send(r#"{"userId":1,"lat":3,"lng":4}"#);
    assert_eq!(
        prototype.barrier(),
        [
            r#"{"userId":2,"lat":1,"lng":2}"#,
            r#"{"userId":1,"lat":3,"lng":4}"#
        ]
    );
}

#[test]
fn any_finite_number_is_relayed_unless_wgs84_is_asked_for() {
    let server = Server::start(&[]);
    let wgs84 = Server::start(&["--wgs84"]);
    let answer = |server: &Server, lat: &str, lng: &str| {
        let mut runner = server.join("5", "[5]");
        runner.barrier();
        runner.send(&format!(r#"{{"userId":5,"lat":{lat},"lng":{lng}}}"#));
        let answer = runner.receive();
        assert!(runner.barrier().is_empty());
        answer
    };
    for (lat, lng, refused) in [
        ("90", "180", None),
        ("-90.0", "-180", None),
        ("0", "0", None),
        ("90.1", "0", Some("lat")),
        ("-90.0000001", "0", Some("lat")),
        ("100", "45", Some("lat")),
        ("0", "180.5", Some("lng")),
        ("0", "-181", Some("lng")),
        ("1", "1e308", Some("lng")),
    ] {
        let position = format!(r#"{{"userId":5,"lat":{lat},"lng":{lng}}}"#);
        assert_eq!(answer(&server, lat, lng), position);
        let answer = answer(&wgs84, lat, lng);
        let Some(field) = refused else {
            assert_eq!(answer, position);
            continue;
        };
        let (code, message) = error(&answer);
        assert_eq!(code, "bad_position");
        assert!(message.starts_with(field), "{message} for {position}");
    }
}

#[test]
fn held_positions_go_out_all_and_in_order() {
    let server = Server::start(&["--flush-interval", "100ms"]);
    let (mut follower, _) = server.spectator("[5,6]");
    let mut runners = server.connect();
    for lat in 0..50 {
        for id in [5, 6] {
            runners.send(&format!(r#"{{"userId":{id},"lat":{lat},"lng":0}}"#));
        }
    }
    for lat in 0..50 {
        for id in [5, 6] {
            assert_eq!(
                follower.receive(),
                format!(r#"{{"userId":{id},"lat":{lat},"lng":0}}"#)
            );
        }
    }
}

#[test]
fn what_was_accepted_before_an_unfollow_still_arrives_though_it_is_held() {
    let server = Server::start(&["--flush-interval", "5s"]);
    let (mut follower, _) = server.spectator("[5,6]");
    let mut runners = server.connect();
    let positions = [5, 6].map(|id| format!(r#"{{"userId":{id},"lat":1,"lng":0}}"#));
    for position in &positions {
        runners.send(position);
    }
    runners.barrier();
    follower.send(r#"{"unfollow":[5]}"#);
    assert_eq!(follower.barrier(), positions);
}

#[test]
fn follows_over_the_limit_are_left_out_and_named() {
    let server = Server::start(&["--max-follows", "3"]);
    let mut follower = server.join("1", r#"[1,2,3,3,"1",44,45,2]"#);
    let (code, message) = follower.receive_error();
    assert_eq!(code, "too_many_follows");
    assert!(message.contains("44") && message.contains('2'), "{message}");
    assert!(
        !message.contains("45"),
        "only the first is named: {message}"
    );
    assert!(follower.barrier().is_empty(), "one error for each kind");
    assert_eq!(server.metric("spectate_follows"), 3.0);
    follower.send(r#"{"follow":[3]}"#);
    assert!(follower.barrier().is_empty(), "3 is followed already");
    follower.send(r#"{"unfollow":[2]}"#);
    follower.send(r#"{"follow":[46]}"#);
    assert!(follower.barrier().is_empty(), "there is room again");
    let mut runners = server.connect();
    for id in [1, 2, 3, 44, 46] {
        runners.send(&format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#));
    }
    runners.barrier();
    let expected = [1, 3, 46].map(|id| format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#));
    assert_eq!(follower.barrier(), expected);
}

#[test]
fn follows_of_all_connections_together_have_a_limit_and_room_that_is_given_back() {
    let server = Server::start(&["--max-follows-total", "5"]);
    let mut first = server.join("1", "[1,2,3]");
    assert!(first.barrier().is_empty());
    let mut second = server.join("2", "[1,2,3,4]");
    let (code, message) = second.receive_error();
    assert_eq!(code, "too_many_follows");
    assert!(
        message.contains("2 left out, the first of them 3"),
        "{message}"
    );
    second.send(r#"{"follow":[1,2]}"#);
    assert!(second.barrier().is_empty(), "they are followed already");
    drop(first);
    server.wait_for_metric("spectate_follows", 2.0);
    second.send(r#"{"follow":[3,4,5]}"#);
    assert!(second.barrier().is_empty(), "there is room again");
    assert_eq!(server.metric("spectate_follows"), 5.0);
}

#[test]
fn a_message_of_every_kind_in_one_write_is_carried_out_in_order() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let texts = [
        r#"{"initialRequest":true,"userId":5,"following":[5]}"#,
        r#"{"lat":1,"lng":0}"#,
        r#"{"unfollow":[5]}"#,
        r#"{"lat":2,"lng":0}"#,
        r#"{"follow":[5]}"#,
        r#"{"lat":3,"lng":0}"#,
    ];
    let bytes: Vec<u8> = texts.iter().flat_map(|text| text_frame(text)).collect();
    client.send_raw(&bytes);
    let arrived = client.barrier();
    assert_eq!(arrived.len(), 3, "{arrived:?}");
    assert_eq!(arrived[0], r#"{"userId":5,"lat":1,"lng":0}"#);
    assert_last_known(&arrived[1], r#"{"userId":5,"lat":2,"lng":0}"#);
    assert_eq!(arrived[2], r#"{"userId":5,"lat":3,"lng":0}"#);
}

#[test]
fn a_connection_follows_a_thousand_users_by_default_and_no_more() {
    let server = Server::start(&[]);
    let ids: Vec<u32> = (0..1005).collect();
    let mut follower = server.join("7777", &format!("{ids:?}"));
    let (code, message) = follower.receive_error();
    assert_eq!(code, "too_many_follows");
    assert!(
        message.contains("1000") && message.contains('5'),
        "{message}"
    );
    assert!(follower.barrier().is_empty());
    assert_eq!(server.metric("spectate_follows"), 1000.0);
    let mut gateway = server.connect();
    for id in &ids {
        gateway.send(&format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#));
    }
    gateway.barrier();
    assert_eq!(follower.barrier().len(), 1000);
    // All last known positions come with the follows, each once.
    let (_, mut last_known) = server.spectator(&format!("{:?}", &ids[..1000]));
    last_known.sort();
    last_known.dedup();
    assert_eq!(last_known.len(), 1000);
}

/// Long positions that were replaced by short ones do not go on taking the room of the long ones.
#[test]
fn last_known_positions_take_no_more_room_than_they_need() {
    const RUNNERS: u64 = 20_000;
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    for runner in 0..RUNNERS {
        gateway.send(&position(runner, 1));
    }
    gateway.barrier();
    let before = server.memory_kib();
    for runner in 0..RUNNERS {
        gateway.send(&heavy_position(runner));
        gateway.send(&position(runner, 1));
    }
    gateway.barrier();
    let grown = server.memory_kib().saturating_sub(before);
    // Kept, the long ones would be some 5 MiB.
    assert!(grown < 1024, "{grown} KiB for {RUNNERS} short positions");
}
