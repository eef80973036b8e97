//! Why a link to an engine is down, and what to mend. Must never know a password.

use std::fmt;

/// Longest text of an engine in a line of ours, in characters.
const SAID_CHARS_MAX: usize = 200;

/// Why a link is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No connection comes about, or it broke.
    Lost(String),
    /// Nothing came in time, nor anything else.
    Silent,
    /// What answers there speaks another protocol.
    Malformed,
    /// It hangs up before it has said a word, as who speaks TLS alone does.
    WantsTls,
    /// It says nothing to a handshake of TLS, as an engine without TLS does.
    NoHandshake,
    /// What answers there speaks no TLS.
    NoTls,
    /// Its certificate is not taken; what is wrong with it, and what to mend.
    Certificate(String),
    /// It asks for a certificate of ours.
    WantsCertificate,
    /// The engine serves nobody for now: it loads its data, or has too many clients.
    Busy(String),
    /// It asks for a password, or for another one.
    Password(String),
    /// The user may not do what is needed; with the rights that suffice.
    Rights(String, String),
    /// It is older than the oldest that has what is needed; with its version, if it tells that.
    TooOld(Option<String>),
    /// It is one of a cluster.
    Cluster,
    /// It is a copy, which takes no changes.
    Replica,
    /// It calls itself something else than Redis or Valkey.
    Unknown(String),
}

impl Trouble {
    /// A certificate that is not taken, and what to mend: the end of a sentence.
    pub(crate) fn certificate(flaw: &str) -> Trouble {
        Trouble::Certificate(said(flaw.as_bytes()))
    }

    /// What an error in place of an answer means for the link; nothing if it is about the one
    /// command alone.
    pub(super) fn of_error(error: &[u8], rights: impl Fn() -> String) -> Option<Trouble> {
        let word = error.split(|byte| *byte == b' ').next().unwrap_or(error);
        match word {
            b"NOPERM" => Some(Trouble::Rights(said(error), rights())),
            b"NOAUTH" | b"WRONGPASS" => Some(Trouble::Password(said(error))),
            b"READONLY" => Some(Trouble::Replica),
            b"LOADING" => Some(Trouble::Busy(said(error))),
            _ => None,
        }
    }

    /// The same of the answer to the greeting, without which nothing goes on.
    pub(super) fn of_refused_greeting(error: &[u8], rights: impl Fn() -> String) -> Trouble {
        let says = |text: &str| said(error).to_ascii_lowercase().contains(text);
        Trouble::of_error(error, rights).unwrap_or_else(|| {
            match says("unknown command") || says("noproto") {
                true => Trouble::TooOld(None),
                false => Trouble::Busy(said(error)),
            }
        })
    }

    /// Whether it stays until somebody mends something.
    pub(crate) fn is_to_be_mended(&self) -> bool {
        match self {
            Trouble::Lost(_)
            | Trouble::Silent
            | Trouble::Malformed
            | Trouble::WantsTls
            | Trouble::NoHandshake
            | Trouble::Busy(_) => false,
            Trouble::NoTls
            | Trouble::Certificate(_)
            | Trouble::WantsCertificate
            | Trouble::Password(_)
            | Trouble::Rights(..)
            | Trouble::TooOld(_)
            | Trouble::Cluster
            | Trouble::Replica
            | Trouble::Unknown(_) => true,
        }
    }
}

