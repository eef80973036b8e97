//! What a node shows to engines, and whom it believes there: a password and CAs, out of files that are
//! read again at each connection. Must never know a socket.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;

use super::address::EngineAddress;
use crate::bus::{Login, Node};
use crate::server::config::Config;
use crate::server::wire::tls::Session;
use crate::trust;

/// Longest password file.
const PASSWORD_BYTES_MAX: u64 = 64 * 1024;

/// Longest file with CAs: more than all that the world trusts take.
const CAS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What all engines are shown and held to.
#[derive(Debug)]
pub(in crate::server) struct Access {
    password: Option<PasswordFile>,
    /// Where TLS is spoken.
    cas: Option<Cas>,
}

impl Access {
    /// Reads the files that the flags name.
    ///
    /// # Errors
    /// A line that names the flag and shows nothing out of a file.
    pub(in crate::server) fn read(config: &Config) -> Result<Access, String> {
        let password = config.bus_password_file.as_deref().map(PasswordFile::read);
        let password =
            (password.transpose()).map_err(|line| format!("--bus-password-file: {line}"))?;
        let is_secure = |address: &EngineAddress| address.certified().is_some();
        let cas = match (&config.bus_ca_file, config.bus.iter().any(is_secure)) {
            (None, false) => None,
            (None, true) => Some(Cas::of_system()?),
            (Some(path), true) => {
                let cas = Cas::read(path);
                Some(cas.map_err(|line| format!("--bus-ca-file: {line}"))?)
            }
            (Some(_), false) => {
                return Err(
                    "--bus-ca-file is for TLS, which no --bus asks for: try rediss:// there"
                        .to_owned(),
                );
            }
        };
        Ok(Access { password, cas })
    }

    /// With what this node introduces itself to an engine.
    pub(super) fn login(&mut self, address: &EngineAddress, node: Node) -> Login {
        Login {
            user: address.user().map(str::to_owned),
            password: (self.password.as_mut()).map(|file| file.again().to_owned()),
            client: format!("spectate-{}", node.name()),
        }
    }

    /// A session with the engine that has a certificate for this.
    ///
    /// # Errors
    /// A line for the operator.
    pub(super) fn session(&mut self, certified: &ServerName<'static>) -> Result<Session, String> {
        let cas = self.cas.as_mut();
        let config = cas.ok_or("no CA is believed")?.again();
        Session::client(config, certified.clone()).map_err(|error| error.to_string())
    }
}

/// The password of a file, whose last newline is not part of it.
struct PasswordFile {
    path: PathBuf,
    password: String,
}

impl PasswordFile {
    fn read(path: &Path) -> Result<PasswordFile, String> {
        let password = read_password(path)?;
        Ok(PasswordFile {
            path: path.to_owned(),
            password,
        })
    }

    /// The password as the file has it now; as it was, if it cannot be read any more.
    fn again(&mut self) -> &str {
        if let Ok(password) = read_password(&self.path) {
            self.password = password;
        }
        &self.password
    }
}

impl fmt::Debug for PasswordFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the password.
        f.debug_tuple("PasswordFile").field(&self.path).finish()
    }
}

fn read_password(path: &Path) -> Result<String, String> {
    let bytes = read(path, PASSWORD_BYTES_MAX)?;
    let text = str::from_utf8(&bytes).unwrap_or_default();
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line.is_empty() || line.contains('\n') {
        true => Err(format!(
            "cannot read {}: this is not one line with a password",
            path.display()
        )),
        false => Ok(line.to_owned()),
    }
}

/// Who vouches for engines.
#[derive(Debug)]
struct Cas {
    /// The file and what was in it; those of the system are read once.
    file: Option<(PathBuf, Vec<u8>)>,
    config: Arc<ClientConfig>,
}

impl Cas {
    fn of_system() -> Result<Cas, String> {
        let config = trust::in_system("--bus-ca-file")?;
        Ok(Cas {
            file: None,
            config: of_engines(config),
        })
    }

    fn read(path: &Path) -> Result<Cas, String> {
        let pem = read(path, CAS_BYTES_MAX)?;
        let config = trust::in_pem(&pem).map_err(|line| format!("{}: {line}", path.display()))?;
        Ok(Cas {
            file: Some((path.to_owned(), pem)),
            config: of_engines(config),
        })
    }

    /// As the file has them now; as they were, if it cannot be used any more.
    fn again(&mut self) -> Arc<ClientConfig> {
        if let Some((path, known)) = &mut self.file
            && let Ok(pem) = read(path, CAS_BYTES_MAX)
            && pem != *known
            && let Ok(config) = trust::in_pem(&pem)
        {
            self.config = of_engines(config);
            *known = pem;
        }
        Arc::clone(&self.config)
    }
}

/// Each connection shows its certificate: there are few, and it may be another.
fn of_engines(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// A file's bytes.
fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let attempt = || {
        // A pipe would keep whoever reads it waiting.
        let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
        if !metadata.is_file() || metadata.len() > bytes_max {
            return Err(format!("this is no file of at most {bytes_max} bytes"));
        }
        fs::read(path).map_err(|error| error.to_string())
    };
    attempt().map_err(|error| format!("cannot read {}: {error}", path.display()))
}
