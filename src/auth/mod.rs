//! Who somebody is and what they may do, from the text of a token (a signed JWT: RFC 7515, 7519).
//! Pure but for [`KeyFlags::load`], which reads key files: the time is an argument, and nobody
//! here knows of connections.
//!
//! How a token is signed is decided by the keys, never by the token: each key verifies the one
//! algorithm that it is made for. Nothing in a token leads to a key, a file or an address.

mod claims;
mod files;
mod grant;
mod keys;
mod mint;
mod object;
mod pem;
mod refused;
mod token;

pub use files::{KeyFlags, Loaded, load_signing_key, load_token, reload_signing_key};
pub(crate) use files::{read_file, read_secret};
pub use grant::{Follow, Grant, IdSet, Publish};
pub use keys::{Keys, VerifyingKey};
pub use mint::{MintError, SigningKey};
pub use pem::Unusable;
pub use refused::{Part, Refused};
pub use token::Token;

/// Longest token, in bytes: half of what a request head may have.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Shortest HS256 secret, in bytes: as long as the hash (RFC 7518, 3.2). A shorter one can be
/// guessed by whoever holds one token.
pub const SECRET_BYTES_MIN: usize = 32;

/// Latest `exp`, in seconds since the start of 1970 UTC: the last second of the year 9999. A time
/// in milliseconds is beyond it, and would never pass.
pub const EXPIRES_AT_S_MAX: u64 = 253_402_300_799;

/// How far a token's `nbf` may lie ahead of our clock, in seconds: clocks disagree.
pub const NOT_BEFORE_LEEWAY_S: u64 = 30;

/// How a token is signed (RFC 7518, 3.1; RFC 8037, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256, by a secret that issuer and server share.
    Hs256,
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSA with PKCS #1 v1.5 padding and SHA-256.
    Rs256,
}

impl Algorithm {
    /// The `alg` of a token's header.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Es256 => "ES256",
            Algorithm::Rs256 => "RS256",
        }
    }

    fn from_name(name: &str) -> Option<Algorithm> {
        match name {
            "HS256" => Some(Algorithm::Hs256),
            // RFC 9864 names the curve in the place of the family.
            "EdDSA" | "Ed25519" => Some(Algorithm::EdDsa),
            "ES256" => Some(Algorithm::Es256),
            "RS256" => Some(Algorithm::Rs256),
            _ => None,
        }
    }
}
