//! What tokens say: each claim's types, limits and meaning, and time to the second.

use spectate::auth::{EXPIRES_AT_S_MAX, Follow, Part, Publish, Refused};

use crate::support::*;

fn expiring(exp: &str) -> String {
    signed(format!(r#"{{"sub":"5","exp":{exp}}}"#))
}

#[test]
fn a_token_is_good_before_the_second_in_which_it_expires_and_no_longer() {
    let token = expiring("1800000100");
    let keys = all_keys();
    for now_s in [0, 1_800_000_000, 1_800_000_099] {
        assert_eq!(
            keys.grant(&token, now_s).map(|grant| grant.expires_at_s),
            Ok(1_800_000_100)
        );
    }
    let expired = Refused::Expired {
        expired_at_s: 1_800_000_100,
    };
    for now_s in [1_800_000_100, 1_800_000_101, 1_800_000_130, u64::MAX] {
        assert_eq!(keys.grant(&token, now_s), Err(expired));
    }
    assert_eq!(expired.close_code(), 4002);
}

#[test]
fn a_fraction_of_a_second_is_not_given_away() {
    for (exp, expired_at_s) in [
        ("1800000000.999", NOW_S),
        ("18e8", NOW_S),
        ("1.8e+9", NOW_S),
        ("0", 0),
        ("0.5", 0),
        ("-0", 0),
    ] {
        assert_eq!(
            refused(&expiring(exp)),
            Refused::Expired { expired_at_s },
            "{exp}"
        );
    }
    assert_eq!(granted(&expiring("1800000001.5")).expires_at_s, NOW_S + 1);
    assert_eq!(granted(&expiring("18.00000001e8")).expires_at_s, NOW_S + 1);
}

#[test]
fn an_expiry_is_needed_and_is_a_time_in_seconds() {
    assert_eq!(
        refused(&signed(r#"{"sub":"5"}"#)),
        Refused::FieldMissing("exp")
    );
    assert_eq!(
        refused(&signed(r#"{"sub":"5","Exp":1900000000}"#)),
        Refused::FieldMissing("exp")
    );
    for exp in [
        r#""1900000000""#,
        "null",
        "true",
        "[1900000000]",
        "{}",
        "-1",
        "-1e300",
        "1e999",
        "1900000000000",
        "253402300800",
        "18446744073709551616",
        "1e18",
        r#""never""#,
    ] {
        assert_eq!(refused(&expiring(exp)), Refused::FieldWrong("exp"), "{exp}");
    }
    for exp in [
        "NaN",
        "Infinity",
        "0x10",
        "01900000000",
        "+1900000000",
        "1900000000.",
        "",
    ] {
        assert_eq!(
            refused(&expiring(exp)),
            Refused::NotAnObject(Part::Claims),
            "{exp}"
        );
    }
    let last = EXPIRES_AT_S_MAX.to_string();
    assert_eq!(granted(&expiring(&last)).expires_at_s, EXPIRES_AT_S_MAX);
}

#[test]
fn a_token_may_be_half_a_minute_early_and_no_more() {
    for (nbf, early) in [
        ("0", false),
        ("1800000000", false),
        ("1800000030", false),
        ("1800000029.5", false),
        ("1800000030.1", true),
        ("1800000031", true),
        ("253402300799", true),
    ] {
        let token = with_claims(&format!(r#""nbf":{nbf}"#));
        match early {
            false => assert_eq!(granted(&token).user, "5", "{nbf}"),
            true => assert!(matches!(refused(&token), Refused::NotYet { .. }), "{nbf}"),
        }
    }
    let refused = refused(&with_claims(r#""nbf":1800000031"#));
    assert_eq!(
        refused,
        Refused::NotYet {
            valid_from_s: 1_800_000_031
        }
    );
    assert_eq!(refused.close_code(), 4001);
}

#[test]
fn a_claim_of_a_wrong_type_refuses_the_token() {
    for (claim, values) in [
        (
            "sub",
            &[
                "null",
                "5.0",
                "5e0",
                "true",
                "[]",
                "[5]",
                r#"["5"]"#,
                "{}",
                r#""""#,
                r#""\u0000""#,
                r#""a\u009fb""#,
                r#""\ud800""#,
            ][..],
        ),
        (
            "nbf",
            &[
                "null",
                r#""1""#,
                "true",
                "[]",
                "{}",
                "-1",
                "1e999",
                "1800000000000",
            ],
        ),
        (
            "aud",
            &[
                "null",
                "5",
                "true",
                "{}",
                "[5]",
                r#"["map",null]"#,
                r#"[["map"]]"#,
            ],
        ),
        ("iss", &["null", "5", "true", "[]", r#"["backend"]"#, "{}"]),
        (
            "follow",
            &[
                "null",
                "true",
                "false",
                "6",
                r#""6""#,
                r#""""#,
                r#""**""#,
                "{}",
                r#"{"6":true}"#,
                "[null]",
                "[6.0]",
                "[6e1]",
                "[true]",
                r#"[[6]]"#,
                r#"["6",""]"#,
                r#"["\n"]"#,
            ],
        ),
        (
            "publish",
            &[
                "null",
                "1",
                "0",
                r#""true""#,
                r#""6""#,
                "6",
                "{}",
                "[null]",
                "[1.5]",
                "[[]]",
                r#"[""]"#,
            ],
        ),
    ] {
        for value in values {
            let token = match claim {
                "sub" => signed(format!(r#"{{"sub":{value},"exp":1900000000}}"#)),
                _ => with_claims(&format!(r#""{claim}":{value}"#)),
            };
            assert_eq!(
                refused(&token),
                Refused::FieldWrong(claim),
                "{claim} {value}"
            );
        }
    }
    let too_long = "x".repeat(65);
    for token in [
        signed(format!(r#"{{"sub":"{too_long}","exp":1900000000}}"#)),
        with_claims(&format!(r#""follow":["{too_long}"]"#)),
        with_claims(&format!(r#""publish":[{}]"#, "1".repeat(65))),
        signed(format!(r#"{{"sub":{},"exp":1900000000}}"#, "1".repeat(65))),
    ] {
        assert!(matches!(refused(&token), Refused::FieldWrong(_)));
    }
    assert_eq!(
        refused(&signed(r#"{"exp":1900000000}"#)),
        Refused::FieldMissing("sub")
    );
}

#[test]
fn an_integer_is_the_id_of_its_digits_wherever_a_token_names_a_user() {
    let long = "9".repeat(64);
    for id in ["5", "0", "-5", &long] {
        let token = signed(format!(
            r#"{{"sub":{id},"exp":1900000000,"follow":[6,-7],"publish":[{id},8]}}"#
        ));
        let grant = granted(&token);
        assert_eq!(grant.user, id);
        for user in [id, "6", "-7"] {
            assert!(grant.may_follow(user), "{user}");
        }
        assert!(grant.may_publish("8") && grant.may_publish(id));
    }
}

#[test]
fn a_claim_that_is_there_twice_refuses_the_token() {
    for claim in [
        "sub", "exp", "nbf", "aud", "iss", "follow", "publish", "jti", "",
    ] {
        let escaped: String = claim
            .chars()
            .map(|c| format!("\\u{:04x}", c as u32))
            .collect();
        for again in [claim, &escaped] {
            let token = with_claims(&format!(r#""{claim}":"5","{again}":"5""#));
            assert_eq!(
                refused(&token),
                Refused::NotAnObject(Part::Claims),
                "{claim}"
            );
        }
    }
    let token = with_claims(r#""x":{"sub":"6","a":1,"a":2},"SUB":"6","sub ":"6","ѕub":"6""#);
    assert_eq!(granted(&token).user, "5", "none of these is the claim");
}

#[test]
fn claims_are_one_object() {
    for claims in [
        &b""[..],
        b"null",
        b"5",
        br#""sub""#,
        br#"["sub","5","exp",1900000000]"#,
        br#"{"sub":"5","exp":1900000000}{}"#,
        br#"{"sub":"5","exp":1900000000"#,
        b"{\"sub\":\"5\",\"exp\":1900000000,\"x\":\"\xff\"}",
        b"\xef\xbb\xbf{\"sub\":\"5\",\"exp\":1900000000}",
        b"eyJhbGciOiJIUzI1NiJ9.e30.AAAA",
    ] {
        assert_eq!(refused(&signed(claims)), Refused::NotAnObject(Part::Claims));
    }
}

#[test]
fn names_may_be_written_with_escapes() {
    let token =
        signed(r#"{"\u0073ub":"J\u00f6rg \ud83d\ude00","e\u0078p":1900000000,"follow":"\u002a"}"#);
    let grant = granted(&token);
    assert_eq!(grant.user, "Jörg 😀");
    assert_eq!(grant.follow, Follow::Everybody);
}

#[test]
fn who_may_be_followed_is_what_follow_says_and_always_oneself() {
    for (follow, may, may_not) in [
        ("", &["5"][..], &["6", "*", "", "05", "5.0"][..]),
        (r#","follow":[]"#, &["5"], &["6", "*"]),
        (r#","follow":"*""#, &["5", "6", "*", "anybody"], &[]),
        (
            r#","follow":["6",7,"Jörg",-8,"007"]"#,
            &["5", "6", "7", "Jörg", "-8", "007"],
            &["8", "*", "67", "jörg"],
        ),
        (r#","follow":["5","5",5]"#, &["5"], &["6"]),
        (r#","follow":["*"]"#, &["5", "*"], &["6"]),
    ] {
        let grant = granted(&signed(format!(
            r#"{{"sub":"5","exp":1900000000{follow}}}"#
        )));
        for id in may {
            assert!(grant.may_follow(id), "{follow}: {id}");
        }
        for id in may_not {
            assert!(!grant.may_follow(id), "{follow}: {id}");
        }
    }
}

#[test]
fn whose_positions_may_be_sent_is_what_publish_says_and_else_ones_own() {
    for (publish, may, may_not) in [
        ("", &["5"][..], &["6", "*", ""][..]),
        (r#","publish":true"#, &["5"], &["6"]),
        (r#","publish":false"#, &[], &["5", "6", "*"]),
        (r#","publish":[]"#, &[], &["5", "6"]),
        (r#","publish":"*""#, &["5", "6", "*"], &[]),
        (r#","publish":["6",7]"#, &["6", "7"], &["5", "67", "*"]),
        (r#","publish":["*"]"#, &["*"], &["5", "6"]),
        (r#","follow":"*""#, &["5"], &["6"]),
    ] {
        let grant = granted(&signed(format!(
            r#"{{"sub":"5","exp":1900000000{publish}}}"#
        )));
        for id in may {
            assert!(grant.may_publish(id), "{publish}: {id}");
        }
        for id in may_not {
            assert!(!grant.may_publish(id), "{publish}: {id}");
        }
    }
    assert_eq!(
        granted(&with_claims(r#""publish":true"#)).publish,
        Publish::Own
    );
    // A user whose name looks like a claim has no more rights for it.
    let star = granted(&signed(r#"{"sub":"*","exp":1900000000}"#));
    assert!(star.may_follow("*") && !star.may_follow("5") && !star.may_publish("5"));
}

#[test]
fn audience_and_issuer_are_checked_where_they_are_asked_for() {
    let (audience, issuer) = (Some("map"), Some("backend"));
    for (asked, claims, reason) in [
        ((audience, None), r#""aud":"map""#, None),
        ((audience, None), r#""aud":["race","map"]"#, None),
        (
            (audience, None),
            r#""aud":"ma""#,
            Some(Refused::WrongAudience),
        ),
        (
            (audience, None),
            r#""aud":"map ""#,
            Some(Refused::WrongAudience),
        ),
        (
            (audience, None),
            r#""aud":["race","maps"]"#,
            Some(Refused::WrongAudience),
        ),
        (
            (audience, None),
            r#""aud":[]"#,
            Some(Refused::WrongAudience),
        ),
        (
            (audience, None),
            r#""iss":"map""#,
            Some(Refused::WrongAudience),
        ),
        ((None, issuer), r#""iss":"backend""#, None),
        (
            (None, issuer),
            r#""iss":"Backend""#,
            Some(Refused::WrongIssuer),
        ),
        ((None, issuer), r#""iss":"""#, Some(Refused::WrongIssuer)),
        (
            (None, issuer),
            r#""aud":"backend""#,
            Some(Refused::WrongIssuer),
        ),
        ((audience, issuer), r#""iss":"backend","aud":"map""#, None),
        (
            (audience, issuer),
            r#""iss":"backend""#,
            Some(Refused::WrongAudience),
        ),
        ((None, None), r#""iss":"anybody","aud":["anything"]"#, None),
    ] {
        let keys = all_keys_with(asked.0, asked.1);
        let outcome = keys.grant(&with_claims(claims), NOW_S);
        assert_eq!(outcome.err(), reason, "{asked:?} {claims}");
    }
}

#[test]
fn only_a_token_that_was_good_is_said_to_have_expired() {
    let keys = all_keys_with(Some("map"), None);
    let token = signed(r#"{"sub":"5","exp":1,"aud":"race"}"#);
    assert_eq!(refused_by(&keys, &token), Refused::WrongAudience);
    let token = signed(r#"{"sub":"5","exp":1,"aud":"map","follow":6}"#);
    assert_eq!(refused_by(&keys, &token), Refused::FieldWrong("follow"));
    let forged = signed_with(
        b"nobody's",
        r#"{"alg":"HS256"}"#,
        r#"{"sub":"5","exp":1,"aud":"map"}"#,
    );
    assert_eq!(refused_by(&keys, &forged), Refused::WrongSignature);
    let token = signed(r#"{"sub":"5","exp":1,"aud":"map"}"#);
    assert_eq!(
        refused_by(&keys, &token),
        Refused::Expired { expired_at_s: 1 }
    );
}

#[test]
fn a_name_is_read_and_one_that_is_none_is_passed_over() {
    let named = |name: &str| {
        let token = signed(format!(r#"{{"sub":"5","exp":1900000000,"name":{name}}}"#));
        granted(&token).name
    };
    assert_eq!(named(r#""Anna Berg""#).as_deref(), Some("Anna Berg"));
    assert_eq!(named(r#""J\u00f6rg""#).as_deref(), Some("J\u{f6}rg"));
    let longest = "x".repeat(64);
    assert_eq!(named(&format!("\"{longest}\"")), Some(longest.clone()));
    for name in [
        "null",
        "5",
        "[\"Anna\"]",
        "\"\"",
        r#""a\u0000""#,
        r#""\ud800""#,
        &format!("\"{longest}x\""),
    ] {
        assert_eq!(named(name), None, "{name}");
    }
}
