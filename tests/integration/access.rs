//! Tokens over real sockets: how they travel, what they let a connection do, and until when.

use std::fs;
use std::io::{Read, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;
use spectate::auth::{Follow, Grant, IdSet, Publish, SigningKey};

use crate::scratch::Scratch;
use crate::support::{
    Answer, Client, Server, assert_last_known, error, program, read_head, text_frame, upgrade,
    wait_for_exit,
};

pub(crate) const SECRET: &[u8] = b"a secret of tests that is long enough";
const OTHER_SECRET: &[u8] = b"another secret, which is as long as that";

/// A file with a secret, and a server that asks for tokens.
pub(crate) fn start(name: &str, flags: &[&str]) -> (Server, Scratch) {
    let file = Scratch::new(name, SECRET);
    let keys = ["--jwt-hs256-secret-file", file.path()];
    (Server::start(&[&keys, flags].concat()), file)
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
}

pub(crate) fn ids(ids: &[&str]) -> IdSet {
    ids.iter().map(ToString::to_string).collect()
}

pub(crate) fn signed(grant: &Grant, secret: &[u8]) -> String {
    let key = SigningKey::from_secret(secret).expect("long enough");
    key.mint(grant, None, None).expect("a grant as it may be")
}

pub(crate) fn grant(user: &str, follow: Follow, publish: Publish) -> Grant {
    Grant {
        user: user.to_owned(),
        publish,
        follow,
        name: None,
        expires_at_s: now().as_secs() + 3600,
    }
}

/// A token of user 5, who may follow 6 and send its own positions.
pub(crate) fn five() -> String {
    let grant = grant("5", Follow::Only(ids(&["6"])), Publish::Own);
    signed(&grant, SECRET)
}

/// A token that lets one send positions of everybody.
pub(crate) fn gateway() -> String {
    signed(&grant("gateway", Follow::Own, Publish::Everybody), SECRET)
}

/// A token of user 5 that ends with the whole second after so many of them.
fn five_for(seconds: u64) -> (String, Duration) {
    let mut grant = grant("5", Follow::Everybody, Publish::Own);
    grant.expires_at_s = now().as_secs() + 1 + seconds;
    let end = Duration::from_secs(grant.expires_at_s);
    (signed(&grant, SECRET), end)
}

pub(crate) fn expired() -> String {
    let mut grant = grant("5", Follow::Own, Publish::Own);
    grant.expires_at_s = now().as_secs() - 1;
    signed(&grant, SECRET)
}

/// A hello with a token; `rest` is more of its JSON.
pub(crate) fn hello(token: &str, rest: &str) -> String {
    format!(r#"{{"initialRequest":true,"token":"{token}"{rest}}}"#)
}

fn connect_with(server: &Server, headers: &str) -> Client {
    let mut socket = server.socket();
    let request = upgrade(headers);
    socket
        .write_all(request.as_bytes())
        .expect("a server that reads");
    let head = read_head(&mut socket);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(!head.contains("bearer"), "{head}");
    assert_eq!(
        head.contains("Sec-WebSocket-Protocol: spectate.v1\r\n"),
        headers.contains("spectate.v1"),
        "{head}"
    );
    Client::after_handshake(socket)
}

/// Sends a message, and says the codes of the errors that it brought.
fn codes(client: &mut Client, text: &str) -> Vec<String> {
    client.send(text);
    let texts = client.barrier();
    texts.iter().map(|text| error(text).0).collect()
}

#[test]
fn a_token_in_the_hello_says_who_this_is() {
    let (server, _file) = start("hello", &[]);
    let mut client = server.connect();
    client.send(&hello(&five(), r#","following":[5]"#));
    client.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(client.barrier(), [r#"{"userId":"5","lat":1,"lng":2}"#]);
    client.send(&hello(&five(), r#","userId":5"#));
    client.send(r#"{"lat":3,"lng":4}"#);
    assert_eq!(client.barrier(), [r#"{"userId":5,"lat":3,"lng":4}"#]);
}

#[test]
fn a_hello_of_another_user_than_the_tokens_is_refused_and_its_follows_are_carried_out() {
    let (server, _file) = start("another", &[]);
    let mut client = server.connect();
    let texts = hello(&five(), r#","userId":6,"following":[5]"#);
    assert_eq!(codes(&mut client, &texts), ["wrong_user"]);
    client.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(client.barrier(), [r#"{"userId":"5","lat":1,"lng":2}"#]);
}

#[test]
fn a_token_travels_in_the_request_as_well() {
    let (server, _file) = start("request", &[]);
    let token = five();
    for headers in [
        format!("Authorization: Bearer {token}\r\n"),
        format!("authorization: bearer  {token} \r\n"),
        format!("Sec-WebSocket-Protocol: spectate.v1, bearer.{token}\r\n"),
        format!(
            "Origin: http://test\r\nSec-WebSocket-Protocol: bearer.{token}\r\n\
             Sec-WebSocket-Protocol: spectate.v1\r\n"
        ),
        // The header is preferred, and what is not for us is not read.
        format!("Authorization: Bearer {token}\r\nSec-WebSocket-Protocol: bearer.nonsense\r\n"),
        format!(
            "Authorization: Basic dXNlcjpwYXNz\r\n\
             Sec-WebSocket-Protocol: bearer.{token},spectate.v1\r\n"
        ),
    ] {
        let mut client = connect_with(&server, &headers);
        client.send(r#"{"follow":[5]}"#);
        client.barrier();
        client.send(r#"{"lat":1,"lng":2}"#);
        let texts = client.barrier();
        assert_eq!(texts, [r#"{"userId":"5","lat":1,"lng":2}"#], "{headers}");
    }
}

#[test]
fn a_token_in_the_first_message_replaces_that_of_the_request() {
    let (server, _file) = start("replaces", &[]);
    let mut client = connect_with(&server, &format!("Authorization: Bearer {}\r\n", five()));
    let seven = signed(&grant("7", Follow::Own, Publish::Own), SECRET);
    client.send(&hello(&seven, r#","following":[7]"#));
    client.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(client.barrier(), [r#"{"userId":"7","lat":1,"lng":2}"#]);
}

#[test]
fn a_bad_token_in_the_request_is_401_for_programs_and_a_close_code_for_pages() {
    let (server, _file) = start("bad", &[]);
    let foreign = signed(&grant("5", Follow::Own, Publish::Own), OTHER_SECRET);
    for token in ["", " ", "\t", "\tx"] {
        let headers = format!("Authorization: Bearer{token}\r\n");
        let answer = Answer::to(server.socket(), upgrade(&headers).as_bytes());
        assert_eq!(answer.status, 401, "{headers:?}");
    }
    for (token, code) in [(expired(), 4002), (foreign, 4001), ("x".to_owned(), 4001)] {
        let headers = format!("Authorization: Bearer {token}\r\n");
        let answer = Answer::to(server.socket(), upgrade(&headers).as_bytes());
        assert_eq!(answer.status, 401);
        let challenge = answer.header("WWW-Authenticate");
        assert_eq!(challenge, Some(r#"Bearer error="invalid_token""#));

        let headers = format!(
            "Origin: http://test\r\nSec-WebSocket-Protocol: spectate.v1, bearer.{token}\r\n"
        );
        assert_eq!(connect_with(&server, &headers).receive_close().0, code);
    }
    let counted = r#"spectate_handshakes_rejected_total{reason="bad_token"}"#;
    assert_eq!(server.metric(counted), 5.0);
    let counted = r#"spectate_handshakes_rejected_total{reason="token_expired"}"#;
    assert_eq!(server.metric(counted), 2.0);
    assert_eq!(server.metric("spectate_connections"), 0.0);
}

#[test]
fn a_bad_token_in_a_message_closes_and_nothing_of_the_message_is_carried_out() {
    let (server, _file) = start("message", &[]);
    let (token, foreign) = (
        five(),
        signed(&grant("5", Follow::Own, Publish::Own), OTHER_SECRET),
    );
    let mut runner = server.connect();
    runner.send(&hello(&token, ""));
    runner.send(r#"{"lat":1,"lng":2}"#);
    runner.barrier();
    for (bad, code) in [(expired(), 4002), (foreign, 4001), ("x".to_owned(), 4001)] {
        for is_first in [true, false] {
            let mut client = server.connect();
            if !is_first {
                client.send(&hello(&token, ""));
            }
            client.send(&hello(&bad, r#","following":[5]"#));
            let (texts, closed) = client.receive_until_close();
            assert_eq!((texts, closed), (Vec::new(), code));
        }
    }
    for no_string in ["5", "true", "[]", "{}", r#""\ud800""#] {
        let mut client = server.connect();
        client.send(&format!(r#"{{"token":{no_string}}}"#));
        assert_eq!(client.receive_until_close().1, 4001, "{no_string}");
    }
    // `null` is left out.
    let mut client = server.connect();
    assert_eq!(
        codes(&mut client, r#"{"token":null,"follow":[5]}"#),
        ["unauthorized"]
    );
}

#[test]
fn before_a_token_nothing_is_carried_out_and_each_message_is_told_so() {
    let (server, _file) = start("before", &[]);
    let (token, mut follower) = (five(), server.connect());
    follower.send(&hello(&token, r#","following":[5,6]"#));
    follower.barrier();
    let mut client = server.connect();
    for text in [
        r#"{"userId":5,"lat":1,"lng":2}"#,
        r#"{"lat":1,"lng":2}"#,
        r#"{"initialRequest":true,"userId":5,"following":[5]}"#,
        r#"{"follow":[5]}"#,
        r#"{"unfollow":[5]}"#,
        r#"{"ping":7}"#,
    ] {
        assert_eq!(codes(&mut client, text), ["unauthorized"], "{text}");
    }
    assert_eq!(codes(&mut client, "{"), ["bad_json"]);
    assert_eq!(server.metric("spectate_follows"), 2.0);
    let rejected = r#"spectate_positions_rejected_total{reason="unauthorized"}"#;
    assert_eq!(server.metric(rejected), 2.0);
    // A token alone is enough, and what was refused must be said again.
    assert!(codes(&mut client, &format!(r#"{{"token":"{token}"}}"#)).is_empty());
    client.send(r#"{"lat":3,"lng":4}"#);
    assert!(client.barrier().is_empty());
    assert_eq!(follower.barrier(), [r#"{"userId":"5","lat":3,"lng":4}"#]);
}

#[test]
fn who_shows_no_token_for_ten_seconds_is_told_4001() {
    let (server, _file) = start("silent", &[]);
    let mut silent = server.connect();
    let mut known = server.connect();
    known.send(&hello(&five(), ""));
    let (_, reason) = {
        let closed = silent.receive_close();
        assert_eq!(closed.0, 4001);
        closed
    };
    assert_eq!(reason, "there is no token");
    known.barrier();
    server.wait_for_closed("no_token", 1.0);
}

#[test]
fn at_exp_the_connection_is_closed_with_4002_unless_it_was_renewed() {
    let (server, _file) = start("exp", &[]);
    let (short, end) = five_for(1);
    let mut ends = server.connect();
    ends.send(&hello(&short, ""));
    let mut by_request = connect_with(&server, &format!("Authorization: Bearer {short}\r\n"));
    let mut renewed = server.connect();
    renewed.send(&hello(&short, r#","following":[5]"#));
    renewed.send(&format!(r#"{{"token":"{}"}}"#, five()));
    assert!(renewed.barrier().is_empty());

    assert_eq!(
        ends.receive_close(),
        (4002, "the token has expired".to_owned())
    );
    let over = now().checked_sub(end).expect("not before its time");
    // Not with the look that is taken every second, but at its time.
    assert!(over < Duration::from_millis(500), "{over:?} late");
    assert_eq!(by_request.receive_close().0, 4002);
    renewed.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(renewed.barrier(), [r#"{"userId":"5","lat":1,"lng":2}"#]);
    server.wait_for_closed("token_expired", 2.0);
}

#[test]
fn one_that_does_not_close_its_side_when_its_token_ends_keeps_nobody_busy() {
    let (server, _file) = start("lingers", &[]);
    let (short, _) = five_for(1);
    let mut socket = server.socket();
    let mut bytes = upgrade("").into_bytes();
    bytes.extend(text_frame(&hello(&short, "")));
    socket.write_all(&bytes).expect("a server that reads");
    read_head(&mut socket);
    let mut frame = [0; 4];
    socket.read_exact(&mut frame).expect("a close frame");
    assert_eq!((frame[0], &frame[2..]), (0x88, &4002u16.to_be_bytes()[..]));
    let ticks = || server.metric("spectate_tick_seconds_count");
    let before = ticks();
    let mut quiet = server.connect();
    quiet.hear_nothing_for(Duration::from_millis(1500));
    let turns = ticks() - before;
    assert!(turns < 40.0, "{turns} turns of the loop with nothing to do");
}

#[test]
fn a_renewal_for_another_user_is_told_4001() {
    let (server, _file) = start("other-user", &[]);
    let mut client = server.connect();
    client.send(&hello(&five(), ""));
    let six = signed(&grant("6", Follow::Own, Publish::Own), SECRET);
    client.send(&format!(r#"{{"token":"{six}"}}"#));
    assert_eq!(client.receive_close().0, 4001);
    server.wait_for_closed("other_user", 1.0);
}

#[test]
fn a_renewal_ends_the_follows_that_it_does_not_cover_and_comes_before_those_of_its_message() {
    let (server, _file) = start("narrower", &[]);
    let all = signed(&grant("0", Follow::Everybody, Publish::Everybody), SECRET);
    let mut gateway = server.connect();
    gateway.send(&hello(&all, ""));
    let mut client = server.connect();
    let wide = grant("5", Follow::Only(ids(&["6", "7", "8"])), Publish::Own);
    client.send(&hello(&signed(&wide, SECRET), r#","following":[6,7,8,5]"#));
    assert!(client.barrier().is_empty());
    let narrow = grant("5", Follow::Only(ids(&["7", "9"])), Publish::Own);
    let token = signed(&narrow, SECRET);
    client.send(&format!(r#"{{"token":"{token}","follow":[9,6]}}"#));
    let texts = client.barrier();
    let errors: Vec<_> = texts.iter().map(|text| error(text)).collect();
    let not_allowed = |sentence: &str| ("not_allowed".to_owned(), sentence.to_owned());
    assert_eq!(
        errors,
        [
            not_allowed(
                "your token does not let you follow 2 of these users, the first of them \"6\""
            ),
            not_allowed("your token does not let you follow 6"),
        ]
    );
    for user in [5, 6, 7, 8, 9] {
        gateway.send(&format!(r#"{{"userId":{user},"lat":1,"lng":2}}"#));
    }
    gateway.barrier();
    let heard = [5, 7, 9].map(|user| format!(r#"{{"userId":{user},"lat":1,"lng":2}}"#));
    assert_eq!(client.barrier(), heard);
    assert_eq!(server.metric("spectate_follows"), 3.0);
}

/// Every kind of grant against every kind of action.
#[test]
fn a_grant_allows_what_it_says_and_nothing_else() {
    let (server, _file) = start("matrix", &[]);
    let publishes = [
        (Publish::Own, "5"),
        (Publish::Nobody, ""),
        (Publish::Everybody, "567"),
        (Publish::Only(ids(&["6"])), "6"),
        (Publish::Only(ids(&["5", "7"])), "57"),
    ];
    let follows = [
        (Follow::Own, "5"),
        (Follow::Everybody, "567"),
        (Follow::Only(ids(&["6"])), "56"),
        (Follow::Only(ids(&[])), "5"),
    ];
    let all = signed(&grant("0", Follow::Everybody, Publish::Everybody), SECRET);
    let mut witness = server.connect();
    witness.send(&hello(&all, r#","following":[5,6,7]"#));
    witness.barrier();
    for (publish, may_publish) in &publishes {
        for (follow, may_follow) in &follows {
            let grant = grant("5", follow.clone(), publish.clone());
            let about = format!("{grant:?}");
            let mut client = server.connect();
            client.send(&hello(&signed(&grant, SECRET), ""));
            for user in ["5", "6", "7"] {
                let expected: &[&str] = match may_publish.contains(user) {
                    true => &[],
                    false => &["not_allowed"],
                };
                let text = format!(r#"{{"userId":{user},"lat":1,"lng":2}}"#);
                assert_eq!(codes(&mut client, &text), expected, "{about} {text}");
                let relayed = witness.barrier();
                assert_eq!(relayed.len(), 1 - expected.len(), "{about} {text}");
            }
            let expected: &[&str] = match may_publish.contains('5') {
                true => &[],
                false => &["not_allowed"],
            };
            let own = codes(&mut client, r#"{"lat":1,"lng":2}"#);
            assert_eq!(own, expected, "{about} of its own");
            witness.barrier();

            let mut client = server.connect();
            client.send(&hello(&signed(&grant, SECRET), ""));
            client.send(r#"{"follow":[5,6,7]}"#);
            let texts = client.barrier();
            let (errors, known): (Vec<_>, Vec<_>) =
                texts.iter().partition(|text| text.contains("error"));
            for user in [5, 6, 7] {
                witness.send(&format!(r#"{{"userId":{user},"lat":3,"lng":4}}"#));
            }
            assert_eq!(witness.barrier().len(), 3);
            let followed: String = (client.barrier().iter())
                .filter_map(|text| text.chars().nth(r#"{"userId":"#.len()))
                .collect();
            assert_eq!(followed, *may_follow, "{about}");
            let denied = 3 - may_follow.len();
            let codes: Vec<_> = errors.iter().map(|text| error(text).0).collect();
            assert_eq!(codes, ["not_allowed"][..denied.min(1)], "{about}");
            // Nothing is said about those who may not be followed.
            let heard_of = |user| known.iter().any(|text| text.contains(&format!(":{user},")));
            for user in ['5', '6', '7'] {
                assert!(!heard_of(user) || may_follow.contains(user), "{about}");
            }
        }
    }
}

#[test]
fn what_a_token_does_not_cover_is_named_and_the_rest_is_carried_out() {
    let (server, _file) = start("rest", &[]);
    let mut client = server.connect();
    client.send(&hello(&five(), r#","following":[8,5,"x y",6,null]"#));
    let mut texts = client.barrier();
    texts.sort();
    let errors: Vec<_> = texts.iter().map(|text| error(text)).collect();
    assert_eq!(errors[0].0, "bad_id");
    assert_eq!(
        errors[1],
        (
            "not_allowed".to_owned(),
            "your token does not let you follow 2 of these users, the first of them 8".to_owned()
        )
    );
    assert_eq!(server.metric("spectate_follows"), 2.0);
}

#[test]
fn a_refused_user_leaves_nothing_behind_and_counts_as_rejected() {
    let (server, _file) = start("refused", &[]);
    let mut client = server.connect();
    client.send(&hello(&five(), ""));
    let text = r#"{"userId":"nobody","lat":1,"lng":2}"#;
    assert_eq!(codes(&mut client, text), ["not_allowed"]);
    let rejected = r#"spectate_positions_rejected_total{reason="not_allowed"}"#;
    assert_eq!(server.metric(rejected), 1.0);
    let states = ["live", "stale", "unknown"];
    let count = |state| server.metric(&format!(r#"spectate_runners{{state="{state}"}}"#));
    let known: f64 = states.into_iter().map(count).sum();
    assert_eq!(known, 1.0, "the connection's own user alone");
}

#[test]
fn without_keys_tokens_are_not_read() {
    let server = Server::start(&[]);
    let mut client = connect_with(&server, "Authorization: Bearer nonsense\r\n");
    client.send(&hello("nonsense", r#","userId":5,"following":[5]"#));
    client.send(r#"{"token":"nonsense"}"#);
    client.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(client.barrier(), [r#"{"userId":5,"lat":1,"lng":2}"#]);
}

#[test]
fn sighup_reads_the_keys_again_and_those_who_are_in_stay() {
    let (server, file) = start("rotation", &[]);
    let mut old = server.connect();
    old.send(&hello(&five(), r#","following":[5]"#));
    old.barrier();
    let new_token = signed(&grant("5", Follow::Own, Publish::Own), OTHER_SECRET);
    let is_taken = |token: &str| {
        let answer = upgrade(&format!("Authorization: Bearer {token}\r\n"));
        let mut socket = server.socket();
        socket
            .write_all(answer.as_bytes())
            .expect("a server that reads");
        read_head(&mut socket).starts_with("HTTP/1.1 101 ")
    };
    let reload = |times: usize| {
        server.signal(Signal::HUP);
        let begin = std::time::Instant::now();
        while server.log().matches(" reload ").count() != times {
            assert!(begin.elapsed() < crate::support::WAIT, "{}", server.log());
        }
    };
    assert!(is_taken(&five()) && !is_taken(&new_token));

    file.write(OTHER_SECRET);
    assert!(is_taken(&five()), "not read before the signal");
    reload(1);
    assert!(!is_taken(&five()) && is_taken(&new_token));
    old.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(old.barrier(), [r#"{"userId":"5","lat":1,"lng":2}"#]);

    // Too short to be a secret: the keys stay, and the operator is told.
    file.write(b"broken");
    reload(2);
    assert!(is_taken(&new_token));
    let log = server.log();
    let line = log.lines().find(|line| line.contains("ERROR"));
    let line = line.expect("a line for the operator");
    assert!(
        line.contains(file.path()) && line.contains("keys=unchanged"),
        "{line}"
    );
    // Nor does the loop wait for somebody to write into a pipe.
    fs::remove_file(file.path()).expect("our file");
    mkfifoat(CWD, file.path(), Mode::RUSR | Mode::WUSR).expect("room for a pipe");
    reload(3);
    assert!(is_taken(&new_token));
    let (status, _, _) = server.stop();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn what_was_held_for_a_follower_goes_out_before_its_renewal_ends_the_follow() {
    let (server, _file) = start("held", &["--flush-interval", "1m"]);
    let all = signed(&grant("0", Follow::Everybody, Publish::Everybody), SECRET);
    let mut gateway = server.connect();
    gateway.send(&hello(&all, ""));
    let mut client = server.connect();
    client.send(&hello(&five(), r#","following":[6]"#));
    client.barrier();
    gateway.send(r#"{"userId":6,"lat":1,"lng":2}"#);
    gateway.barrier();
    let own = signed(&grant("5", Follow::Own, Publish::Own), SECRET);
    client.send(&format!(r#"{{"token":"{own}"}}"#));
    assert_eq!(client.receive(), r#"{"userId":6,"lat":1,"lng":2}"#);
    assert_eq!(client.receive_error().0, "not_allowed");
    gateway.send(r#"{"userId":6,"lat":3,"lng":4}"#);
    gateway.barrier();
    assert!(client.barrier().is_empty());
}

#[test]
fn no_log_line_metric_or_answer_shows_a_token_or_a_secret() {
    let (server, file) = start("secrets", &["--log-level", "trace"]);
    let token = five();
    let foreign = signed(&grant("5", Follow::Own, Publish::Own), OTHER_SECRET);
    let mut said = String::new();
    for token in [&token, &foreign, &expired()] {
        for headers in [
            format!("Authorization: Bearer {token}\r\n"),
            format!("Sec-WebSocket-Protocol: spectate.v1, bearer.{token}\r\n"),
        ] {
            let request = upgrade(&headers);
            let mut socket = server.socket();
            let mut bytes = request.into_bytes();
            bytes.extend(text_frame(&hello(token, "")));
            bytes.extend(text_frame(&format!(r#"{{"token":"{token}"}}"#)));
            bytes.extend(text_frame(&format!(r#"{{"token":["{token}"]}}"#)));
            bytes.extend(text_frame(&format!(r#"{{"tokens":"{token}"}}"#)));
            bytes.extend(text_frame(&format!(r#"{{"token":"{token}""#)));
            socket.write_all(&bytes).expect("a server that reads");
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer).expect("an end");
            said += &String::from_utf8_lossy(&answer);
        }
    }
    file.write(&[b"-----BEGIN ", OTHER_SECRET].concat());
    server.signal(Signal::HUP);
    said += &server.get("/metrics").body;
    let (_, _, log) = server.stop();
    assert!(log.contains("TRACE"), "{log}");
    said += &log;
    for token in [token, foreign] {
        // The header is in every token, and its parts are not long enough to tell one by.
        for part in token.split('.').skip(1) {
            assert!(!said.contains(&part[..12]), "{said}");
        }
    }
    for secret in [SECRET, OTHER_SECRET] {
        let secret = str::from_utf8(secret).expect("UTF-8");
        assert!(!said.contains(&secret[..12]), "{said}");
    }
}

#[test]
fn who_listens_on_a_network_without_keys_is_warned_once() {
    let warnings = |mut arguments: Vec<&str>| {
        arguments.insert(0, "serve");
        let server = Server::run(program(&arguments));
        let (_, _, log) = server.stop();
        log.matches("no authentication").count()
    };
    assert_eq!(warnings(vec!["--listen", "127.0.0.1:0"]), 0);
    let open = ["--listen", "127.0.0.1:0,0.0.0.0:0", "--listen", "0.0.0.0:0"];
    assert_eq!(warnings(open.to_vec()), 1);
    let file = Scratch::new("warned", SECRET);
    let keys = [
        "--listen",
        "0.0.0.0:0",
        "--jwt-hs256-secret-file",
        file.path(),
    ];
    assert_eq!(warnings(keys.to_vec()), 0);
}

#[test]
fn a_secret_that_everybody_can_read_is_warned_about_and_one_that_is_not_there_ends_the_start() {
    let file = Scratch::new("modes", SECRET);
    file.set_mode(0o644);
    let server = Server::start(&["--jwt-hs256-secret-file", file.path()]);
    let (_, _, log) = server.stop();
    assert!(log.contains("WARN") && log.contains("chmod o="), "{log}");

    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--jwt-hs256-secret-file",
        "/nowhere",
    ];
    let mut child = program(&arguments)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program is built");
    assert_eq!(wait_for_exit(&mut child).code(), Some(1));
    let output = child.wait_with_output().expect("a child of ours");
    let line = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(
        line.starts_with("spectate: cannot read /nowhere: "),
        "{line}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn the_last_known_position_of_who_may_be_followed_comes_with_the_hello() {
    let (server, _file) = start("last-known", &[]);
    let token = five();
    let mut runner = server.connect();
    runner.send(&hello(&token, ""));
    runner.send(r#"{"lat":1,"lng":2}"#);
    runner.barrier();
    let mut follower = server.connect();
    follower.send(&hello(&token, r#","following":[5]"#));
    let texts = follower.barrier();
    assert_eq!(texts.len(), 1);
    assert_last_known(&texts[0], r#"{"userId":"5","lat":1,"lng":2}"#);
}
