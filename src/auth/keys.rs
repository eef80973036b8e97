//! The keys that verify tokens, and the way of a token past them.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};

use super::object::{Object, string};
use super::pem::{self, Unusable};
use super::refused::{Part, Refused};
use super::{Algorithm, Grant, SECRET_BYTES_MIN, TOKEN_BYTES_MAX, claims};

/// A key that verifies the signatures of one algorithm.
pub struct VerifyingKey {
    algorithm: Algorithm,
    material: Material,
}

enum Material {
    Secret(hmac::Key),
    Public(UnparsedPublicKey<Vec<u8>>),
}

impl VerifyingKey {
    /// For HS256, from the bytes of a secret.
    ///
    /// # Errors
    /// When it is shorter than [`SECRET_BYTES_MIN`], or is something else than a secret.
    pub fn from_secret(secret: &[u8]) -> Result<VerifyingKey, Unusable> {
        Ok(VerifyingKey {
            algorithm: Algorithm::Hs256,
            material: Material::Secret(hmac_key(secret)?),
        })
    }

    /// For EdDSA, ES256 or RS256, from a public key in PEM (SubjectPublicKeyInfo: RFC 7468, 13).
    /// What the key is made for decides on the algorithm.
    ///
    /// # Errors
    /// When it is none, or none that is as strong as these algorithms ask for.
    pub fn from_public_pem(text: &[u8]) -> Result<VerifyingKey, Unusable> {
        let (algorithm, bytes) = pem::public_key(text)?;
        let material = match algorithm {
            Algorithm::EdDsa => UnparsedPublicKey::new(&ED25519, bytes),
            Algorithm::Es256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes),
            Algorithm::Rs256 => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, bytes),
            // The public key of a pair is never a secret.
            Algorithm::Hs256 => return Err(Unusable::UnknownAlgorithm),
        };
        Ok(VerifyingKey {
            algorithm,
            material: Material::Public(material),
        })
    }

    fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(key) => hmac::verify(key, signed, signature).is_ok(),
            Material::Public(key) => key.verify(signed, signature).is_ok(),
        }
    }
}

/// The key of HS256, from the bytes of a secret.
pub(super) fn hmac_key(secret: &[u8]) -> Result<hmac::Key, Unusable> {
    if secret.is_empty() {
        return Err(Unusable::Empty);
    }
    if pem::is_in(secret) {
        return Err(Unusable::PemAsSecret);
    }
    if secret.len() < SECRET_BYTES_MIN {
        return Err(Unusable::ShortSecret(secret.len()));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, secret))
}

/// What tokens are held against. Its [`Debug`](fmt::Debug) shows the algorithms alone.
pub struct Keys {
    keys: Vec<VerifyingKey>,
    audience: Option<String>,
    issuer: Option<String>,
}

impl Keys {
    /// Any of the keys may have signed a token. It must name the audience in its `aud` and have
    /// the issuer as its `iss`, where they are given; where not, any and none are taken.
    pub fn new(keys: Vec<VerifyingKey>, audience: Option<String>, issuer: Option<String>) -> Keys {
        Keys {
            keys,
            audience,
            issuer,
        }
    }

    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// What a token grants at a time in seconds since the start of 1970 UTC, whole seconds that
    /// have passed.
    ///
    /// # Errors
    /// Why the token is refused.
    pub fn grant(&self, token: &str, now_s: u64) -> Result<Grant, Refused> {
        let claims = self.verified_claims(token)?;
        let (audience, issuer) = (self.audience.as_deref(), self.issuer.as_deref());
        claims::grant(&claims, audience, issuer, now_s)
    }

    /// The JSON of the claims, which nothing looks into before the signature is verified.
    fn verified_claims(&self, token: &str) -> Result<Vec<u8>, Refused> {
        if token.is_empty() {
            return Err(Refused::Missing);
        }
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refused::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refused::NotThreeParts)?;
        let (header, claims) = signed.split_once('.').ok_or(Refused::NotThreeParts)?;
        if claims.contains('.') {
            return Err(Refused::NotThreeParts);
        }
        let algorithm = algorithm(&decode(Part::Header, header)?)?;
        let mut keys = self
            .keys
            .iter()
            .filter(|key| key.algorithm == algorithm)
            .peekable();
        if keys.peek().is_none() {
            return Err(Refused::NoKey(Some(algorithm)));
        }
        let signature = decode(Part::Signature, signature)?;
        if !keys.any(|key| key.verifies(signed.as_bytes(), &signature)) {
            return Err(Refused::WrongSignature);
        }
        decode(Part::Claims, claims)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.algorithm.name())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_list().entries(&self.keys).finish()
    }
}

/// What the header says about the signature; everything else in it (`kid`, `jwk`, `x5u`…) is
/// skipped.
fn algorithm(header: &[u8]) -> Result<Algorithm, Refused> {
    let header = Object::parse(header).ok_or(Refused::NotAnObject(Part::Header))?;
    if header.get("crit").is_some() {
        return Err(Refused::Critical);
    }
    let json = header.get("alg").ok_or(Refused::FieldMissing("alg"))?;
    let name = string(json).ok_or(Refused::FieldWrong("alg"))?;
    if name.eq_ignore_ascii_case("none") {
        return Err(Refused::Unsigned);
    }
    Algorithm::from_name(&name).ok_or(Refused::NoKey(None))
}

/// Only one text stands for given bytes: no padding, no spaces, no bits left over.
fn decode(part: Part, text: &str) -> Result<Vec<u8>, Refused> {
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|_| Refused::NotBase64(part))
}
