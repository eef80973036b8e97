//! The origin of a page as browsers write it (RFC 6454). Knows no requests and no flags.

use std::net::Ipv6Addr;

/// The scheme, the host and the port of a page, or of an app that is made of pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin {
    pub(super) scheme: String,
    /// Empty for some apps, as in `file://`.
    pub(super) host: String,
    /// `None` if the scheme is not known to have one.
    pub(super) port: Option<u16>,
}

impl WebOrigin {
    /// Reads a serialized origin (RFC 6454, 6.2): a scheme, a host and perhaps a port, and
    /// nothing behind them.
    pub(super) fn parse(text: &str) -> Option<WebOrigin> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.chars().all(|c| {
                c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.')
            });
        let (host, port) = split_port(authority)?;
        let is_address = |host: &str| {
            let address = host
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'));
            address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
        };
        let is_host = is_address(host)
            || match default_port(scheme) {
                Some(_) => is_name(host),
                // What stands there is an app's own affair: `app://.`, `file://`.
                None => host.chars().all(is_part_of_name),
            };
        (is_scheme && is_host).then(|| WebOrigin {
            port: port.or(default_port(scheme)),
            scheme: scheme.to_owned(),
            host: host.to_owned(),
        })
    }

    /// Whether it is one of the web, and not that of an app.
    pub(super) fn is_http(&self) -> bool {
        ["http", "https"].contains(&self.scheme.as_str())
    }

    pub(super) fn is_secure(&self) -> bool {
        ["https", "wss"].contains(&self.scheme.as_str())
    }

    pub(super) fn is_on(&self, host_header: &str) -> bool {
        let host_header = host_header.to_ascii_lowercase();
        // Behind a proxy it is known to the page alone whether that is HTTP or HTTPS.
        default_port(&self.scheme).is_some()
            && split_port(&host_header).is_some_and(|(host, port)| {
                host == self.host && port.or(default_port(&self.scheme)) == self.port
            })
    }

    /// As a source in a policy (Content Security Policy 3, 2.3.1), with `below` before the host.
    pub(super) fn source(&self, below: &str) -> String {
        let WebOrigin { scheme, host, port } = self;
        match port.filter(|_| *port != default_port(scheme)) {
            _ if host.is_empty() => format!("{scheme}:"),
            Some(port) => format!("{scheme}://{below}{host}:{port}"),
            None => format!("{scheme}://{below}{host}"),
        }
    }
}

/// Whether this is a host's name. Browsers write it in ASCII (RFC 5891, 4.4).
pub(super) fn is_name(host: &str) -> bool {
    let mut labels = host.strip_suffix('.').unwrap_or(host).split('.');
    labels.all(|label| !label.is_empty() && label.chars().all(is_part_of_name))
}

fn is_part_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._".contains(c)
}

/// A host and its port, if one is there.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    // An IPv6 address has colons of its own, inside brackets (RFC 3986, 3.2.2).
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|_| is_number)?;
            Some((host, Some(port)))
        }
        _ => Some((authority, None)),
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}
