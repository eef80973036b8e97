//! A client's side of TLS over a stream, against a server of another make, with the ciphertext cut
//! anywhere.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, Error, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
};

use super::stream::{Received, Stream};
use super::tls::{Fault, RECORD_BYTES_MAX, Session};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A socket, and the server at its other end.
#[derive(Debug)]
struct Socket {
    server: ServerConnection,
    /// What the server said and nobody read.
    said: VecDeque<u8>,
    /// How much was read; where reading is blocked once; and most bytes of one read.
    read: usize,
    cut: Option<usize>,
    piece_bytes_max: usize,
    /// How much it takes until it is given room again.
    room: usize,
    /// What the server was told.
    heard: Vec<u8>,
}

impl Socket {
    /// Lets the server have a say.
    fn turn(&mut self) {
        self.server.process_new_packets().expect("TLS");
        // Nothing, if there is nothing now.
        let _ = self.server.reader().read_to_end(&mut self.heard);
        while self.server.wants_write() {
            self.server.write_tls(&mut self.said).expect("a buffer");
        }
    }

    fn say(&mut self, text: &[u8]) {
        self.server.writer().write_all(text).expect("a buffer");
        self.turn();
    }
}

impl Read for Socket {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.said.is_empty() || self.cut == Some(self.read) {
            self.cut = self.cut.filter(|cut| *cut != self.read);
            return Err(ErrorKind::WouldBlock.into());
        }
        let until_cut = self.cut.filter(|cut| *cut > self.read);
        let most = until_cut.map_or(self.piece_bytes_max, |cut| cut - self.read);
        let length = room.len().min(most);
        let count = self.said.read(&mut room[..length])?;
        self.read += count;
        Ok(count)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut taken = &bytes[..bytes.len().min(self.room)];
        self.room -= taken.len();
        let count = taken.len();
        while !taken.is_empty() {
            self.server.read_tls(&mut taken).expect("a slice");
            self.turn();
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A certificate of its own making for so many names, with its key.
fn pair(names: usize) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let others = (1..names).map(|number| format!("{number:0>50}.example"));
    let names: Vec<String> = others.chain(["bus.example".to_owned()]).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("names");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der());
    (made.cert.der().clone(), key.expect("PKCS #8"))
}

/// What both sides speak.
struct Configs {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Configs {
    /// With a certificate for so many names.
    fn new(version: &'static SupportedProtocolVersion, names: usize) -> Configs {
        let (certificate, key) = pair(names);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .expect("ring has it")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("they fit");
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a certificate");
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.resumption = Resumption::disabled();
        Configs {
            server: Arc::new(server),
            client: Arc::new(client),
        }
    }

