//! Where a server is: `ws://host[:port][/path]` or `wss://`, taken apart once. Knows no sockets but the
//! addresses that a host name stands for.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// The ports of `ws://` and `wss://` URLs without one (RFC 6455, section 3).
const PORT_DEFAULT: u16 = 80;
const SECURE_PORT_DEFAULT: u16 = 443;

/// A `ws://` or `wss://` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    is_secure: bool,
    host: String,
    port: u16,
    path: String,
}

impl Endpoint {
    /// The addresses that the host has now, in the resolver's order; never none.
    ///
    /// # Errors
    /// A line that names the host, when the resolver knows no address of it.
    pub(crate) fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let known = (self.host.as_str(), self.port).to_socket_addrs();
        let addresses: Vec<SocketAddr> = known
            .map_err(|error| {
                format!(
                    "cannot find the host {}: {}",
                    self.host,
                    super::plain(&error)
                )
            })?
            .collect();
        if addresses.is_empty() {
            return Err(format!(
                "cannot find the host {}: it has no address",
                self.host
            ));
        }
        Ok(addresses)
    }

    /// Whether TLS is spoken there.
    pub(crate) fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The host, an IPv6 address without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Where its map is.
    pub(crate) fn map(&self) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://{}/", self.authority())
    }

    /// Path and query of the upgrade request; begins with a slash.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Host and port as the `Host` header wants them: no port if it is the default.
    pub(crate) fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match self.port {
            port if port == port_default(self.is_secure) => host,
            port => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let path = if self.path == "/" { "" } else { &self.path };
        let scheme = if self.is_secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{path}", self.authority())
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(url: &str) -> Result<Endpoint, String> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" => false,
            "wss" | "https" => true,
            _ => {
                return Err(format!(
                    "{url:?} is not a ws:// or wss:// URL (try ws://127.0.0.1:8080)"
                ));
            }
        };
        let refuse = |reason: &str| format!("{url:?}: {reason} (try ws://127.0.0.1:8080)");
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // Whatever else would need escapes, or could end the request line.
        if !path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
        {
            return Err(refuse(
                "the path holds a character that is not allowed there",
            ));
        }
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        let (host, port) = host_and_port(authority).map_err(refuse)?;
        Ok(Endpoint {
            is_secure,
            port: port.unwrap_or(port_default(is_secure)),
            host,
            path,
        })
    }
}

fn port_default(is_secure: bool) -> u16 {
    match is_secure {
        true => SECURE_PORT_DEFAULT,
        false => PORT_DEFAULT,
    }
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), &'static str> {
    let (host, port) = match authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((address, port)) => {
            address
                .parse::<Ipv6Addr>()
                .map_err(|_| "what stands in brackets is no IPv6 address")?;
            (address, port)
        }
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            if port.matches(':').count() > 1 {
                return Err("an IPv6 address stands in brackets, as in ws://[::1]:8080");
            }
            let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if host.is_empty() || !host.bytes().all(name) {
                return Err("this is no host name");
            }
            (host, port)
        }
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .map(Some)
            .ok_or("the port must be from 1 to 65535")?,
        _ => return Err("the port must be from 1 to 65535"),
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_fall_into_host_port_and_path() {
        for (url, authority, port, path) in [
            ("ws://127.0.0.1:8080", "127.0.0.1:8080", 8080, "/"),
            ("WS://localhost/", "localhost", 80, "/"),
            ("ws://[::1]:9/live?x=1", "[::1]:9", 9, "/live?x=1"),
            ("ws://[::1]", "[::1]", 80, "/"),
            ("ws://a-b.example:80?q", "a-b.example", 80, "/?q"),
            ("wss://a.example", "a.example", 443, "/"),
            ("https://a.example:8443/", "a.example:8443", 8443, "/"),
            ("wss://a.example:80", "a.example:80", 80, "/"),
            ("ws://a.example:443", "a.example:443", 443, "/"),
        ] {
            let endpoint: Endpoint = url.parse().expect(url);
            assert_eq!(
                (
                    endpoint.authority().as_str(),
                    endpoint.port,
                    endpoint.path()
                ),
                (authority, port, path)
            );
            assert_eq!(endpoint.to_string().parse::<Endpoint>(), Ok(endpoint));
        }
    }

    #[test]
    fn what_is_no_url_of_ours_is_refused_with_an_example() {
        for url in [
            "",
            "127.0.0.1:8080",
            "http://a",
            "ws://",
            "ws://:8080",
            "ws://a:0",
            "ws://a:65536",
            "ws://a:",
            "ws://a:+1",
            "ws://::1:80",
            "ws://[::1",
            "ws://[x]",
            "ws://[::1]80",
            "ws://u@h",
            "ws://h/a b",
            "ws://h/\r\nX: y",
            "ws://h/#f",
        ] {
            let refusal = url.parse::<Endpoint>().expect_err(url);
            assert!(refusal.contains("try ws://"), "{refusal}");
        }
    }

    #[test]
    fn tls_is_spoken_where_the_scheme_says_so() {
        for (url, is_secure, map) in [
            ("wss://example.org/live", true, "https://example.org/"),
            ("https://example.org:80", true, "https://example.org:80/"),
            ("ws://example.org:443", false, "http://example.org:443/"),
        ] {
            let endpoint: Endpoint = url.parse().expect(url);
            assert_eq!(
                (endpoint.is_secure(), endpoint.map().as_str()),
                (is_secure, map)
            );
        }
    }

    #[test]
    fn an_ipv6_address_in_brackets_has_an_address() {
        let endpoint: Endpoint = "ws://[::1]:81".parse().expect("a URL");
        assert_eq!(
            endpoint.addresses(),
            Ok(vec![SocketAddr::from((Ipv6Addr::LOCALHOST, 81))])
        );
    }
}
