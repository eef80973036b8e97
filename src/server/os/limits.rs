//! How many connections there may be: the descriptor limit, and who is over which limit.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for the rest: the process's own, connections that have asked for nothing yet, and
/// health checks, which are answered when nothing else is any more.
const RESERVE: usize = 32;

/// Of all descriptors, plain HTTP gets this share unless a flag says otherwise.
const HTTP_SHARE: usize = 5;

/// As many connections of plain HTTP as find room in the reserve.
const HTTP_MIN: usize = 8;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Open WebSockets.
    pub(crate) websockets: usize,
    /// Connections of plain HTTP.
    pub(crate) http: usize,
}

impl Limits {
    /// Raises the soft descriptor limit to the hard one, and says how many connections that allows,
    /// or as many as are wanted.
    ///
    /// # Errors
    /// A line for the operator.
    pub(crate) fn new(websockets: Option<u32>, http: Option<u32>) -> Result<Limits, String> {
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
        let descriptors = usize::try_from(descriptors)
            .unwrap_or(usize::MAX)
            .min(1 << 30);
        let wanted = (websockets.map(|n| n as usize), http.map(|n| n as usize));
        Limits::within(descriptors, wanted).ok_or_else(|| {
            let (room, flags) = (descriptors.saturating_sub(RESERVE), [
                websockets.map(|_| "--max-connections"),
                http.map(|_| "--max-http-connections"),
            ]);
            let flags: Vec<&str> = flags.into_iter().flatten().collect();
            let lower = match flags.is_empty() || room == 0 {
                true => String::new(),
                false => format!("lower {}, or ", flags.join(" and ")),
            };
            format!(
                "the descriptor limit of {descriptors} allows {room} connections, WebSockets and plain HTTP \
                 together ({RESERVE} are kept for the rest): {lower}raise the limit (ulimit -n, or \
                 LimitNOFILE= in a systemd unit)"
            )
        })
    }

    fn within(descriptors: usize, wanted: (Option<usize>, Option<usize>)) -> Option<Limits> {
        let room = descriptors.saturating_sub(RESERVE);
        let share = descriptors / HTTP_SHARE;
        let (websockets, http) = match wanted {
            (Some(websockets), Some(http)) => (websockets, http),
            (None, Some(http)) => (room.checked_sub(http)?, http),
            (None, None) => (room.saturating_sub(share), share),
            (Some(websockets), None) => {
                let left = room.checked_sub(websockets)?;
                let http = share.min(left).max(HTTP_MIN);
                return Some(Limits { websockets, http });
            }
        };
        let fits = websockets > 0 && websockets.saturating_add(http) <= room;
        fits.then_some(Limits { websockets, http })
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
    fn websockets_and_plain_http_share_what_the_descriptors_leave() {
        for (descriptors, wanted, expected) in [
            (1024, (None, None), Some((788, 204))),
            (1024, (Some(100), None), Some((100, 204))),
            (1024, (Some(900), None), Some((900, 92))),
            (1024, (Some(992), None), Some((992, HTTP_MIN))),
            (1024, (Some(993), None), None),
            (1024, (None, Some(10)), Some((982, 10))),
            (1024, (None, Some(991)), Some((1, 991))),
            (1024, (None, Some(992)), None),
            (1024, (Some(500), Some(492)), Some((500, 492))),
            (1024, (Some(500), Some(493)), None),
            (64, (None, None), Some((20, 12))),
            (32, (None, None), None),
        ] {
            let limits = Limits::within(descriptors, wanted);
            let limits = limits.map(|limits| (limits.websockets, limits.http));
            assert_eq!(limits, expected, "{descriptors} {wanted:?}");
        }
    }

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
