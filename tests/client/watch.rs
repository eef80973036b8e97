//! `spectate watch` prints what it follows, comes back after its server did, and stops when the
//! server says that coming back is no use.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, ChildStdout, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use tungstenite::Message;

use crate::relay::{Relay, Relaying};
use crate::{WAIT, spectate};

struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Watch {
    fn start(url: &str, users: &[&str]) -> Watch {
        let mut command = spectate(&["watch", "--url", url]);
        command
            .args(users)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Watch(command.spawn().expect("the program runs"))
    }

    fn stdout(&mut self) -> ChildStdout {
        self.0.stdout.take().expect("a pipe")
    }

    fn stderr(&mut self) -> ChildStderr {
        self.0.stderr.take().expect("a pipe")
    }

    /// Whatever is left on this pipe until its end, which comes with that of the process.
    fn status(mut self, pipe: impl Read + Send + 'static) -> ExitStatus {
        let rest = lines(pipe);
        while rest.recv_timeout(WAIT).is_ok() {}
        self.0.wait().expect("a child")
    }
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn next(lines: &Receiver<String>) -> String {
    lines.recv_timeout(WAIT).expect("a line")
}

fn publish(relay: &Relay, text: &str) {
    let stream = TcpStream::connect(relay.address).expect("the relay listens");
    let (mut socket, _) = tungstenite::client(relay.url(), stream).expect("an upgrade");
    socket.send(Message::text(text)).expect("a socket");
    socket
        .send(Message::Ping("taken?".into()))
        .expect("a socket");
    while !socket.read().expect("an answer").is_pong() {}
}

#[test]
fn each_position_is_a_line_as_soon_as_it_comes() {
    let relay = Relay::start(Relaying::Right);
    let mut watch = Watch::start(&relay.url(), &["5", "x y"]);
    relay.hellos.recv_timeout(WAIT).expect("a hello");
    let out = lines(watch.stdout());
    assert_eq!(next(&out), "5  1.0 2.0  last known, 3.5 s ago");
    assert_eq!(next(&out), "x y  1.0 2.0  last known, 3.5 s ago");
    publish(
        &relay,
        r#"{"userId":5,"lat":12.30,"lng":45.6,"accuracy":5,"heading":90}"#,
    );
    assert_eq!(next(&out), "5  12.30 45.6  accuracy 5 m  heading 90°");
    publish(&relay, r#"{"userId":6,"lat":1,"lng":1}"#);
    publish(&relay, r#"{"userId":"x y","lat":1,"lng":1}"#);
    assert_eq!(next(&out), "x y  1 1");
}

#[test]
fn after_a_restart_of_the_server_it_follows_again_and_says_so_once() {
    let relay = Relay::start(Relaying::Right);
    let (address, url) = (relay.address, relay.url());
    let mut watch = Watch::start(&relay.url(), &["5"]);
    let (out, err) = (lines(watch.stdout()), lines(watch.stderr()));
    assert_eq!(next(&err), format!("spectate: connected to {url}"));
    relay.hellos.recv_timeout(WAIT).expect("a hello");
    relay.stop();
    assert!(next(&err).starts_with(&format!("spectate: lost {url}: ")));
    let relay = Relay::start_at(address, Relaying::Right);
    relay.hellos.recv_timeout(WAIT).expect("a hello again");
    assert_eq!(next(&err), format!("spectate: connected to {url}"));
    publish(&relay, r#"{"userId":5,"lat":7,"lng":8}"#);
    while next(&out) != "5  7 8" {}
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let relay = Relay::start(Relaying::Right);
    let (address, url) = (relay.address, relay.url());
    relay.stop();
    let mut watch = Watch::start(&url, &["5"]);
    let err = lines(watch.stderr());
    let refused = "Connection refused; is the server running? (trying again)";
    assert_eq!(
        next(&err),
        format!("spectate: cannot connect to {url}: {refused}")
    );
    let relay = Relay::start_at(address, Relaying::Right);
    relay.hellos.recv_timeout(WAIT).expect("a hello");
    assert_eq!(next(&err), format!("spectate: connected to {url}"));
}

#[test]
fn a_code_from_4000_to_4099_ends_it_with_exit_status_1() {
    let relay = Relay::start(Relaying::ClosesHellos(4001));
    let mut watch = Watch::start(&relay.url(), &["5"]);
    let (out, err) = (watch.stdout(), lines(watch.stderr()));
    let url = relay.url();
    assert_eq!(next(&err), format!("spectate: connected to {url}"));
    let goodbye = "closed by the server with code 4001 (go \\u{7}away); a valid token is needed";
    let try_this = "(try --token-file FILE; spectate token makes them)";
    assert_eq!(next(&err), format!("spectate: {url}: {goodbye} {try_this}"));
    assert_eq!(watch.status(out).code(), Some(1));
}

#[test]
fn a_code_of_a_restart_brings_it_back() {
    let relay = Relay::start(Relaying::ClosesHellos(1012));
    let _watch = Watch::start(&relay.url(), &["5"]);
    for _ in 0..2 {
        relay.hellos.recv_timeout(WAIT).expect("another attempt");
    }
}

#[test]
fn a_closed_stdout_ends_it_quietly() {
    let relay = Relay::start(Relaying::Right);
    let mut watch = Watch::start(&relay.url(), &["5"]);
    relay.hellos.recv_timeout(WAIT).expect("a hello");
    drop(watch.stdout());
    let err = watch.stderr();
    assert_eq!(watch.status(err).code(), Some(0));
}

#[test]
fn an_error_message_goes_to_stderr() {
    let relay = Relay::start(Relaying::SendsError);
    let mut watch = Watch::start(&relay.url(), &["5"]);
    let err = lines(watch.stderr());
    relay.hellos.recv_timeout(WAIT).expect("a hello");
    for number in 0..10 {
        publish(&relay, &format!(r#"{{"userId":5,"lat":{number},"lng":1}}"#));
    }
    while next(&err) != "spectate: the server says too_fast: slow down" {}
}
