//! Makes tokens: what an application's backend does in production, for tests, for demonstrations
//! and for people at a command line.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

use super::grant::{Follow, Grant, IdSet, Publish};
use super::keys::hmac_key;
use super::pem::{self, Unusable};
use super::{Algorithm, TOKEN_BYTES_MAX};

/// A key that signs tokens. Its [`Debug`](fmt::Debug) shows the algorithm alone.
pub struct SigningKey {
    algorithm: Algorithm,
    material: Material,
}

enum Material {
    Secret(hmac::Key),
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MintError {
    /// It would have so many bytes, more than [`TOKEN_BYTES_MAX`].
    TooLong(usize),
    /// The system has no random numbers, or the key does not sign.
    CannotSign,
}

impl fmt::Display for MintError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            MintError::TooLong(bytes) => write!(
                f,
                "the token would have {bytes} bytes, and at most {TOKEN_BYTES_MAX} are taken: \
                 name fewer users, or all with '*'"
            ),
            MintError::CannotSign => write!(f, "the key does not sign"),
        }
    }
}

impl SigningKey {
    /// For HS256, from the bytes of a secret.
    ///
    /// # Errors
    /// As [`VerifyingKey::from_secret`](super::VerifyingKey::from_secret).
    pub fn from_secret(secret: &[u8]) -> Result<SigningKey, Unusable> {
        Ok(SigningKey {
            algorithm: Algorithm::Hs256,
            material: Material::Secret(hmac_key(secret)?),
        })
    }

    /// For EdDSA, ES256 or RS256, from a private key in PEM (PKCS #8: RFC 7468, 10).
    ///
    /// # Errors
    /// When it is none, or none that is as strong as these algorithms ask for. RSA keys sign up
    /// to 4096 bits.
    pub fn from_private_pem(text: &[u8]) -> Result<SigningKey, Unusable> {
        let (algorithm, der) = pem::private_key(text)?;
        let material = match algorithm {
            Algorithm::EdDsa => {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(Material::Ed25519)
            }
            Algorithm::Es256 => EcdsaKeyPair::from_pkcs8(
                &ECDSA_P256_SHA256_FIXED_SIGNING,
                &der,
                &SystemRandom::new(),
            )
            .map(Material::P256),
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(&der).map(Material::Rsa),
            Algorithm::Hs256 => return Err(Unusable::UnknownAlgorithm),
        };
        Ok(SigningKey {
            algorithm,
            material: material.map_err(|_| Unusable::Damaged)?,
        })
    }

    /// A token that grants exactly this, and names an audience and an issuer if they are given.
    ///
    /// # Errors
    /// When it would be longer than servers take, or cannot be signed.
    pub fn mint(
        &self,
        grant: &Grant,
        audience: Option<&str>,
        issuer: Option<&str>,
    ) -> Result<String, MintError> {
        let claims = claims(grant, audience, issuer);
        let header = json!({"alg": self.algorithm.name(), "typ": "JWT"});
        let mut token = encode(header.to_string().as_bytes());
        token.push('.');
        token.push_str(&encode(claims.to_string().as_bytes()));
        let signature = self.sign(token.as_bytes()).ok_or(MintError::CannotSign)?;
        token.push('.');
        token.push_str(&encode(&signature));
        match token.len() {
            0..=TOKEN_BYTES_MAX => Ok(token),
            bytes => Err(MintError::TooLong(bytes)),
        }
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.material {
            Material::Secret(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            Material::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
            Material::P256(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Material::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .ok()?;
                Some(signature)
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.algorithm.name())
    }
}

/// The claims of a grant; what would say no more than its absence is left out.
fn claims(grant: &Grant, audience: Option<&str>, issuer: Option<&str>) -> Value {
    let mut claims = json!({"sub": grant.user, "exp": grant.expires_at_s});
    let publish = match &grant.publish {
        Publish::Own => None,
        Publish::Nobody => Some(json!(false)),
        Publish::Everybody => Some(json!("*")),
        Publish::Only(ids) => Some(list(ids)),
    };
    let follow = match &grant.follow {
        Follow::Own => None,
        Follow::Everybody => Some(json!("*")),
        Follow::Only(ids) => Some(list(ids)),
    };
    for (name, value) in [
        ("publish", publish),
        ("follow", follow),
        ("name", grant.name.as_deref().map(Value::from)),
        ("aud", audience.map(Value::from)),
        ("iss", issuer.map(Value::from)),
    ] {
        if let Some(value) = value {
            claims[name] = value;
        }
    }
    claims
}

fn list(ids: &IdSet) -> Value {
    ids.iter().map(Value::from).collect()
}

fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}
