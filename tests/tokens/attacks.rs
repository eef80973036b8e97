//! What has been tried on others' tokens: each is refused, for the reason that it is meant to be.

use ring::hmac;
use spectate::auth::{Algorithm, Part, Refused, TOKEN_BYTES_MAX};

use crate::support::*;

const HEADER: &str = r#"{"alg":"HS256"}"#;

fn good_claims() -> String {
    format!(r#"{{"sub":"5","exp":{}}}"#, NOW_S + 3600)
}

/// A good token of each algorithm.
fn good_tokens() -> Vec<String> {
    let grant = granted(&signed(good_claims()));
    let names = ["secret", "ed25519", "p256", "rsa"];
    let mint = |name| {
        signing_key(name)
            .mint(&grant, None, None)
            .expect("it signs")
    };
    names.map(mint).into()
}

#[test]
fn a_token_that_says_it_is_not_signed_is_refused() {
    for alg in ["none", "None", "NONE", "nOnE", "\\u006eone"] {
        let header = format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#);
        let bare = format!("{}.{}.", encode(&header), encode(good_claims()));
        assert_eq!(refused(&bare), Refused::Unsigned);
        assert_eq!(refused_by(&public_keys(), &bare), Refused::Unsigned);
        let with_signature = signed_with(SECRET, &header, good_claims());
        assert_eq!(refused(&with_signature), Refused::Unsigned);
    }
    for alg in [
        "",
        "none ",
        "none\\u0000",
        "non",
        "hs256",
        "Hs256",
        "HS256 ",
    ] {
        let header = format!(r#"{{"alg":"{alg}"}}"#);
        let token = signed_with(SECRET, header, good_claims());
        assert_eq!(refused(&token), Refused::NoKey(None), "{alg}");
    }
}

#[test]
fn a_public_key_is_no_secret() {
    for (name, _) in PAIRS {
        let pem = key_file(&format!("{name}.pub.pem"));
        let der = der(&format!("{name}.pub.pem"));
        let base64 = data_encoding::BASE64.encode(&der);
        let trimmed = pem.trim_ascii_end().to_vec();
        for secret in [
            pem,
            trimmed,
            base64.into_bytes(),
            der[der.len() - 32..].to_vec(),
            der,
        ] {
            let token = signed_with(&secret, HEADER, good_claims());
            let no_key = Refused::NoKey(Some(Algorithm::Hs256));
            assert_eq!(refused_by(&public_keys(), &token), no_key);
            assert_eq!(refused(&token), Refused::WrongSignature);
        }
    }
}

#[test]
fn an_empty_or_guessed_secret_is_none() {
    for secret in [
        &b""[..],
        b"secret",
        b"\0",
        b"correct horse battery staple",
        b"null",
    ] {
        let token = signed_with(secret, HEADER, good_claims());
        assert_eq!(refused(&token), Refused::WrongSignature);
    }
}

#[test]
fn a_signature_cannot_be_left_out_cut_or_filled_with_zeroes() {
    for token in good_tokens() {
        let (message, signature) = token.rsplit_once('.').expect("three parts");
        assert_eq!(refused(message), Refused::NotThreeParts);
        assert_eq!(refused(&format!("{message}.")), Refused::WrongSignature);
        assert_eq!(refused(&format!("{message}..")), Refused::NotThreeParts);
        let bytes = data_encoding::BASE64URL_NOPAD
            .decode(signature.as_bytes())
            .expect("ours");
        // A P-256 signature of zeroes once passed in Java (CVE-2022-21449).
        for wrong in [
            vec![0; bytes.len()],
            vec![0; 2 * bytes.len()],
            vec![255; bytes.len()],
            bytes[1..].to_vec(),
            bytes[..bytes.len() - 1].to_vec(),
            [&bytes[..], b"\0"].concat(),
            [b"\0", &bytes[..]].concat(),
            [&bytes[..], &bytes[..]].concat(),
        ] {
            let token = format!("{message}.{}", encode(wrong));
            assert_eq!(refused(&token), Refused::WrongSignature);
        }
    }
}

#[test]
fn a_signature_belongs_to_its_own_header_and_claims() {
    let tokens = good_tokens();
    let parts: Vec<Vec<&str>> = tokens
        .iter()
        .map(|token| token.split('.').collect())
        .collect();
    for (at, ours) in parts.iter().enumerate() {
        for (from, theirs) in parts.iter().enumerate() {
            if from != at {
                let other_header = format!("{}.{}.{}", theirs[0], ours[1], ours[2]);
                assert_eq!(refused(&other_header), Refused::WrongSignature);
            }
        }
        let richer = encode(r#"{"sub":"5","exp":1900000000,"follow":"*"}"#);
        let token = format!("{}.{richer}.{}", ours[0], ours[2]);
        assert_eq!(refused(&token), Refused::WrongSignature);
    }
}

#[test]
fn a_good_signature_by_another_hash_is_refused() {
    for (alg, hash) in [("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)] {
        let header = format!(r#"{{"alg":"{alg}"}}"#);
        let message = format!("{}.{}", encode(header), encode(good_claims()));
        let tag = hmac::sign(&hmac::Key::new(hash, SECRET), message.as_bytes());
        let token = format!("{message}.{}", encode(tag));
        assert_eq!(refused(&token), Refused::NoKey(None));
    }
    for alg in [
        "RS384", "RS512", "PS256", "ES384", "ES512", "ES256K", "Ed448", "HS1",
    ] {
        let token = signed_with(SECRET, format!(r#"{{"alg":"{alg}"}}"#), good_claims());
        assert_eq!(refused(&token), Refused::NoKey(None));
    }
}

#[test]
fn two_algorithms_in_one_header_are_refused_in_any_order_and_spelling() {
    for header in [
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0061lg":"none"}"#,
        r#"{"alg":"HS256","kid":1,"kid":2}"#,
    ] {
        let token = signed_with(SECRET, header, good_claims());
        assert_eq!(
            refused(&token),
            Refused::NotAnObject(Part::Header),
            "{header}"
        );
    }
}

#[test]
fn nothing_in_a_header_leads_to_another_key() {
    let embedded = r#"{"kty":"oct","k":"AAAA"}"#;
    for more in [
        r#""kid":"../../../../../../dev/null""#,
        r#""kid":"/proc/sys/kernel/randomize_va_space""#,
        r#""kid":"x' UNION SELECT 'AAAA';--""#,
        r#""kid":"| curl evil.example""#,
        r#""kid":"\u0000""#,
        r#""kid":{"a":[1,2,{"b":null}]}"#,
        &format!(r#""kid":"{}""#, "k".repeat(TOKEN_BYTES_MAX / 2)),
        &format!(r#""jwk":{embedded}"#),
        r#""jku":"https://evil.example/keys.json""#,
        r#""x5u":"https://evil.example/chain.pem","x5c":["AAAA"]"#,
        r#""typ":"at+jwt","cty":"JWT""#,
    ] {
        let header = format!(r#"{{"alg":"HS256",{more}}}"#);
        for secret in [&b""[..], b"\0\0\0", b"AAAA"] {
            let token = signed_with(secret, &header, good_claims());
            assert_eq!(refused(&token), Refused::WrongSignature, "{more}");
        }
        let token = signed_with(SECRET, &header, good_claims());
        assert_eq!(granted(&token).user, "5", "skipped: {more}");
    }
}

#[test]
fn whatever_a_crit_asks_for_is_refused() {
    for crit in [r#"["exp"]"#, r#"["b64"]"#, "[]", "null", r#""x""#, "{}"] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit},"b64":true}}"#);
        let token = signed_with(SECRET, header, good_claims());
        assert_eq!(refused(&token), Refused::Critical);
    }
}

#[test]
fn a_header_must_be_one_object_with_a_name_of_an_algorithm() {
    let not_an_object = Refused::NotAnObject(Part::Header);
    let no_name = Refused::FieldWrong("alg");
    for (header, reason) in [
        (&b"{}"[..], Refused::FieldMissing("alg")),
        (br#"{"Alg":"HS256"}"#, Refused::FieldMissing("alg")),
        (br#"{"alg ":"HS256"}"#, Refused::FieldMissing("alg")),
        (br#"{"alg":null}"#, no_name),
        (br#"{"alg":256}"#, no_name),
        (br#"{"alg":["HS256"]}"#, no_name),
        (br#"{"alg":{"HS256":1}}"#, no_name),
        (br#"{"alg":true}"#, no_name),
        (br#"{"alg":"\ud800"}"#, no_name),
        (b"", not_an_object),
        (b"null", not_an_object),
        (br#""HS256""#, not_an_object),
        (br#"["alg","HS256"]"#, not_an_object),
        (br#"{"alg":"HS256"}{}"#, not_an_object),
        (br#"{"alg":"HS256"}x"#, not_an_object),
        (br#"{"alg":"HS256",}"#, not_an_object),
        (br#"{'alg':'HS256'}"#, not_an_object),
        (b"\xef\xbb\xbf{\"alg\":\"HS256\"}", not_an_object),
        (b"{\"alg\":\"HS256\",\"x\":\"\xff\"}", not_an_object),
        (b"{\"alg\":\"HS256\0\"}", not_an_object),
    ] {
        let token = signed_with(SECRET, header, good_claims());
        let shown = String::from_utf8_lossy(header);
        assert_eq!(refused(&token), reason, "{shown}");
    }
    let token = signed_with(SECRET, " {\n\"alg\" : \"\\u0048S256\" }\t", good_claims());
    assert_eq!(granted(&token).user, "5", "JSON may be written like this");
}

#[test]
fn a_token_has_three_parts() {
    let good = signed(good_claims());
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("{good}")
    };
    assert_eq!(refused(""), Refused::Missing);
    for token in [
        "x".to_owned(),
        header.to_owned(),
        format!("{header}.{claims}"),
        format!("{good}.{signature}"),
        format!("{header}.{claims}.{claims}.{claims}.{signature}"),
        format!(".{good}"),
        format!("{good}."),
        format!("{header}..{claims}.{signature}"),
    ] {
        assert_eq!(refused(&token), Refused::NotThreeParts, "{token}");
    }
    for token in ["..".to_owned(), format!(".{claims}.{signature}")] {
        assert_eq!(refused(&token), Refused::NotAnObject(Part::Header));
    }
    assert_eq!(
        refused(&format!("{header}..{signature}")),
        Refused::WrongSignature
    );
}

#[test]
fn each_part_has_one_spelling() {
    let good = signed(good_claims());
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("{good}")
    };
    // 32 bytes are 43 letters, of which the last has two bits too many.
    let (rest, last) = signature.split_at(42);
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = letters.find(last).expect("a letter");
    assert_eq!(at % 4, 0);
    let not_base64 = Refused::NotBase64(Part::Signature);
    for more in 1..4 {
        let other = &letters[at + more..=at + more];
        assert_eq!(
            refused(&format!("{header}.{claims}.{rest}{other}")),
            not_base64
        );
    }
    for other in [
        format!("{signature}="),
        format!("{signature}AA"),
        format!("{signature} "),
        format!("{signature}\n"),
        format!(" {signature}"),
        format!("{rest}\n{last}"),
        format!("{rest}%41"),
        format!("{rest}é"),
        format!("{rest}\0"),
        format!("{rest}+"),
        format!("{rest}/"),
    ] {
        assert_eq!(refused(&format!("{header}.{claims}.{other}")), not_base64);
    }
    for other in [
        format!(" {header}"),
        format!("{header}="),
        format!("{header}\n"),
    ] {
        let token = format!("{other}.{claims}.{signature}");
        assert_eq!(refused(&token), Refused::NotBase64(Part::Header));
    }
    // Signed as they stand, bad claims are still refused.
    for other in [
        format!("{claims}="),
        format!("{claims} "),
        format!("{claims}+"),
    ] {
        let message = format!("{header}.{other}");
        let token = format!("{message}.{}", encode(hmac_sha256(SECRET, &message)));
        assert_eq!(refused(&token), Refused::NotBase64(Part::Claims));
    }
    assert_eq!(
        refused(&format!("Bearer {good}")),
        Refused::NotBase64(Part::Header)
    );
}

#[test]
fn a_token_has_a_greatest_length() {
    let of_length = |bytes: usize| {
        // Three bytes of claims are four letters, and a header may have spaces of any number.
        (0..9)
            .map(|spaces| {
                let header = format!("{HEADER}{}", " ".repeat(spaces));
                let rest = bytes - encode(&header).len() - 45;
                let fill = (rest * 3 / 4).saturating_sub(good_claims().len() + 7);
                let filled = format!(r#","x":"{}"}}"#, "x".repeat(fill));
                let claims = good_claims().replace('}', &filled);
                signed_with(SECRET, header, claims)
            })
            .find(|token| token.len() == bytes)
            .expect("one of the paddings fits")
    };
    assert_eq!(granted(&of_length(TOKEN_BYTES_MAX)).user, "5");
    assert_eq!(refused(&of_length(TOKEN_BYTES_MAX + 1)), Refused::TooLong);
    assert_eq!(refused(&"x".repeat(10_000_000)), Refused::TooLong);
    assert_eq!(
        refused(&".".repeat(TOKEN_BYTES_MAX)),
        Refused::NotThreeParts
    );
}

#[test]
fn deep_nesting_ends_neither_the_parser_nor_the_program() {
    let depth = 2500;
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = |times: usize| format!("{}1{}", open.repeat(times), close.repeat(times));
        let depth = depth / open.len();
        let claims = good_claims().replace('}', &format!(r#","x":{}}}"#, deep(depth)));
        assert_eq!(granted(&signed(&claims)).user, "5", "skipped");
        let header = format!(r#"{{"alg":"HS256","x":{}}}"#, deep(depth));
        let token = signed_with(SECRET, header, good_claims());
        assert_eq!(granted(&token).user, "5", "skipped");
        for claim in ["sub", "exp", "follow", "publish", "aud"] {
            let claims = format!(r#"{{"{claim}":{}}}"#, deep(depth));
            refused(&signed(claims));
        }
        refused(&signed(open.repeat(depth)));
    }
}

#[test]
fn a_p256_signature_is_taken_in_the_form_of_jws_alone() {
    let token = &good_tokens()[2];
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let bytes = data_encoding::BASE64URL_NOPAD
        .decode(signature.as_bytes())
        .expect("ours");
    let integer = |half: &[u8]| [&[2, 33, 0][..], half].concat();
    let (r, s) = (integer(&bytes[..32]), integer(&bytes[32..]));
    let der = [&[0x30, (r.len() + s.len()) as u8][..], &r, &s].concat();
    assert_eq!(
        refused(&format!("{message}.{}", encode(der))),
        Refused::WrongSignature
    );
}
