//! The other side of TLS, in memory: what the script says is encrypted, cut anywhere, and what the
//! connection wrote is decrypted.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, LazyLock};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion,
};
use spectate::server::wire::stream::Stream;
use spectate::server::wire::tls::Session;

use crate::script::{Driver, Layer, Step};

/// Both versions that are spoken.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// Where its ciphertext is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    Nowhere,
    /// Behind so many bytes.
    At(usize),
    EachByte,
}

/// A client.
#[derive(Debug)]
pub(crate) struct Peer {
    rustls: ClientConnection,
    server: Arc<ServerConfig>,
    ciphertext: VecDeque<u8>,
    cut: Cut,
    /// How much was read of it.
    read: usize,
    is_blocked: bool,
    /// How many records came.
    pub(crate) records: usize,
    /// What of the next record came, or how much of it is still to come.
    header: Vec<u8>,
    rest: usize,
    /// Whether the connection said that it sends no more.
    pub(crate) has_heard_end: bool,
}

/// A certificate of its own making, and its key.
static CERTIFICATE: LazyLock<(CertificateDer<'static>, Vec<u8>)> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a name");
    (made.cert.der().clone(), made.signing_key.serialize_der())
});

impl Peer {
    pub(crate) fn new(version: &'static SupportedProtocolVersion, cut: Cut) -> Peer {
        let (certificate, key) = &*CERTIFICATE;
        let key = PrivateKeyDer::try_from(key.clone()).expect("PKCS #8");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("they fit");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a certificate");
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("ring has it")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let mut rustls = ClientConnection::new(Arc::new(client), name).expect("a client");
        rustls.set_buffer_limit(None);
        Peer {
            rustls,
            server: Arc::new(server),
            ciphertext: VecDeque::new(),
            cut,
            read: 0,
            is_blocked: false,
            records: 0,
            header: Vec::new(),
            rest: 0,
            has_heard_end: false,
        }
    }

    /// The connection's side.
    pub(crate) fn session(&self) -> Session {
        Session::server(Arc::clone(&self.server)).expect("random numbers")
    }

    /// How many bytes were read of it.
    pub(crate) fn read_bytes(&self) -> usize {
        self.read
    }

    /// Says this, and that it sends no more.
    pub(crate) fn say_and_end(&mut self, bytes: &[u8]) {
        self.rustls.writer().write_all(bytes).expect("room");
        self.end();
    }

    /// Says that it sends no more.
    pub(crate) fn end(&mut self) {
        self.rustls.send_close_notify();
    }

    /// Changes its keys, and wants the connection to do the same.
    pub(crate) fn change_keys(&mut self) {
        self.rustls.refresh_traffic_keys().expect("TLS 1.3");
    }

    fn send(&mut self) {
        while self.rustls.wants_write() {
            let to = &mut self.ciphertext;
            self.rustls.write_tls(to).expect("a queue");
        }
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
}

impl Layer for Peer {
    fn read(&mut self, steps: &mut VecDeque<Step>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        if std::mem::take(&mut self.is_blocked) {
            return Err(ErrorKind::WouldBlock.into());
        }
        // All that the script says at once comes in one read, a record for each step.
        while !self.rustls.is_handshaking()
            && let Some(Step::Bytes(bytes)) = steps.front()
        {
            self.rustls.writer().write_all(bytes)?;
            self.send();
            steps.pop_front();
        }
        self.send();
        if self.ciphertext.is_empty() {
            return match self.rustls.is_handshaking() {
                true => Err(ErrorKind::WouldBlock.into()),
                false => Ok(None),
            };
        }
        let limit = match self.cut {
            Cut::At(at) if at > self.read => at - self.read,
            Cut::EachByte => 1,
            _ => usize::MAX,
        };
        let count = self.ciphertext.len().min(buffer.len()).min(limit);
        self.is_blocked = count == limit;
        self.read += count;
        for (to, byte) in buffer.iter_mut().zip(self.ciphertext.drain(..count)) {
            *to = byte;
        }
        Ok(Some(count))
    }

    fn take(&mut self, mut ciphertext: &[u8]) -> Vec<u8> {
        self.count_records(ciphertext);
        let mut plaintext = Vec::new();
        while !ciphertext.is_empty() {
            self.rustls.read_tls(&mut ciphertext).expect("bytes");
            let state = self.rustls.process_new_packets().expect("TLS");
            self.has_heard_end |= state.peer_has_closed();
            match self.rustls.reader().read_to_end(&mut plaintext) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
                _ => {}
            }
        }
        plaintext
    }

    fn is_silent(&self) -> bool {
        self.ciphertext.is_empty() && !self.rustls.wants_write()
    }
}

impl Driver {
    /// A connection by TLS with this peer.
    pub(crate) fn secure(steps: impl IntoIterator<Item = Step>, peer: Peer) -> Driver {
        let session = peer.session();
        let stream = |script| Stream::secure(script, session);
        Driver::with(steps, Some(Box::new(peer)), stream)
    }
}