    /// A stream to a server.
    fn stream(&self) -> Stream<Socket> {
        let mut server = ServerConnection::new(Arc::clone(&self.server)).expect("a server");
        server.set_buffer_limit(None);
        let name = ServerName::try_from("bus.example").expect("a name");
        let session = Session::client(Arc::clone(&self.client), name).expect("a session");
        let socket = Socket {
            server,
            said: VecDeque::new(),
            read: 0,
            cut: None,
            piece_bytes_max: usize::MAX,
            room: usize::MAX,
            heard: Vec::new(),
        };
        Stream::secure(socket, session)
    }
}

/// Reads until there is nothing more for now, with room for so many bytes at a time.
fn read(stream: &mut Stream<Socket>, room_bytes: usize) -> Vec<u8> {
    let (mut all, mut room) = (Vec::new(), vec![0; room_bytes]);
    let mut is_empty = false;
    loop {
        match stream.read(&mut room, false).expect("TLS") {
            Received::Bytes {
                count,
                taken,
                is_all,
            } => {
                assert!(!is_empty || taken > 0, "it was not all");
                is_empty = is_all;
                all.extend_from_slice(&room[..count]);
            }
            Received::Nothing if stream.socket_mut().said.is_empty() => return all,
            Received::Nothing => {}
            other => panic!("{other:?}"),
        }
        stream.drain().expect("a socket");
    }
}

/// Shakes hands.
fn shake_hands(stream: &mut Stream<Socket>) {
    assert!(stream.is_shaking_hands());
    stream.drain().expect("a socket");
    assert_eq!(read(stream, 100), b"");
    assert!(!stream.is_shaking_hands());
}

/// An answer of several records.
fn answer() -> Vec<u8> {
    (0..40_000u32).map(|number| (number % 251) as u8).collect()
}

#[test]
fn what_is_said_is_the_same_wherever_the_ciphertext_is_cut() {
    for version in VERSIONS {
        let configs = Configs::new(version, 1);
        let run = |cut, piece_bytes_max| {
            let mut stream = configs.stream();
            stream.socket_mut().cut = cut;
            stream.socket_mut().piece_bytes_max = piece_bytes_max;
            shake_hands(&mut stream);
            assert_eq!(stream.write(b"HELLO 3").expect("a socket"), 7);
            assert_eq!(stream.socket_mut().heard, b"HELLO 3");
            stream.socket_mut().say(b"%0\r\n");
            stream.socket_mut().say(b"+OK\r\n");
            assert_eq!(read(&mut stream, 100), b"%0\r\n+OK\r\n", "{cut:?}");
            stream.socket_mut().read
        };
        let bytes = run(None, usize::MAX);
        assert!(bytes > 500, "a handshake and an answer: {bytes}");
        for cut in 1..bytes {
            run(Some(cut), usize::MAX);
        }
        run(None, 1);
    }
}

#[test]
fn what_finds_no_room_is_read_before_the_socket_counts_as_empty() {
    for version in VERSIONS {
        let mut stream = Configs::new(version, 1).stream();
        shake_hands(&mut stream);
        stream.socket_mut().say(&answer());
        assert_eq!(read(&mut stream, 7), answer());
    }
}

#[test]
fn what_the_socket_does_not_take_is_owed_and_is_a_record_at_most() {
    for version in VERSIONS {
        for room in [1, 2, 5, 23, 1000, 20_000] {
            let mut stream = Configs::new(version, 1).stream();
            stream.socket_mut().room = room;
            let all = answer();
            let mut rest = &all[..];
            for _ in 0..1_000_000 {
                if stream.is_shaking_hands() {
                    stream.drain().expect("a socket");
                    read(&mut stream, 100);
                } else {
                    stream.resume().expect("a socket");
                    let taken = stream.write(rest).expect("a socket");
                    rest = &rest[taken..];
                    assert!(stream.owed() <= RECORD_BYTES_MAX, "{}", stream.owed());
                    if rest.is_empty() && stream.owed() == 0 {
                        break;
                    }
                }
                stream.socket_mut().room = room;
                stream.resume().expect("a socket");
            }
            assert!(stream.socket_mut().heard == all, "{room}");
        }
    }
}

#[test]
fn certificates_may_take_several_records() {
    for version in VERSIONS {
        let mut stream = Configs::new(version, 700).stream();
        stream.socket_mut().piece_bytes_max = 1000;
        shake_hands(&mut stream);
        assert!(stream.socket_mut().read > 2 * RECORD_BYTES_MAX);
    }
}

#[test]
fn each_side_hears_that_the_other_says_no_more() {
    for version in VERSIONS {
        let mut stream = Configs::new(version, 1).stream();
        shake_hands(&mut stream);
        stream.socket_mut().server.send_close_notify();
        stream.socket_mut().turn();
        let mut room = [0; 100];
        let mut received = stream.read(&mut room, false).expect("TLS");
        if received != Received::End {
            // What said it is read, and then that it was said.
            received = stream.read(&mut room, false).expect("TLS");
        }
        assert_eq!(received, Received::End);
        stream.finish().expect("a socket");
        let state = stream.socket_mut().server.process_new_packets();
        assert!(state.expect("TLS").peer_has_closed());
    }
}

#[test]
fn a_fault_behind_which_more_of_a_handshake_waits_is_a_fault() {
    for version in VERSIONS {
        let configs = Configs::new(version, 1);
        let mut stream = configs.stream();
        // It believes others, and the certificate is not the last word of the server's flight.
        let others = Configs::new(version, 1);
        stream.socket_mut().server =
            ServerConnection::new(Arc::clone(&others.server)).expect("a server");
        stream.drain().expect("a socket");
        let mut room = [0; 100];
        let has_failed = (0..100).any(|_| {
            stream.drain().expect("a socket");
            stream.read(&mut room, false).is_err()
        });
        let error = stream.fault().filter(|_| has_failed).map(Fault::error);
        assert!(
            matches!(error, Some(Error::InvalidCertificate(_))),
            "{error:?}"
        );
    }
}
