//! The load's side of TLS, as browsers speak it: AES with 128 bits and X25519 first. It believes any
//! certificate, so that the load costs little. It knows no sockets and no WebSockets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
    UnbufferedClientConnection,
};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, HandshakeKind, NamedGroup, SignatureScheme,
};

/// More than encryption adds to a short message.
const SEAL_BYTES_MAX: usize = 256;

/// How to speak to one server.
pub(crate) struct Secrecy {
    config: Arc<ClientConfig>,
    tickets: Arc<Tickets>,
}

impl Secrecy {
    pub(crate) fn new() -> Result<Secrecy, String> {
        let provider = CryptoProvider {
            cipher_suites: vec![
                ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
                ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
                ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            ],
            ..ring::default_provider()
        };
        let schemes = provider
            .signature_verification_algorithms
            .supported_schemes();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| format!("TLS: {error}"))?;
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous(schemes)))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tickets = Arc::new(Tickets::default());
        config.resumption = Resumption::store(Arc::clone(&tickets) as Arc<dyn ClientSessionStore>);
        Ok(Secrecy {
            config: Arc::new(config),
            tickets,
        })
    }

    /// From now on each session resumes an earlier one, as long as there are tickets.
    pub(crate) fn resume(&self) {
        self.tickets.are_used.store(true, Ordering::Relaxed);
    }
}

/// One session.
pub(crate) struct Session {
    rustls: UnbufferedClientConnection,
    /// The beginning of a record.
    incoming: Vec<u8>,
}

impl Session {
    pub(crate) fn new(secrecy: &Secrecy) -> Result<Session, String> {
        let name = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
        let rustls = UnbufferedClientConnection::new(Arc::clone(&secrecy.config), name)
            .map_err(|error| format!("TLS: {error}"))?;
        Ok(Session {
            rustls,
            incoming: Vec::new(),
        })
    }

    pub(crate) fn is_shaking_hands(&self) -> bool {
        self.rustls.is_handshaking()
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.rustls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Takes in what came, if anything did: decrypts into the room what is whole, and says how much that
    /// is. `out` gets what the handshake has to say.
    pub(crate) fn receive(
        &mut self,
        came: &mut [u8],
        room: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let mut joined = std::mem::take(&mut self.incoming);
        let bytes = match joined.is_empty() {
            true => came,
            false => {
                joined.extend_from_slice(came);
                &mut joined[..]
            }
        };
        let (used, count) = self
            .advance(bytes, room, out)
            .map_err(|error| format!("TLS: {error}"))?;
        self.incoming = bytes[used..].to_vec();
        Ok(count)
    }

    fn advance(
        &mut self,
        bytes: &mut [u8],
        room: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<(usize, usize), Error> {
        let (mut used, mut count) = (0, 0);
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.rustls.process_tls_records(&mut bytes[used..]);
            let is_all = match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        let end = count + record.payload.len();
                        room[count..end].copy_from_slice(record.payload);
                        count = end;
                    }
                    false
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
                        let begin = out.len();
                        out.resize(begin + size.required_size, 0);
                        // It has said how much it needs.
                        let _ = data.encode(&mut out[begin..]);
                    }
                    false
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    false
                }
                ConnectionState::PeerClosed => false,
                _ => true,
            };
            used += discard;
            if is_all {
                return Ok((used, count));
            }
        }
    }

    /// Appends a message, encrypted.
    pub(crate) fn seal(&mut self, message: &[u8], out: &mut Vec<u8>) {
        let state = self.rustls.process_tls_records(&mut []).state;
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
            let begin = out.len();
            out.resize(begin + message.len() + SEAL_BYTES_MAX, 0);
            let sealed = traffic.encrypt(message, &mut out[begin..]).unwrap_or(0);
            out.truncate(begin + sealed);
        }
    }
}

/// What servers gave out for coming back.
#[derive(Debug, Default)]
struct Tickets {
    are_used: AtomicBool,
    tickets: Mutex<Vec<Tls13ClientSessionValue>>,
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.push(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        (self.are_used.load(Ordering::Relaxed).then(|| tickets.pop())).flatten()
    }
}

/// Believes whatever a server shows.
#[derive(Debug)]
struct Credulous(Vec<SignatureScheme>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
