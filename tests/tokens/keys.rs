//! What is taken for a key, and that no key shows itself.

use spectate::auth::{Keys, SECRET_BYTES_MIN, SigningKey, Unusable, VerifyingKey};

use crate::support::*;

fn unusable(name: &str) -> Vec<u8> {
    key_file(&format!("unusable/{name}.pem"))
}

#[test]
fn a_secret_is_as_long_as_the_hash_and_no_key_in_pem() {
    let refused = |secret: &[u8]| VerifyingKey::from_secret(secret).err();
    assert_eq!(refused(b""), Some(Unusable::Empty));
    assert_eq!(refused(b"x"), Some(Unusable::ShortSecret(1)));
    let short = vec![b'x'; SECRET_BYTES_MIN - 1];
    assert_eq!(refused(&short), Some(Unusable::ShortSecret(31)));
    assert_eq!(
        SigningKey::from_secret(&short).err(),
        Some(Unusable::ShortSecret(31))
    );
    assert_eq!(refused(&[b'x'; SECRET_BYTES_MIN]), None);
    assert_eq!(
        refused(&(0..=255).collect::<Vec<u8>>()),
        None,
        "any bytes are taken"
    );
    for name in [
        "rsa.pub.pem",
        "p256.pem",
        "unusable/certificate.pem",
        "unusable/p256-sec1.pem",
    ] {
        assert_eq!(
            refused(&key_file(name)),
            Some(Unusable::PemAsSecret),
            "{name}"
        );
    }
}

#[test]
fn what_is_no_public_key_is_refused_with_what_it_is() {
    let refused = |text: &[u8]| VerifyingKey::from_public_pem(text).err();
    for (name, reason) in [
        ("rsa-2040.pub", Unusable::RsaBits(2040)),
        ("p384.pub", Unusable::UnknownAlgorithm),
        ("x25519.pub", Unusable::UnknownAlgorithm),
        ("p256-compressed.pub", Unusable::CompressedPoint),
        ("rsa-pkcs1.pub", Unusable::OtherPem),
        ("certificate", Unusable::Certificate),
        ("encrypted", Unusable::Private),
        ("p256-sec1", Unusable::Private),
        ("two.pub", Unusable::NotPem),
        ("cut.pub", Unusable::NotPem),
    ] {
        assert_eq!(refused(&unusable(name)), Some(reason), "{name}");
    }
    for (name, _) in PAIRS {
        assert_eq!(
            refused(&key_file(&format!("{name}.pem"))),
            Some(Unusable::Private)
        );
    }
    for text in [&b""[..], b"\n", b"secret", b"\xff\xfe", SECRET] {
        assert_eq!(refused(text), Some(Unusable::NotPem));
    }
}

#[test]
fn what_is_no_private_key_is_refused_with_what_it_is() {
    let refused = |text: &[u8]| SigningKey::from_private_pem(text).err();
    for (name, reason) in [
        ("encrypted", Unusable::NotPkcs8),
        ("p256-sec1", Unusable::NotPkcs8),
        ("rsa-1024", Unusable::Damaged),
        ("certificate", Unusable::OtherPem),
        ("rsa-2040.pub", Unusable::Public),
    ] {
        assert_eq!(refused(&unusable(name)), Some(reason), "{name}");
    }
    assert_eq!(refused(SECRET), Some(Unusable::NotPem));
}

#[test]
fn a_damaged_public_key_is_refused() {
    for (name, _) in PAIRS {
        let pem = String::from_utf8(key_file(&format!("{name}.pub.pem"))).expect("PEM is text");
        let lines: Vec<&str> = pem.lines().collect();
        let base64 = lines[1..lines.len() - 1].concat();
        let der = data_encoding::BASE64
            .decode(base64.as_bytes())
            .expect("PEM");
        let damaged = [
            [&der[..], b"\0"].concat(),
            der[..der.len() - 1].to_vec(),
            der[1..].to_vec(),
            vec![0; der.len()],
            Vec::new(),
        ];
        for der in damaged {
            let base64 = data_encoding::BASE64.encode(&der);
            let folded: Vec<&str> = (0..base64.len())
                .step_by(64)
                .map(|at| &base64[at..base64.len().min(at + 64)])
                .collect();
            let pem = format!(
                "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
                folded.join("\n")
            );
            let refused = VerifyingKey::from_public_pem(pem.as_bytes()).err();
            assert!(
                matches!(refused, Some(Unusable::Damaged | Unusable::NotPem)),
                "{refused:?}"
            );
        }
    }
}

#[test]
fn pem_may_have_the_line_ends_of_windows() {
    for (name, _) in PAIRS {
        let pem = String::from_utf8(key_file(&format!("{name}.pub.pem"))).expect("PEM is text");
        let windows = pem.replace('\n', "\r\n");
        assert!(
            VerifyingKey::from_public_pem(windows.as_bytes()).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn no_key_shows_more_than_its_algorithm() {
    assert_eq!(format!("{:?}", all_keys()), "[HS256, EdDSA, ES256, RS256]");
    let with_names = all_keys_with(Some("map"), Some("backend"));
    assert_eq!(format!("{with_names:?}"), "[HS256, EdDSA, ES256, RS256]");
    for (name, algorithm) in PAIRS.into_iter().chain([("secret", "HS256")]) {
        assert_eq!(format!("{:?}", signing_key(name)), algorithm);
        assert_eq!(format!("{:#?}", signing_key(name)), algorithm);
    }
    assert_eq!(format!("{:?}", Keys::new(Vec::new(), None, None)), "[]");
    for unusable in [
        VerifyingKey::from_secret(b"too short, and hidden").err(),
        VerifyingKey::from_public_pem(SECRET).err(),
        SigningKey::from_private_pem(&unusable("encrypted")).err(),
    ] {
        let unusable = unusable.expect("refused");
        let said = format!("{unusable} {unusable:?}");
        assert!(
            !said.contains("hidden") && !said.contains("horse"),
            "{said}"
        );
    }
}
