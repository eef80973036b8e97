//! Keys, tokens made by hand, and the rule that no refusal repeats what it refuses.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::hmac;
use spectate::auth::{Grant, Keys, Refused, SigningKey, VerifyingKey};

/// The time of all tests but those of the command, in seconds since the start of 1970 UTC.
pub(crate) const NOW_S: u64 = 1_800_000_000;

/// What `keys/secret.txt` holds before its newline.
pub(crate) const SECRET: &[u8] = b"correct horse battery staple, for tests only";

/// The names of the key pairs in `keys/`, with the algorithm that each is made for.
pub(crate) const PAIRS: [(&str, &str); 3] =
    [("ed25519", "EdDSA"), ("p256", "ES256"), ("rsa", "RS256")];

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tokens")
}

/// A file in `keys/`.
pub(crate) fn key_file(name: &str) -> Vec<u8> {
    fs::read(folder().join("keys").join(name)).expect(name)
}

/// What a PEM file in `keys/` holds.
pub(crate) fn der(name: &str) -> Vec<u8> {
    let pem = String::from_utf8(key_file(name)).expect("PEM is text");
    let base64: String = pem.lines().filter(|line| !line.starts_with("--")).collect();
    BASE64.decode(base64.as_bytes()).expect("PEM")
}

pub(crate) fn secret_key(secret: &[u8]) -> VerifyingKey {
    VerifyingKey::from_secret(secret).expect("long enough")
}

pub(crate) fn public_key(name: &str) -> VerifyingKey {
    VerifyingKey::from_public_pem(&key_file(&format!("{name}.pub.pem"))).expect(name)
}

pub(crate) fn signing_key(name: &str) -> SigningKey {
    match name {
        "secret" => SigningKey::from_secret(SECRET).expect("long enough"),
        name => SigningKey::from_private_pem(&key_file(&format!("{name}.pem"))).expect(name),
    }
}

/// All public keys, and no secret.
pub(crate) fn public_keys() -> Keys {
    let keys = PAIRS.map(|(name, _)| public_key(name));
    Keys::new(keys.into(), None, None)
}

/// The secret and all public keys.
pub(crate) fn all_keys() -> Keys {
    all_keys_with(None, None)
}

pub(crate) fn all_keys_with(audience: Option<&str>, issuer: Option<&str>) -> Keys {
    let mut keys = vec![secret_key(SECRET)];
    keys.extend(PAIRS.map(|(name, _)| public_key(name)));
    Keys::new(keys, audience.map(str::to_owned), issuer.map(str::to_owned))
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}

pub(crate) fn hmac_sha256(secret: &[u8], message: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
}

/// A token with any header and any claims, signed with HMAC and SHA-256.
pub(crate) fn signed_with(
    secret: &[u8],
    header: impl AsRef<[u8]>,
    claims: impl AsRef<[u8]>,
) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = hmac_sha256(secret, &message);
    format!("{message}.{}", encode(signature))
}

/// A token with any claims that is signed as it should be.
pub(crate) fn signed(claims: impl AsRef<[u8]>) -> String {
    signed_with(SECRET, r#"{"alg":"HS256"}"#, claims)
}

/// A token with these claims besides a good `sub` and `exp`.
pub(crate) fn with_claims(more: &str) -> String {
    let exp = NOW_S + 3600;
    signed(format!(r#"{{"sub":"5","exp":{exp},{more}}}"#))
}

/// What a token is granted now; it must be.
pub(crate) fn granted(token: &str) -> Grant {
    all_keys().grant(token, NOW_S).expect(token)
}

/// Why a token is refused now by a server with all keys; it must be.
pub(crate) fn refused(token: &str) -> Refused {
    refused_by(&all_keys(), token)
}

/// Why a token is refused now; it must be, in words that repeat nothing of it or of the secret.
pub(crate) fn refused_by(keys: &Keys, token: &str) -> Refused {
    let refused = match keys.grant(token, NOW_S) {
        Ok(grant) => panic!("{token} is granted {grant:?}"),
        Err(refused) => refused,
    };
    let expired = matches!(refused, Refused::Expired { .. });
    assert_eq!(refused.close_code(), if expired { 4002 } else { 4001 });
    assert_repeats_nothing(&format!("{refused} {refused:?} {keys:?}"), token);
    refused
}

/// Asserts that a text shows no run of bytes out of a token, its decoded parts or the secret.
pub(crate) fn assert_repeats_nothing(text: &str, token: &str) {
    let mut hidden = vec![token.as_bytes().to_vec(), SECRET.to_vec()];
    let parts = token.split('.');
    hidden.extend(parts.filter_map(|part| BASE64URL_NOPAD.decode(part.as_bytes()).ok()));
    for run in hidden.iter().flat_map(|bytes| bytes.windows(10)) {
        // Times are no secret: a claim's own is what the reason for a refusal may be.
        let is_time = run.iter().all(u8::is_ascii_digit);
        if let (false, Ok(run)) = (is_time, str::from_utf8(run)) {
            assert!(!text.contains(run), "{text} repeats {run}");
        }
    }
}
