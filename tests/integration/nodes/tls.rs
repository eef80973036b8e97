//! The bus by TLS: what holds without it holds with it, and what is wrong with certificates and engines
//! is told with what to mend.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustix::process::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::certificates::{Ca, Pair};
use crate::scratch::Scratch;
use crate::support::{Server, WAIT, program, wait_until_readable};

use super::{Engine, positions, processes};

/// A CA that nobody knows, and a certificate by it.
struct Site {
    ca: Ca,
    pair: Pair,
}

impl Site {
    /// Names must differ from test to test.
    fn new(name: &str) -> Site {
        let ca = Ca::new(name);
        let pair = ca.issue(name, 90);
        Site { ca, pair }
    }

    fn engine(&self, flags: &[&str]) -> Option<Engine> {
        Engine::start_by_tls((&self.ca, &self.pair), flags)
    }

    /// A node that is to find an engine at this port.
    fn node(&self, port: u16) -> Server {
        let url = format!("rediss://127.0.0.1:{port}");
        Server::start(&["--bus", &url, "--bus-ca-file", self.ca.file.path()])
    }
}

/// Something that takes connections as an engine does.
struct Fake(TcpListener);

impl Fake {
    fn new() -> Fake {
        Fake(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("an address").port()
    }

    /// The next connection of a node.
    fn accept(&self) -> TcpStream {
        assert!(wait_until_readable(&self.0), "it does not come");
        let (stream, _) = self.0.accept().expect("it came");
        stream.set_read_timeout(Some(WAIT)).expect("above 0");
        stream
    }

    /// The next one, with hands shaken by this certificate; why not, if that fails.
    fn shake_hands(&self, pair: &Pair) -> io::Result<StreamOwned<ServerConnection, TcpStream>> {
        let chain = CertificateDer::from_pem_file(pair.certificate.path()).expect("PEM");
        let key = PrivateKeyDer::from_pem_file(pair.key.path()).expect("PEM");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .expect("they fit");
        let mut session = ServerConnection::new(Arc::new(config)).expect("a session");
        let mut stream = self.accept();
        session.complete_io(&mut stream)?;
        Ok(StreamOwned::new(session, stream))
    }
}

/// Waits until the other side has hung up.
fn wait_for_end(stream: &mut TcpStream) {
    // It may do so by a reset.
    let _ = stream.read_to_end(&mut Vec::new());
}

/// A runner and a follower on the same node hear of each other.
fn assert_serves(node: &Server) {
    let (mut watcher, _) = node.spectator("[5]");
    let mut runner = node.join("5", "[]");
    runner.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(watcher.receive(), r#"{"userId":5,"lat":1,"lng":2}"#);
}

#[test]
fn what_holds_of_positions_holds_by_tls() {
    let site = Site::new("bus-positions");
    for holds in [
        positions::each_once_and_in_order,
        positions::alone_while_away,
        positions::the_newest_after_a_stop,
        positions::nothing_lost_in_a_standstill,
    ] {
        let _ = site.engine(&[]).map(holds);
    }
}

#[test]
fn an_engine_that_speaks_tls_1_2_alone_is_spoken_to_so() {
    let site = Site::new("bus-older");
    let engine = site.engine(&["--tls-protocols", "TLSv1.2"]);
    let _ = engine.map(positions::each_once_and_in_order);
}

#[test]
fn every_engine_that_this_machine_has_makes_two_nodes_one_with_and_without_tls() {
    let site = Site::new("bus-engines");
    Engine::start_all((&site.ca, &site.pair))
        .into_iter()
        .for_each(positions::each_once_and_in_order);
}

#[test]
fn what_waits_for_an_engine_that_takes_nothing_is_bounded_with_and_without_tls() {
    let site = Site::new("bus-buffer");
    for engine in [Engine::start(&[]), site.engine(&[])].into_iter().flatten() {
        let here = engine.node(&["--bus-out-buffer", "64KiB"]);
        let there = engine.node(&[]);
        let (mut watcher, _) = there.spectator("[5]");
        let mut gateway = here.connect();
        gateway.send(r#"{"userId":5,"lat":0,"lng":0}"#);
        assert_eq!(watcher.receive(), r#"{"userId":5,"lat":0,"lng":0}"#);
        engine.signal(Signal::STOP);
        let mut sent = 0;
        while here.metric("spectate_bus_conflated_total") < 10.0 {
            assert!(sent < 1_000_000, "the kernel takes it all");
            for _ in 0..2000 {
                sent += 1;
                gateway.send(&format!(r#"{{"userId":5,"lat":{sent},"lng":0}}"#));
            }
            gateway.barrier();
        }
        let pending = here.metric("spectate_bus_pending_bytes");
        // A little more is encrypted than there was. If all this took more than 10 s, it is given up.
        let is_up = here.metric(&engine.up()) == 1.0;
        assert!(pending < 66_000.0, "{pending}");
        assert!(pending > 0.0 || !is_up, "nothing waits");
        engine.signal(Signal::CONT);
        let newest = format!(r#"{{"userId":5,"lat":{sent},"lng":0}}"#);
        while watcher.receive() != newest {}
        here.wait_for_metric("spectate_bus_pending_bytes", 0.0);
        assert_eq!(here.metric("spectate_bus_reconnects_total"), 0.0);
    }
}

#[test]
fn plain_engines_and_engines_by_tls_go_together_in_several_processes() {
    let site = Site::new("bus-mixed");
    let (Some(plain), Some(secure)) = (Engine::start(&[]), site.engine(&[])) else {
        return;
    };
    let bus = format!("{},{}", plain.url(), secure.url());
    let ca = ["--bus-ca-file", site.ca.file.path()];
    let server = processes::start_with(&bus, 2, &ca);
    server.wait_for_metric("spectate_bus_nodes", 2.0);
    for up in [plain.up(), secure.up()] {
        server.wait_for_metric(&up, 1.0);
    }
    let ids: Vec<String> = (1..=40).map(|id: u32| id.to_string()).collect();
    let following = format!("[{}]", ids.join(","));
    let mut watchers: Vec<_> = (0..8).map(|_| server.spectator(&following).0).collect();
    let mut gateway = server.connect();
    for id in &ids {
        gateway.send(&format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#));
    }
    for watcher in &mut watchers {
        let mut heard: Vec<String> = ids.iter().map(|_| watcher.receive()).collect();
        heard.sort();
        let mut expected: Vec<String> = (ids.iter())
            .map(|id| format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#))
            .collect();
        expected.sort();
        assert_eq!(heard, expected);
    }
    for engine in [&plain, &secure] {
        assert_ne!(engine.say(&["KEYS", "spectate:l:*"]), "");
    }
}

#[test]
fn a_ca_that_is_not_the_engines_is_told_and_mended_without_a_restart() {
    let site = Site::new("bus-ca");
    let Some(engine) = site.engine(&[]) else {
        return;
    };
    let other = Ca::new("bus-other-ca");
    let file = Scratch::new("bus-ca-file", &fs::read(other.file.path()).expect("PEM"));
    let url = engine.url();
    let node = Server::start(&["--bus", &url, "--bus-ca-file", file.path()]);
    node.wait_for_log("by nobody who is trusted here: give --bus-ca-file the CA");
    assert_serves(&node);
    file.write(b"no certificate");
    file.write(&fs::read(site.ca.file.path()).expect("PEM"));
    node.wait_for_metric(&engine.up(), 1.0);
    let log = node.log();
    assert_eq!(log.matches("bus down").count(), 1, "{log}");
}

#[test]
fn what_becomes_of_the_ca_file_later_harms_nobody() {
    let site = Site::new("bus-ca-later");
    let Some(mut engine) = site.engine(&[]) else {
        return;
    };
    let node = engine.node(&[]);
    site.ca.file.write(b"no certificate");
    engine.kill();
    node.wait_for_metric(&engine.up(), 0.0);
    engine.start_again();
    node.wait_for_metric(&engine.up(), 1.0);
}

#[test]
fn without_a_ca_file_those_count_whom_the_system_trusts() {
    let site = Site::new("bus-system");
    let Some(engine) = site.engine(&[]) else {
        return;
    };
    let url = engine.url();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--bus", &url];
    let mut trusting = program(&serve);
    trusting.env("SSL_CERT_FILE", site.ca.file.path());
    Server::run(trusting).wait_for_metric(&engine.up(), 1.0);
    let mut lost = program(&serve);
    lost.env("SSL_CERT_FILE", "/nowhere");
    lost.env("SSL_CERT_DIR", "/nowhere");
    let output = lost.output().expect("it ends");
    let line = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{line}");
    assert!(line.contains("try --bus-ca-file FILE"), "{line}");
}

#[test]
fn a_certificate_that_has_ended_is_told_once_and_mended_at_the_engine() {
    let mut site = Site::new("bus-ended");
    let good = std::mem::replace(&mut site.pair, site.ca.issue("bus-old", -1));
    let fake = Fake::new();
    let node = site.node(fake.port());
    for _ in 0..3 {
        fake.shake_hands(&site.pair).expect_err("it has ended");
    }
    let log = node.wait_for_log("its certificate has ended: give the engine a new one");
    assert_eq!(log.matches("bus down").count(), 1, "{log}");
    let Some(mut engine) = site.engine(&[]) else {
        return;
    };
    let node = engine.lonely_node(&[]);
    node.wait_for_log("its certificate has ended");
    assert_serves(&node);
    engine.kill();
    for (old, new) in [
        (&site.pair.certificate, &good.certificate),
        (&site.pair.key, &good.key),
    ] {
        old.write(&fs::read(new.path()).expect("PEM"));
    }
    engine.start_again();
    node.wait_for_metric(&engine.up(), 1.0);
}

#[test]
fn an_engine_of_another_name_is_told_with_the_names_that_it_has() {
    let site = Site::new("bus-name");
    let Some(engine) = site.engine(&["--bind", "127.0.0.1", "127.0.0.2"]) else {
        return;
    };
    let by = |host: &str| {
        let url = engine.url().replace("127.0.0.1", host);
        Server::start(&["--bus", &url, "--bus-ca-file", site.ca.file.path()])
    };
    by("127.0.0.2").wait_for_log(
        "its certificate is for localhost or race.test or 127.0.0.1, not for 127.0.0.2",
    );
    let up = engine.up().replace("127.0.0.1", "localhost");
    by("localhost").wait_for_metric(&up, 1.0);
}

#[test]
fn tls_where_there_is_none_and_none_where_there_is_are_told() {
    let site = Site::new("bus-either");
    let (Some(plain), Some(secure)) = (Engine::start(&[]), site.engine(&[])) else {
        return;
    };
    let url = secure.url().replace("rediss://", "redis://");
    let without = Server::start(&["--bus", &url]);
    without.wait_for_log("if it speaks TLS there, write rediss:// in --bus");
    let url = plain.url().replace("redis://", "rediss://");
    let with = Server::start(&["--bus", &url, "--bus-ca-file", site.ca.file.path()]);
    assert_serves(&with);
    let log = with.wait_for_log("if it speaks no TLS there, write redis:// in --bus");
    assert_eq!(log.matches("bus down").count(), 1, "{log}");
}

#[test]
fn an_engine_that_asks_for_a_certificate_of_ours_is_told_to_ask_for_none() {
    let site = Site::new("bus-mutual");
    let ca = site.ca.file.path();
    let Some(engine) = site.engine(&["--tls-auth-clients", "yes", "--tls-ca-cert-file", ca]) else {
        return;
    };
    let node = engine.lonely_node(&[]);
    node.wait_for_log("give the engine tls-auth-clients no");
    assert_serves(&node);
}

#[test]
fn garbage_instead_of_tls_ends_the_connection_and_it_is_tried_again() {
    let site = Site::new("bus-garbage");
    let fake = Fake::new();
    let node = site.node(fake.port());
    for (garbage, says) in [
        (&b"-ERR unknown command\r\n"[..], "it speaks no TLS there"),
        (b"", "Connection reset by peer"),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "it speaks no TLS there",
        ),
        (&[0x17, 3, 3, 0, 1, 0], "TLS: received unexpected message"),
        (&[0x15, 3, 3, 0, 2, 2, 40], "HandshakeFailure"),
    ] {
        let mut stream = fake.accept();
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).expect("it speaks first");
        assert_eq!(hello[..2], [22, 3], "a handshake of TLS");
        stream.write_all(garbage).expect("it is there");
        if garbage.is_empty() {
            drop(stream);
        } else {
            wait_for_end(&mut stream);
        }
        node.wait_for_log(says);
    }
    let mut rest = fake.accept();
    assert_serves(&node);
    let _ = rest.read(&mut [0; 5]);
}

#[test]
fn garbage_behind_a_handshake_ends_the_connection_and_it_is_tried_again() {
    let site = Site::new("bus-inside");
    let fake = Fake::new();
    let node = site.node(fake.port());
    let mut talk = fake.shake_hands(&site.pair).expect("a good certificate");
    talk.write_all(b"SSH-2.0-OpenSSH_9.2\r\n")
        .expect("it is there");
    node.wait_for_log("does not speak the protocol of Redis");
    let mut talk = fake.shake_hands(&site.pair).expect("a good certificate");
    talk.sock
        .write_all(&[0x17, 3, 3, 0, 20])
        .expect("it is there");
    talk.sock.write_all(&[7; 20]).expect("it is there");
    node.wait_for_log("TLS: cannot decrypt peer's message");
    let mut talk = fake.shake_hands(&site.pair).expect("a good certificate");
    let mut greeting = [0; 13];
    talk.read_exact(&mut greeting)
        .expect("it introduces itself");
    assert_eq!(&greeting, b"*4\r\n$5\r\nHELLO");
    assert_serves(&node);
}

#[test]
fn who_is_mute_in_a_handshake_or_behind_it_is_away() {
    let site = Site::new("bus-mute");
    let (in_it, behind) = (Fake::new(), Fake::new());
    let nodes = [&in_it, &behind].map(|fake| site.node(fake.port()));
    let _talk = behind.shake_hands(&site.pair).expect("a good certificate");
    let _stream = in_it.accept();
    nodes[0].wait_for_log("it says nothing to a TLS handshake");
    nodes[1].wait_for_log("error=\"it says nothing\"");
    let _stream = in_it.accept();
    let _talk = behind.shake_hands(&site.pair).expect("a good certificate");
    nodes.iter().for_each(assert_serves);
}

#[test]
fn a_handshake_byte_by_byte_is_a_handshake() {
    let site = Site::new("bus-drip");
    let Some(engine) = site.engine(&[]) else {
        return;
    };
    let fake = Fake::new();
    let node = site.node(fake.port());
    let up = engine.up().replace(
        &engine.url(),
        &format!("rediss://127.0.0.1:{}", fake.port()),
    );
    let ours = fake.accept();
    let port = engine
        .url()
        .rsplit(':')
        .next()
        .expect("a port")
        .parse()
        .expect("a number");
    let theirs = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    std::thread::scope(|scope| {
        for (from, to) in [(&ours, &theirs), (&theirs, &ours)] {
            to.set_nodelay(true).expect("a socket");
            scope.spawn(move || drip(from, to));
        }
        node.wait_for_metric(&up, 1.0);
        assert_serves(&node);
        drop(node);
    });
}

/// Passes on what comes, each byte in a write of its own, until the end.
fn drip(mut from: &TcpStream, mut to: &TcpStream) {
    let mut piece = [0; 1];
    while let Ok(1) = from.read(&mut piece) {
        if to.write_all(&piece).is_err() {
            break;
        }
    }
    // The other direction ends too.
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}
