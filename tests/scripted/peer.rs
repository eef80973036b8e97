//! The other side of TLS, in memory: what the script says is encrypted, and what the connection
//! wrote is decrypted.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, LazyLock};

use rustls::client::Resumption;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig, SupportedProtocolVersion,
};
use spectate::server::wire::tls::Session;

use super::script::Step;

/// A client.
#[derive(Debug)]
pub(crate) struct Peer {
    rustls: ClientConnection,
    /// What it said that nobody has read.
    pub(crate) ciphertext: VecDeque<u8>,
    /// How many records came.
    pub(crate) records: usize,
    /// What of the next record came, or how much of it is still to come.
    header: Vec<u8>,
    rest: usize,
    /// Whether the connection said that it sends no more.
    pub(crate) has_heard_end: bool,
    /// What ended the session, if that was not in order.
    pub(crate) fault: Option<Error>,
    /// Whether somebody changed what it said: then it may hear anything, and says its last word once.
    pub(crate) is_disturbed: bool,
    has_ended: bool,
}

/// What both sides are set up with: a certificate of our own making.
struct Sides {
    server: Arc<ServerConfig>,
    /// What the client knows, but for the version.
    roots: Arc<RootCertStore>,
}

static SIDES: LazyLock<Sides> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a name");
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("PKCS #8");
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("they fit");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    Sides {
        server: Arc::new(server),
        roots: Arc::new(roots),
    }
});

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl Peer {
    /// A client that has said nothing yet, and the connection's side.
    pub(crate) fn new(version: &'static SupportedProtocolVersion) -> (Peer, Session) {
        let mut client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .expect("ring has it")
            .with_root_certificates(Arc::clone(&SIDES.roots))
            .with_no_client_auth();
        // One test must not speed up another.
        client.resumption = Resumption::disabled();
        let name = ServerName::try_from("localhost").expect("a name");
        let mut rustls = ClientConnection::new(Arc::new(client), name).expect("a client");
        rustls.set_buffer_limit(None);
        let peer = Peer {
            rustls,
            ciphertext: VecDeque::new(),
            records: 0,
            header: Vec::new(),
            rest: 0,
            has_heard_end: false,
            fault: None,
            is_disturbed: false,
            has_ended: false,
        };
        let session = Session::server(Arc::clone(&SIDES.server)).expect("random numbers");
        (peer, session)
    }

    /// Says this, and that it sends no more.
    pub(crate) fn say_and_end(&mut self, bytes: &[u8]) {
        self.rustls.writer().write_all(bytes).expect("room");
        self.end();
    }

    /// Says that it sends no more.
    pub(crate) fn end(&mut self) {
        self.rustls.send_close_notify();
        self.has_ended = true;
    }

    /// Changes its keys, and wants the connection to do the same: `false` where that cannot be done.
    pub(crate) fn change_keys(&mut self) -> bool {
        self.rustls.refresh_traffic_keys().is_ok()
    }

    /// Encrypts what can be said: all that the script says at once, a record for each step.
    pub(crate) fn speak(&mut self, steps: &mut VecDeque<Step>) {
        self.send();
        while self.can_speak()
            && let Some(Step::Bytes(bytes)) = steps.front()
        {
            self.rustls.writer().write_all(bytes).expect("room");
            self.send();
            steps.pop_front();
        }
    }

    fn send(&mut self) {
        while self.rustls.wants_write() {
            let to = &mut self.ciphertext;
            self.rustls.write_tls(to).expect("a queue");
        }
    }

    /// The next bytes for the connection; `None` if what comes next is no bytes.
    pub(crate) fn read(
        &mut self,
        steps: &mut VecDeque<Step>,
        buffer: &mut [u8],
    ) -> io::Result<Option<usize>> {
        self.speak(steps);
        if self.ciphertext.is_empty() {
            return match steps.front() {
                Some(Step::Bytes(_)) => Err(ErrorKind::WouldBlock.into()),
                _ => Ok(None),
            };
        }
        io::Read::read(&mut self.ciphertext, buffer).map(Some)
    }

    /// What is inside the bytes that the connection wrote.
    pub(crate) fn take(&mut self, mut ciphertext: &[u8]) -> Vec<u8> {
        self.count_records(ciphertext);
        let mut plaintext = Vec::new();
        while !ciphertext.is_empty() && !self.is_deaf() {
            self.rustls.read_tls(&mut ciphertext).expect("bytes");
            match self.rustls.process_new_packets() {
                Ok(state) => self.has_heard_end |= state.peer_has_closed(),
                Err(error) => {
                    let is_alert = matches!(error, Error::AlertReceived(_));
                    assert!(is_alert || self.is_disturbed, "{error}");
                    self.fault = Some(error);
                }
            }
            match io::Read::read_to_end(&mut self.rustls.reader(), &mut plaintext) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
                _ => {}
            }
        }
        plaintext
    }

    fn count_records(&mut self, mut ciphertext: &[u8]) {
        while let Some((first, behind)) = ciphertext.split_first() {
            if self.rest > 0 {
                let count = self.rest.min(ciphertext.len());
                self.rest -= count;
                ciphertext = &ciphertext[count..];
                continue;
            }
            self.header.push(*first);
            ciphertext = behind;
            if self.header.len() == 5 {
                self.rest = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
                self.records += 1;
                self.header.clear();
            }
        }
    }

    /// Whether it hears nothing any more.
    pub(crate) fn is_deaf(&self) -> bool {
        self.fault.is_some() || self.is_disturbed && self.has_ended
    }

    /// Whether it has shaken hands, and nothing ended that.
    pub(crate) fn can_speak(&self) -> bool {
        !self.rustls.is_handshaking() && self.fault.is_none()
    }

    /// Whether there is nothing to read that it has said already.
    pub(crate) fn is_silent(&self) -> bool {
        self.ciphertext.is_empty() && !self.rustls.wants_write()
    }
}
