//! TLS as other programs speak it, and as an operator runs it: versions, resumption, certificates
//! that change and end.

mod attempts;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::KeyPair;
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};
use tungstenite::Message;

use crate::certificates::{Ca, Pair};
use crate::needs;
use crate::scratch::Scratch;
use crate::support::{Server, WAIT, program, read_head, socket, upgrade, wait_for_exit};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A server with both, and a CA that is believed.
struct Site {
    server: Server,
    ca: Ca,
    pair: Pair,
}

impl Site {
    /// With these flags too; names must differ from test to test.
    fn new(name: &str, flags: &[&str]) -> Site {
        let ca = Ca::new(name);
        let pair = ca.issue(name, 90);
        let server = Server::start(&[&pair.flags()[..], flags].concat());
        Site { server, ca, pair }
    }

    fn address(&self) -> SocketAddr {
        self.server.addresses()[1]
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.address().port())
    }

    fn config(&self) -> Arc<ClientConfig> {
        client_config(&self.ca)
    }

    fn connect(&self) -> Stream {
        open(socket(self.address()), self.config())
    }
}

fn client_config(ca: &Ca) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(ca.file.path()).expect("PEM");
    roots.add(certificate).expect("a CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions();
    let config = builder
        .expect("ring has them")
        .with_root_certificates(roots);
    Arc::new(config.with_no_client_auth())
}

fn open(socket: TcpStream, config: Arc<ClientConfig>) -> Stream {
    let name = ServerName::try_from("localhost").expect("a name");
    StreamOwned::new(
        ClientConnection::new(config, name).expect("a client"),
        socket,
    )
}

