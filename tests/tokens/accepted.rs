//! Good tokens: other implementations' and our own, each by its own key alone.

use std::fs;

use spectate::auth::{Follow, Grant, Keys, Publish, Refused};

use crate::support::*;

/// The tokens in `minted/`, with the algorithm in their names.
fn minted() -> Vec<(String, String)> {
    let mut tokens = Vec::new();
    for entry in fs::read_dir(folder().join("minted")).expect("a folder") {
        let path = entry.expect("a file").path();
        let name = path.file_stem().expect("a name").to_string_lossy();
        let (_, algorithm) = name.rsplit_once('-').expect("an algorithm");
        let text = fs::read_to_string(&path).expect("UTF-8");
        tokens.push((algorithm.to_owned(), text.trim_end().to_owned()));
    }
    assert_eq!(
        tokens.len(),
        11,
        "three implementations, three or four algorithms"
    );
    tokens
}

fn key_for(algorithm: &str) -> spectate::auth::VerifyingKey {
    match PAIRS.iter().find(|(_, made_for)| *made_for == algorithm) {
        Some((name, _)) => public_key(name),
        None => secret_key(SECRET),
    }
}

#[test]
fn tokens_of_other_implementations_are_accepted() {
    let follows = ["6", "7"].map(str::to_owned).into_iter().collect();
    let grant = Grant {
        user: "5".to_owned(),
        publish: Publish::Own,
        follow: Follow::Only(follows),
        name: Some("J\u{f6}rg".to_owned()),
        expires_at_s: 1_800_003_600,
    };
    for (algorithm, token) in minted() {
        let alone = Keys::new(
            vec![key_for(&algorithm)],
            Some("race".into()),
            Some("backend".into()),
        );
        assert_eq!(alone.grant(&token, NOW_S).as_ref(), Ok(&grant), "{token}");
        let among_others = all_keys_with(Some("map"), Some("backend"));
        assert_eq!(among_others.grant(&token, NOW_S).as_ref(), Ok(&grant));
    }
}

#[test]
fn a_key_verifies_tokens_of_its_own_algorithm_alone() {
    for (algorithm, token) in minted() {
        for (_, other) in PAIRS.into_iter().chain([("secret", "HS256")]) {
            if other != algorithm {
                let keys = Keys::new(vec![key_for(other)], None, None);
                let refused = refused_by(&keys, &token);
                assert!(matches!(refused, Refused::NoKey(Some(_))), "{refused:?}");
            }
        }
    }
}

#[test]
fn another_key_of_the_same_algorithm_verifies_nothing() {
    for (name, other) in [
        (
            "secret",
            secret_key(b"another secret that is as long as it must be"),
        ),
        ("ed25519", public_key("ed25519-other")),
    ] {
        let token = signing_key(name).mint(&granted(&with_claims(r#""x":1"#)), None, None);
        let token = token.expect("it signs");
        let keys = Keys::new(vec![other], None, None);
        assert_eq!(refused_by(&keys, &token), Refused::WrongSignature);
    }
}

#[test]
fn during_a_rotation_both_keys_verify_and_an_unknown_one_does_not() {
    let secrets: [&[u8]; 3] = [
        b"the secret of the last year, 32 bytes and more",
        b"the secret of this year, 32 bytes and more",
        b"a secret of nobody here, 32 bytes and more",
    ];
    let claims = format!(r#"{{"sub":"5","exp":{}}}"#, NOW_S + 1);
    let [last, this, unknown] =
        secrets.map(|secret| signed_with(secret, r#"{"alg":"HS256"}"#, &claims));
    let keys = Keys::new(
        secrets[..2]
            .iter()
            .map(|secret| secret_key(secret))
            .collect(),
        None,
        None,
    );
    for token in [last, this] {
        assert!(keys.grant(&token, NOW_S).is_ok());
    }
    assert_eq!(refused_by(&keys, &unknown), Refused::WrongSignature);

    let both = ["ed25519", "ed25519-other"].map(public_key);
    let token = signing_key("ed25519").mint(&granted(&signed(&claims)), None, None);
    let keys = Keys::new(both.into_iter().rev().collect(), None, None);
    assert!(keys.grant(&token.expect("it signs"), NOW_S).is_ok());
}

#[test]
fn the_newer_name_of_eddsa_is_taken_by_the_same_key() {
    // RFC 9864 calls it Ed25519. Ours says EdDSA, so the signature of a header that says
    // Ed25519 has to be made by hand.
    let der = der("ed25519.pem");
    let pair = ring::signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).expect("a key");
    let claims = format!(r#"{{"sub":"5","exp":{}}}"#, NOW_S + 1);
    let message = format!("{}.{}", encode(r#"{"alg":"Ed25519"}"#), encode(claims));
    let token = format!("{message}.{}", encode(pair.sign(message.as_bytes())));
    assert_eq!(granted(&token).user, "5");
}

#[test]
fn without_keys_every_token_is_refused() {
    let keys = Keys::new(Vec::new(), None, None);
    for (_, token) in minted() {
        assert!(matches!(refused_by(&keys, &token), Refused::NoKey(Some(_))));
    }
}
