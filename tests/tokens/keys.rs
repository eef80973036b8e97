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
        let pem = key_file(name);
        let indented = [b"  ", &pem[..]].concat();
        for secret in [[&pem[..], b"\nand more"].concat(), indented, pem] {
            assert_eq!(refused(&secret), Some(Unusable::PemAsSecret), "{name}");
        }
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

/// A public key file around any bytes.
fn pem(der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> = (0..base64.len())
        .step_by(64)
        .map(|at| &base64[at..base64.len().min(at + 64)])
        .collect();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    )
}

#[test]
fn a_damaged_public_key_is_refused() {
    let refused = |der: &[u8]| VerifyingKey::from_public_pem(pem(der).as_bytes()).err();
    for (name, _) in PAIRS {
        let der = der(&format!("{name}.pub.pem"));
        assert_eq!(refused(&der), None, "{name}");
        for damaged in [
            [&der[..], b"\0"].concat(),
            der[..der.len() - 1].to_vec(),
            der[1..].to_vec(),
            vec![0; der.len()],
        ] {
            assert_eq!(refused(&damaged), Some(Unusable::Damaged), "{name}");
        }
    }
    assert!(refused(b"").is_some());
}

#[test]
fn a_key_that_is_not_what_its_frame_says_is_refused() {
    let refused = |der: &[u8]| VerifyingKey::from_public_pem(pem(der).as_bytes()).err();
    // Each with one byte more than the algorithm has, and all lengths around it made to fit.
    for (name, lengths) in [
        ("ed25519", &[1, 10][..]),
        ("p256", &[1, 24]),
        ("rsa", &[3, 22]),
    ] {
        let mut longer = der(&format!("{name}.pub.pem"));
        for at in lengths {
            longer[*at] += 1;
        }
        longer.push(0);
        assert_eq!(refused(&longer), Some(Unusable::Damaged), "{name}");
    }
    let mut no_point = der("p256.pub.pem");
    no_point[26] = 5;
    assert_eq!(refused(&no_point), Some(Unusable::Damaged));
}

#[test]
fn pem_may_have_other_line_ends_and_empty_lines_around_it() {
    for (name, _) in PAIRS {
        let public = String::from_utf8(key_file(&format!("{name}.pub.pem"))).expect("text");
        let private = String::from_utf8(key_file(&format!("{name}.pem"))).expect("text");
        for change in [
            |pem: &str| pem.replace('\n', "\r\n"),
            |pem: &str| pem.trim_end().to_owned(),
            |pem: &str| format!("\n\n{pem}\n \n"),
            |pem: &str| format!("Key of the map:\n{pem}"),
        ] {
            let key = VerifyingKey::from_public_pem(change(&public).as_bytes());
            assert!(key.is_ok(), "{name} {key:?}");
            let key = SigningKey::from_private_pem(change(&private).as_bytes());
            assert!(key.is_ok(), "{name} {key:?}");
        }
        let behind = format!("{public}and more");
        let refused = VerifyingKey::from_public_pem(behind.as_bytes()).err();
        assert_eq!(refused, Some(Unusable::NotPem), "{name}");
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
