//! How many connections there may be: the descriptor limit, and who is over which limit.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that WebSockets leave to the rest: the process's own, and plain HTTP requests,
/// which are answered when no WebSocket is taken any more.
const RESERVE: u64 = 32;

/// Raises the soft descriptor limit to the hard one, and says how many WebSockets that allows.
/// An error is a line for the operator.
pub(crate) fn max_connections(wanted: Option<u32>) -> Result<usize, String> {
    let limit = getrlimit(Resource::Nofile);
    // Not allowed to raise it: the soft limit then counts.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let possible = usize::try_from(descriptors.saturating_sub(RESERVE))
        .unwrap_or(usize::MAX)
        .min(1 << 30);
    match wanted {
        None if possible > 0 => Ok(possible),
        Some(wanted) if wanted as usize <= possible => Ok(wanted as usize),
        _ => Err(format!(
            "the descriptor limit of {descriptors} allows {possible} connections ({RESERVE} are kept for the rest): \
             {}raise the limit (ulimit -n, or LimitNOFILE= in a systemd unit)",
            if possible > 0 {
                "lower --max-connections, or "
            } else {
                ""
            }
        )),
    }
}

/// Open WebSockets by where they come from.
#[derive(Debug, Default)]
pub(crate) struct PerAddress {
    open: HashMap<IpAddr, u32>,
}

impl PerAddress {
    /// Counts one more.
    pub(crate) fn add(&mut self, address: IpAddr) {
        *self.open.entry(origin(address)).or_default() += 1;
    }

    /// Counts one less.
    pub(crate) fn remove(&mut self, address: IpAddr) {
        let origin = origin(address);
        if let Some(open) = self.open.get_mut(&origin) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&origin);
                if self.open.capacity() > 4 * self.open.len() + 1024 {
                    self.open.shrink_to(2 * self.open.len());
                }
            }
        }
    }

    /// How many come from there.
    pub(crate) fn open(&self, address: IpAddr) -> u32 {
        self.open.get(&origin(address)).copied().unwrap_or_default()
    }
}

/// An IPv4 address, or an IPv6 network of 64 bits, which is what one customer gets (RFC 6177).
fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_by_customer() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let mut counted = PerAddress::default();
        counted.add(address("192.0.2.1"));
        counted.add(address("::ffff:192.0.2.1"));
        counted.add(address("2001:db8::1"));
        assert_eq!(counted.open(address("192.0.2.1")), 2);
        assert_eq!(counted.open(address("192.0.2.2")), 0);
        assert_eq!(counted.open(address("2001:db8::ffff:2")), 1);
        assert_eq!(counted.open(address("2001:db8:0:1::1")), 0);
        for text in ["192.0.2.1", "192.0.2.1", "2001:db8::2"] {
            counted.remove(address(text));
        }
        assert!(counted.open.is_empty());
    }
}
