//! Last known positions over HTTP, as GeoJSON.

use std::io::{Read, Write};
use std::time::Instant;

use serde_json::{Value, json};

use crate::access;
use crate::slow::{heavy_position, position};
use crate::support::{Answer, Server, WAIT, narrow_socket};

/// The features of an answer, whose ages are checked and taken out.
fn features(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("Content-Type"), Some("application/geo+json"));
    let mut json: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(json["type"], "FeatureCollection");
    assert_eq!(json.as_object().expect("an object").len(), 2);
    let features = json["features"].as_array_mut().expect("a list");
    for feature in features.iter_mut() {
        let properties = feature["properties"].as_object_mut().expect("an object");
        let age = properties.remove("age").expect("an age").as_f64();
        assert!((0.0..20.0).contains(&age.expect("a number")));
    }
    features.clone()
}

fn ids(answer: &Answer) -> Vec<Value> {
    let features = features(answer);
    features
        .iter()
        .map(|feature| feature["id"].clone())
        .collect()
}

#[test]
fn positions_are_features_with_everything_that_is_known() {
    let server = Server::start(&["--stale-after", "4s"]);
    let mut runner = server.join("5", "[]");
    runner.send(r#"{"userId":5,"lat":12.3,"lng":45.6}"#);
    runner.barrier();
    let mut gateway = server.connect();
    gateway.send(
        r#"{"userId":"Ann \"A\"","lat":1.50,"lng":-0.0,"accuracy":5,"altitude":34.10,"altitudeAccuracy":3,
            "heading":90,"speed":1.5,"timestamp":1,"battery":0.5}"#,
    );
    gateway.barrier();
    let answer = server.get("/positions?ids=7,Ann%20%22A%22,5");
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
    let digits = r#""geometry":{"type":"Point","coordinates":[-0.0,1.50,34.10]}"#;
    assert!(answer.body.contains(digits), "{}", answer.body);
    assert_eq!(
        features(&answer),
        [
            json!({
                "type": "Feature",
                "id": "Ann \"A\"",
                "geometry": {"type": "Point", "coordinates": [-0.0, 1.5, 34.1]},
                "properties": {
                    "userId": "Ann \"A\"", "state": "live", "connected": false, "source": "websocket", "accuracy": 5,
                    "altitudeAccuracy": 3, "heading": 90, "speed": 1.5, "timestamp": 1, "battery": 0.5,
                },
            }),
            json!({
                "type": "Feature",
                "id": 5,
                "geometry": {"type": "Point", "coordinates": [45.6, 12.3]},
                "properties": {"userId": 5, "state": "live", "connected": true, "source": "websocket"},
            }),
        ]
    );
    let mut answer = answer;
    let begin = Instant::now();
    while features(&answer)[1]["properties"]["state"] == "live" {
        assert!(begin.elapsed() < WAIT, "never stale");
        answer = server.get("/positions?ids=7,Ann%20%22A%22,5");
    }
    assert_eq!(features(&answer)[1]["properties"]["state"], "stale");
}

#[test]
fn a_position_that_is_none_on_earth_is_a_feature_without_a_place() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    for (user, lat, lng) in [(1, "90.5", "0"), (2, "0", "-180.5"), (3, "90", "-180")] {
        gateway.send(&format!(
            r#"{{"userId":{user},"lat":{lat},"lng":{lng},"altitude":7}}"#
        ));
    }
    gateway.barrier();
    let features = features(&server.get("/positions?ids=1,2,3"));
    assert_eq!(features[0]["geometry"], Value::Null);
    let properties = json!({
        "userId": 1, "state": "live", "connected": false, "source": "websocket", "lat": 90.5, "lng": 0, "altitude": 7,
    });
    assert_eq!(features[0]["properties"], properties);
    assert_eq!(features[1]["geometry"], Value::Null);
    assert_eq!(features[2]["geometry"]["coordinates"], json!([-180, 90, 7]));
}

#[test]
fn each_known_user_comes_once_in_the_order_asked_for_and_the_others_are_left_out() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    for user in [5, 6, 7] {
        gateway.send(&position(user, 1));
    }
    gateway.send(r#"{"userId":"a,b","lat":1,"lng":2}"#);
    gateway.barrier();
    let get = |query: &str| server.get(&format!("/positions{query}"));
    assert_eq!(ids(&get("?ids=6,5,6,%35")), [6, 5]);
    assert_eq!(
        ids(&get("?ids=8,a%2Cb,,7&ids=5")),
        [json!("a,b"), json!(7), json!(5)]
    );
    assert!(ids(&get("?ids=8,a,b,%00,%ff")).is_empty());
    let empty = get("?ids=8").body;
    assert_eq!(empty, "{\"type\":\"FeatureCollection\",\"features\":[]}\n");
}

