//! The certificate that TLS is spoken with: read at the start and again when the operator asks for
//! it, and watched for its end. Knows no sockets; the time is handed in.

mod validity;

use std::path::PathBuf;
use std::sync::Arc;

use log::{error, info, warn};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, ServerConfig};

use super::config::Config;
use super::wire::tls::Session;
use super::work::handshake_cost_us;
use crate::auth::{read_file, read_secret};
use crate::date;
use crate::relay::Now;

/// What is spoken inside (RFC 7301); WebSockets begin as this.
const HTTP_1_1: &[u8] = b"http/1.1";

/// A certificate that ends within this time is told of every day.
const ENDS_SOON_S: u64 = 14 * DAY_S;
const DAY_S: u64 = 24 * 60 * 60;

/// A certificate with its chain and its key.
#[derive(Debug)]
pub(super) struct Certificate {
    files: Files,
    /// Encrypts tickets, by keys that change every few hours: whoever comes back needs no signature.
    tickets: Arc<dyn ProducesTickets>,
    config: Arc<ServerConfig>,
    /// What a turn of a handshake with it costs, about.
    handshake_us: u32,
    ends_at_s: u64,
    /// When its end was told of last, in seconds since 1970.
    told_at_s: Option<u64>,
}

/// Where it comes from.
#[derive(Clone, Debug)]
struct Files {
    chain: PathBuf,
    key: PathBuf,
}

/// What the files came to.
struct Loaded {
    config: Arc<ServerConfig>,
    handshake_us: u32,
    ends_at_s: u64,
    warnings: Vec<String>,
}

impl Certificate {
    /// Reads the files that the flags name, if they do.
    ///
    /// # Errors
    /// A line for the operator.
    pub(super) fn load(config: &Config) -> Result<Option<Certificate>, String> {
        let (Some(chain), Some(key)) = (&config.tls_cert_file, &config.tls_key_file) else {
            return Ok(None);
        };
        let files = Files {
            chain: chain.clone(),
            key: key.clone(),
        };
        let tickets = ring::Ticketer::new()
            .map_err(|error| format!("cannot make a key for TLS tickets: {error}"))?;
        let loaded = files.load(Arc::clone(&tickets))?;
        loaded
            .warnings
            .iter()
            .for_each(|warning| warn!("{warning}"));
        Ok(Some(Certificate {
            files,
            tickets,
            config: loaded.config,
            handshake_us: loaded.handshake_us,
            ends_at_s: loaded.ends_at_s,
            told_at_s: None,
        }))
    }

    /// A session for a connection that was just accepted.
    ///
    /// # Errors
    /// When the machine has nothing to make random numbers from.
    pub(super) fn session(&self) -> Result<Session, Error> {
        Session::server(Arc::clone(&self.config))
    }

    /// What a turn of a handshake is estimated to cost, in microseconds.
    pub(super) fn handshake_us(&self) -> u32 {
        self.handshake_us
    }

    /// When it ends, in seconds since the start of 1970 UTC.
    pub(super) fn ends_at_s(&self) -> u64 {
        self.ends_at_s
    }

    /// Reads the files again. A pair that cannot be used changes nothing; open connections keep what
    /// they have.
    pub(super) fn reload(&mut self) {
        match self.files.load_again(Arc::clone(&self.tickets)) {
            Ok(loaded) => {
                loaded
                    .warnings
                    .iter()
                    .for_each(|warning| warn!("{warning}"));
                self.config = loaded.config;
                self.handshake_us = loaded.handshake_us;
                self.ends_at_s = loaded.ends_at_s;
                self.told_at_s = None;
                info!(
                    "reload certificate_ends={}",
                    date::extended(self.ends_at_s * 1000)
                );
            }
            Err(line) => error!("reload error=\"{line}\" certificate=unchanged"),
        }
    }

    /// Tells of its end once a day, if that is near or has come.
    pub(super) fn look_at_end(&mut self, now: Now) {
        let now_s = (now.unix_ms / 1000.0) as u64;
        if !is_to_be_told(self.ends_at_s, self.told_at_s, now_s) {
            return;
        }
        self.told_at_s = Some(now_s);
        let (file, end) = (
            self.files.chain.display(),
            date::extended(self.ends_at_s * 1000),
        );
        match self.ends_at_s.checked_sub(now_s) {
            Some(left_s) => warn!(
                "{file}: the certificate ends in {} days, at {end}",
                left_s / DAY_S
            ),
            None => warn!("{file}: the certificate has ended, at {end}: clients refuse it"),
        }
    }
}

impl Files {
    fn load(&self, tickets: Arc<dyn ProducesTickets>) -> Result<Loaded, String> {
        let (chain_file, key_file) = (self.chain.display(), self.key.display());
        let (text, _) = read_file(&self.chain)?;
        let chain: Vec<CertificateDer> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("{chain_file}: this is no PEM: {error}"))?;
        let Some(own) = chain.first() else {
            return Err(format!("{chain_file}: there is no certificate in it"));
        };
        let ends_at_s = validity::ends_at_s(own)
            .map_err(|error| format!("{chain_file}: the first is no certificate: {error}"))?;
        let mut warnings = Vec::new();
        let text = read_secret(&self.key, &mut warnings)?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
            format!("{key_file}: there is no private key in it, or one with a passphrase")
        })?;
        let provider = Arc::new(ring::default_provider());
        let certified = CertifiedKey::from_der(chain, key, &provider);
        let public_key_bytes = (certified.as_ref().ok())
            .and_then(|certified| Some(certified.key.public_key()?.len()))
            .unwrap_or(0);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_no_client_auth())
            .and_then(|builder| {
                let certified = Arc::new(SingleCertAndKey::from(certified?));
                Ok(builder.with_cert_resolver(certified))
            })
            .map_err(|error| match error {
                Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    format!(
                        "{key_file}: this is not the key of the first certificate in {chain_file}"
                    )
                }
                error => format!("{chain_file} and {key_file}: {error}"),
            })?;
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        config.ticketer = tickets;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Loaded {
            config: Arc::new(config),
            handshake_us: handshake_cost_us(public_key_bytes),
            ends_at_s,
            warnings,
        })
    }

    /// The same for a program that must not wait, as it would for whoever writes into a pipe.
    fn load_again(&self, tickets: Arc<dyn ProducesTickets>) -> Result<Loaded, String> {
        for path in [&self.chain, &self.key] {
            if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
                return Err(format!("cannot read {} again: no file", path.display()));
            }
        }
        self.load(tickets)
    }
}

/// Whether an end is near or has come, and was not told of for a day.
fn is_to_be_told(ends_at_s: u64, told_at_s: Option<u64>, now_s: u64) -> bool {
    let was_told = told_at_s.is_some_and(|told_at_s| now_s < told_at_s + DAY_S);
    !was_told && now_s + ENDS_SOON_S >= ends_at_s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_of_once_a_day_from_14_days_before_it_on() {
        let ends_at_s = 100 * DAY_S;
        let mut told = Vec::new();
        for hour in (80 * 24..105 * 24).step_by(5) {
            let now_s = hour * 3600;
            if is_to_be_told(ends_at_s, told.last().copied(), now_s) {
                told.push(now_s);
            }
        }
        assert!(told[0] >= 86 * DAY_S && told[0] < 87 * DAY_S);
        assert!((16..=19).contains(&told.len()), "{told:?}");
        assert!(told.windows(2).all(|pair| pair[1] - pair[0] >= DAY_S));
    }
}
