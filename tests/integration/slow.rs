//! Followers that do not read: what they cost, what they get when they read again, and when they
//! are given up.

use std::collections::HashMap;
use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use tungstenite::Message;

use crate::support::{Client, Server, assert_last_known, frame, narrow_socket, text_frame};

/// The user whose positions fill the sockets of those who do not read.
pub(crate) const FILLER: u64 = 1000;

/// The user whose position comes behind all that was owed before it.
const LAST_WORD: u64 = 1001;

pub(crate) fn position(user: u64, lat: u64) -> String {
    format!(r#"{{"userId":{user},"lat":{lat},"lng":0}}"#)
}

/// Whose position a message is, and its `lat`.
fn parse(text: &str) -> (u64, u64) {
    let json: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let numbers = json["userId"].as_u64().zip(json["lat"].as_u64());
    numbers.unwrap_or_else(|| panic!("no position of ours: {text}"))
}

/// A follower of these users, of the filler and of the last word, with a small receive buffer.
pub(crate) fn follower(server: &Server, users: &[u64]) -> Client {
    let mut client = Client::over(narrow_socket(server.address()));
    let ids: Vec<u64> = users.iter().copied().chain([FILLER, LAST_WORD]).collect();
    client.send(&format!(r#"{{"initialRequest":true,"following":{ids:?}}}"#));
    client.barrier();
    client
}

/// Sends the filler's positions until the server is behind with one that does not read them, so
/// that whatever falls due later waits. Says since when nothing has been taken.
pub(crate) fn fall_behind(server: &Server, gateway: &mut Client) -> Instant {
    let burst = text_frame(&heavy_position(FILLER)).repeat(64);
    let longest = Instant::now() + Duration::from_secs(20);
    let conflated = server.metric("spectate_positions_conflated_total");
    let mut delivered = f64::NAN;
    // The kernels move bytes on by themselves for a while: each probe of a closed window (RFC 9293,
    // 3.8.6.1) takes what the reader's made room for by packing what it holds.
    let (mut quiet, mut since) = (0, Instant::now());
    while quiet < 4 {
        assert!(Instant::now() < longest, "it is never behind");
        gateway.send_raw(&burst);
        gateway.barrier();
        gateway.hear_nothing_for(Duration::from_millis(250));
        let before = delivered;
        delivered = server.metric("spectate_positions_delivered_total");
        if delivered == before {
            quiet += 1;
        } else {
            (quiet, since) = (0, Instant::now());
        }
    }
    assert!(server.metric("spectate_positions_conflated_total") > conflated);
    since
}

/// As long as a position can be.
pub(crate) fn heavy_position(user: u64) -> String {
    let long = format!("0.{}", "1".repeat(30));
    format!(
        r#"{{"userId":{user},"lat":{long},"lng":{long},"accuracy":{long},"altitude":{long},"altitudeAccuracy":{long},"heading":{long},"speed":{long},"battery":{long}}}"#
    )
}

/// Reads until the server has caught up; says what came but for the filler's positions.
fn catch_up(follower: &mut Client, gateway: &mut Client) -> Vec<String> {
    gateway.send(&position(LAST_WORD, 0));
    let filler = format!(r#"{{"userId":{FILLER},"#);
    let mut texts = Vec::new();
    loop {
        let text = follower.receive();
        if text == position(LAST_WORD, 0) {
            return texts;
        }
        if !text.starts_with(&filler) {
            texts.push(text);
        }
    }
}

#[test]
fn one_that_reads_nothing_for_5_seconds_costs_little_disturbs_nobody_and_resumes_with_the_newest() {
    const RUNNERS: u64 = 50;
    const BURST: u64 = 8;
    let server = Server::start(&["--log-level", "warn"]);
    let everybody: Vec<u64> = (0..RUNNERS).collect();
    let mut runners: Vec<Client> = everybody
        .iter()
        .map(|user| server.join(&user.to_string(), "[]"))
        .collect();
    let (mut witness, _) = server.spectator(&format!("{everybody:?}"));
    let mut slow = follower(&server, &everybody);

    let mut next: HashMap<u64, u64> = HashMap::new();
    let mut round = 0;
    // As fast as the witness takes it: what is not in flight cannot be late.
    let mut run = |longest: Duration| {
        let begin = Instant::now();
        let mut peak_kib = 0;
        while begin.elapsed() < longest {
            for (user, runner) in (0..).zip(&mut runners) {
                let lats = round * BURST..(round + 1) * BURST;
                let burst: Vec<u8> = lats
                    .flat_map(|lat| text_frame(&position(user, lat)))
                    .collect();
                runner.send_raw(&burst);
            }
            for _ in 0..RUNNERS * BURST {
                let (user, lat) = parse(&witness.receive());
                let expected = next.entry(user).or_default();
                assert_eq!(lat, *expected, "user {user} by the witness");
                *expected += 1;
            }
            round += 1;
            peak_kib = peak_kib.max(server.memory_kib());
        }
        (round * BURST - 1, peak_kib)
    };
    let (_, before_kib) = run(Duration::from_millis(300));
    let (newest, peak_kib) = run(Duration::from_secs(5));
    let grown_kib = peak_kib.saturating_sub(before_kib);
    println!("{} positions, {grown_kib} KiB more", newest * RUNNERS);
    assert!(grown_kib < 4096, "{grown_kib} KiB more than before");
    assert!(
        server.metric("spectate_positions_conflated_total") > (newest * RUNNERS / 2) as f64,
        "most were replaced by newer ones"
    );

    let mut last: HashMap<u64, u64> = HashMap::new();
    let mut came = 0;
    while last.values().filter(|lat| **lat == newest).count() < RUNNERS as usize {
        let (user, lat) = parse(&slow.receive());
        let before = last.insert(user, lat);
        assert!(
            before.is_none_or(|before| before < lat),
            "user {user}: {lat} after {before:?}"
        );
        came += 1;
    }
    println!("{came} positions on resuming");
    assert!(
        came < 10_000,
        "{came}: what was not under way was not replaced"
    );
    assert!(slow.barrier().is_empty(), "nothing older follows");
    runners[7].send(&position(7, newest + 1));
    assert_eq!(parse(&slow.receive()), (7, newest + 1), "it is still there");
    assert!(slow.barrier().is_empty(), "and all is as before");
}

#[test]
fn last_known_positions_of_a_follow_while_blocked_come_once_with_what_is_true_when_they_go() {
    let server = Server::start(&["--ping-interval", "1s"]);
    let mut gateway = server.connect();
    let (mut clock, _) = server.spectator("[]");
    gateway.send(&position(1, 10));
    gateway.send(&position(2, 20));
    let mut slow = follower(&server, &[3]);
    fall_behind(&server, &mut gateway);
    slow.send(r#"{"follow":[1,2,4]}"#);
    server.wait_for_metric("spectate_follows", 6.0);
    gateway.send(&position(2, 21));
    gateway.barrier();
    // Its ping comes after a second of silence.
    clock.wait_for_ping();

    let texts = catch_up(&mut slow, &mut gateway);
    let [one, two] = &texts[..] else {
        panic!("one message for each: {texts:?}");
    };
    let age = assert_last_known(one, &position(1, 10));
    assert!(age >= 0.9, "{age}: the age is that of the moment it goes");
    assert_last_known(two, &position(2, 21));
    gateway.send(&position(1, 11));
    assert_eq!(slow.receive(), position(1, 11), "live, without an age");
    assert!(slow.barrier().is_empty());
}

#[test]
fn a_runner_unfollowed_while_blocked_is_not_heard_of_again() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    let mut slow = follower(&server, &[1, 2, 3]);
    fall_behind(&server, &mut gateway);
    for user in [1, 2, 3] {
        gateway.send(&position(user, 10));
    }
    gateway.barrier();
    slow.send(r#"{"unfollow":[1]}"#);
    server.wait_for_metric("spectate_follows", 4.0);
    for user in [1, 2] {
        gateway.send(&position(user, 11));
    }
    gateway.barrier();
    assert_eq!(
        catch_up(&mut slow, &mut gateway),
        [position(2, 11), position(3, 10)]
    );
    gateway.send(&position(1, 12));
    gateway.send(&position(3, 12));
    assert_eq!(slow.receive(), position(3, 12));
}

#[test]
fn a_runner_unfollowed_and_followed_again_while_blocked_comes_once_with_its_age() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    let mut slow = follower(&server, &[1, 2]);
    fall_behind(&server, &mut gateway);
    for lat in 10..13 {
        gateway.send(&position(1, lat));
    }
    gateway.barrier();
    slow.send(r#"{"unfollow":[1]}"#);
    server.wait_for_metric("spectate_follows", 3.0);
    slow.send(r#"{"follow":[1]}"#);
    server.wait_for_metric("spectate_follows", 4.0);
    let texts = catch_up(&mut slow, &mut gateway);
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_last_known(&texts[0], &position(1, 12));
}

/// A position that brings the error `bad_id`, which quotes the number.
fn bad(number: usize) -> String {
    format!(r#"{{"userId":{{"n":"{number:06}"}},"lat":1,"lng":2}}"#)
}

/// Sends messages that bring these errors, never 100 of them in a row, and waits until they did.
fn send_bad(server: &Server, client: &mut Client, numbers: std::ops::Range<usize>) {
    let end = numbers.end;
    for number in numbers {
        client.send(&bad(number));
        if number % 50 == 0 {
            client.send(r#"{"follow":[]}"#);
        }
    }
    let rejected = r#"spectate_positions_rejected_total{reason="bad_id"}"#;
    server.wait_for_metric(rejected, end as f64);
}

#[test]
fn errors_to_one_that_does_not_read_wait_in_order_up_to_64_kib() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    let mut slow = follower(&server, &[]);
    slow.send(&bad(0));
    let error = slow.receive();
    // Its header takes 2 bytes, or 4 if the text is over 125 (RFC 6455, 5.2).
    let frame_bytes = error.len() + if error.len() > 125 { 4 } else { 2 };
    let fits = 64 * 1024 / frame_bytes;
    fall_behind(&server, &mut gateway);

    send_bad(&server, &mut slow, 1..fits + 1);
    assert_eq!(server.closed("errors_unread"), 0.0);
    let numbers: Vec<usize> = catch_up(&mut slow, &mut gateway)
        .iter()
        .map(|text| {
            let digits = text.split_once(r#"{\"n\":\""#).expect("quoted").1;
            digits[..6].parse().expect("the number")
        })
        .collect();
    assert!(numbers.iter().copied().eq(1..fits + 1), "{numbers:?}");

    // One that reads has a fresh 64 KiB; one that does not is given up at the end of them.
    fall_behind(&server, &mut gateway);
    send_bad(&server, &mut slow, fits + 1..2 * fits + 1);
    assert_eq!(server.closed("errors_unread"), 0.0);
    assert_eq!(server.metric("spectate_connections"), 2.0);
    slow.send(&bad(2 * fits + 1));
    server.wait_for_metric("spectate_connections", 1.0);
    server.wait_for_closed("errors_unread", 1.0);
    assert!(
        server.log().contains(" reason=errors_unread "),
        "{}",
        server.log()
    );
}

#[test]
fn one_given_up_for_its_errors_reads_them_all_and_1008_if_it_reads_after_all() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    let mut slow = follower(&server, &[]);
    fall_behind(&server, &mut gateway);
    for number in 0..2000 {
        slow.send(&bad(number));
        if number % 50 == 0 {
            slow.send(r#"{"follow":[]}"#);
        }
    }
    server.wait_for_metric("spectate_connections", 1.0);
    let (texts, code) = slow.receive_until_close();
    assert_eq!(code, 1008);
    let errors = texts.iter().filter(|text| text.contains("bad_id"));
    assert!(errors.count() > 64 * 1024 / 200);
    server.wait_for_closed("errors_unread", 1.0);
}

#[test]
fn of_many_pings_to_a_server_that_cannot_write_the_last_is_answered() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    let mut slow = follower(&server, &[1]);
    fall_behind(&server, &mut gateway);
    for number in 0..500u32 {
        slow.send_raw(&frame(0x89, &number.to_be_bytes()));
    }
    slow.send(r#"{"follow":[7]}"#);
    server.wait_for_metric("spectate_follows", 4.0);
    gateway.send(&position(1, 10));
    gateway.barrier();
    let mut pongs = Vec::new();
    loop {
        match slow.read().expect("a message") {
            Message::Pong(payload) => pongs.push(payload),
            Message::Text(text) if text.as_str() == position(1, 10) => break,
            Message::Text(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(slow.barrier().is_empty(), "and no other pong");
    assert_eq!(pongs.len(), 1, "{pongs:?}");
    assert_eq!(pongs[0][..], 499u32.to_be_bytes());
}

/// Reads at most so many bytes of what is there.
fn read_some(client: &mut Client, mut bytes: usize) {
    client.stream().set_nonblocking(true).expect("a socket");
    let mut room = [0; 1024];
    while bytes > 0 {
        let most = bytes.min(room.len());
        match client.stream().read(&mut room[..most]) {
            Ok(0) => panic!("the server ended the connection"),
            Ok(read) => bytes -= read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    client.stream().set_nonblocking(false).expect("a socket");
}

/// Reads until these bytes come, whatever comes before.
fn read_until(client: &mut Client, bytes: &[u8]) {
    let mut read = Vec::new();
    while !read.ends_with(bytes) {
        let mut room = [0; 1024];
        match client.stream().read(&mut room).expect("more") {
            0 => panic!("the server ended the connection"),
            count => read.extend_from_slice(&room[..count]),
        }
    }
}

#[test]
fn one_that_reads_nothing_is_closed_as_stalled_and_those_that_read_a_little_stay() {
    let server = Server::start(&["--stall-timeout", "5s"]);
    let mut gateway = server.connect();
    let mut slow = follower(&server, &[]);
    // This one takes less within the timeout than a kernel likes to hold.
    let mut slowest = follower(&server, &[]);
    let mut silent = follower(&server, &[]);
    let begin = fall_behind(&server, &mut gateway);
    let mut closed_after = None;
    let mut seconds = 0;
    while begin.elapsed() < Duration::from_secs(11) {
        gateway.send_raw(&text_frame(&position(FILLER, 0)).repeat(100));
        gateway.hear_nothing_for(Duration::from_millis(50));
        if closed_after.is_none() && server.metric("spectate_connections") < 4.0 {
            closed_after = Some(begin.elapsed());
        }
        if begin.elapsed().as_secs() > seconds {
            seconds += 1;
            read_some(&mut slow, 16 * 1024);
            read_some(&mut slowest, 2 * 1024);
        }
    }
    server.wait_for_closed("stalled", 1.0);
    assert_eq!(server.metric("spectate_connections"), 3.0);
    let closed_after = closed_after.expect("a count of 3 at some time");
    println!("closed after {closed_after:?}");
    assert!(
        (Duration::from_secs(4)..Duration::from_secs(7)).contains(&closed_after),
        "{closed_after:?}"
    );
    let peer = silent.stream().local_addr().expect("connected");
    let line = format!("peer={peer} reason=stalled ");
    assert!(server.log().contains(&line), "{}", server.log());
    gateway.send(&position(FILLER, 9));
    for follower in [&mut slow, &mut slowest] {
        read_until(follower, position(FILLER, 9).as_bytes());
    }
}
