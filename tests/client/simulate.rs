//! `spectate simulate` finds nothing wrong with a server that keeps the protocol, and names what
//! is wrong with any other.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::{Output, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use crate::relay::{Relay, Relaying};
use crate::{WAIT, spectate};

fn simulate(relay: &Relay, arguments: &[&str]) -> Output {
    let url = relay.url();
    let output = spectate(&["simulate", "--url", &url])
        .args(arguments)
        .output();
    output.expect("the program runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// What 5 users and 200 positions bring to light: kinds of faults and their counts.
fn faults(relaying: Relaying) -> Vec<(String, u64)> {
    let relay = Relay::start(relaying);
    let output = simulate(&relay, &["--users", "5", "--messages", "200", "--json"]);
    let summary: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let wrong = summary["wrong"].as_object().expect("an object").iter();
    let counts =
        wrong.map(|(kind, tally)| (kind.clone(), tally["count"].as_u64().expect("a count")));
    let counts: Vec<_> = counts.filter(|(_, count)| *count > 0).collect();
    assert_eq!(
        output.status.code(),
        Some(if counts.is_empty() { 0 } else { 1 })
    );
    assert_eq!(summary["ok"], counts.is_empty());
    counts
}

fn one(kind: &str) -> Vec<(String, u64)> {
    vec![(kind.to_owned(), 1)]
}

#[test]
fn a_right_relay_is_called_right() {
    assert_eq!(faults(Relaying::Right), []);
}

#[test]
fn a_relay_that_answers_pings_ahead_of_positions_is_right_too() {
    assert_eq!(faults(Relaying::PongsFirst), []);
}

#[test]
fn a_dropped_delivery_is_missing() {
    assert_eq!(faults(Relaying::Drops), one("missing"));
}

#[test]
fn a_doubled_delivery_is_doubled() {
    assert_eq!(faults(Relaying::Doubles), one("doubled"));
}

#[test]
fn two_swapped_deliveries_are_out_of_order() {
    assert_eq!(faults(Relaying::Swaps), one("out_of_order"));
}

#[test]
fn changed_digits_are_wrong_content() {
    let expected = [("missing".to_owned(), 1), ("wrong_content".to_owned(), 1)];
    assert_eq!(faults(Relaying::ChangesDigits), expected);
}

#[test]
fn fields_that_were_not_sent_are_wrong_content() {
    let expected = [("missing".to_owned(), 1), ("wrong_content".to_owned(), 1)];
    assert_eq!(faults(Relaying::AddsFields), expected);
}

#[test]
fn a_delivery_repeated_as_a_last_known_position_is_unexpected() {
    assert_eq!(faults(Relaying::RepeatsAsLastKnown), one("unexpected"));
}

#[test]
fn a_position_sent_to_all_is_foreign_to_those_who_do_not_follow() {
    let counts = faults(Relaying::ToStrangers);
    let foreign = counts
        .iter()
        .find(|(kind, _)| kind == "foreign")
        .expect("foreign");
    assert!((3..=4).contains(&foreign.1), "{counts:?}");
    assert!(
        counts.iter().any(|(kind, _)| kind == "doubled"),
        "{counts:?}"
    );
}

#[test]
fn an_error_message_is_told_in_its_own_words() {
    let relay = Relay::start(Relaying::SendsError);
    let output = simulate(&relay, &["--users", "3", "--messages", "100"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).contains("error: 1\n    to user "),
        "{}",
        stdout(&output)
    );
    assert!(
        stdout(&output).contains(": too_fast: slow down\n"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn a_binary_message_is_unexpected() {
    assert_eq!(faults(Relaying::SendsBinary), one("unexpected"));
}

#[test]
fn a_connection_that_is_closed_is_told_with_code_and_reason() {
    let relay = Relay::start(Relaying::Closes);
    let output = simulate(&relay, &["--users", "3", "--duration", "1h"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(
        text.contains("closed: 1\n") && text.contains("code 1008 (enough)"),
        "{text}"
    );
    assert!(text.contains("stopped: 1\n"), "{text}");
}

#[test]
fn a_connection_that_breaks_is_closed_without_a_goodbye() {
    let counts = faults(Relaying::HangsUp);
    assert!(counts.contains(&("closed".to_owned(), 1)), "{counts:?}");
}

#[test]
fn pings_without_answers_are_told() {
    assert_eq!(
        faults(Relaying::IgnoresPings),
        [("unanswered".to_owned(), 10)]
    );
}

#[test]
fn a_relay_that_delivers_no_more_ends_even_a_run_without_end() {
    let relay = Relay::start(Relaying::DropsLast);
    let output = simulate(&relay, &["--users", "2", "--duration", "1h"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(
        text.contains("missing: ") && text.contains("nothing was delivered any more"),
        "{text}"
    );
}

#[test]
fn a_server_that_turns_us_away_is_quoted_without_its_control_characters() {
    let relay = Relay::start(Relaying::ClosesHellos(4001));
    let output = simulate(&relay, &[]);
    assert_eq!(output.status.code(), Some(1));
    let line = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(line.starts_with("spectate: cannot connect user "), "{line}");
    assert!(
        line.ends_with("closed by the server with code 4001 (go \\u{7}away)\n"),
        "{line}"
    );
}

#[test]
fn a_server_that_is_not_there_is_one_line_and_exit_status_1() {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let url = format!("ws://127.0.0.1:{port}");
    let output = spectate(&["simulate", "--url", &url])
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(1));
    let line = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(
        line,
        format!("spectate: cannot connect to {url}: Connection refused; is the server running?\n")
    );
}

#[test]
fn users_who_are_not_answered_yet_are_under_way_and_no_more_than_256_are() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("it listens"));
    let mut child = spectate(&["simulate", "--users=300", "--url", &url])
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    let wait = Timespec::try_from(WAIT).expect("seconds");
    // All are upgraded and have said hello, and none has its ping answered.
    let mut under_way = Vec::new();
    for _ in 0..256 {
        let mut fds = [PollFd::new(&listener, PollFlags::IN)];
        assert_eq!(poll(&mut fds, Some(&wait)), Ok(1), "nobody comes");
        let (stream, _) = listener.accept().expect("just seen");
        stream.set_read_timeout(Some(WAIT)).expect("a socket");
        under_way.push(tungstenite::accept(stream).expect("an upgrade"));
    }
    for socket in &mut under_way {
        assert!(socket.read().expect("a hello").is_text());
    }
    listener.set_nonblocking(true).expect("a socket");
    let more = listener.accept().map(|_| ());
    assert_eq!(
        more.map_err(|error| error.kind()),
        Err(ErrorKind::WouldBlock)
    );
    drop(under_way);
    assert_eq!(child.wait().expect("our child").code(), Some(1));
}

#[test]
fn a_rate_and_a_time_give_as_many_positions_as_they_should() {
    let relay = Relay::start(Relaying::Right);
    let output = simulate(
        &relay,
        &[
            "--users",
            "3",
            "--rate",
            "500",
            "--duration",
            "500ms",
            "--json",
        ],
    );
    assert_eq!(output.status.code(), Some(0));
    let summary: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(summary["positions"]["sent"], 250);
    assert!(summary["seconds"].as_f64() >= Some(0.49), "{summary}");
}

#[test]
fn a_single_user_has_one_delivery_of_each_position() {
    let relay = Relay::start(Relaying::Right);
    let output = simulate(&relay, &["--users", "1", "--messages", "70"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stdout(&output).contains("deliveries  70 expected, 70 arrived"),
        "{}",
        stdout(&output)
    );
}
