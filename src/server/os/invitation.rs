//! The link of the map, for people: what to open on this machine. Knows no sockets and no runners.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::server::config::Config;

/// What to open to see the map.
pub(in crate::server) struct Invitation<'a> {
    /// The flags of the server.
    pub(in crate::server) config: &'a Config,
    /// Where it listens.
    pub(in crate::server) addresses: &'a [SocketAddr],
}

impl fmt::Display for Invitation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let what = match self.config.demo {
            true => "see it move",
            false => "map",
        };
        write!(f, "{what}: http://{}/", reachable(self.addresses))?;
        let keys = &self.config.keys;
        if !keys.are_given() {
            return Ok(());
        }
        write!(f, "#token=TOKEN with a token ")?;
        let Some(secret) = keys.jwt_hs256_secret_file.first() else {
            return write!(f, "from whoever has the private key");
        };
        write!(
            f,
            "from: spectate token --sub me --follow '*' --jwt-hs256-secret-file {}",
            secret.display()
        )?;
        for (flag, value) in [
            ("audience", &keys.jwt_audience),
            ("issuer", &keys.jwt_issuer),
        ] {
            if let Some(value) = value {
                write!(f, " --jwt-{flag} {value}")?;
            }
        }
        Ok(())
    }
}

/// An address at which this machine reaches itself: a loopback one if there is one.
pub(super) fn reachable(addresses: &[SocketAddr]) -> SocketAddr {
    let own = addresses.iter().map(|address| {
        let ip = match address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        SocketAddr::new(ip, address.port())
    });
    let own: Vec<SocketAddr> = own.collect();
    let loopback = own.iter().find(|address| address.ip().is_loopback());
    *loopback.unwrap_or(&own[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_one_that_is_listened_on() {
        for (addresses, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("192.0.2.1:80 [::1]:81", "[::1]:81"),
        ] {
            let addresses: Vec<SocketAddr> = addresses
                .split(' ')
                .map(|address| address.parse().expect("an address"))
                .collect();
            assert_eq!(reachable(&addresses).to_string(), expected);
        }
    }
}
