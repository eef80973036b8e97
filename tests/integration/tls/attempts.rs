//! The TLS door under attempts: what is no TLS, what is changed or forged, those that drip, rush in,
//! read nothing or leave, and what is said of them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tungstenite::{Message, WebSocket};

use super::{Site, Stream, check_health, client_config, open, said};
use crate::certificates::Ca;
use crate::markdown::{Manual, SERVER, spans};
use crate::needs;
use crate::slow::{FILLER, fall_behind, position};
use crate::support::{narrow_socket, reset, socket};

/// All that the server sends to one that sends this.
fn answer_to(site: &Site, bytes: &[u8]) -> Vec<u8> {
    let mut stream = socket(site.address());
    stream.write_all(bytes).expect("a server that reads");
    let mut answer = Vec::new();
    // It may be reset, where nothing was said that could be answered.
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn shake_hands(stream: &mut Stream) {
    let done = stream.conn.complete_io(&mut stream.sock);
    done.expect("a handshake");
}

/// Waits until so many sessions have failed, and says what the log has of each.
fn causes(site: &Site, count: usize) -> Vec<String> {
    site.server.wait_for_closed("tls_failed", count as f64);
    let log = site.server.log();
    let lines = log.lines().filter(|line| line.contains("tls_failed"));
    let causes: Vec<String> = lines
        .map(|line| {
            let (_, cause) = line.split_once(" reason=tls_failed cause=\"").expect(line);
            let (cause, rest) = cause.split_once("\" open_s=").expect(line);
            assert!(cause.len() <= 120 && rest.ends_with(" received=0 sent=0"));
            cause.to_owned()
        })
        .collect();
    assert_eq!(causes.len(), count, "a line for each: {log}");
    causes
}

#[test]
fn plain_http_at_the_tls_port_is_told_to_use_https() {
    let site = Site::new("plain", &[]);
    let mut stream = socket(site.address());
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("a server that reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("an answer and a regular end");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert!(
        body.contains("https://") && body.lines().count() == 1,
        "{body}"
    );
}

#[test]
fn garbage_gets_an_alert() {
    let site = Site::new("garbage", &[]);
    for garbage in [
        &b"\x00\x00\x00\x00\x00\x00"[..],
        b"\x16\x03\x01\xff\xff",
        &[0x80; 300],
    ] {
        let answer = answer_to(&site, garbage);
        assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
    }
    site.server.wait_for_closed("tls_failed", 3.0);
}

#[test]
fn who_drips_or_says_nothing_is_cut_off_at_the_handshake_timeout() {
    let site = Site::new("drip", &["--handshake-timeout", "1s"]);
    // A handshake of which a byte comes now and then, and each is in time.
    let mut hello = Vec::new();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(site.config(), name).expect("a client");
    client.write_tls(&mut hello).expect("a Vec");
    let mut stream = socket(site.address());
    let pause = Duration::from_millis(100);
    stream.set_read_timeout(Some(pause)).expect("above 0");
    let mut sent = 0;
    let end = loop {
        stream.write_all(&hello[sent..=sent]).expect("it is read");
        sent += 1;
        match stream.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            end => break end,
        }
    };
    assert!(end.is_err() || end.is_ok_and(|count| count == 0));
    assert!((4..100).contains(&sent), "{sent} bytes of {}", hello.len());
    site.server.wait_for_closed("handshake_timeout", 1.0);
    // One that says nothing at all, and one that has shaken hands and asks for nothing.
    assert_eq!(answer_to(&site, b""), b"");
    let mut stream = site.connect();
    shake_hands(&mut stream);
    site.server.wait_for_closed("handshake_timeout", 3.0);
}

#[test]
fn renegotiation_is_refused_and_disturbs_nobody() {
    let site = Site::new("renegotiation", &[]);
    let mut witness = site.server.connect();
    let Some(openssl) = needs::program(&["openssl"], "openssl") else {
        return;
    };
    for flags in [&["-tls1_2"][..], &["-tls1_2", "-legacy_renegotiation"]] {
        let mut command = Command::new(&openssl);
        command.args(["s_client", "-connect", &site.address().to_string()]);
        command.args(flags);
        let (is_ok, text) = said(command, b"R\nR\nR\n");
        assert!(text.contains("RENEGOTIATING") && !is_ok, "{text}");
        assert!(text.contains(":no renegotiation:"), "{text}");
        witness.barrier();
    }
    assert_eq!(
        causes(&site, 2),
        ["received fatal alert: HandshakeFailure"; 2]
    );
    check_health(&mut site.connect());
}

