//! Any bytes as a token, and as the header and the claims of one that is signed as it should be.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;
use serde_json::Value;
use serde_json::value::RawValue;
use spectate::auth::{
    Follow, Grant, Keys, NOT_BEFORE_LEEWAY_S, Publish, Refused, SigningKey, VerifyingKey,
};

const SECRET: &[u8] = b"the secret of those who try what breaks";

/// The time at which all tokens are shown, in seconds since the start of 1970 UTC.
pub const NOW_S: u64 = 1_800_000_000;

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = VerifyingKey::from_secret(SECRET).expect("long enough");
    Keys::new(vec![key], None, None)
});

/// Tries one input: a token as it is; and the parts before and behind its first line break as a
/// header and claims.
pub fn run(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        let outcome = KEYS.grant(text, NOW_S);
        assert!(outcome.is_err(), "nobody signed this: {outcome:?}");
        check(outcome, b"");
    }
    let (header, claims) = parts(bytes);
    check(show(header, claims), claims);
}

/// What an input's signed parts come to.
pub fn outcome(bytes: &[u8]) -> Result<Grant, Refused> {
    let (header, claims) = parts(bytes);
    show(header, claims)
}

fn parts(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (br#"{"alg":"HS256"}"#, bytes),
    }
}

fn show(header: &[u8], claims: &[u8]) -> Result<Grant, Refused> {
    let (header, claims) = (
        BASE64URL_NOPAD.encode(header),
        BASE64URL_NOPAD.encode(claims),
    );
    let signed = format!("{header}.{claims}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let signature = BASE64URL_NOPAD.encode(hmac::sign(&key, signed.as_bytes()).as_ref());
    KEYS.grant(&format!("{signed}.{signature}"), NOW_S)
}

fn check(outcome: Result<Grant, Refused>, claims: &[u8]) {
    let grant = match outcome {
        Ok(grant) => grant,
        Err(refused) => {
            // What a close frame has room for (RFC 6455, 5.5), and the two codes for tokens.
            assert!(refused.to_string().len() <= 123);
            assert!((4001..=4002).contains(&refused.close_code()));
            return;
        }
    };
    let claims: BTreeMap<String, &RawValue> =
        serde_json::from_slice(claims).expect("granted by claims that are an object");
    let claim = |name: &str| match claims.get(name) {
        Some(json) => serde_json::from_str(json.get()).expect("a claim of ours is read"),
        None => Value::Null,
    };
    match claim("sub") {
        Value::String(text) => assert_eq!(text, grant.user),
        // Digits that a number of serde's may not hold.
        _ => assert_eq!(claims["sub"].get(), grant.user),
    }
    let exp = claim("exp").as_f64().expect("granted until then");
    assert!(exp >= grant.expires_at_s as f64 && grant.expires_at_s > NOW_S);
    let from = claim("nbf").as_f64().unwrap_or_default();
    assert!(from <= (NOW_S + NOT_BEFORE_LEEWAY_S) as f64);
    assert!(
        grant.may_follow(&grant.user),
        "everybody follows themselves"
    );
    let name = claims
        .get("name")
        .map(|json| serde_json::from_str::<String>(json.get()));
    let name = name.and_then(Result::ok);
    let is_name =
        |name: &String| (1..=64).contains(&name.len()) && !name.chars().any(char::is_control);
    assert_eq!(grant.name, name.filter(is_name));
    match claim("publish") {
        Value::Null | Value::Bool(true) => assert_eq!(grant.publish, Publish::Own),
        Value::Bool(false) => assert_eq!(grant.publish, Publish::Nobody),
        Value::String(all) if all == "*" => assert_eq!(grant.publish, Publish::Everybody),
        Value::Array(_) => assert!(matches!(grant.publish, Publish::Only(_))),
        other => panic!("{other} lets nobody publish"),
    }
    match claim("follow") {
        Value::Null => assert_eq!(grant.follow, Follow::Own),
        Value::String(all) if all == "*" => assert_eq!(grant.follow, Follow::Everybody),
        Value::Array(_) => assert!(matches!(grant.follow, Follow::Only(_))),
        other => panic!("{other} lets nobody follow"),
    }
    // What was granted can be said again.
    let key = SigningKey::from_secret(SECRET).expect("long enough");
    if let Ok(again) = key.mint(&grant, None, None) {
        assert_eq!(KEYS.grant(&again, NOW_S), Ok(grant));
    }
}
