//! `spectate record` writes what it follows, each position once and every line whole, whatever
//! happens to it, to the server and to the way between.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::recorder::{
    Cable, Folder, Recorder, positions, recorded, stderr, unix_ms, wait_for_lines, wait_until,
};
use crate::relay::{Relay, Relaying};
use crate::support::{Client, Server};

const TORN: &str = r#"{"userId":5,"lat":1,"lng":2,"rec"#;
const LINE: &str = r#"{"userId":5,"lat":1,"lng":2,"received":3}"#;

/// A server at which everyone can be followed, and somebody who moves anyone.
fn server() -> (Server, Client) {
    let server = Server::start(&["--follow-all"]);
    let gateway = server.connect();
    (server, gateway)
}

/// A recorder of everyone that follows by now.
fn everyone(server: &Server, folder: &Folder, arguments: &[&str]) -> Recorder {
    let recorder = Recorder::start(server.address(), &folder.file("out"), arguments);
    server.wait_for_metric("spectate_follows", 1.0);
    recorder
}

/// Where many are sent at once they are of different users: of one user a server keeps but the
/// newest for a recorder that waits for its disk.
fn position(user: usize, lat: usize) -> String {
    format!(r#"{{"userId":{user},"lat":{lat},"lng":0}}"#)
}

#[test]
fn a_position_is_recorded_byte_for_byte_with_the_time_at_which_it_came() {
    let (server, mut gateway) = server();
    let folder = Folder::new("bytes");
    let recorder = everyone(&server, &folder, &[]);
    let sent = [
        r#"{"userId":5,"lat":1.50,"lng":-0}"#,
        r#"{"userId":"J\u00f6rg \"5\"","lat":99.9e0,"lng":2,"accuracy":5.0,"timestamp":1714470000}"#,
        r#"{"userId":5,"lat":1.50,"lng":-0}"#,
    ];
    let before_ms = unix_ms();
    sent.iter().for_each(|text| gateway.send(text));
    wait_for_lines(&folder.file("out"), 3, &mut gateway);
    let after_ms = unix_ms();
    recorder.stop();
    let lines = recorded(&folder.file("out"));
    assert_eq!(positions(&folder.file("out")), sent);
    for (_, received_ms) in lines {
        assert!((before_ms..=after_ms).contains(&received_ms));
    }
    let mode = fs::metadata(folder.file("out")).expect("a file");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}

#[test]
fn only_those_who_are_named_are_recorded() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    let folder = Folder::new("named");
    let out = folder.file("out");
    let recorder = Recorder::start(server.address(), &out, &["5", "x y"]);
    server.wait_for_metric("spectate_follows", 2.0);
    gateway.send(&position(6, 1));
    gateway.send(&position(5, 2));
    gateway.send(r#"{"userId":"x y","lat":3,"lng":0}"#);
    wait_for_lines(&out, 2, &mut gateway);
    recorder.stop();
    let expected = [
        position(5, 2),
        r#"{"userId":"x y","lat":3,"lng":0}"#.to_owned(),
    ];
    assert_eq!(positions(&out), expected);
}

#[test]
fn where_everyone_cannot_be_followed_it_ends_with_what_to_do() {
    let server = Server::start(&[]);
    let folder = Folder::new("nobody");
    let recorder = Recorder::start(server.address(), &folder.file("out"), &[]);
    assert!(recorder.next().contains("connected to"));
    let line = recorder.next();
    assert!(
        line.contains("not_allowed") && line.contains("--follow-all"),
        "{line}"
    );
    assert_eq!(recorder.status().code(), Some(1));
}

#[test]
fn a_last_known_position_is_recorded_with_the_time_at_which_the_server_got_it() {
    let relay = Relay::start(Relaying::Right);
    let server = Server::start(&[]);
    let folder = Folder::new("age");
    let out = folder.file("out");
    let before_ms = unix_ms();
    let recorder = Recorder::start(relay.address, &out, &["5"]);
    wait_for_lines(&out, 1, &mut server.connect());
    let after_ms = unix_ms();
    recorder.stop();
    let lines = recorded(&out);
    assert_eq!(lines[0].0, r#"{"userId":5,"lat":1.0,"lng":2.0}"#);
    let got_ms = lines[0].1 + 3500;
    assert!((before_ms..=after_ms).contains(&got_ms), "{got_ms}");
}

#[test]
fn a_last_known_position_is_recorded_once() {
    let (server, mut gateway) = server();
    let folder = Folder::new("last-known");
    let out = folder.file("out");
    (1..=3).for_each(|user| gateway.send(&position(user, 7)));
    gateway.barrier();
    let recorder = everyone(&server, &folder, &[]);
    wait_for_lines(&out, 3, &mut gateway);
    recorder.signal(Signal::KILL);
    recorder.status();
    server.wait_for_metric("spectate_follows", 0.0);
    gateway.send(&position(3, 8));
    gateway.barrier();
    let recorder = everyone(&server, &folder, &[]);
    wait_for_lines(&out, 4, &mut gateway);
    gateway.send(&position(1, 9));
    wait_for_lines(&out, 5, &mut gateway);
    recorder.stop();
    let all = positions(&out);
    assert_eq!(all[3..], [position(3, 8), position(1, 9)]);
}

#[test]
fn after_a_lost_connection_it_goes_on_and_doubles_nothing() {
    let (server, mut gateway) = server();
    let cable = Cable::to(server.address());
    let folder = Folder::new("cable");
    let out = folder.file("out");
    let recorder = Recorder::start(cable.address, &out, &[]);
    server.wait_for_metric("spectate_follows", 1.0);
    (1..=3).for_each(|user| gateway.send(&position(user, 1)));
    wait_for_lines(&out, 3, &mut gateway);
    cable.cut();
    assert!(recorder.next().contains("connected to"));
    assert!(recorder.next().contains("lost"));
    assert!(recorder.next().contains("connected to"));
    server.wait_for_metric("spectate_follows", 1.0);
    gateway.send(&position(2, 2));
    wait_for_lines(&out, 4, &mut gateway);
    recorder.stop();
    let expected = [
        position(1, 1),
        position(2, 1),
        position(3, 1),
        position(2, 2),
    ];
    assert_eq!(positions(&out), expected);
}

#[test]
fn a_server_that_comes_back_is_followed_again() {
    let relay = Relay::start(Relaying::Right);
    let address = relay.address;
    let folder = Folder::new("comes-back");
    let recorder = Recorder::start(address, &folder.file("out"), &["5"]);
    relay.hellos.recv_timeout(crate::WAIT).expect("a hello");
    relay.stop();
    let relay = Relay::start_at(address, Relaying::Right);
    relay
        .hellos
        .recv_timeout(crate::WAIT)
        .expect("another hello");
    drop(recorder);
}

#[test]
fn killed_at_any_moment_it_leaves_whole_lines_and_goes_on_without_doubles() {
    let (server, mut gateway) = server();
    let folder = Folder::new("killed");
    let out = folder.file("out");
    let (mut sent, mut count) = (0, 0);
    for _ in 0..10 {
        let recorder = everyone(&server, &folder, &[]);
        let enough = count + 100;
        wait_until(&mut gateway, || {
            count = fs::read_to_string(&out).unwrap_or_default().lines().count();
            // One runner moves, and another stands where it was last.
            let mut runner = server.connect();
            for _ in 0..50 {
                sent += 1;
                runner.send(&position(1, sent));
            }
            runner.send(&position(2, 0));
            count >= enough
        });
        recorder.signal(Signal::KILL);
        recorder.status();
        server.wait_for_metric("spectate_follows", 0.0);
    }
    let all = positions(&out);
    let of_first = all.iter().filter(|line| line.contains(r#""userId":1,"#));
    let lat = |line: &String| -> usize {
        let (_, rest) = line.split_once(r#""lat":"#).expect("a position");
        rest.split_once(',').expect("lng").0.parse().expect("ours")
    };
    let lats: Vec<usize> = of_first.map(lat).collect();
    assert!(lats.len() >= 800, "{}", lats.len());
    assert!(lats.is_sorted_by(|one, next| one < next), "{lats:?}");
}

#[test]
fn a_torn_last_line_is_cut_off_with_a_line_that_says_so() {
    let (server, mut gateway) = server();
    let folder = Folder::new("torn");
    let out = folder.with("out", format!("{LINE}\n# not ours\n{TORN}"));
    let recorder = everyone(&server, &folder, &[]);
    let line = recorder.next();
    let cut = format!("cut off a torn last line of {} bytes", TORN.len());
    assert!(line.contains(&cut), "{line}");
    gateway.send(&position(6, 1));
    wait_for_lines(&out, 3, &mut gateway);
    recorder.stop();
    let text = fs::read_to_string(&out).expect("UTF-8");
    assert!(
        text.starts_with(&format!("{LINE}\n# not ours\n{{\"userId\":6,")),
        "{text}"
    );
}

#[test]
fn a_last_line_that_lacks_only_its_newline_gets_one() {
    let (server, mut gateway) = server();
    let folder = Folder::new("newline");
    let out = folder.with("out", LINE);
    let recorder = everyone(&server, &folder, &[]);
    gateway.send(&position(6, 1));
    wait_for_lines(&out, 2, &mut gateway);
    recorder.stop();
    assert_eq!(
        positions(&out),
        [
            position(5, 1).replace("\"lng\":0", "\"lng\":2"),
            position(6, 1)
        ]
    );
}

#[test]
fn what_is_no_recording_is_left_as_it_is() {
    let folder = Folder::new("foreign");
    let other = folder.with("other", "{\"type\":\"FeatureCollection\",\"features\":[]}");
    let device = folder.file("device");
    symlink("/dev/null", &device).expect("room for a link");
    let server = Server::start(&["--follow-all"]);
    for path in [&other, &device, &folder.path().to_owned()] {
        let recorder = Recorder::start(server.address(), path, &[]);
        let line = recorder.next();
        assert!(line.contains(path.to_str().expect("UTF-8")), "{line}");
        assert_eq!(recorder.status().code(), Some(1));
    }
    let left = fs::read_to_string(&other).expect("UTF-8");
    assert_eq!(left, "{\"type\":\"FeatureCollection\",\"features\":[]}");
}

#[test]
fn two_recorders_do_not_share_a_file() {
    let (server, mut gateway) = server();
    let folder = Folder::new("two");
    let recorder = everyone(&server, &folder, &[]);
    let second = Recorder::start(server.address(), &folder.file("out"), &[]);
    let line = second.next();
    assert!(line.contains("another recorder"), "{line}");
    assert_eq!(second.status().code(), Some(1));
    gateway.send(&position(6, 1));
    wait_for_lines(&folder.file("out"), 1, &mut gateway);
    recorder.stop();
}

#[test]
fn a_file_that_somebody_takes_away_is_begun_anew() {
    let (server, mut gateway) = server();
    let folder = Folder::new("taken");
    let out = folder.file("out");
    let recorder = everyone(&server, &folder, &[]);
    gateway.send(&position(1, 1));
    wait_for_lines(&out, 1, &mut gateway);
    fs::rename(&out, folder.file("taken")).expect("our folder");
    let mut runner = server.connect();
    let mut sent = 1;
    wait_until(&mut gateway, || {
        sent += 1;
        runner.send(&position(sent, 1));
        fs::metadata(&out).is_ok_and(|metadata| metadata.len() > 0)
    });
    runner.barrier();
    recorder.stop();
    let all = [positions(&folder.file("taken")), positions(&out)].concat();
    let expected: Vec<String> = (1..=sent).map(|user| position(user, 1)).collect();
    assert_eq!(all, expected);
}

/// The files of a recording in the order in which they were written.
fn rotated(folder: &Folder) -> Vec<String> {
    let mut names = folder.names();
    names.retain(|name| name != "out");
    names.sort_by_key(|name| {
        let (time, number) = match name.matches('.').count() {
            1 => (name.as_str(), 0),
            _ => {
                let (time, number) = name.rsplit_once('.').expect("two of them");
                (time, number.parse::<u32>().expect("a number"))
            }
        };
        let stamp = time.strip_prefix("out.").expect(name);
        let digits =
            |range: std::ops::Range<usize>| stamp[range].bytes().all(|byte| byte.is_ascii_digit());
        let is_stamp = stamp.len() == 16 && digits(0..8) && digits(9..15);
        assert!(
            is_stamp && &stamp[8..9] == "T" && stamp.ends_with('Z'),
            "{name}"
        );
        (stamp.to_owned(), number)
    });
    names
}

#[test]
fn rotation_loses_and_doubles_nothing_and_overwrites_no_file() {
    let (server, mut gateway) = server();
    let folder = Folder::new("rotate");
    let recorder = everyone(&server, &folder, &["--rotate", "100ms"]);
    let mut sent = Vec::new();
    let mut runner = server.connect();
    // Until two of them are of the same second.
    wait_until(&mut gateway, || {
        sent.push(position(sent.len(), 1));
        runner.send(&sent[sent.len() - 1]);
        let names = folder.names();
        names.len() > 3 && names.iter().any(|name| name.ends_with("Z.1"))
    });
    runner.barrier();
    recorder.stop();
    let mut files = rotated(&folder);
    files.push("out".to_owned());
    let all = files.iter().flat_map(|name| positions(&folder.file(name)));
    assert_eq!(all.collect::<Vec<_>>(), sent);
}

#[test]
fn what_is_left_of_a_period_that_has_passed_is_renamed_and_not_gone_on_with() {
    let (server, mut gateway) = server();
    let folder = Folder::new("left");
    let out = folder.with("out", format!("{LINE}\n"));
    let three_days_ago = SystemTime::now() - Duration::from_secs(3 * 86_400);
    let file = fs::File::options().write(true).open(&out);
    let modified = file.and_then(|file| file.set_modified(three_days_ago));
    modified.expect("our file");
    let recorder = everyone(&server, &folder, &["--rotate", "24h"]);
    wait_until(&mut gateway, || rotated(&folder).len() == 1);
    gateway.send(&position(1, 1));
    wait_for_lines(&out, 1, &mut gateway);
    recorder.stop();
    let before = folder.file(&rotated(&folder)[0]);
    assert_eq!(
        fs::read_to_string(before).expect("UTF-8"),
        format!("{LINE}\n")
    );
    assert_eq!(positions(&out), [position(1, 1)]);
}

#[test]
fn what_stands_in_a_file_that_was_renamed_is_not_recorded_again() {
    let (server, mut gateway) = server();
    let folder = Folder::new("renamed");
    let recorder = everyone(&server, &folder, &["--rotate", "100ms"]);
    gateway.send(&position(1, 1));
    wait_until(&mut gateway, || rotated(&folder).len() == 1);
    recorder.stop();
    server.wait_for_metric("spectate_follows", 0.0);
    let recorder = everyone(&server, &folder, &[]);
    gateway.send(&position(2, 2));
    wait_for_lines(&folder.file("out"), 1, &mut gateway);
    recorder.stop();
    assert_eq!(positions(&folder.file("out")), [position(2, 2)]);
}

#[test]
fn a_signal_ends_it_with_everything_written_and_status_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let (server, mut gateway) = server();
        let folder = Folder::new(&format!("signal-{signal:?}"));
        let recorder = everyone(&server, &folder, &[]);
        (0..2000).for_each(|user| gateway.send(&position(user, 1)));
        gateway.barrier();
        recorder.signal(signal);
        assert_eq!(recorder.status().code(), Some(0));
        assert_eq!(recorded(&folder.file("out")).len(), 2000);
    }
}

#[test]
fn a_signal_ends_it_also_where_no_server_is() {
    let relay = Relay::start(Relaying::Right);
    let address = relay.address;
    relay.stop();
    let folder = Folder::new("no-server");
    let recorder = Recorder::start(address, &folder.file("out"), &["5"]);
    assert!(recorder.next().contains("cannot connect to"));
    recorder.stop();
}

#[test]
fn a_disk_that_takes_no_more_ends_it_with_a_line_and_whole_lines_in_the_file() {
    let (server, mut gateway) = server();
    let folder = Folder::new("full");
    let out = folder.file("out");
    // A limit on files stands for a disk: at most some KiB, and then an error, not a signal.
    let script = r#"trap '' XFSZ; ulimit -f 4; exec "$0" record --url "$1" --out "$2""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_spectate")]);
    command.arg(format!("ws://{}", server.address())).arg(&out);
    let child = command.stderr(Stdio::piped()).spawn().expect("a shell");
    server.wait_for_metric("spectate_follows", 1.0);
    for lat in 0..200 {
        gateway.send(&position(1, lat));
    }
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let line = stderr(&output);
    assert!(
        line.contains("too large") && line.contains("recorded up to here"),
        "{line}"
    );
    let lines = recorded(&out);
    assert!((20..200).contains(&lines.len()), "{}", lines.len());
}