#[test]
fn in_a_rush_of_handshakes_those_who_are_in_have_their_turn() {
    const RUSH: usize = 400;
    let site = Site::new("rush", &[]);
    let config = site.config();
    let mut witness = site.server.connect();
    let sockets: Vec<TcpStream> = (0..RUSH).map(|_| socket(site.address())).collect();
    witness.barrier();
    // All come at once.
    site.server.signal(Signal::STOP);
    for mut socket in &sockets {
        let name = ServerName::try_from("localhost").expect("a name");
        let mut client = ClientConnection::new(Arc::clone(&config), name).expect("a client");
        client.write_tls(&mut socket).expect("a connection");
    }
    witness.send(r#"{"ping":1}"#);
    site.server.signal(Signal::CONT);
    witness.receive();
    site.server.signal(Signal::STOP);
    let is_answered = |socket: &&TcpStream| {
        socket.set_nonblocking(true).expect("a socket");
        socket.peek(&mut [0]).is_ok()
    };
    let answered = sockets.iter().filter(is_answered).count();
    assert!(
        answered < RUSH * 2 / 3,
        "{answered} handshakes came before a pong"
    );
    site.server.signal(Signal::CONT);
    let mut answers = sockets.into_iter().map(|mut socket| {
        socket.set_nonblocking(false).expect("a socket");
        socket.read(&mut [0; 8]).expect("an answer")
    });
    assert!(answers.all(|bytes| bytes > 0), "and all are answered");
}

#[test]
fn why_a_session_failed_stands_in_the_log_and_in_the_manual() {
    let site = Site::new("causes", &[]);
    let config = site.config();
    let attempt = |config| {
        let mut stream = open(socket(site.address()), config);
        let failed = stream.conn.complete_io(&mut stream.sock).is_err();
        // In TLS 1.3 a client is done before the server is.
        assert!(failed || stream.read(&mut [0]).is_err());
    };
    attempt(client_config(&Ca::new("causes-another")));
    let mut other = (*config).clone();
    other.alpn_protocols = vec![b"h2".to_vec()];
    attempt(Arc::new(other));
    // TLS 1.1, and what is none.
    let old = [&[22, 3, 1, 0, 47, 1, 0, 0, 43, 3, 2][..], &[7; 32]].concat();
    answer_to(
        &site,
        &[&old[..], &[0, 0, 2, 0xc0, 0x13, 1, 0, 0, 0]].concat(),
    );
    answer_to(&site, b"*1\r\n$9\r\n\" reason=\"\r\n");
    // An alert that nobody knows, in the place of a name the number of a line feed.
    answer_to(&site, b"\x15\x03\x03\x00\x02\x02\x0a");
    answer_to(&site, b"\x15\x03\x03\x00\x02\x02\xc8");
    let mut expected = [
        "received fatal alert: UnknownCA",
        "peer doesn't support any known protocol",
        "peer is incompatible: SignatureAlgorithmsExtensionRequired",
        "received corrupt message of type InvalidContentType",
        "received fatal alert: UnexpectedMessage",
        "received fatal alert: AlertDescription(0xc8)",
    ];
    let manual = Manual::read(SERVER);
    let rows = manual.section("Why TLS failed").rows();
    let listed: Vec<String> = rows.iter().skip(1).flat_map(|row| spans(row[0])).collect();
    for cause in &expected[..4] {
        let is_listed = |words: &String| cause.starts_with(words.trim_end_matches('…'));
        assert!(listed.iter().any(is_listed), "{cause}: {listed:?}");
    }
    let mut causes = causes(&site, 6);
    causes.sort_unstable();
    expected.sort_unstable();
    assert_eq!(causes, expected);
}

#[test]
fn a_fault_behind_half_a_message_ends_its_own_connection_alone() {
    let site = Site::new("half", &[]);
    let mut witness = site.server.connect();
    // A message of 255 bytes, of which a record has 36, and then what may not stand there.
    let half = [&[22, 3, 1, 0, 40, 1, 0, 0, 255][..], &[1; 36]].concat();
    let behind: [&[u8]; 4] = [
        &[21, 3, 3, 0, 2, 1, 0],
        &[0; 5],
        &[23, 3, 3, 0, 1, 0],
        &[20, 3, 3, 0, 1, 2],
    ];
    for behind in behind {
        answer_to(&site, &[&half[..], behind].concat());
        witness.barrier();
    }
    // A message that is never whole, though much of it comes.
    let more = [&[22, 3, 1, 0x40, 0][..], &[1; 0x4000]].concat();
    answer_to(&site, &[&half[..], &more, &more].concat());
    witness.barrier();
    causes(&site, 5);
    check_health(&mut site.connect());
}

#[test]
fn what_is_forged_behind_a_handshake_ends_its_own_connection_alone() {
    let site = Site::new("forged", &[]);
    let mut witness = site.server.connect();
    let mut clients: Vec<WebSocket<Stream>> = Vec::new();
    let forgeries: [&[u8]; 5] = [
        // A record that nobody has the keys for, an alert in plain, another protocol, a message that
        // begins a handshake, and one whose record is not encrypted.
        b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        b"\x15\x03\x03\x00\x02\x01\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x03\x00\x04\x01\x00\x00\x00",
        b"\x17\x03\x03\x00\x06\x81\x80\x00\x00\x00\x00",
    ];
    for forgery in forgeries {
        let (mut client, _) =
            tungstenite::client(site.url("wss"), site.connect()).expect("an upgrade");
        client
            .get_mut()
            .sock
            .write_all(forgery)
            .expect("a server that reads");
        assert!(client.read().is_err(), "an alert");
        clients.push(client);
        witness.barrier();
    }
    causes(&site, forgeries.len());
    // Their sockets are there still, and the server is done with them.
    site.server.wait_for_metric("spectate_connections", 1.0);
}

#[test]
fn keys_may_be_changed_and_not_without_end() {
    let site = Site::new("keys", &[]);
    let mut stream = site.connect();
    shake_hands(&mut stream);
    for _ in 0..3 {
        stream.conn.refresh_traffic_keys().expect("TLS 1.3");
        stream.flush().expect("a server that reads");
    }
    check_health(&mut stream);
    let mut stream = site.connect();
    shake_hands(&mut stream);
    let is_over = |stream: &mut Stream| {
        let changed = stream.conn.refresh_traffic_keys();
        changed.is_err() || stream.flush().is_err()
    };
    let changes = (0..10_000).take_while(|_| !is_over(&mut stream)).count();
    let end = stream.read(&mut [0]);
    assert!(end.is_err(), "{changes} changes: {end:?}");
    assert_eq!(
        causes(&site, 1),
        ["peer misbehaved: TooManyKeyUpdateRequests"]
    );
}

#[test]
fn who_leaves_in_the_middle_of_a_handshake_leaves_nothing_behind() {
    let site = Site::new("leaves", &["--handshake-timeout", "60s"]);
    let mut witness = site.server.connect();
    witness.barrier();
    let before = site.server.descriptors();
    let mut hello = Vec::new();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(site.config(), name).expect("a client");
    client.write_tls(&mut hello).expect("a Vec");
    for bytes in [1, 5, 60, hello.len()] {
        for is_reset in [false, true] {
            let mut stream = socket(site.address());
            stream
                .write_all(&hello[..bytes])
                .expect("a server that reads");
            if is_reset {
                reset(&stream);
            }
        }
    }
    site.server.wait_for_descriptors(before, &mut witness);
}

/// The next text message by TLS.
fn receive(client: &mut WebSocket<Stream>) -> String {
    loop {
        match client.read().expect("a server that writes") {
            Message::Text(text) => return text.as_str().to_owned(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("no text message: {other:?}"),
        }
    }
}

#[test]
fn one_that_reads_nothing_by_tls_costs_little_and_resumes_with_the_newest() {
    let site = Site::new("slow", &["--log-level", "warn"]);
    let stream = open(narrow_socket(site.address()), site.config());
    let (mut slow, _) = tungstenite::client(site.url("wss"), stream).expect("an upgrade");
    let hello = format!(r#"{{"initialRequest":true,"following":[5,6,{FILLER}]}}"#);
    slow.send(Message::text(hello))
        .expect("a server that reads");
    slow.send(Message::text(r#"{"ping":1}"#))
        .expect("a server that reads");
    receive(&mut slow);
    let mut gateway = site.server.connect();
    let before = site.server.memory_kib();
    fall_behind(&site.server, &mut gateway);
    for lat in 0..5000 {
        gateway.send(&position(5, lat));
        gateway.send(&position(6, lat));
    }
    gateway.barrier();
    let now = site.server.memory_kib();
    assert!(
        now < before + 2048,
        "{before} KiB before, {now} KiB with it behind"
    );
    // What was encrypted when it fell behind, and then the newest of each runner, once.
    let (mut old, mut newest) = (0, Vec::new());
    while newest.len() < 2 {
        let text = receive(&mut slow);
        match [5, 6].iter().any(|user| text == position(*user, 4999)) {
            true => newest.push(text),
            false => old += usize::from(!text.contains(&format!("{FILLER}"))),
        }
    }
    assert_eq!(old, 0, "positions of 5 and 6 that were not the newest");
}
