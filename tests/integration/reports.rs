//! Positions by tracker apps: who may send whose, what followers get of them, and what the app is
//! answered.

use std::fmt::Write as _;

use data_encoding::BASE64;
use rustix::process::Signal;
use serde_json::Value;
use spectate::auth::{Follow, Publish};

use crate::access::{self, grant, ids, signed};
use crate::phone::{Phone, get, post};
use crate::support::{Answer, Server};

/// A token with these rights, signed for [`access::start`].
fn token(user: &str, publish: Publish) -> String {
    signed(&grant(user, Follow::Own, publish), access::SECRET)
}

fn own(user: &str, lat: u32, timestamp: u64) -> String {
    format!(r#"{{"userId":"{user}","lat":{lat},"lng":0,"timestamp":{timestamp}}}"#)
}

fn counts(answer: &Answer) -> [u64; 3] {
    assert_eq!(answer.status, 200, "{answer:?}");
    let json: Value = serde_json::from_str(&answer.body).expect("JSON");
    ["accepted", "late", "refused"].map(|name| json[name].as_u64().expect("a number"))
}

#[test]
fn what_each_app_sends_reaches_followers_in_one_form() {
    let server = Server::start(&[]);
    let (mut follower, _) = server.spectator(r#"["a","b","c","d","5"]"#);
    let mut phone = Phone::new(&server);
    for (source, request, answer, position) in [
        (
            "osmand",
            get(
                "/?id=a&lat=1.50&lon=2&timestamp=1700000000&speed=10&bearing=90&batt=87",
                "",
            ),
            "",
            r#"{"userId":"a","lat":1.50,"lng":2,"heading":90,"speed":5.144,"timestamp":1700000000000,"battery":0.87}"#,
        ),
        (
            "traccar",
            post(
                "/",
                "Content-Type: application/json\r\n",
                r#"{"location":{"timestamp":"2023-11-14T22:13:20.000Z","coords":{"latitude":1.5,"longitude":2,
                   "accuracy":5,"speed":-1,"heading":-1,"altitude":7},"battery":{"level":0.5}},"device_id":"b"}"#,
            ),
            "",
            r#"{"userId":"b","lat":1.5,"lng":2,"accuracy":5,"altitude":7,"timestamp":1700000000000,"battery":0.5}"#,
        ),
        (
            "owntracks",
            post(
                "/pub?u=c&d=phone",
                "",
                r#"{"_type":"location","lat":1.5,"lon":2,"tst":1700000000,"vel":36,"batt":46}"#,
            ),
            "[]",
            r#"{"userId":"c","lat":1.5,"lng":2,"speed":10,"timestamp":1700000000000,"battery":0.46}"#,
        ),
        (
            "overland",
            post(
                "/track",
                "",
                r#"{"locations":[{"type":"Feature","geometry":{"type":"Point","coordinates":[2,1.5]},
                   "properties":{"timestamp":"2023-11-14T15:13:20-0700","speed":4,"device_id":"d"}}]}"#,
            ),
            r#"{"result":"ok"}"#,
            r#"{"userId":"d","lat":1.5,"lng":2,"speed":4,"timestamp":1700000000000}"#,
        ),
        (
            "json",
            post(
                "/track/anything",
                "",
                r#"{"userId":5,"lat":1.50,"lng":-0.0}"#,
            ),
            r#"{"accepted":1,"late":0,"refused":0}"#,
            r#"{"userId":"5","lat":1.50,"lng":-0.0}"#,
        ),
    ] {
        let answered = phone.ask(&request);
        assert_eq!(
            (answered.status, &*answered.body),
            (200, answer),
            "{source}"
        );
        assert_eq!(follower.receive(), position);
        let series = format!("spectate_positions_received_total{{source=\"{source}\"}}");
        assert_eq!(server.metric(&series), 1.0);
    }
    let known = server.get("/positions?ids=a,b,c,d,5").body;
    for source in ["osmand", "traccar", "owntracks", "overland", "json"] {
        assert!(
            known.contains(&format!(r#""source":"{source}""#)),
            "{known}"
        );
    }
}

#[test]
fn signs_of_life_and_head_move_nobody_and_a_get_without_coordinates_is_the_map() {
    let server = Server::start(&[]);
    let (mut follower, _) = server.spectator(r#"["5","jane"]"#);
    let mut phone = Phone::new(&server);
    for (request, status) in [
        (get("/track?id=5&timestamp=1700000000", ""), 200),
        (post("/?id=5", "", ""), 200),
        (post("/pub?u=jane", "", r#"{"_type":"lwt","tst":1}"#), 200),
        (
            post(
                "/pub?u=jane",
                "",
                r#"{"_type":"transition","lat":1,"lon":2,"tst":1}"#,
            ),
            200,
        ),
        (post("/pub", "X-Limit-U: jane\r\n", ""), 200),
        (
            post(
                "/track",
                "",
                r#"{"location":{"event":"heartbeat"},"device_id":"5"}"#,
            ),
            200,
        ),
        (post("/track", "", r#"{"locations":[]}"#), 200),
        (get("/?id=5", ""), 200),
    ] {
        let answer = phone.ask(&request);
        assert_eq!(answer.status, status, "{request}");
        let is_map = answer
            .header("Content-Type")
            .is_some_and(|kind| kind.starts_with("text/html"));
        assert_eq!(is_map, request.starts_with("GET /?"), "{request}");
    }
    let head = get("/track?id=5&lat=1&lon=2", "").replacen("GET", "HEAD", 1);
    phone.send(head);
    assert_eq!(
        crate::support::read_head(&mut phone.0)[..15],
        *"HTTP/1.1 200 OK"
    );
    assert!(follower.barrier().is_empty());
}

#[test]
fn what_cannot_be_read_says_what_to_mend() {
    let server = Server::start(&[]);
    let thousand = |count: usize| {
        let points: Vec<String> = (0..count).map(|lat| own("5", 1, lat as u64)).collect();
        format!("[{}]", points.join(","))
    };
    let long_id = "x".repeat(65);
    for (request, status, word) in [
        (post("/track", "", ""), 400, "id"),
        (post("/track", "", "{"), 400, "JSON"),
        (post("/track", "", "{}"), 400, "lat"),
        (post("/track", "", "[1"), 400, "JSON"),
        (post("/track?lat=1&lon=2", "", ""), 400, "id"),
        (post("/track", "", r#"{"lat":1,"lng":2}"#), 400, "id"),
        (post("/track", "", r#"[{"lat":1,"lng":2}]"#), 400, "id"),
        (
            post(&format!("/?id={long_id}&lat=1&lon=2"), "", ""),
            400,
            "64",
        ),
        (
            post("/track", "", r#"{"userId":"","lat":1,"lng":2}"#),
            400,
            "64",
        ),
        (get("/track", ""), 400, "/track?id=5"),
        (get("/pub", ""), 400, "/track?id=5"),
        (post("/track", "", &thousand(1001)), 413, "1000"),
    ] {
        let answer = Phone::new(&server).ask(&request);
        assert_eq!(answer.status, status, "{request:.60} {answer:?}");
        assert!(answer.body.contains(word), "{request:.60} {answer:?}");
        assert_eq!(answer.body.lines().count(), 1, "{answer:?}");
    }
    assert_eq!(
        server
            .get("/positions?ids=5")
            .body
            .matches("userId")
            .count(),
        0
    );
    // What can never be right is looked at and counted, or its app would repeat it for ever.
    let mut phone = Phone::new(&server);
    for request in [
        get("/?id=5&lat=91&lon=2", ""),
        get("/?id=5&lat=x&lon=2", ""),
    ] {
        assert_eq!(phone.ask(&request).status, 200, "{request}");
    }
    let mixed = r#"[{"userId":5,"lat":1,"lng":2},{"userId":5,"lat":1e999,"lng":2},{"userId":true,"lat":1,"lng":2},7]"#;
    assert_eq!(counts(&phone.post("/track", "", mixed)), [1, 0, 3]);
    let rejected = |code| {
        server.metric(&format!(
            "spectate_positions_rejected_total{{reason=\"{code}\"}}"
        ))
    };
    assert_eq!(rejected("bad_id"), 2.0);
    assert_eq!(rejected("bad_position"), 3.0);
    assert_eq!(
        counts(&phone.post("/track", "", &thousand(1000))),
        [1000, 0, 0]
    );
    let method = post("/track", "", "").replacen("POST", "PUT", 1);
    let answer = Phone::new(&server).ask(&method);
    assert_eq!(
        (answer.status, answer.header("Allow")),
        (405, Some("GET, HEAD, POST, OPTIONS"))
    );
}

#[test]
fn a_batch_is_taken_in_the_order_of_its_times_and_a_point_of_the_same_time_once() {
    let server = Server::start(&["--trail", "0"]);
    let (mut follower, _) = server.spectator(r#"["5"]"#);
    let mut phone = Phone::new(&server);
    let batch = [
        own("5", 3, 1_700_000_030_000),
        own("5", 1, 1_700_000_010_000),
        own("5", 2, 1_700_000_020_000),
    ];
    let batch = format!("[{}]", batch.join(","));
    assert_eq!(counts(&phone.post("/track", "", &batch)), [3, 0, 0]);
    let lats = |texts: Vec<String>| -> Vec<i64> {
        texts
            .iter()
            .map(|text| {
                serde_json::from_str::<Value>(text).expect("JSON")["lat"]
                    .as_i64()
                    .expect("whole")
            })
            .collect()
    };
    assert_eq!(lats(follower.barrier()), [1, 2, 3]);
    // The phone repeats it, as it got no answer: the newest is known, the others are late.
    assert_eq!(counts(&phone.post("/track", "", &batch)), [1, 2, 0]);
    // Unless they are on the trail.
    let remembers = Server::start(&[]);
    let mut repeating = Phone::new(&remembers);
    for _ in 0..2 {
        assert_eq!(counts(&repeating.post("/track", "", &batch)), [3, 0, 0]);
    }
    assert_eq!(remembers.metric("spectate_positions_late_total"), 0.0);
    // The same in seconds, and another place at that time.
    assert_eq!(
        counts(&phone.post("/track", "", &own("5", 9, 1_700_000_030))),
        [1, 0, 0]
    );
    assert_eq!(
        counts(&phone.post("/track", "", &own("5", 4, 1_700_000_040_000))),
        [1, 0, 0]
    );
    assert_eq!(lats(follower.barrier()), [4]);
    assert_eq!(server.metric("spectate_positions_late_total"), 2.0);
    // Longer than one turn.
    let many: Vec<String> = (0..300)
        .map(|number| own("5", number, 1_700_001_000_000 + u64::from(number)))
        .collect();
    assert_eq!(
        counts(&phone.post("/track", "", &format!("[{}]", many.join(",")))),
        [300, 0, 0]
    );
    assert_eq!(lats(follower.barrier()), Vec::from_iter(0..300));
}

#[test]
fn tokens_say_whose_positions_come_by_each_way_that_they_travel() {
    let (server, _file) = access::start("reports", &[]);
    let mut watcher = server.connect();
    let all = signed(
        &grant("w", Follow::Everybody, Publish::Nobody),
        access::SECRET,
    );
    watcher.send(&access::hello(
        &all,
        r#","following":["5","6","7","other"]"#,
    ));
    watcher.barrier();
    let basic = |user: &str, token: &str| {
        format!(
            "Authorization: Basic {}\r\n",
            BASE64.encode(format!("{user}:{token}").as_bytes())
        )
    };
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let five = token("5", Publish::Own);
    let six_and_seven = token("5", Publish::Only(ids(&["6", "7"])));
    let everybody = token("gateway", Publish::Everybody);
    let nobody = token("5", Publish::Nobody);
    let report = |query: &str| get(&format!("/track?lat=1&lon=2&{query}"), "");
    let with = |query: &str, headers: &str| get(&format!("/track?lat=1&lon=2&{query}"), headers);
    let long_id = "x".repeat(65);
    for (request, moved) in [
        (with("", &bearer(&five)), Ok("5")),
        (with("", &basic("anybody", &five)), Ok("5")),
        (report(&format!("token={five}")), Ok("5")),
        // An id of the app's own is the token's user, and so is what is none.
        (with("id=other", &bearer(&five)), Ok("5")),
        (with(&format!("id={long_id}"), &bearer(&five)), Ok("5")),
        (with("id=6", &bearer(&six_and_seven)), Ok("6")),
        (with("id=7", &basic("6", &six_and_seven)), Ok("7")),
        (with("id=8", &bearer(&six_and_seven)), Err(403)),
        (with("id=other", &bearer(&everybody)), Ok("other")),
        (with("id=5", &bearer(&nobody)), Err(403)),
        // What stands in the head counts, and nothing makes good what is bad there.
        (
            with(&format!("token={everybody}&id=other"), &bearer(&five)),
            Ok("5"),
        ),
        (
            with(&format!("token={five}"), &bearer("nonsense")),
            Err(401),
        ),
        (
            with(&format!("token={five}"), &basic("5", "nonsense")),
            Err(401),
        ),
        (
            with(&format!("token={five}"), "Authorization: Basic !\r\n"),
            Err(401),
        ),
        (
            with(&format!("token={five}"), "Authorization: Digest x\r\n"),
            Err(401),
        ),
        (with("id=5", ""), Err(401)),
        (with("id=5", &bearer(&access::expired())), Err(401)),
        // A sign of life needs no id where a token says whose it is.
    ] {
        let answer = Phone::new(&server).ask(&request);
        let texts = watcher.barrier();
        match moved {
            Ok(user) => {
                assert_eq!(answer.status, 200, "{request} {answer:?}");
                assert_eq!(
                    texts,
                    [format!(r#"{{"userId":"{user}","lat":1,"lng":2}}"#)],
                    "{request}"
                );
            }
            Err(status) => {
                assert_eq!(answer.status, status, "{request} {answer:?}");
                assert!(texts.is_empty(), "{request}");
                let challenge = answer.header("WWW-Authenticate");
                let asked = (status == 401).then_some(r#"Basic realm="spectate", charset="UTF-8""#);
                assert_eq!(challenge, asked, "{request}");
            }
        }
    }
    // Of a batch, what may be sent is taken; a batch of others alone is refused.
    let mut phone = Phone::new(&server);
    let headers = bearer(&six_and_seven);
    let batch = format!("[{},{}]", own("6", 1, 1), own("8", 1, 1));
    assert_eq!(counts(&phone.post("/track", &headers, &batch)), [1, 0, 1]);
    let others = format!("[{},{}]", own("8", 1, 1), own("9", 1, 1));
    assert_eq!(phone.post("/track", &headers, &others).status, 403);
}

#[test]
fn a_token_in_a_query_is_in_no_line_of_the_log_and_no_answer() {
    let (server, _file) = access::start("silent", &["--log-level", "trace"]);
    let five = token("5", Publish::Own);
    let mut said = String::new();
    for request in [
        get(&format!("/track?lat=1&lon=2&token={five}"), ""),
        post(&format!("/?lat=x&token={five}"), "", "{"),
        post(
            &format!("/?token={five}"),
            "Origin: https://evil.example\r\n",
            "",
        ),
        get(&format!("/track?lat=1&lon=2&token={five}x"), ""),
        get(&format!("/nowhere?token={five}"), ""),
        get(&format!("/positions?ids=5&token={five}"), ""),
    ] {
        let answer = Phone::new(&server).ask(&request);
        let _ = write!(said, "{} {}", answer.head, answer.body);
    }
    said += &server.get("/metrics").body;
    said += &server.log();
    assert!(said.contains("report id="), "{said}");
    let signature = five.rsplit('.').next().expect("three parts");
    assert!(!said.contains(signature), "{said}");
}

#[test]
fn pages_elsewhere_move_nobody_unless_they_may_come_in() {
    let flags = ["--allow-origin", "https://app.example.com"];
    let (server, _file) = access::start("pages", &flags);
    let five = token("5", Publish::Own);
    let basic = format!(
        "Authorization: Basic {}\r\n",
        BASE64.encode(format!(":{five}").as_bytes())
    );
    let bearer = format!("Authorization: Bearer {five}\r\n");
    let evil = "Origin: https://evil.example\r\n";
    let cross_site = "Sec-Fetch-Site: cross-site\r\n";
    for (headers, status) in [
        (basic.clone(), 200),
        (format!("{basic}Origin: http://test\r\n"), 200),
        (format!("{basic}Origin: https://app.example.com\r\n"), 200),
        (
            format!("{basic}Origin: https://app.example.com\r\n{cross_site}"),
            200,
        ),
        (format!("{basic}Sec-Fetch-Site: same-origin\r\n"), 200),
        (format!("{basic}{evil}"), 403),
        (format!("{basic}Origin: null\r\n"), 403),
        (format!("{basic}{cross_site}"), 403),
        (format!("{basic}Referer: https://evil.example/a/b\r\n"), 403),
        (format!("{basic}Referer: http://test/?follow=5\r\n"), 200),
        (
            format!("{basic}Referer: https://evil.example\r\nOrigin: http://test\r\n"),
            200,
        ),
        // No page can send it, whatever the program says of itself.
        (format!("{bearer}{evil}"), 200),
        (format!("Authorization: Bearer x\r\n{evil}"), 403),
    ] {
        let answer = Phone::new(&server).post("/?lat=1&lon=2", &headers, "");
        assert_eq!(answer.status, status, "{headers} {answer:?}");
    }
    let log = server.log();
    assert!(
        log.contains(r#"reason=foreign_origin origin="https://evil.example" host="test""#),
        "{log}"
    );
    let open = Server::start(&[]);
    for (headers, status) in [(evil, 403), (cross_site, 403), ("", 200)] {
        let answer = Phone::new(&open).post("/?id=5&lat=1&lon=2", headers, "");
        assert_eq!(answer.status, status, "{headers}");
    }
}

#[test]
fn the_rate_counts_by_user_and_a_batch_is_taken_whole() {
    let server = Server::start(&["--max-rate", "2"]);
    let mut phone = Phone::new(&server);
    let point = |user: &str| get(&format!("/?id={user}&lat=1&lon=2"), "");
    let batch = |user: &str, count: u64| {
        let points: Vec<String> = (0..count).map(|number| own(user, 1, number)).collect();
        format!("[{}]", points.join(","))
    };
    assert_eq!(
        counts(&phone.post("/track", "", &batch("a", 200))),
        [200, 0, 0]
    );
    // However many connections a phone has.
    let answer = Phone::new(&server).ask(&point("a"));
    assert_eq!(
        (answer.status, answer.header("Retry-After")),
        (429, Some("1"))
    );
    assert_eq!(phone.ask(&point("b")).status, 200);
    assert_eq!(phone.ask(&point("b")).status, 200);
    assert_eq!(phone.ask(&point("b")).status, 429);
    let mixed = format!("[{},{}]", own("a", 1, 900), own("c", 1, 1));
    assert_eq!(
        counts(&phone.post("/track", "", &mixed)),
        [2, 0, 0],
        "c was not too fast"
    );
    let too_fast = "spectate_positions_rejected_total{reason=\"too_fast\"}";
    assert_eq!(server.metric(too_fast), 2.0);
    // The bucket fills again.
    let begin = std::time::Instant::now();
    while phone.ask(&point("a")).status == 429 {
        assert!(begin.elapsed() < crate::support::WAIT);
    }
}

#[test]
fn an_app_that_shows_friends_is_told_where_those_are_whom_its_token_names() {
    let (server, _file) = access::start("friends", &[]);
    let mut gateway = server.connect();
    gateway.send(&access::hello(&access::gateway(), ""));
    for (user, rest) in [
        ("anna", r#","timestamp":1700000000000"#),
        ("bert", ""),
        ("carl", ""),
    ] {
        gateway.send(&format!(
            r#"{{"userId":"{user}","lat":1.50,"lng":2{rest}}}"#
        ));
    }
    gateway.barrier();
    let report = r#"{"_type":"location","lat":5,"lon":6,"tst":1700000000,"topic":"owntracks/x/y"}"#;
    let ask = |follow: Follow| {
        let token = signed(&grant("me", follow, Publish::Own), access::SECRET);
        let headers = format!("Authorization: Bearer {token}\r\n");
        let answer = Phone::new(&server).post("/pub", &headers, report);
        assert_eq!(answer.status, 200);
        let friends: Vec<Value> = serde_json::from_str(&answer.body).expect("JSON");
        friends
    };
    assert!(ask(Follow::Own).is_empty());
    assert!(
        ask(Follow::Everybody).is_empty(),
        "everybody is no list of friends"
    );
    // Nor is anybody told of whom it moved itself.
    let gateway = grant("x", Follow::Only(ids(&["x", "phone"])), Publish::Everybody);
    let headers = format!(
        "Authorization: Bearer {}\r\n",
        signed(&gateway, access::SECRET)
    );
    assert_eq!(
        Phone::new(&server)
            .post("/pub?u=phone", &headers, report)
            .body,
        "[]"
    );
    let friends = ask(Follow::Only(ids(&["anna", "bert", "me", "nobody"])));
    assert_eq!(friends.len(), 2, "{friends:?}");
    let anna = r#"{"_type":"location","tid":"na","lat":1.5,"lon":2,"tst":1700000000,"topic":"owntracks/anna/phone"}"#;
    assert_eq!(
        friends[0],
        serde_json::from_str::<Value>(anna).expect("JSON")
    );
    assert!(
        friends[1]["tst"].as_u64() > Some(1_700_000_000),
        "{friends:?}"
    );
}

#[test]
fn a_server_that_stops_takes_no_position() {
    let server = Server::start(&["--drain", "10s"]);
    let mut watcher = server.join("7", "[]");
    let mut phone = Phone::new(&server);
    assert_eq!(phone.ask(&get("/healthz", "")).status, 200);
    watcher.barrier();
    server.signal(Signal::TERM);
    watcher.receive_until_close();
    assert_eq!(phone.ask(&get("/?id=5&lat=1&lon=2", "")).status, 503);
}
