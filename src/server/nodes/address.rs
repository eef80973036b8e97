//! Where an engine is, as an operator writes it, and the password that it asks for. Must never know
//! a socket.

use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// The port of Redis and Valkey.
const PORT: u16 = 6379;

/// Longest password file, in bytes.
const PASSWORD_BYTES_MAX: u64 = 64 * 1024;

/// `redis://[user@]host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineAddress {
    user: Option<String>,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
}

impl EngineAddress {
    /// Reads one.
    ///
    /// # Errors
    /// A line that says what to type instead.
    pub fn parse(text: &str) -> Result<EngineAddress, String> {
        if text.starts_with("rediss://") {
            return Err(format!(
                "{text:?} asks for TLS, which the bus does not speak: use redis:// on a network of \
                 your own, or through a tunnel"
            ));
        }
        let bad = || format!("{text:?} is no address of a bus (try redis://127.0.0.1:6379)");
        let rest = text.strip_prefix("redis://").ok_or_else(bad)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => {
                return Err(
                    "a password is no part of the address, where everybody sees it: use \
                            --bus-password-file"
                        .to_owned(),
                );
            }
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let is_user = user.is_none_or(|user| {
            !user.is_empty() && user.bytes().all(|byte| byte.is_ascii_graphic())
        });
        let (host, port) = host_and_port(place).filter(|_| is_user).ok_or_else(bad)?;
        Ok(EngineAddress {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
        })
    }

    /// Who we are to the engine; none is the default user.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// A name to be looked up, or an address.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The address, if no name is to be looked up for it.
    pub(super) fn literal(&self) -> Option<SocketAddr> {
        let address: IpAddr = self.host.parse().ok()?;
        Some(self.at(address))
    }

    /// The same engine at the address that its host has.
    pub(super) fn at(&self, address: IpAddr) -> SocketAddr {
        SocketAddr::new(address, self.port)
    }
}

impl fmt::Display for EngineAddress {
    /// Without the user: for logs and metrics.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "redis://[{}]:{}", self.host, self.port),
            false => write!(f, "redis://{}:{}", self.host, self.port),
        }
    }
}

fn host_and_port(place: &str) -> Option<(&str, u16)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            let _: std::net::Ipv6Addr = host.parse().ok()?;
            (
                host,
                port.strip_prefix(':').or(port.is_empty().then_some(""))?,
            )
        }
        None => place.split_once(':').unwrap_or((place, "")),
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || host.starts_with('-') || !host.bytes().all(is_host) {
        return None;
    }
    let port = match port {
        "" if !place.ends_with(':') => PORT,
        digits => digits.parse().ok().filter(|port| *port > 0)?,
    };
    Some((host, port))
}

/// The password of a file, whose last newline is not part of it.
#[derive(Clone)]
pub(in crate::server) struct PasswordFile {
    path: PathBuf,
    password: String,
}

impl PasswordFile {
    /// Reads the file.
    ///
    /// # Errors
    /// A line that names it and shows nothing out of it.
    pub(in crate::server) fn read(path: &Path) -> Result<PasswordFile, String> {
        let password =
            read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Ok(PasswordFile {
            path: path.to_owned(),
            password,
        })
    }

    /// The password as the file has it now; as it was, if it cannot be read any more.
    pub(super) fn again(&mut self) -> &str {
        if let Ok(password) = read(&self.path) {
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

fn read(path: &Path) -> Result<String, String> {
    // A pipe would keep whoever reads it waiting.
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() || metadata.len() > PASSWORD_BYTES_MAX {
        return Err("this is no file with a password".to_owned());
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line.is_empty() || line.contains('\n') {
        true => Err("this is not one line with a password".to_owned()),
        false => Ok(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_where_an_engine_is_and_who_we_are() {
        for (text, user, host, port) in [
            ("redis://127.0.0.1:6380", None, "127.0.0.1", 6380),
            ("redis://127.0.0.1", None, "127.0.0.1", 6379),
            (
                "redis://anna@bus.example:7/",
                Some("anna"),
                "bus.example",
                7,
            ),
            ("redis://[::1]:6380", None, "::1", 6380),
            ("redis://[::1]", None, "::1", 6379),
        ] {
            let address = EngineAddress::parse(text).expect(text);
            assert_eq!(address.user(), user, "{text}");
            assert_eq!((&*address.host, address.port), (host, port), "{text}");
            assert_eq!(address.literal().is_some(), host != "bus.example", "{text}");
        }
        let shown = EngineAddress::parse("redis://anna@[::1]").expect("an address");
        assert_eq!(shown.to_string(), "redis://[::1]:6379");
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_type_instead() {
        for (text, says) in [
            ("rediss://127.0.0.1", "TLS"),
            ("redis://anna:secret@127.0.0.1", "--bus-password-file"),
            ("127.0.0.1:6379", "try redis://"),
            ("redis://", "try redis://"),
            ("redis://:6379", "try redis://"),
            ("redis://@a", "try redis://"),
            ("redis://a:", "try redis://"),
            ("redis://a:0", "try redis://"),
            ("redis://a:65536", "try redis://"),
            ("redis://a/1", "try redis://"),
            ("redis://a b", "try redis://"),
            ("redis://-a", "try redis://"),
            ("redis://[::1", "try redis://"),
            ("redis://[::1]6379", "try redis://"),
            ("redis://[a]:6379", "try redis://"),
        ] {
            let line = EngineAddress::parse(text).expect_err(text);
            assert!(line.contains(says), "{text}: {line}");
            assert!(!line.contains("secret"), "{line}");
        }
    }
}
