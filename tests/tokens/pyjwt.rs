//! Python's PyJWT makes tokens for us, and takes ours.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use spectate::auth::{Follow, Keys, Publish, Refused};

use crate::needs;
use crate::scratch::Scratch;
use crate::support::*;

/// A Python with PyJWT and cryptography, if there is one.
fn python() -> Option<&'static str> {
    needs::python("jwt, cryptography", "python3-jwt python3-cryptography")
}

/// What the script prints.
fn script(python: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new(python)
        .arg(folder().join("pyjwt.py"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)
            .expect("UTF-8")
            .trim()
            .to_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Each algorithm with the files of its private and its public key, and our name for the former.
fn algorithms() -> Vec<(&'static str, String, String, &'static str)> {
    let path = |name: &str| folder().join("keys").join(name).display().to_string();
    let mut all = vec![("HS256", path("secret.txt"), path("secret.txt"), "secret")];
    for (name, algorithm) in PAIRS {
        let (private, public) = (
            path(&format!("{name}.pem")),
            path(&format!("{name}.pub.pem")),
        );
        all.push((algorithm, private, public, name));
    }
    all
}

#[test]
fn tokens_that_pyjwt_mints_are_granted() {
    let Some(python) = python() else { return };
    let claims = json!({
        "sub": "Jörg", "exp": NOW_S + 60, "nbf": NOW_S + 30, "iat": NOW_S, "jti": "1",
        "follow": ["6", 7], "publish": "*", "aud": ["map", "race"], "iss": "backend",
    });
    for (algorithm, private, ..) in algorithms() {
        let token = script(
            python,
            &["mint", algorithm, &private, &claims.to_string()],
            "",
        );
        let token = token.expect(algorithm);
        let keys = all_keys_with(Some("map"), Some("backend"));
        let grant = keys.grant(&token, NOW_S).expect(algorithm);
        assert_eq!(
            (grant.user.as_str(), grant.expires_at_s),
            ("Jörg", NOW_S + 60)
        );
        assert_eq!(grant.publish, Publish::Everybody);
        assert!(
            grant.may_follow("7") && !grant.may_follow("8"),
            "{algorithm}"
        );
        let expired = Refused::Expired {
            expired_at_s: NOW_S + 60,
        };
        assert_eq!(keys.grant(&token, NOW_S + 60), Err(expired), "{algorithm}");
    }
}

#[test]
fn tokens_that_we_mint_are_taken_by_pyjwt() {
    let Some(python) = python() else { return };
    let mut grant = granted(&with_claims(r#""publish":false"#));
    // Its clock is the real one.
    grant.expires_at_s = 4_000_000_000;
    grant.follow = Follow::Only(["Jörg".to_owned(), "7".to_owned()].into_iter().collect());
    for (algorithm, _, public, name) in algorithms() {
        let token = signing_key(name).mint(&grant, Some("map"), Some("backend"));
        let token = token.expect("it signs");
        let claims = script(python, &["verify", algorithm, &public], &token).expect(algorithm);
        let expected = json!({
            "sub": "5", "exp": 4_000_000_000_u64, "aud": "map", "iss": "backend",
            "publish": false, "follow": ["7", "Jörg"],
        });
        assert_eq!(
            serde_json::from_str::<Value>(&claims).expect("JSON"),
            expected,
            "{algorithm}"
        );
        let other = format!("{}A", &token[..token.len() - 1]);
        let other = if other == token {
            token.replace('.', "A.")
        } else {
            other
        };
        assert!(
            script(python, &["verify", algorithm, &public], &other).is_err(),
            "{algorithm}"
        );
    }
}

#[test]
fn the_manuals_lines_of_python_make_a_good_token() {
    let Some(python) = python() else { return };
    let manual = include_str!("../../src/protocol/README.md");
    let lines = manual.split("```python\n").nth(1).expect("some Python");
    let lines = lines.split("```").next().unwrap_or_default();
    let secret = Scratch::new("manual", &[SECRET, b"\n"].concat());
    let lines = lines.replace("spectate.secret", secret.path()) + "print(token)";
    let output = Command::new(python).args(["-c", &lines]).output();
    let output = output.expect("it starts");
    let token = String::from_utf8(output.stdout).expect("ASCII");
    let keys = Keys::new(vec![secret_key(SECRET)], None, None);
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH);
    let grant = keys.grant(token.trim(), now_s.expect("after 1970").as_secs());
    let grant = grant.expect("a good token");
    assert!(grant.user == "5" && grant.may_follow("7") && !grant.may_follow("8"));
}