/// What an engine said, as part of one line.
pub(crate) fn said(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let printable = text.chars().filter(|c| !c.is_control());
    printable.take(SAID_CHARS_MAX).collect()
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Lost(how) => f.write_str(how),
            Trouble::Silent => f.write_str("it says nothing"),
            Trouble::Malformed => {
                f.write_str("what answers there does not speak the protocol of Redis (RESP3)")
            }
            Trouble::WantsTls => f.write_str(
                "it hangs up without a word: if it speaks TLS there, write rediss:// in --bus",
            ),
            Trouble::NoHandshake => f.write_str(
                "it says nothing to a TLS handshake: if it speaks no TLS there, write redis:// in \
                 --bus, or the port where it does",
            ),
            Trouble::NoTls => f.write_str(
                "it speaks no TLS there: write redis:// in --bus, or the port where it does",
            ),
            Trouble::Certificate(flaw) => write!(f, "its certificate {flaw}"),
            Trouble::WantsCertificate => f.write_str(
                "it asks for a certificate of ours, which has none: give the engine \
                 tls-auth-clients no",
            ),
            Trouble::Busy(said) => write!(f, "it serves nobody for now: {said}"),
            Trouble::Password(said) => write!(
                f,
                "it does not take the password ({said}): mend --bus-password-file, or the user in \
                 --bus"
            ),
            Trouble::Rights(said, needed) => {
                write!(
                    f,
                    "the user may not do all that is needed ({said}): give it {needed}"
                )
            }
            Trouble::TooOld(version) => {
                let version = version.as_deref().unwrap_or("of a version without RESP3");
                write!(
                    f,
                    "it is Redis {version}: Redis 6.2 or newer is needed, or Valkey"
                )
            }
            Trouble::Cluster => f.write_str(
                "it is in cluster mode, in which every message goes to every node of it: give \
                 --bus one or several that are on their own",
            ),
            Trouble::Replica => f.write_str(
                "it is a replica, which takes no changes: let --bus lead to its primary",
            ),
            Trouble::Unknown(server) => {
                write!(f, "it is {server}: Redis 6.2 or newer is needed, or Valkey")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_ends_the_link_is_told_from_one_of_a_single_command() {
        let of = |error: &str| Trouble::of_error(error.as_bytes(), || "+all".to_owned());
        assert!(matches!(of("NOPERM no"), Some(Trouble::Rights(said, _)) if said == "NOPERM no"));
        assert!(matches!(of("NOAUTH x"), Some(Trouble::Password(_))));
        assert!(matches!(of("WRONGPASS x"), Some(Trouble::Password(_))));
        assert_eq!(of("READONLY You can't write"), Some(Trouble::Replica));
        assert!(matches!(of("LOADING"), Some(Trouble::Busy(_))));
        for alone in [
            "OOM command not allowed",
            "WRONGTYPE",
            "ERR NOPERM",
            "",
            "NOPERMIT",
        ] {
            assert_eq!(of(alone), None, "{alone}");
        }
    }

    #[test]
    fn every_refusal_of_the_greeting_is_the_end() {
        let of = |error: &str| Trouble::of_refused_greeting(error.as_bytes(), String::new);
        assert_eq!(
            of("ERR unknown command `HELLO`, with"),
            Trouble::TooOld(None)
        );
        assert_eq!(
            of("NOPROTO unsupported protocol version"),
            Trouble::TooOld(None)
        );
        assert!(matches!(of("WRONGPASS x"), Trouble::Password(_)));
        assert!(!of("ERR max number of clients reached").is_to_be_mended());
    }

    #[test]
    fn a_line_says_what_to_mend_and_is_one_line() {
        let evil = said(b"NOPERM\r\nINFO forged \x1b[31m\xff");
        assert_eq!(evil, "NOPERMINFO forged [31m\u{fffd}");
        assert_eq!(said(&[b'a'; 1000]).len(), SAID_CHARS_MAX);
        for (trouble, mend) in [
            (
                Trouble::Password("WRONGPASS".to_owned()),
                "--bus-password-file",
            ),
            (
                Trouble::Rights("NOPERM".to_owned(), "+get".to_owned()),
                "give it +get",
            ),
            (Trouble::TooOld(Some("6.0.16".to_owned())), "6.2 or newer"),
            (Trouble::TooOld(None), "6.2 or newer"),
            (Trouble::Cluster, "--bus"),
            (Trouble::Replica, "primary"),
            (Trouble::Unknown("memcached".to_owned()), "Valkey"),
            (Trouble::NoTls, "redis://"),
            (Trouble::certificate("has ended:\n renew it"), "renew it"),
            (Trouble::WantsCertificate, "tls-auth-clients no"),
        ] {
            assert!(trouble.is_to_be_mended());
            let line = trouble.to_string();
            assert!(line.contains(mend) && !line.contains('\n'), "{line}");
        }
        for trouble in [
            Trouble::Lost("connection refused".to_owned()),
            Trouble::Silent,
            Trouble::Malformed,
            Trouble::WantsTls,
            Trouble::NoHandshake,
            Trouble::Busy("LOADING".to_owned()),
        ] {
            assert!(!trouble.is_to_be_mended());
            assert!(!trouble.to_string().is_empty());
        }
    }
}
