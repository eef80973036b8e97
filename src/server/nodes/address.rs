//! Where an engine is, as an operator writes it. Must never know a socket.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use rustls::pki_types::ServerName;

/// The port of Redis and Valkey, by TLS too.
const PORT: u16 = 6379;

/// `redis://[user@]host[:port]`, or `rediss://` for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineAddress {
    /// Whom the engine's certificate is to be for, where TLS is spoken: its host.
    certified: Option<ServerName<'static>>,
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
        let bad = || format!("{text:?} is no address of a bus (try redis://127.0.0.1:6379)");
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        if !["redis", "rediss"].contains(&scheme) {
            return Err(bad());
        }
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
        let certified = match scheme {
            "rediss" => Some(ServerName::try_from(host.to_owned()).map_err(|_| bad())?),
            _ => None,
        };
        Ok(EngineAddress {
            certified,
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
        })
    }

    /// Whom its certificate is to be for; nothing where no TLS is spoken.
    pub(super) fn certified(&self) -> Option<&ServerName<'static>> {
        self.certified.as_ref()
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
        let scheme = match self.certified {
            Some(_) => "rediss",
            None => "redis",
        };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
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
    fn by_tls_an_engine_is_to_be_whom_its_address_names() {
        for (text, named, shown) in [
            (
                "rediss://anna@bus.example",
                "bus.example",
                "rediss://bus.example:6379",
            ),
            (
                "rediss://10.0.0.9:6380",
                "10.0.0.9",
                "rediss://10.0.0.9:6380",
            ),
            ("rediss://[::1]/", "::1", "rediss://[::1]:6379"),
            ("rediss://redis_1", "redis_1", "rediss://redis_1:6379"),
        ] {
            let address = EngineAddress::parse(text).expect(text);
            let certified = address.certified().expect("TLS");
            assert_eq!(certified.to_str(), named);
            assert_eq!(address.to_string(), shown);
        }
        let plain = EngineAddress::parse("redis://bus.example").expect("an address");
        assert_eq!(plain.certified(), None);
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_type_instead() {
        for (text, says) in [
            ("rediss://", "try redis://"),
            ("rediss://a..b", "try redis://"),
            ("redisss://a", "try redis://"),
            ("rediss://anna:secret@127.0.0.1", "--bus-password-file"),
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
