//! Why TLS to an engine came to nothing, in words that say what to mend. Must never know a socket.

use rustls::{AlertDescription, CertificateError, Error};

use crate::bus::Trouble;

/// What a fault of a session with an engine means. The same is told once: nothing in it may count the
/// seconds.
pub(super) fn trouble(fault: &Error, is_shaking_hands: bool) -> Trouble {
    match fault {
        Error::InvalidMessage(_) if is_shaking_hands => Trouble::NoTls,
        Error::InvalidCertificate(flaw) => Trouble::certificate(&of_certificate(flaw)),
        // In TLS 1.3 it comes when the hands are shaken, by our side.
        Error::AlertReceived(AlertDescription::CertificateRequired) => Trouble::WantsCertificate,
        fault => Trouble::Lost(format!("TLS: {fault}")),
    }
}

fn of_certificate(flaw: &CertificateError) -> String {
    match flaw {
        CertificateError::UnknownIssuer => {
            "is by nobody who is trusted here: give --bus-ca-file the CA that it is by".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has ended: give the engine a new one".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet: is the time right on this machine?".to_owned()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => of_names(&expected.to_str(), presented),
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "is that of a CA: give the engine one that the CA has signed, or one with CA:FALSE"
                .to_owned()
        }
        flaw => format!("is not taken ({flaw}): give the engine another"),
    }
}

fn of_names(expected: &str, presented: &[String]) -> String {
    // As they come, they are written like DnsName("a").
    let bare = |name: &String| {
        let inner = name.split_once('(').map_or(&**name, |(_, inner)| inner);
        inner.trim_end_matches(')').trim_matches('"').to_owned()
    };
    let names: Vec<String> = presented.iter().map(bare).collect();
    match names.is_empty() {
        true => format!(
            "has no name as subjectAltName: give the engine one that is for {expected} there"
        ),
        false => format!(
            "is for {}, not for {expected}: let --bus name the engine so, or give it another",
            names.join(" or ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{InvalidMessage, OtherError};

    use super::*;

    fn told(fault: Error, is_shaking_hands: bool) -> String {
        trouble(&fault, is_shaking_hands).to_string()
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_with_what_to_mend_and_the_same_at_any_time() {
        let at = |s| UnixTime::since_unix_epoch(Duration::from_secs(s));
        let ended = |s| CertificateError::ExpiredContext {
            time: at(s),
            not_after: at(7),
        };
        let early = |s| CertificateError::NotValidYetContext {
            time: at(s),
            not_before: at(9_000),
        };
        let named = |presented: &[&str]| CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("bus.example").expect("a name"),
            presented: presented.iter().map(|name| (*name).to_owned()).collect(),
        };
        #[derive(Debug)]
        struct CaUsedAsEndEntity;
        impl std::fmt::Display for CaUsedAsEndEntity {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("CaUsedAsEndEntity")
            }
        }
        impl std::error::Error for CaUsedAsEndEntity {}
        let ca = CertificateError::Other(OtherError(std::sync::Arc::new(CaUsedAsEndEntity)));
        for (flaw, says) in [
            (CertificateError::UnknownIssuer, "--bus-ca-file"),
            (ended(8), "has ended"),
            (early(8), "not valid yet"),
            (
                named(&["DnsName(\"a.example\")", "IpAddress(10.0.0.9)"]),
                "is for a.example or 10.0.0.9, not for bus.example: let --bus",
            ),
            (named(&[]), "give the engine one that is for bus.example"),
            (ca, "CA:FALSE"),
            (CertificateError::BadSignature, "give the engine another"),
        ] {
            let line = told(Error::InvalidCertificate(flaw), true);
            assert!(line.contains(says), "{line}");
        }
        for (one, other) in [(ended(8), ended(9)), (early(8), early(9))] {
            let [one, other] = [one, other].map(|flaw| told(Error::InvalidCertificate(flaw), true));
            assert_eq!(one, other);
        }
    }

    #[test]
    fn who_speaks_no_tls_is_told_from_who_speaks_it_badly() {
        let garbage = || Error::InvalidMessage(InvalidMessage::InvalidContentType);
        assert!(told(garbage(), true).contains("no TLS"));
        assert!(told(garbage(), false).starts_with("TLS: "));
        let alert = Error::AlertReceived(AlertDescription::CertificateRequired);
        assert!(told(alert, false).contains("tls-auth-clients no"));
    }
}