#[test]
fn positions_of_nobody_and_of_too_many_are_refused() {
    let server = Server::start(&["--max-follows", "3"]);
    for path in [
        "/positions",
        "/positions?",
        "/positions?ids=",
        "/positions?id=5",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 400, "{path}");
        assert!(
            answer.body.contains("/positions?ids=5,6"),
            "{}",
            answer.body
        );
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
    }
    assert_eq!(server.get("/positions?ids=1,2,3").status, 200);
    let answer = server.get("/positions?ids=1,2,3,3");
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("at most 3 ids"), "{}", answer.body);
}

#[test]
fn an_answer_is_bounded_whatever_the_positions_weigh() {
    let server = Server::start(&["--max-follows", "5000"]);
    let mut gateway = server.connect();
    let letters = ('a'..='z').chain('A'..='Z').chain('0'..='9');
    let users: Vec<String> = (letters.clone())
        .flat_map(|first| {
            letters
                .clone()
                .map(move |second| format!("{first}{second}"))
        })
        .take(2600)
        .collect();
    for user in &users {
        // Escapes make it six times as long, in two places.
        let escaped: String = user
            .chars()
            .map(|c| format!("\\u{:04x}", c as u32))
            .collect();
        let position =
            heavy_position(0).replace(r#""userId":0"#, &format!(r#""userId":"{escaped}""#));
        gateway.send(&position);
    }
    gateway.barrier();
    let few = server.get(&format!("/positions?ids={}", users[..1000].join(",")));
    assert_eq!(features(&few).len(), 1000);
    let all = server.get(&format!("/positions?ids={}", users.join(",")));
    assert_eq!(all.status, 400);
    assert!(all.body.contains("fewer ids"), "{}", all.body);
}

#[test]
fn head_and_http_1_0_work_for_positions_too() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    gateway.send(&position(5, 1));
    gateway.barrier();
    let ask = |request: &str| Answer::to(server.socket(), request.as_bytes());
    let get = ask("GET /positions?ids=5 HTTP/1.0\r\n\r\n");
    assert_eq!(ids(&get), [5]);
    let head = ask("HEAD /positions?ids=5 HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let length = get.body.len().to_string();
    assert_eq!(head.header("Content-Length"), Some(length.as_str()));
    let post = ask("POST /positions?ids=5 HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(
        (post.status, post.header("Allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}

#[test]
fn where_tokens_are_asked_for_positions_are_those_that_the_bearer_may_follow() {
    let (server, _file) = access::start("positions", &[]);
    let mut gateway = server.connect();
    gateway.send(&access::hello(&access::gateway(), ""));
    for user in [5, 6, 7] {
        gateway.send(&position(user, 1));
    }
    assert!(gateway.barrier().is_empty());
    let get = |headers: &str| {
        let request = format!("GET /positions?ids=5,6,7 HTTP/1.1\r\nHost: t\r\n{headers}\r\n");
        Answer::to(server.socket(), request.as_bytes())
    };
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let answer = get(&bearer(&access::five()));
    assert_eq!(ids(&answer), [5, 6]);
    assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
    for headers in [
        String::new(),
        bearer("nonsense"),
        bearer(&access::expired()),
    ] {
        let answer = get(&headers);
        assert_eq!(answer.status, 401, "{headers}");
        assert!(answer.header("WWW-Authenticate").is_some());
        assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
        assert!(!answer.body.contains("Feature"));
    }
}

/// The answer to a request with these header lines.
fn ask(server: &Server, method: &str, headers: &str) -> Answer {
    let request = format!("{method} /positions?ids=5 HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
    Answer::to(server.socket(), request.as_bytes())
}

/// What a browser asks before a page at this origin may ask with a token.
fn preflight(server: &Server, origin: &str) -> Answer {
    let headers = format!(
        "Origin: {origin}\r\nAccess-Control-Request-Method: GET\r\n\
         Access-Control-Request-Headers: authorization,x-requested-with\r\n"
    );
    let answer = ask(server, "OPTIONS", &headers);
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    let allowed = answer.header("Access-Control-Allow-Headers");
    assert_eq!(allowed, Some("*, Authorization"));
    answer
}

#[test]
fn pages_on_allowed_origins_and_no_others_read_positions_with_a_token() {
    let flags = [
        "--allow-origin",
        "https://app.example,https://*.example.org",
    ];
    let (server, _file) = access::start("cors", &flags);
    let bearer = format!("Authorization: Bearer {}\r\n", access::five());
    for (origin, is_allowed) in [
        ("https://app.example", true),
        ("https://live.example.org", true),
        ("http://test", true),
        ("https://evil.example", false),
        ("https://example.org", false),
        ("null", false),
        ("\u{e4}", false),
    ] {
        let named = format!("Origin: {origin}\r\n");
        let with_token = format!("{named}{bearer}");
        for (answer, status) in [
            (preflight(&server, origin), 204),
            (ask(&server, "GET", &with_token), 200),
            (ask(&server, "HEAD", &with_token), 200),
            // What is wrong is for the page to read as well.
            (ask(&server, "GET", &named), 401),
        ] {
            assert_eq!(answer.status, status, "{origin}");
            let allowed = answer.header("Access-Control-Allow-Origin");
            assert_eq!(allowed, is_allowed.then_some(origin), "{status}");
            assert_eq!(answer.header("Vary"), Some("Origin"));
        }
    }
    let answer = ask(&server, "GET", &bearer);
    assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
    assert_eq!(answer.header("Vary"), Some("Origin"));
    let healthz = b"OPTIONS /healthz HTTP/1.1\r\nHost: test\r\nOrigin: https://app.example\r\n\r\n";
    let healthz = Answer::to(server.socket(), healthz);
    assert_eq!(healthz.header("Access-Control-Allow-Origin"), None);
}

#[test]
fn a_star_lets_any_page_read_positions_with_a_token() {
    let (server, _file) = access::start("cors-star", &["--allow-origin", "*"]);
    for origin in ["https://anywhere.example", "null"] {
        let allowed = preflight(&server, origin);
        assert_eq!(allowed.header("Access-Control-Allow-Origin"), Some(origin));
    }
}

#[test]
fn without_keys_any_page_reads_positions_whatever_it_sends() {
    let server = Server::start(&[]);
    let any = preflight(&server, "https://anywhere.example");
    assert_eq!(any.header("Access-Control-Allow-Origin"), Some("*"));
    let any = ask(
        &server,
        "GET",
        "Origin: null\r\nAuthorization: Bearer x\r\n",
    );
    assert_eq!(any.status, 200);
    assert_eq!(any.header("Access-Control-Allow-Origin"), Some("*"));
}

#[test]
fn unread_answers_hold_64_mib_at_most_and_what_holds_nothing_is_answered_beyond() {
    let server = Server::start(&["--log-level", "warn"]);
    let mut gateway = server.connect();
    for user in 0..1000 {
        gateway.send(&heavy_position(user));
    }
    gateway.barrier();
    let ids: Vec<String> = (0..1000).map(|id| id.to_string()).collect();
    let request = format!("GET /positions?ids={} HTTP/1.0\r\n\r\n", ids.join(","));
    let before_kib = server.memory_kib();
    let whole = Answer::to(server.socket(), request.as_bytes());
    assert_eq!(whole.status, 200);
    let mut unread = Vec::new();
    let mut refused = loop {
        let mut socket = narrow_socket(server.address());
        socket.write_all(request.as_bytes()).expect("it reads");
        let mut status = [0; 12];
        socket.read_exact(&mut status).expect("an answer");
        if &status != b"HTTP/1.1 200" {
            assert_eq!(&status, b"HTTP/1.1 503");
            break socket;
        }
        unread.push(socket);
        assert!(unread.len() < 2000, "all are answered");
    };
    let answers_max = 64 * 1024 * 1024 / whole.body.len();
    println!("{} answers of {} bytes", unread.len(), whole.body.len());
    assert!((answers_max / 2..=answers_max).contains(&unread.len()));
    let grown_kib = server.memory_kib() - before_kib;
    assert!(grown_kib < 80 * 1024, "{grown_kib} KiB");
    let refused = Answer::read_after(b"HTTP/1.1 503", &mut refused);
    assert!(refused.header("Retry-After").is_some(), "{refused:?}");
    assert_eq!(refused.header("Access-Control-Allow-Origin"), Some("*"));
    for path in ["/", "/map/start.js", "/healthz", "/readyz", "/metrics"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    // One that is read in the end is whole, however often its socket took only a part.
    let last = Answer::read_after(b"HTTP/1.1 200", unread.last_mut().expect("many"));
    assert_eq!(features(&last).len(), 1000);
    drop(unread);
    let begin = Instant::now();
    while Answer::to(server.socket(), request.as_bytes()).status != 200 {
        assert!(begin.elapsed() < WAIT, "the room of those who left is gone");
    }
}
