//! `spectate replay` publishes a recording in its order and at its pace, once, and says what it
//! could not.

use std::path::Path;
use std::process::{Child, Output, Stdio};

use serde_json::Value;

use crate::recorder::{Cable, Folder, Recorder, positions, stderr, unix_ms, wait_for_lines};
use crate::relay::{Relay, Relaying};
use crate::spectate;
use crate::support::{Client, Server, wait_for_exit};

/// So fast that everything is due at once.
const AT_ONCE: &str = "--speed=1e300";

/// Replays a file to its end.
fn replay(url: &str, file: &Path, arguments: &[&str]) -> Output {
    let mut command = spectate(&["replay", "--url", url]);
    command.arg(file).args(arguments);
    command.output().expect("the program runs")
}

/// A replay under way, killed when this is dropped.
struct Replay(Child);

impl Replay {
    fn begin(url: &str, file: &Path) -> Replay {
        let mut command = spectate(&["replay", "--url", url]);
        let command = command.arg(file).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn();
        Replay(child.expect("the program runs"))
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn url(server: &Server) -> String {
    format!("ws://{}", server.address())
}

fn line(user: &str, lat: usize, received_ms: u64) -> String {
    format!("{{\"userId\":{user},\"lat\":{lat},\"lng\":0,\"received\":{received_ms}}}\n")
}

fn position(user: &str, lat: usize) -> String {
    format!(r#"{{"userId":{user},"lat":{lat},"lng":0}}"#)
}

/// What everybody did, as far as a follower of everyone received it.
fn received(follower: &mut Client) -> Vec<String> {
    follower.barrier()
}

fn follower(server: &Server) -> Client {
    let mut client = server.connect();
    client.send(r#"{"initialRequest":true,"following":"*"}"#);
    client.barrier();
    client
}

#[test]
fn positions_are_published_in_their_order_with_their_digits_and_no_time_of_reception() {
    let server = Server::start(&["--follow-all"]);
    let mut follower = follower(&server);
    let folder = Folder::new("order");
    // Each of another user, of whom a server never leaves one out.
    let user = |number: usize| match number % 3 {
        0 => format!("{number}"),
        1 => format!("\"a {number}\""),
        _ => format!("\"\\u0061{number}\""),
    };
    let received_ms = |number: usize| 1_000_000 + 1000 * number as u64;
    let lines: String = (0..3000)
        .map(|number| line(&user(number), number, received_ms(number)))
        .collect();
    let digits = r#"{"userId":-5,"lat":1.50,"lng":-0,"accuracy":5.0,"battery":0.50"#;
    let file = folder.with("recording", format!("{lines}{digits},\"received\":1}}\n"));
    let output = replay(&url(&server), &file, &[AT_ONCE]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "3001 positions published\n"
    );
    let mut expected: Vec<String> = (0..3000)
        .map(|number| position(&user(number), number))
        .collect();
    expected.push(format!("{digits}}}"));
    assert_eq!(received(&mut follower), expected);
}

#[test]
fn a_timestamp_becomes_one_of_now_and_what_had_none_has_none() {
    let server = Server::start(&["--follow-all"]);
    let mut follower = follower(&server);
    let folder = Folder::new("timestamps");
    let file = folder.with(
        "recording",
        "{\"userId\":5,\"lat\":1,\"lng\":2,\"timestamp\":1714470000,\"battery\":1,\"received\":1000}\n\
         {\"userId\":6,\"lat\":1,\"lng\":2,\"received\":1000}\n",
    );
    let before_ms = unix_ms();
    assert_eq!(replay(&url(&server), &file, &[]).status.code(), Some(0));
    let after_ms = unix_ms();
    let [timed, untimed] = &received(&mut follower)[..] else {
        panic!("two positions");
    };
    assert_eq!(untimed, r#"{"userId":6,"lat":1,"lng":2}"#);
    let json: Value = serde_json::from_str(timed).expect("JSON");
    let timestamp = json["timestamp"].as_u64().expect("a time");
    assert!((before_ms..=after_ms).contains(&timestamp), "{timed}");
    let begin = r#"{"userId":5,"lat":1,"lng":2,"timestamp":"#;
    assert_eq!(*timed, format!("{begin}{timestamp},\"battery\":1}}"));
}

#[test]
fn what_is_recorded_again_while_it_is_replayed_is_the_same() {
    let server = Server::start(&["--follow-all"]);
    let folder = Folder::new("round-trip");
    let (first, second) = (folder.file("first"), folder.file("second"));
    let mut gateway = server.connect();
    let recorder = Recorder::start(server.address(), &first, &[]);
    server.wait_for_metric("spectate_follows", 1.0);
    for number in 0..500 {
        let user = [format!("{number}"), format!("\"x {number}\"")];
        let user = &user[number % 2];
        gateway.send(&format!(
            r#"{{"userId":{user},"lat":1.50,"lng":-1e1,"heading":360}}"#
        ));
    }
    wait_for_lines(&first, 500, &mut gateway);
    recorder.stop();
    let server = Server::start(&["--follow-all"]);
    let recorder = Recorder::start(server.address(), &second, &[]);
    server.wait_for_metric("spectate_follows", 1.0);
    let output = replay(&url(&server), &first, &[AT_ONCE]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    wait_for_lines(&second, 500, &mut server.connect());
    recorder.stop();
    assert_eq!(positions(&second), positions(&first));
}

#[test]
fn what_is_not_due_is_not_published_yet() {
    let server = Server::start(&["--follow-all"]);
    let mut follower = follower(&server);
    let folder = Folder::new("pace");
    let day_ms = 86_400_000;
    let file = folder.with("recording", line("5", 1, 0) + &line("5", 2, day_ms));
    let mut replay = Replay::begin(&url(&server), &file);
    assert_eq!(follower.receive(), position("5", 1));
    assert_eq!(received(&mut follower), Vec::<String>::new());
    assert_eq!(replay.0.try_wait().expect("our child"), None);
}

#[test]
fn from_and_to_leave_out_what_was_received_before_and_after() {
    let server = Server::start(&["--follow-all"]);
    let mut follower = follower(&server);
    let folder = Folder::new("from-to");
    let begin_ms = 1_777_636_800_000;
    let lines: String = (0..5)
        .map(|s| line("5", s, begin_ms + 1000 * s as u64))
        .collect();
    // Also where times go back.
    let file = folder.with("recording", lines + &line("5", 9, begin_ms + 2000));
    let ms = (begin_ms + 3000).to_string();
    for (arguments, lats) in [
        (
            vec!["--from", "2026-05-01T12:00:01Z", "--to", &ms],
            vec![1, 2, 3, 9],
        ),
        (vec!["--from", "2026-05-01T14:00:03.5+02:00"], vec![4]),
        (vec!["--to", "1777636800000"], vec![0]),
        (vec!["--from", "2027-05-01T12:00:01Z"], vec![]),
    ] {
        let output = replay(&url(&server), &file, &[&arguments[..], &[AT_ONCE]].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let expected: Vec<String> = lats.iter().map(|lat| position("5", *lat)).collect();
        assert_eq!(received(&mut follower), expected, "{arguments:?}");
    }
}

#[test]
fn foreign_lines_are_passed_over_and_told_by_number_and_a_torn_end_is_not() {
    let server = Server::start(&["--follow-all"]);
    let mut follower = follower(&server);
    let folder = Folder::new("foreign-lines");
    let long = "x".repeat(100_000);
    let mut bytes = [
        &line("5", 1, 1),
        "# a comment\n",
        "{\"userId\":5,\"lat\":1,\"received\":1}\n",
        "\n",
        "{\"userId\":5,\"lat\":1,\"lng\":1}\n",
        &format!("{{\"userId\":5,\"lat\":1,\"lng\":1,\"received\":1,\"x\":\"{long}\"}}\n"),
        &line("5", 2, 1),
    ]
    .concat()
    .into_bytes();
    bytes.extend_from_slice(b"\xff\xfe\n");
    bytes.extend_from_slice(line("5", 3, 1).as_bytes());
    bytes.extend_from_slice(br#"{"userId":5,"lat":4,"lng":0,"received":"#);
    let file = folder.with("recording", bytes);
    let output = replay(&url(&server), &file, &[AT_ONCE]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        received(&mut follower),
        [1, 2, 3].map(|lat| position("5", lat))
    );
    let told = stderr(&output);
    for expected in [
        "passed over lines that are not JSON: 3, the first is line 2",
        "passed over lines that are no position of a user: 1, the first is line 3",
        "passed over lines that do not say when they were received: 1, the first is line 5",
        "passed over lines that are longer than 64 KiB: 1, the first is line 6",
    ] {
        assert!(told.contains(expected), "{told}");
    }
    // And one that it was connected.
    assert_eq!(told.lines().count(), 5, "{told}");
}

#[test]
fn a_recording_that_is_not_there_is_exit_status_1_without_a_connection() {
    let server = Server::start(&[]);
    let folder = Folder::new("missing");
    for path in [folder.file("nothing"), folder.path().to_owned()] {
        let output = replay(&url(&server), &path, &[]);
        assert_eq!(output.status.code(), Some(1));
        let line = stderr(&output);
        assert!(line.contains(path.to_str().expect("UTF-8")), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn a_token_must_let_it_publish_for_all() {
    let folder = Folder::new("tokens");
    let secret = folder.with("secret", "a secret of more than 32 bytes, for tests only");
    let secret = secret.to_str().expect("UTF-8");
    let server = Server::start(&["--jwt-hs256-secret-file", secret]);
    let file = folder.with("recording", line("5", 1, 1) + &line("6", 2, 1));
    let token = |publish: &str| {
        let mut command = spectate(&["token", "--sub", "5", "--follow", "*"]);
        command.args(["--publish", publish, "--jwt-hs256-secret-file", secret]);
        let output = command.output().expect("the program runs");
        let path = folder.with(publish.trim_matches('*'), output.stdout);
        path.to_str().expect("UTF-8").to_owned()
    };
    let url = url(&server);
    let output = replay(&url, &file, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("unauthorized"), "{output:?}");
    let own = token("true");
    let output = replay(&url, &file, &["--token-file", &own]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(
        told.contains("not_allowed") && told.contains("--publish '*'"),
        "{told}"
    );
    let gateway = token("6,5");
    let output = replay(&url, &file, &["--token-file", &gateway]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_server_that_turns_it_away_is_exit_status_1() {
    let folder = Folder::new("turned-away");
    let file = folder.with("recording", line("5", 1, 1));
    let token = folder.with("token", "a.b.c");
    let token = token.to_str().expect("UTF-8");
    for code in [4001, 4003] {
        let relay = Relay::start(Relaying::ClosesHellos(code));
        let output = replay(&relay.url(), &file, &["--token-file", token]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).contains(&format!("with code {code}")),
            "{output:?}"
        );
    }
}

#[test]
fn positions_that_the_server_does_not_take_are_exit_status_1_and_the_rest_is_published() {
    let server = Server::start(&["--follow-all", "--wgs84"]);
    let mut follower = follower(&server);
    let folder = Folder::new("wgs84");
    let file = folder.with(
        "recording",
        line("5", 1, 1) + &line("5", 95, 1) + &line("5", 2, 1),
    );
    let output = replay(&url(&server), &file, &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(
        told.contains("bad_position") && told.contains("errors: 1"),
        "{told}"
    );
    assert_eq!(
        received(&mut follower),
        [1, 2].map(|lat| position("5", lat))
    );
}

#[test]
fn after_a_lost_connection_it_goes_on_where_it_was() {
    let server = Server::start(&["--follow-all"]);
    let mut follower = follower(&server);
    let cable = Cable::to(server.address());
    let folder = Folder::new("goes-on");
    let lines = line("5", 1, 1000) + &line("5", 2, 2000) + &line("5", 3, 2000);
    let file = folder.with("recording", lines);
    let mut replay = Replay::begin(&format!("ws://{}", cable.address), &file);
    assert_eq!(follower.receive(), position("5", 1));
    cable.cut();
    assert_eq!(follower.receive(), position("5", 2));
    assert_eq!(follower.receive(), position("5", 3));
    assert_eq!(wait_for_exit(&mut replay.0).code(), Some(0));
}

#[test]
fn bad_values_are_exit_status_2() {
    for flag in [
        "--speed=0",
        "--speed=-1",
        "--speed=x",
        "--from=yesterday",
        "--to=-1",
    ] {
        let output = spectate(&["replay", "x", flag]).output();
        let output = output.expect("the program runs");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(stderr(&output).contains("try "), "{output:?}");
    }
}
