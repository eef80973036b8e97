//! Why a token is refused, in words that hold nothing of the token, so that they can be logged
//! and sent to whoever showed it.

use std::fmt;

use super::{Algorithm, TOKEN_BYTES_MAX};

/// Close code for a token with which nobody will get in.
const UNAUTHORIZED: u16 = 4001;
/// Close code for a token that was good until it expired.
const EXPIRED: u16 = 4002;

/// Why a token is refused. Its [`Display`](fmt::Display) fits a close frame (123 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The text is empty.
    Missing,
    /// More than [`TOKEN_BYTES_MAX`].
    TooLong,
    /// Not three parts with dots between them.
    NotThreeParts,
    /// A part is not canonical base64url without padding.
    NotBase64(Part),
    /// A part is not a JSON object that has each of its keys once.
    NotAnObject(Part),
    /// The header has a `crit`: whatever it asks for, we do not know it (RFC 7515, 4.1.11).
    Critical,
    /// `alg` says that nothing is signed.
    Unsigned,
    /// No key verifies what `alg` says, which is this if it is one of ours.
    NoKey(Option<Algorithm>),
    /// No key that verifies this algorithm made the signature.
    WrongSignature,
    /// The header or the claims lack this.
    FieldMissing(&'static str),
    /// This part of the header or the claims is of a wrong type or out of its range.
    FieldWrong(&'static str),
    /// `aud` does not name the audience that is asked for.
    WrongAudience,
    /// `iss` is not the issuer that is asked for.
    WrongIssuer,
    /// `nbf` is further ahead than the leeway.
    NotYet {
        /// `nbf`, in seconds since the start of 1970 UTC.
        valid_from_s: u64,
    },
    /// `exp` has come; all else is right.
    Expired {
        /// `exp`, in seconds since the start of 1970 UTC.
        expired_at_s: u64,
    },
}

/// A part of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// How it is signed.
    Header,
    /// What it says.
    Claims,
    /// What proves it.
    Signature,
}

impl Refused {
    /// The WebSocket close code that tells a client what to do: 4002 to get a newer token, 4001
    /// to get another one.
    pub fn close_code(self) -> u16 {
        match self {
            Refused::Expired { .. } => EXPIRED,
            _ => UNAUTHORIZED,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Part::Header => "header",
            Part::Claims => "claims",
            Part::Signature => "signature",
        })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Refused::Missing => write!(f, "there is no token"),
            Refused::TooLong => write!(f, "the token is longer than {TOKEN_BYTES_MAX} bytes"),
            Refused::NotThreeParts => {
                write!(f, "the token has not three parts with dots between them")
            }
            Refused::NotBase64(part) => {
                write!(f, "the token's {part} is not base64url without padding")
            }
            Refused::NotAnObject(part) => write!(
                f,
                "the token's {part} must be a JSON object with each key once"
            ),
            Refused::Critical => write!(f, "the token's header has a crit, and none is known here"),
            Refused::Unsigned => write!(f, "the token is not signed: its alg is none"),
            Refused::NoKey(Some(algorithm)) => {
                write!(f, "there is no key for {} here", algorithm.name())
            }
            Refused::NoKey(None) => {
                write!(f, "the token's alg must be HS256, EdDSA, ES256 or RS256")
            }
            Refused::WrongSignature => write!(f, "no key here verifies the token's signature"),
            Refused::FieldMissing(field) => write!(f, "the token has no {field}"),
            Refused::FieldWrong(field) => write!(f, "the token's {field} must be {}", rule(field)),
            Refused::WrongAudience => write!(f, "the token's aud does not name this audience"),
            Refused::WrongIssuer => write!(f, "the token's iss is another issuer"),
            Refused::NotYet { .. } => write!(f, "the token is not valid yet"),
            Refused::Expired { .. } => write!(f, "the token has expired"),
        }
    }
}

/// What a field must be.
fn rule(field: &str) -> &'static str {
    match field {
        "sub" => "a user id: an integer, or a string of 1 to 64 bytes without control characters",
        "exp" | "nbf" => "a time in seconds since 1970 (not milliseconds)",
        "follow" => r#""*" or a list of user ids"#,
        "publish" => r#"true, false, "*" or a list of user ids"#,
        "aud" => "a string or a list of strings",
        _ => "a string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longest reason in a close frame, in bytes (RFC 6455, 5.5 and 5.5.1).
    const REASON_BYTES_MAX: usize = 123;

    #[test]
    fn every_reason_fits_a_close_frame() {
        let mut all = vec![
            Refused::Missing,
            Refused::TooLong,
            Refused::NotThreeParts,
            Refused::Critical,
            Refused::Unsigned,
            Refused::NoKey(None),
            Refused::NoKey(Some(Algorithm::Es256)),
            Refused::WrongSignature,
            Refused::WrongAudience,
            Refused::WrongIssuer,
            Refused::NotYet { valid_from_s: 0 },
            Refused::Expired { expired_at_s: 0 },
        ];
        for part in [Part::Header, Part::Claims, Part::Signature] {
            all.extend([Refused::NotBase64(part), Refused::NotAnObject(part)]);
        }
        for field in [
            "alg", "sub", "exp", "nbf", "aud", "iss", "follow", "publish",
        ] {
            all.extend([Refused::FieldMissing(field), Refused::FieldWrong(field)]);
        }
        for refused in all {
            let reason = refused.to_string();
            assert!(reason.len() <= REASON_BYTES_MAX, "{reason}");
        }
    }

    #[test]
    fn a_token_that_expired_asks_for_a_newer_one_and_all_others_for_another() {
        assert_eq!(Refused::Expired { expired_at_s: 1 }.close_code(), 4002);
        assert_eq!(Refused::NotYet { valid_from_s: 1 }.close_code(), 4001);
        assert_eq!(Refused::WrongSignature.close_code(), 4001);
    }
}
