//! Why a connection is over, in words, and whether it is any use to connect again.

use std::{fmt, io};

use super::{plain, printable};

/// The code that stands for a goodbye without one (RFC 6455, section 7.4.1).
pub(crate) const NO_CODE: u16 = 1005;

/// Why a connection is over.
#[derive(Debug)]
pub(crate) enum Ended {
    /// No TCP connection came about.
    Unreachable(io::Error),
    /// The upgrade was answered with another HTTP status than 101.
    Refused {
        /// That status.
        status: u16,
        /// Its phrase, and the beginning of the answer's body.
        reason: String,
    },
    /// TLS came to nothing: the server speaks none, or is not whom we believe.
    Untrusted(String),
    /// What answered speaks no WebSocket.
    NotWebSocket(&'static str),
    /// The server said goodbye.
    Closed {
        /// Why, as a number (RFC 6455, section 7.4); [`NO_CODE`] if it gave none.
        code: u16,
        /// Why, in its own words; may be empty.
        reason: String,
    },
    /// It ended without a goodbye.
    Lost(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Ended::Unreachable(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                write!(f, "{}; is the server running?", plain(error))
            }
            Ended::Unreachable(error) => f.write_str(&plain(error)),
            Ended::Refused { status, reason } => {
                write!(f, "the server answered {status} {}", printable(reason))
            }
            Ended::NotWebSocket(what) => write!(f, "no WebSocket server: {what}"),
            Ended::Untrusted(what) => write!(f, "TLS: {what}"),
            Ended::Closed { code: NO_CODE, .. } => write!(f, "closed by the server without a code"),
            Ended::Closed { code, reason } if reason.is_empty() => {
                write!(f, "closed by the server with code {code}")
            }
            Ended::Closed { code, reason } => {
                write!(
                    f,
                    "closed by the server with code {code} ({})",
                    printable(reason)
                )
            }
            Ended::Lost(what) => f.write_str(what),
        }
    }
}

impl Ended {
    /// By an error of the stream.
    pub(crate) fn by(error: &io::Error) -> Ended {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(rustls::Error::InvalidMessage(_)) => {
                Ended::Untrusted("the server speaks none".to_owned())
            }
            Some(fault) => Ended::Untrusted(fault.to_string()),
            None => Ended::Lost(plain(error)),
        }
    }

    /// What a person can do about an end after which connecting again is no use;
    /// `None` where it is. The numbers are those of RFC 6455, section 7.4, and from 4000 on the
    /// server's own: below 4100 nothing changes by itself.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        match self {
            Ended::Closed {
                code: 1002 | 1003 | 1007 | 1009 | 1010,
                ..
            } => Some("server and client do not understand each other"),
            Ended::Closed { code: 1008, .. } => Some("the server does not put up with this client"),
            Ended::Closed { code: 4002, .. } => Some("a new token is needed"),
            _ if self.wants_token() => Some("a valid token is needed"),
            Ended::Closed {
                code: 4000..=4099, ..
            } => Some("connecting again would not help"),
            Ended::Refused {
                status: 408 | 425 | 429 | 500..=599,
                ..
            } => None,
            Ended::Untrusted(_) => Some(
                "is the URL right? The CA of a certificate of your own goes with --ca-file FILE",
            ),
            Ended::Refused { .. } | Ended::NotWebSocket(_) => Some("is the URL right?"),
            Ended::Closed { .. } | Ended::Unreachable(_) | Ended::Lost(_) => None,
        }
    }

    /// Whether there was no token, or one that is not good.
    pub(crate) fn wants_token(&self) -> bool {
        matches!(
            self,
            Ended::Closed {
                code: 4001 | 4002,
                ..
            } | Ended::Refused { status: 401, .. }
        )
    }

    /// Whether the server is restarting or full: all its clients come back at the same time.
    pub(crate) fn wants_backoff(&self) -> bool {
        matches!(
            self,
            Ended::Closed {
                code: 1012 | 1013,
                ..
            } | Ended::Refused {
                status: 429 | 503,
                ..
            }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_and_statuses_tell_whether_to_come_back() {
        let closed = |code| {
            Ended::Closed {
                code,
                reason: String::new(),
            }
            .advice()
            .is_some()
        };
        for code in [1002, 1003, 1007, 1008, 1009, 4000, 4001, 4002, 4003, 4099] {
            assert!(closed(code), "{code} ends it");
        }
        for code in [1000, 1001, 1005, 1011, 1012, 1013, 4100, 4201, 4202, 4299] {
            assert!(!closed(code), "{code} does not");
        }
        let refused = |status| {
            Ended::Refused {
                status,
                reason: String::new(),
            }
            .advice()
            .is_some()
        };
        assert!([400, 401, 403, 404, 426, 200].into_iter().all(refused));
        assert!(![408, 429, 500, 502, 503].into_iter().any(refused));
    }
}
