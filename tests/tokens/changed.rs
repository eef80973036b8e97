//! Property tests: no change to a good token leaves it good, nothing panics, and what is minted
//! is what is granted.

use std::sync::LazyLock;

use proptest::prelude::*;
use spectate::auth::{
    EXPIRES_AT_S_MAX, Follow, Grant, IdSet, Keys, Publish, SigningKey, VerifyingKey,
};

use crate::support::*;

static KEYS: LazyLock<Keys> = LazyLock::new(all_keys);
static SIGNERS: LazyLock<Vec<SigningKey>> =
    LazyLock::new(|| ["secret", "ed25519", "p256", "rsa"].map(signing_key).into());
/// A good token of each algorithm.
static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let grant = granted(&with_claims(r#""follow":["6",7],"publish":"*""#));
    SIGNERS
        .iter()
        .map(|key| key.mint(&grant, None, None).expect("it signs"))
        .collect()
});

/// Asserts that a good token is not one any more.
fn assert_refused(token: &[u8]) {
    if let Ok(text) = str::from_utf8(token) {
        let outcome = KEYS.grant(text, NOW_S);
        assert!(outcome.is_err(), "{text} is granted {outcome:?}");
    }
}

#[test]
fn every_single_bit_counts() {
    for token in TOKENS.iter() {
        assert!(KEYS.grant(token, NOW_S).is_ok());
        for at in 0..token.len() {
            for bit in 0..8 {
                let mut changed = token.clone().into_bytes();
                changed[at] ^= 1 << bit;
                assert_refused(&changed);
            }
        }
    }
}

#[test]
fn no_byte_may_be_missing_doubled_or_swapped() {
    for token in TOKENS.iter() {
        let bytes = token.as_bytes();
        for at in 0..bytes.len() {
            assert_refused(&bytes[..at]);
            assert_refused(&[&bytes[..at], &bytes[at + 1..]].concat());
            assert_refused(&[&bytes[..=at], &bytes[at..]].concat());
            if at > 0 && bytes[at - 1] != bytes[at] {
                let mut changed = bytes.to_vec();
                changed.swap(at - 1, at);
                assert_refused(&changed);
            }
        }
    }
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9]{1,6}", "\\PC{1,16}", Just("*".to_owned())]
        .prop_filter("an id", |id| !id.chars().any(char::is_control))
}

fn ids() -> impl Strategy<Value = IdSet> {
    prop::collection::vec(id(), 0..8).prop_map(|ids| ids.into_iter().collect())
}

fn grant() -> impl Strategy<Value = Grant> {
    let publish = prop_oneof![
        Just(Publish::Own),
        Just(Publish::Nobody),
        Just(Publish::Everybody),
        ids().prop_map(Publish::Only)
    ];
    let follow = prop_oneof![
        Just(Follow::Own),
        Just(Follow::Everybody),
        ids().prop_map(Follow::Only)
    ];
    (id(), publish, follow, NOW_S + 1..=EXPIRES_AT_S_MAX).prop_map(
        |(user, publish, follow, expires_at_s)| Grant {
            user,
            publish,
            follow,
            name: None,
            expires_at_s,
        },
    )
}

/// JSON text that is close to what claims are.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("\"*\"".to_owned()),
        Just("\"\\ud800\"".to_owned()),
        any::<f64>().prop_map(|number| number.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[0-9eE+.-]{1,12}",
        "\"\\PC{0,8}\"",
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let key = "sub|exp|nbf|aud|iss|follow|publish|alg|crit|kid";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|values| format!("[{}]", values.join(","))),
            prop::collection::vec((key, inner), 0..6).prop_map(|members| {
                let members: Vec<String> = members
                    .iter()
                    .map(|(key, value)| format!("\"{key}\":{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_byte_is_refused(which in 0..4usize, at in any::<prop::sample::Index>(), byte: u8) {
        let mut changed = TOKENS[which].clone().into_bytes();
        let at = at.index(changed.len());
        prop_assume!(changed[at] != byte);
        changed[at] = byte;
        assert_refused(&changed);
    }

    #[test]
    fn an_inserted_byte_is_refused(which in 0..4usize, at in any::<prop::sample::Index>(), byte: u8) {
        let mut changed = TOKENS[which].clone().into_bytes();
        changed.insert(at.index(changed.len() + 1), byte);
        assert_refused(&changed);
    }

    #[test]
    fn parts_of_different_tokens_make_no_token(parts in prop::collection::vec(0..4usize, 3)) {
        prop_assume!(parts.iter().any(|part| *part != parts[2]));
        let part = |at: usize| TOKENS[parts[at]].split('.').nth(at).expect("three parts");
        // The claims are the same in all of them.
        prop_assume!(parts[0] != parts[2]);
        assert_refused([part(0), part(1), part(2)].join(".").as_bytes());
    }

    #[test]
    fn what_is_minted_is_what_is_granted(grant in grant(), which in 0..4usize) {
        let token = SIGNERS[which].mint(&grant, Some("map"), Some("backend")).expect("it signs");
        let keys = all_keys_with(Some("map"), Some("backend"));
        prop_assert_eq!(keys.grant(&token, NOW_S), Ok(grant.clone()));
        prop_assert_eq!(KEYS.grant(&token, grant.expires_at_s - 1), Ok(grant.clone()));
        prop_assert!(KEYS.grant(&token, grant.expires_at_s).is_err());
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text in "\\PC*") {
        assert_refused(text.as_bytes());
    }

    #[test]
    fn any_parts_are_refused_without_a_panic(header: Vec<u8>, claims: Vec<u8>, signature: Vec<u8>) {
        let token = [header, claims, signature].map(encode).join(".");
        assert_refused(token.as_bytes());
    }

    #[test]
    fn any_signed_claims_are_read_without_a_panic(claims in json(), bytes: Vec<u8>, now_s: u64) {
        for token in [signed(claims), signed(bytes)] {
            if let Ok(grant) = KEYS.grant(&token, now_s) {
                prop_assert!(grant.expires_at_s > now_s && !grant.user.is_empty());
                prop_assert!(grant.may_follow(&grant.user));
            }
        }
    }

    #[test]
    fn any_header_is_read_without_a_panic(header in json(), bytes: Vec<u8>) {
        for header in [header.into_bytes(), bytes] {
            let token = signed_with(SECRET, header, r#"{"sub":"5","exp":1900000000}"#);
            let _ = KEYS.grant(&token, NOW_S);
        }
    }

    #[test]
    fn any_file_is_read_as_a_key_without_a_panic(bytes: Vec<u8>, at in any::<prop::sample::Index>(), byte: u8) {
        let _ = VerifyingKey::from_public_pem(&bytes);
        let _ = SigningKey::from_private_pem(&bytes);
        for (name, _) in PAIRS {
            let mut public = key_file(&format!("{name}.pub.pem"));
            let index = at.index(public.len());
            public[index] = byte;
            let _ = VerifyingKey::from_public_pem(&public).map(|key| {
                Keys::new(vec![key], None, None).grant(&TOKENS[1], NOW_S)
            });
            let mut private = key_file(&format!("{name}.pem"));
            let index = at.index(private.len());
            private[index] = byte;
            let _ = SigningKey::from_private_pem(&private);
        }
    }
}
