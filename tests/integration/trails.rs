//! Trails: who asks gets the way that each runner came, and nobody else gets any of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spectate::auth::{Follow, Publish};

use crate::access::{self, SECRET, grant, ids, signed};
use crate::phone::{Phone, get};
use crate::slow::{FILLER, fall_behind, heavy_position};
use crate::support::{Answer, Client, Server, assert_last_known, error, narrow_socket, text_frame};

/// Some time in 2024.
const START_MS: u64 = 1_714_470_000_000;

/// Longer than a trail takes to be sent again.
const AGAIN: Duration = Duration::from_secs(5);

/// A position so many seconds after the start and as many ten-thousandths of a degree north: 11 m
/// each.
fn at(user: &str, second: u64) -> String {
    let (lat, ms) = (place(second), START_MS + second * 1000);
    format!(r#"{{"userId":{user},"lat":{lat},"lng":7.25,"timestamp":{ms}}}"#)
}

fn place(second: u64) -> f64 {
    (460_001 + second) as f64 / 10_000.0
}

/// The trail message with points of these seconds.
fn trail(user: &Value, seconds: impl IntoIterator<Item = u64>) -> Value {
    let point = |second| json!([7.25, place(second), START_MS + second * 1000]);
    let points: Vec<Value> = seconds.into_iter().map(point).collect();
    json!({"trail": {"userId": user, "points": points}})
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// A gateway that has sent positions of user 5 at these seconds.
fn five_at(server: &Server, seconds: impl IntoIterator<Item = u64>) -> Client {
    let mut gateway = server.connect();
    for second in seconds {
        gateway.send(&at("5", second));
    }
    gateway.barrier();
    gateway
}

/// What a connection gets that says this.
fn told(server: &Server, text: &str) -> (Client, Vec<String>) {
    let mut client = server.connect();
    client.send(text);
    let texts = client.barrier();
    (client, texts)
}

fn hello(rest: &str) -> String {
    format!(r#"{{"initialRequest":true,{rest}}}"#)
}

#[test]
fn who_asks_gets_the_last_points_right_before_the_last_known_position() {
    let server = Server::start(&[]);
    let mut gateway = five_at(&server, 0..100);
    gateway.send(&at("6", 7));
    gateway.barrier();
    let text = hello(r#""trail":60,"presence":true,"following":[5,"6",7]"#);
    let (mut client, texts) = told(&server, &text);
    let kinds: Vec<Value> = texts.iter().map(|text| parsed(text)).collect();
    assert_eq!(texts.len(), 7, "{texts:?}");
    assert_eq!(kinds[0]["presence"]["userId"], 5);
    assert_eq!(kinds[1], trail(&json!(5), 40..100));
    assert_last_known(&texts[2], &at("5", 99));
    assert_eq!(kinds[3]["presence"]["userId"], "6");
    assert_eq!(kinds[4], trail(&json!("6"), [7]), "as the follow wrote it");
    assert_last_known(&texts[5], &at("6", 7));
    assert_eq!(
        kinds[6]["presence"]["userId"], 7,
        "and nothing for an empty trail"
    );
    // With each follow from now on too, and not with what comes live.
    gateway.send(&at("8", 1));
    gateway.send(&at("5", 100));
    gateway.barrier();
    assert_eq!(client.barrier(), [at("5", 100)]);
    client.send(r#"{"follow":[8],"unfollow":[5]}"#);
    let texts = client.barrier();
    assert_eq!(parsed(&texts[1]), trail(&json!(8), [1]), "{texts:?}");
    assert_last_known(&texts[2], &at("8", 1));
}

#[test]
fn who_does_not_ask_gets_none_and_0_and_null_end_it() {
    let server = Server::start(&[]);
    let _gateway = five_at(&server, 0..3);
    for text in [
        hello(r#""following":[5]"#),
        hello(r#""since":5,"following":[5]"#),
        hello(r#""trail":0,"following":[5]"#),
        hello(r#""trail":null,"since":5,"following":[5]"#),
        r#"{"follow":[5],"trail":60}"#.to_owned(),
    ] {
        let (_client, texts) = told(&server, &text);
        assert_eq!(texts.len(), 1, "{text}: {texts:?}");
        assert_last_known(&texts[0], &at("5", 2));
    }
    for end in ["0", "null"] {
        let (mut client, texts) = told(&server, &hello(r#""trail":2,"following":[6]"#));
        assert!(texts.is_empty());
        client.send(&hello(&format!(r#""trail":{end}"#)));
        client.send(r#"{"follow":[5]}"#);
        let texts = client.barrier();
        assert_eq!(texts.len(), 1, "{end}: {texts:?}");
        assert_last_known(&texts[0], &at("5", 2));
    }
    let off = Server::start(&["--trail", "0"]);
    let _gateway = five_at(&off, 0..3);
    let (_client, texts) = told(&off, &hello(r#""trail":60,"following":[5]"#));
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_eq!(off.metric("spectate_trail_bytes"), 0.0);
}

#[test]
fn follows_already_in_place_get_theirs_and_each_field_is_carried_out_by_itself() {
    let server = Server::start(&["--trail", "5"]);
    let _gateway = five_at(&server, 0..9);
    let (mut client, texts) = told(&server, &hello(r#""following":[5]"#));
    assert_eq!(texts.len(), 1);
    client.send(&hello(r#""trail":3"#));
    assert_eq!(parsed(&client.receive()), trail(&json!(5), 6..9));
    client.send(&hello(r#""trail":1e9"#));
    assert_eq!(
        parsed(&client.receive()),
        trail(&json!(5), 4..9),
        "at most --trail"
    );
    for bad in ["-1", "1.5", "true", "\"3\"", "[3]"] {
        client.send(&hello(&format!(
            r#""trail":{bad},"since":0,"following":[6]"#
        )));
        let texts = client.barrier();
        assert_eq!(texts.len(), 1, "{bad}: {texts:?}");
        assert_eq!(error(&texts[0]).0, "bad_message", "{bad}");
    }
    client.send(&hello(r#""trail":2,"since":"soon""#));
    let texts = client.barrier();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(
        texts
            .iter()
            .any(|text| parsed(text) == trail(&json!(5), 7..9))
    );
    assert!(
        texts
            .iter()
            .any(|text| text.contains(r#""code":"bad_message""#))
    );
    assert_eq!(server.metric("spectate_follows"), 2.0);
}

#[test]
fn since_holds_for_the_trails_of_its_hello_alone() {
    let server = Server::start(&[]);
    let mut gateway = five_at(&server, 0..10);
    gateway.send(&at("6", 3));
    gateway.barrier();
    let since = START_MS + 6000;
    let text = hello(&format!(r#""trail":60,"since":{since},"following":[5,6]"#));
    let (mut client, texts) = told(&server, &text);
    assert_eq!(texts.len(), 3, "nothing new of 6: {texts:?}");
    assert_eq!(parsed(&texts[0]), trail(&json!(5), 7..10));
    client.send(r#"{"unfollow":[5]}"#);
    client.send(r#"{"follow":[5]}"#);
    let texts = client.barrier();
    assert_eq!(parsed(&texts[0]), trail(&json!(5), 0..10));
    client.send(&hello(&format!(r#""trail":2,"since":{since}.5"#)));
    let texts = client.barrier();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_eq!(
        parsed(&texts[0]),
        trail(&json!(5), 8..10),
        "the last two of those"
    );
}

#[test]
fn points_are_thinned_by_way_and_time_and_carry_altitudes() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    for (north, second, altitude) in [
        (0, 0, "431.25"),
        (50, 1, "432"),
        (80, 29, "null"),
        (85, 30, "-1.5"),
        (300, 31, "null"),
        (300, 31, "99"),
    ] {
        let (lat, ms) = (
            f64::from(46_000_000 + north) / 1e6,
            START_MS + second * 1000,
        );
        gateway.send(&format!(
            r#"{{"userId":5,"lat":{lat},"lng":-7.1234567,"timestamp":{ms},"altitude":{altitude}}}"#
        ));
    }
    gateway.barrier();
    let (_client, texts) = told(&server, &hello(r#""trail":60,"following":[5]"#));
    let points = json!([
        [-7.123457, 46, START_MS, 431.25],
        [-7.123457, 46.000085, START_MS + 30_000, -1.5],
        [-7.123457, 46.0003, START_MS + 31_000]
    ]);
    let trail = parsed(&texts[0]);
    let float = |value: &Value| value.to_string().replace("46.0,", "46,");
    assert_eq!(float(&trail["trail"]["points"]), float(&points));
}

#[test]
fn late_points_go_where_they_belong_and_the_trail_comes_again_once_in_5_seconds() {
    let server = Server::start(&[]);
    let mut gateway = five_at(&server, [0, 40]);
    let (mut client, texts) = told(&server, &hello(r#""trail":60,"following":[5]"#));
    assert_eq!(texts.len(), 2);
    let (_plain, _) = told(&server, &hello(r#""following":[5]"#));
    let mut phone = Phone::new(&server);
    let mut report = |seconds: &[u64]| {
        let points: Vec<String> = seconds.iter().map(|second| at("5", *second)).collect();
        let answer = phone.post("/track", "", &format!("[{}]", points.join(",")));
        let json = parsed(&answer.body);
        ["accepted", "late"].map(|name| json[name].as_u64().expect("a number"))
    };
    assert_eq!(report(&[20, 10]), [0, 2]);
    let first = Instant::now();
    assert_eq!(parsed(&client.receive()), trail(&json!(5), [0, 10, 20, 40]));
    // The same again is a duplicate, and nothing new.
    assert_eq!(report(&[10, 20, 40, 0]), [4, 0]);
    // Over WebSocket too.
    gateway.send(&at("5", 25));
    gateway.barrier();
    assert_eq!(report(&[30]), [0, 1]);
    gateway.send(&at("5", 41));
    assert_eq!(client.receive(), at("5", 41), "late points are not relayed");
    let second = trail(&json!(5), [0, 10, 20, 25, 30, 40, 41]);
    assert_eq!(parsed(&client.receive()), second);
    assert!(first.elapsed() >= AGAIN - Duration::from_millis(500));
    assert!(client.barrier().is_empty());
}

#[test]
fn everyone_brings_the_trail_of_each_before_it_and_ids_are_strings() {
    let server = Server::start(&["--follow-all"]);
    let mut gateway = five_at(&server, [0, 40]);
    gateway.send(&at("6", 1));
    gateway.barrier();
    let text = hello(r#""trail":60,"presence":true,"following":"*""#);
    let (mut client, texts) = told(&server, &text);
    let kinds: Vec<Value> = texts.iter().map(|text| parsed(text)).collect();
    assert_eq!(kinds.len(), 6, "{texts:?}");
    assert_eq!(kinds[2], trail(&json!("5"), [0, 40]));
    assert_last_known(&texts[3], &at("5", 40));
    assert_eq!(kinds[4], trail(&json!("6"), [1]));
    assert_last_known(&texts[5], &at("6", 1));
    // Late points of one of them, and a newcomer.
    gateway.send(&at("5", 20));
    assert_eq!(parsed(&client.receive()), trail(&json!("5"), [0, 20, 40]));
    gateway.send(&at("7", 1));
    assert_eq!(parsed(&client.receive())["presence"]["userId"], "7");
    assert_eq!(client.receive(), at("7", 1));
    // Asked for later, and only what is new.
    let (mut client, texts) = told(&server, r#"{"follow":"*"}"#);
    assert_eq!(texts.len(), 3);
    let since = START_MS + 1000;
    client.send(&hello(&format!(r#""trail":9,"since":{since}"#)));
    let texts = client.barrier();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_eq!(parsed(&texts[0]), trail(&json!("5"), [20, 40]));
    client.send(r#"{"unfollow":[5]}"#);
    client.send(r#"{"follow":[5]}"#);
    let texts = client.barrier();
    assert_eq!(parsed(&texts[0]), trail(&json!(5), [0, 20, 40]));
    assert_eq!(texts.len(), 2, "{texts:?}");
}

#[test]
fn a_trail_is_shown_to_those_alone_who_may_follow() {
    let (server, _file) = access::start("trails", &["--allow-origin", "https://a.example"]);
    let mut gateway = server.connect();
    gateway.send(&access::hello(&access::gateway(), ""));
    for user in ["5", "6", "7"] {
        gateway.send(&at(user, 0));
        gateway.send(&at(user, 1));
    }
    gateway.barrier();
    let mut client = server.connect();
    client.send(&access::hello(
        &access::five(),
        r#","trail":60,"following":[6,7]"#,
    ));
    let texts = client.barrier();
    assert_eq!(texts.len(), 3, "{texts:?}");
    let trails: Vec<Value> = (texts.iter().map(|text| parsed(text)))
        .filter(|json| !json["trail"].is_null())
        .collect();
    assert_eq!(trails, [trail(&json!(6), [0, 1])]);
    // A token that covers less takes it away.
    let less = signed(&grant("5", Follow::Only(ids(&[])), Publish::Own), SECRET);
    client.send(&format!(r#"{{"token":"{less}"}}"#));
    client.send(&hello(r#""trail":60"#));
    let texts = client.barrier();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_eq!(error(&texts[0]).0, "not_allowed");

    let ask =
        |target: &str, headers: &str| Answer::to(server.socket(), get(target, headers).as_bytes());
    let bearer = format!("Authorization: Bearer {}\r\n", access::five());
    assert_eq!(ask("/trail?id=6", "").status, 401);
    for (id, status) in [
        ("6", 200),
        ("5", 200),
        ("7", 403),
        ("nobody", 403),
        ("", 400),
    ] {
        let answer = ask(&format!("/trail?id={id}"), &bearer);
        assert_eq!(answer.status, status, "{id}");
    }
    for (origin, allowed) in [("https://a.example", true), ("https://b.example", false)] {
        let headers = format!("{bearer}Origin: {origin}\r\n");
        let answer = ask("/trail?id=6", &headers);
        let expected = allowed.then_some(origin);
        assert_eq!(answer.header("Access-Control-Allow-Origin"), expected);
    }
}

#[test]
fn over_http_it_is_a_line_with_times() {
    let server = Server::start(&[]);
    let _gateway = five_at(&server, [0, 40]);
    let mut runner = server.connect();
    runner.send(&hello(r#""userId":"a,b","name":"Anna""#));
    runner.send(&format!(
        r#"{{"lat":80,"lng":180,"altitude":7,"timestamp":{START_MS}}}"#
    ));
    runner.send(r#"{"lat":80,"lng":-179,"timestamp":1714470000.5}"#);
    runner.barrier();
    let feature = |target: &str| {
        let answer = server.get(target);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("Content-Type"), Some("application/geo+json"));
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
        parsed(&answer.body)
    };
    assert_eq!(
        feature("/trail?id=a%2Cb"),
        json!({
            "type": "Feature",
            "geometry": {"type": "LineString", "coordinates": [[180, 80, 7], [-179, 80]]},
            "properties": {"userId": "a,b", "name": "Anna", "times": [START_MS, START_MS + 500]},
        })
    );
    assert_eq!(feature("/trail?id=5")["properties"]["userId"], 5);
    let nowhere = |id: &str| {
        json!({
            "type": "Feature",
            "geometry": null,
            "properties": {"userId": id, "name": null, "times": []},
        })
    };
    assert_eq!(feature("/trail?id=nobody"), nowhere("nobody"));
    let mut gateway = server.connect();
    gateway.send(&at("\"6\"", 0));
    gateway.barrier();
    assert_eq!(feature("/trail?id=6"), nowhere("6"), "one point is no line");
    for bad in ["", "?id=", "?ids=5", "?id=5&id=6", "?id=%00"] {
        assert_eq!(server.get(&format!("/trail{bad}")).status, 400, "{bad}");
    }
    let ask = |method: &str| {
        let request = format!("{method} /trail?id=5 HTTP/1.1\r\nHost: test\r\n\r\n");
        Answer::to(server.socket(), request.as_bytes())
    };
    assert_eq!((ask("HEAD").status, ask("OPTIONS").status), (200, 204));
    let refused = ask("POST");
    assert_eq!(refused.status, 405);
    assert_eq!(refused.header("Allow"), Some("GET, HEAD, OPTIONS"));
    let off = Server::start(&["--trail", "0"]);
    let _gateway = five_at(&off, [0, 40]);
    let answer = parsed(&off.get("/trail?id=5").body);
    assert_eq!(answer["geometry"], Value::Null);
}

#[test]
fn who_is_forgotten_loses_the_trail_too() {
    let server = Server::start(&["--max-runners", "2"]);
    let mut runner = server.join("5", "[]");
    let line =
        |user: &str| parsed(&server.get(&format!("/trail?id={user}")).body)["geometry"].clone();
    for second in [0, 40] {
        runner.send(&at("5", second));
    }
    runner.barrier();
    assert_ne!(line("5"), Value::Null);
    runner.send(r#"{"goodbye":true}"#);
    runner.barrier();
    assert_eq!(line("5"), Value::Null);
    assert_eq!(server.metric("spectate_trail_points"), 0.0);
    let mut gateway = server.connect();
    for user in ["6", "7", "8"] {
        gateway.send(&at(user, 0));
        gateway.send(&at(user, 1));
    }
    gateway.barrier();
    assert_eq!(line("6"), Value::Null);
    assert_eq!(server.metric("spectate_trail_points"), 4.0);
}

#[test]
fn trails_stay_under_their_ceiling_and_the_longest_unheard_give_way() {
    const RUNNERS: u64 = 5000;
    let server = Server::start(&["--trail-memory", "256KiB", "--log-level", "warn"]);
    let mut gateway = server.connect();
    for round in 0..4 {
        let mut burst = Vec::new();
        for user in 0..RUNNERS {
            burst.extend(text_frame(&at(&user.to_string(), round)));
        }
        gateway.send_raw(&burst);
        gateway.barrier();
        let bytes = server.metric("spectate_trail_bytes");
        assert!((200_000.0..=262_144.0).contains(&bytes), "{bytes}");
    }
    gateway.send(&at("4999", 9));
    gateway.barrier();
    let line =
        |user: u64| parsed(&server.get(&format!("/trail?id={user}")).body)["geometry"].clone();
    assert_eq!(line(0), Value::Null);
    assert_ne!(line(RUNNERS - 1), Value::Null);
}

#[test]
fn one_that_does_not_read_holds_marks_and_an_unfollow_takes_them_back() {
    const RUNNERS: u64 = 300;
    let server = Server::start(&["--log-level", "warn"]);
    let mut gateway = server.connect();
    for second in 0..240 {
        let burst: Vec<u8> = (0..RUNNERS)
            .flat_map(|user| text_frame(&at(&user.to_string(), second)))
            .collect();
        gateway.send_raw(&burst);
    }
    gateway.send_raw(&text_frame(&heavy_position(FILLER)));
    gateway.barrier();
    let mut slow = Client::over(narrow_socket(server.address()));
    slow.send(&hello(&format!(r#""following":[{FILLER}]"#)));
    slow.barrier();
    fall_behind(&server, &mut gateway);
    let before = server.memory_kib();
    let all: Vec<u64> = (0..RUNNERS).collect();
    slow.send(&hello(&format!(r#""trail":240,"following":{all:?}"#)));
    server.wait_for_metric("spectate_follows", RUNNERS as f64 + 1.0);
    slow.send(r#"{"unfollow":[7]}"#);
    server.wait_for_metric("spectate_follows", RUNNERS as f64);
    let grown = server.memory_kib().saturating_sub(before);
    assert!(grown < 1024, "{grown} KiB for trails of 2 MiB");
    gateway.send(&at("0", 240));
    gateway.barrier();
    let mut led: Vec<u64> = Vec::new();
    let mut known = 0;
    while known < RUNNERS - 1 {
        let json = parsed(&slow.receive());
        if json["trail"]["userId"] == FILLER {
            continue;
        }
        if let Some(user) = json["trail"]["userId"].as_u64() {
            let points = json["trail"]["points"].as_array().expect("a list");
            let last = if user == 0 { 240 } else { 239 };
            assert_eq!(points.len(), 240);
            assert_eq!(
                points[239][2],
                START_MS + last * 1000,
                "what is true by then"
            );
            led.push(user);
        } else if json["userId"] != FILLER {
            known += 1;
            assert_eq!(
                json["userId"].as_u64(),
                led.last().copied(),
                "right before it"
            );
        }
    }
    assert_eq!(led.len() as u64, RUNNERS - 1);
    assert!(!led.contains(&7));
}