/// A health check, and how its connection shook hands.
fn check_health(stream: &mut Stream) -> HandshakeKind {
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("a server that reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("an end with close_notify");
    assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
    stream.conn.handshake_kind().expect("it is over")
}

/// What a program said on stdout and stderr, with this on its stdin; it must end by itself.
fn said(mut command: Command, input: &[u8]) -> (bool, String) {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("it starts");
    // It may have ended already.
    let _ = child.stdin.take().expect("piped").write_all(input);
    let output = child.wait_with_output().expect("it ends");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

fn openssl(site: &Site, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(needs::program(&["openssl"], "openssl")?);
    let address = site.address().to_string();
    command.args([
        "s_client",
        "-connect",
        &address,
        "-CAfile",
        site.ca.file.path(),
    ]);
    command
        .args(["-verify_return_error", "-servername", "localhost"])
        .args(arguments);
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    Some(said(command, request).1)
}

#[test]
fn openssl_speaks_both_versions_and_is_resumed() {
    let site = Site::new("openssl", &[]);
    for (flag, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let session = Scratch::new(&format!("session{flag}"), b"");
        let Some(first) = openssl(&site, &[flag, "-ign_eof", "-sess_out", session.path()]) else {
            return;
        };
        assert!(first.contains(&format!("New, {version}")), "{first}");
        assert!(first.contains("\r\n\r\nok\n"), "{first}");
        let again = openssl(&site, &[flag, "-ign_eof", "-sess_in", session.path()]);
        let again = again.expect("openssl is here");
        assert!(again.contains(&format!("Reused, {version}")), "{again}");
        assert!(again.contains("\r\n\r\nok\n"), "{again}");
    }
    let old = openssl(&site, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
    let old = old.expect("openssl is here");
    assert!(old.contains(" alert ") && !old.contains("ok\n"), "{old}");
}

#[test]
fn keys_of_all_kinds_are_taken_as_openssl_writes_them() {
    let Some(openssl) = needs::program(&["openssl"], "openssl") else {
        return;
    };
    let ca = Ca::new("kinds");
    for arguments in [
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        "genrsa -traditional 2048",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        "ecparam -name secp384r1 -genkey -noout",
        "genpkey -algorithm ED25519",
    ] {
        let mut command = Command::new(&openssl);
        command.args(arguments.split(' ')).stderr(Stdio::null());
        let pem = command.output().expect("openssl is here").stdout;
        let mut to_pkcs8 = Command::new(&openssl);
        to_pkcs8.args(["pkcs8", "-topk8", "-nocrypt"]);
        let (_, pkcs8) = said(to_pkcs8, &pem);
        let key = KeyPair::from_pem(&pkcs8).expect(arguments);
        let pair = ca.issue_for("kinds", 90, &key);
        pair.key.write(&pem);
        let server = Server::start(&pair.flags());
        let mut stream = open(socket(server.addresses()[1]), client_config(&ca));
        check_health(&mut stream);
    }
}

#[test]
fn curl_gets_the_map_by_both_versions() {
    let Some(curl) = needs::program(&["curl"], "curl") else {
        return;
    };
    let site = Site::new("curl", &[]);
    for version in ["1.2", "1.3"] {
        let mut command = Command::new(&curl);
        command.args(["-sS", "--cacert", site.ca.file.path(), "--tls-max", version]);
        command.arg(site.url("https"));
        let (is_ok, page) = said(command, b"");
        assert!(is_ok && page.contains("</html>"), "{page}");
    }
}

#[test]
fn the_prototypes_test_client_gets_every_delivery_by_tls() {
    let Some(python) = needs::python("websockets", "python3-websockets") else {
        return;
    };
    let site = Site::new("python", &[]);
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/interop/prototype_client.py"
    );
    let mut command = Command::new(python);
    command
        .args([script, &site.url("wss")])
        .env("SSL_CERT_FILE", site.ca.file.path());
    let (is_ok, said) = said(command, b"");
    assert!(
        is_ok && said.contains(", 0 connections or runners wrong"),
        "{said}"
    );
}

#[test]
fn simulate_gets_every_delivery_by_tls_and_believes_no_other_ca() {
    let site = Site::new("simulate", &[]);
    let url = site.url("wss");
    let arguments = ["simulate", "--users", "20", "--url", &url, "--ca-file"];
    let run = |ca: &str| said(program(&[&arguments[..], &[ca]].concat()), b"");
    let (is_ok, text) = run(site.ca.file.path());
    assert!(is_ok && text.contains("right: every delivery"), "{text}");
    let other = Ca::new("another");
    let (is_ok, text) = run(other.file.path());
    assert!(!is_ok && text.contains("UnknownIssuer"), "{text}");
    let (is_ok, text) = run("/nowhere");
    assert!(!is_ok && text.contains("cannot read /nowhere"), "{text}");
}

#[test]
fn watch_ends_with_advice_where_the_certificate_is_not_believed_or_tls_not_spoken() {
    let site = Site::new("watch", &[]);
    let plain = site.server.address();
    let ca = site.ca.file.path();
    let other = Ca::new("watch-another");
    for (url, ca, expected) in [
        (site.url("https"), other.file.path(), "--ca-file"),
        (format!("wss://{plain}"), ca, "the server speaks none"),
        (
            format!("ws://{}", site.address()),
            ca,
            "use https:// or wss://",
        ),
    ] {
        let arguments = ["watch", "--url", &url, "--ca-file", ca, "5"];
        let (is_ok, text) = said(program(&arguments), b"");
        assert!(!is_ok && text.contains(expected), "{url}: {text}");
        assert!(text.contains("is the URL right?"), "{url}: {text}");
    }
}

#[test]
fn only_http_1_1_is_spoken_inside() {
    let site = Site::new("alpn", &[]);
    for (protocols, is_taken) in [
        (&["h2"][..], false),
        (&["h2", "http/1.1"], true),
        (&[], true),
    ] {
        let mut config = (*site.config()).clone();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let mut stream = open(socket(site.address()), Arc::new(config));
        if is_taken {
            check_health(&mut stream);
            let spoken = stream.conn.alpn_protocol();
            assert_eq!(spoken, protocols.last().map(|name| name.as_bytes()));
        } else {
            let refused = stream.write_all(b"x").expect_err("no protocol in common");
            assert!(
                refused.to_string().contains("NoApplicationProtocol"),
                "{refused}"
            );
        }
    }
}

#[test]
fn a_phone_that_comes_back_is_resumed_also_after_a_reload() {
    let site = Site::new("resumed", &[]);
    let config = site.config();
    let come = || check_health(&mut open(socket(site.address()), Arc::clone(&config)));
    assert_eq!(come(), HandshakeKind::Full);
    assert_eq!(come(), HandshakeKind::Resumed);
    site.server.signal(Signal::HUP);
    // The signal is taken before what comes later is answered.
    site.server.connect().barrier();
    assert_eq!(come(), HandshakeKind::Resumed);
}

/// The certificate that a new connection gets.
fn served(site: &Site) -> Vec<u8> {
    let mut stream = site.connect();
    check_health(&mut stream);
    let chain = stream.conn.peer_certificates().expect("a server has one");
    chain[0].to_vec()
}

/// Sends SIGHUP and waits for so many lines of it in the log.
fn reload(site: &Site, lines: usize) -> String {
    site.server.signal(Signal::HUP);
    let mut witness = site.server.connect();
    let begin = std::time::Instant::now();
    loop {
        witness.barrier();
        let log = site.server.log();
        if log.lines().filter(|line| line.contains(" reload ")).count() >= lines {
            return log;
        }
        assert!(begin.elapsed() < WAIT, "{log}");
    }
}

#[test]
fn sighup_brings_the_new_certificate_to_new_connections_and_loses_none() {
    let site = Site::new("reload", &[]);
    let first = served(&site);
    let (mut open, _) = tungstenite::client(site.url("wss"), site.connect()).expect("an upgrade");
    let next = site.ca.issue("reload-next", 30);
    let read = |file: &Scratch| std::fs::read(&file.0).expect("our file");
    // A key without its certificate leaves both as they were.
    site.pair.key.write(&read(&next.key));
    let log = reload(&site, 1);
    assert!(
        log.contains("this is not the key") && log.contains("certificate=unchanged"),
        "{log}"
    );
    assert_eq!(served(&site), first);
    site.pair.certificate.write(&read(&next.certificate));
    reload(&site, 2);
    let second = served(&site);
    assert_ne!(second, first);
    site.pair
        .certificate
        .write(b"-----BEGIN CERTIFICATE-----\n");
    let log = reload(&site, 3);
    assert_eq!(log.matches("certificate=unchanged").count(), 2, "{log}");
    assert_eq!(served(&site), second);
    open.send(Message::text(r#"{"ping":1}"#))
        .expect("it is open");
    assert!(matches!(open.read(), Ok(Message::Text(_))));
}

#[test]
fn a_certificate_that_ends_soon_or_has_ended_is_told_of_and_served() {
    let now_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    for (days, expected) in [
        (-3, Some("the certificate has ended")),
        (13, Some("ends in 13 days")),
        (15, None),
        (20_000, None),
    ] {
        let name = format!("ends{days}");
        let ca = Ca::new(&name);
        let pair = ca.issue(&name, days);
        let site = Site {
            server: Server::start(&pair.flags()),
            ca,
            pair,
        };
        let ends_at_s = site
            .server
            .metric("spectate_tls_certificate_expiry_seconds");
        let told = site
            .server
            .log()
            .lines()
            .filter(|line| line.contains("the certificate"))
            .count();
        assert_eq!(told, usize::from(expected.is_some()));
        let log = site.server.log();
        assert!(expected.is_none_or(|words| log.contains(words)), "{log}");
        let wanted = now_s as f64 + days as f64 * 86_400.0 + 3600.0;
        assert!((ends_at_s - wanted).abs() < 60.0, "{ends_at_s} {wanted}");
        let mut stream = site.connect();
        let handshake = stream.write_all(b"GET / HTTP/1.1\r\n");
        match days < 0 {
            true => assert!(
                handshake
                    .expect_err("it has ended")
                    .to_string()
                    .contains("xpired")
            ),
            false => handshake.expect("it is believed"),
        }
    }
}

/// The exit status of a server that should not start, and its line.
fn refused(flags: &[&str]) -> (Option<i32>, String) {
    let mut command = program(&[&["serve"], flags].concat());
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("built");
    let status = wait_for_exit(&mut child);
    let mut line = String::new();
    let stderr = child.stderr.as_mut().expect("piped");
    stderr.read_to_string(&mut line).expect("UTF-8");
    (status.code(), line)
}

#[test]
fn a_pair_that_does_not_fit_or_cannot_be_read_is_exit_status_1() {
    let ca = Ca::new("unfit");
    let (one, other) = (ca.issue("unfit-one", 90), ca.issue("unfit-other", 90));
    let empty = Scratch::new("unfit-empty", b"");
    for (certificate, key, expected) in [
        (
            one.certificate.path(),
            other.key.path(),
            "this is not the key",
        ),
        (
            one.key.path(),
            one.key.path(),
            "there is no certificate in it",
        ),
        (
            empty.path(),
            one.key.path(),
            "there is no certificate in it",
        ),
        (
            one.certificate.path(),
            one.certificate.path(),
            "there is no private key",
        ),
        ("/nowhere", one.key.path(), "cannot read /nowhere"),
        (one.certificate.path(), "/nowhere", "cannot read /nowhere"),
    ] {
        let flags = [
            "--tls-listen",
            "127.0.0.1:0",
            "--tls-cert-file",
            certificate,
            "--tls-key-file",
            key,
        ];
        let (status, line) = refused(&flags);
        assert_eq!(status, Some(1), "{line}");
        assert!(
            line.contains(expected) && line.lines().count() == 1,
            "{line}"
        );
    }
}

#[test]
fn a_tls_flag_without_its_fellows_is_exit_status_2() {
    for flags in [
        &["--tls-listen", "127.0.0.1:0"][..],
        &["--tls-cert-file", "x"],
        &["--tls-key-file", "x"],
        &["--tls-cert-file", "x", "--tls-key-file", "x"],
        &["--tls-listen", "127.0.0.1:0", "--tls-cert-file", "x"],
        &["--tls-listen", "127.0.0.1:0", "--tls-key-file", "x"],
    ] {
        let (status, line) = refused(flags);
        assert_eq!(status, Some(2), "{flags:?}: {line}");
        assert!(
            line.contains("--tls-") && line.lines().count() == 1,
            "{line}"
        );
    }
}

#[test]
fn a_key_that_everybody_can_read_is_warned_of() {
    let ca = Ca::new("mode");
    let pair = ca.issue("mode", 90);
    pair.key.set_mode(0o644);
    let server = Server::start(&pair.flags());
    assert!(
        server
            .log()
            .contains(&format!("chmod o= {}", pair.key.path()))
    );
    pair.key.set_mode(0o640);
    assert!(!Server::start(&pair.flags()).log().contains("chmod"));
}

#[test]
fn with_tls_alone_nothing_else_is_listened_on_and_the_link_says_https() {
    let ca = Ca::new("alone");
    let pair = ca.issue("alone", 90);
    let server = Server::run(program(&[&["serve"], &pair.flags()[..]].concat()));
    let addresses = server.addresses().to_vec();
    assert_eq!(addresses.len(), 1);
    let mut stream = open(socket(addresses[0]), client_config(&ca));
    check_health(&mut stream);
    let (_, stdout, _) = server.stop();
    let expected = format!("listening on {0} (TLS)\nmap: https://{0}/\n", addresses[0]);
    assert_eq!(stdout, expected);
}

#[test]
fn pages_of_the_same_host_and_port_connect_by_https_alone() {
    let site = Site::new("origins", &[]);
    let port = site.address().port();
    for (scheme, is_welcome) in [("https", true), ("wss", true), ("http", false)] {
        let head = upgrade(&format!("Origin: {scheme}://localhost:{port}\r\n"));
        let head = head.replace("Host: test", &format!("Host: localhost:{port}"));
        let mut stream = site.connect();
        stream
            .write_all(head.as_bytes())
            .expect("a server that reads");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
        let refusals = || site.server.closed("foreign_origin");
        if is_welcome {
            assert_eq!(refusals(), 0.0, "{scheme}");
        } else {
            let mut goodbye = [0; 4];
            stream.read_exact(&mut goodbye).expect("a close frame");
            assert_eq!(goodbye[2..], 4003u16.to_be_bytes(), "{scheme}");
        }
    }
}

#[test]
fn the_operators_door_answers_three_things_and_alone_has_the_metrics() {
    let server = Server::start(&["--metrics-listen", "127.0.0.1:0"]);
    let door = server.addresses()[1];
    let status = |address: SocketAddr, request: &str| {
        let mut stream = socket(address);
        stream
            .write_all(request.as_bytes())
            .expect("a server that reads");
        read_head(&mut stream)[9..12].to_owned()
    };
    let get =
        |address, path: &str| status(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    for (path, at_the_door, elsewhere) in [
        ("/metrics", "200", "404"),
        ("/healthz", "200", "200"),
        ("/readyz", "200", "200"),
        ("/", "404", "200"),
        ("/positions?ids=5", "404", "200"),
        ("/track?id=5&lat=1&lon=2", "404", "200"),
    ] {
        assert_eq!(get(door, path), at_the_door, "{path}");
        assert_eq!(get(server.address(), path), elsewhere, "{path}");
    }
    assert_eq!(status(door, &upgrade("")), "404");
    let post = "POST /track HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\nid=5&lat=1&lon";
    assert_eq!(status(door, post), "404");
}

#[test]
fn the_operators_door_stays_open_while_the_server_drains() {
    let server = Server::start(&["--metrics-listen", "127.0.0.1:0", "--drain", "20s"]);
    let door = server.addresses()[1];
    // Both are told over the first half of the time: the second holds the server up meanwhile.
    let mut clients = [server.connect(), server.connect()];
    server.signal(Signal::TERM);
    clients[0].receive_close();
    for (path, expected) in [("readyz", "503"), ("healthz", "200"), ("metrics", "200")] {
        let mut stream = socket(door);
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n").expect("a server that reads");
        assert_eq!(&read_head(&mut stream)[9..12], expected, "{path}");
    }
    let refused = TcpStream::connect_timeout(&server.address(), Duration::from_secs(5));
    assert!(refused.is_err(), "it listens no longer");
}
