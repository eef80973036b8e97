//! `spectate token` as it is run.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::scratch::Scratch;
use crate::support::*;

/// Runs `spectate token` with an input and without settings from outside.
pub(crate) fn token(arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_spectate"))
        .arg("token")
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built");
    let mut stdin = child.stdin.take().expect("piped");
    // What refuses its arguments reads nothing.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// The token that these arguments make.
fn minted(arguments: &[&str]) -> String {
    let output = token(arguments, &[], "");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    let line = stdout(&output);
    assert_eq!(line.lines().count(), 1, "{line}");
    line.trim_end().to_owned()
}

/// What `--check` says of a token, and its exit status.
fn check(arguments: &[&str], text: &str) -> (Option<i32>, String) {
    let output = token(&[&["--check"], arguments].concat(), &[], text);
    assert_eq!(stderr(&output), "");
    let said = stdout(&output);
    if text.len() > 10 {
        assert_repeats_nothing(&said, text);
    }
    (output.status.code(), said)
}

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

fn public_file(name: &str) -> String {
    folder()
        .join(format!("keys/{name}.pub.pem"))
        .display()
        .to_string()
}

#[test]
fn a_token_that_is_made_is_granted_as_was_asked_for() {
    let secret = Scratch::new("made", &[SECRET, b"\n"].concat());
    let before_s = now_s();
    let text = minted(&[
        "--sub",
        "5",
        "--follow",
        "6,7",
        "--ttl",
        "12h",
        "--jwt-hs256-secret-file",
        secret.path(),
    ]);
    let grant = all_keys().grant(&text, before_s).expect("good");
    let may = |ids: [&str; 4]| ids.map(|id| (grant.may_follow(id), grant.may_publish(id)));
    assert_eq!(
        may(["5", "6", "7", "8"]),
        [(true, true), (true, false), (true, false), (false, false)]
    );
    let ttl_s = grant.expires_at_s - before_s;
    assert!((12 * 3600..12 * 3600 + 60).contains(&ttl_s), "{ttl_s}");

    for (name, _) in PAIRS {
        let pem = Scratch::new(&format!("made-{name}"), &key_file(&format!("{name}.pem")));
        let text = minted(&[
            "--sub",
            "a b",
            "--follow",
            "*",
            "--publish",
            "5,-6",
            "--ttl",
            "500ms",
            "--jwt-private-key-file",
            pem.path(),
            "--jwt-audience",
            "map",
            "--jwt-issuer",
            "backend",
        ]);
        let keys = all_keys_with(Some("map"), Some("backend"));
        let grant = keys.grant(&text, before_s).expect(name);
        assert!(
            grant.may_follow("anybody") && grant.may_publish("-6"),
            "{name}"
        );
        assert!(!grant.may_publish("a b"), "{name}");
        assert!(
            grant.expires_at_s > before_s,
            "at least as long as was asked for"
        );
    }
}

#[test]
fn a_good_token_is_explained_with_status_0() {
    let secret = Scratch::new("explain", SECRET);
    let with_key = ["--jwt-hs256-secret-file", secret.path()];
    for (arguments, publishes, follows) in [
        (&["--sub", "5"][..], "for 5", "5"),
        (
            &["--sub", "5", "--follow", "*", "--publish", "*"],
            "for everybody",
            "everybody",
        ),
        (
            &["--sub", "5", "--follow", "7,6,5", "--publish", "false"],
            "for nobody",
            "5, 6, 7",
        ),
        (&["--sub", "5", "--publish", "8,9"], "for 8, 9", "5"),
    ] {
        let text = minted(&[arguments, &with_key].concat());
        let (status, said) = check(&with_key, &format!("{text}\n"));
        assert_eq!(status, Some(0), "{said}");
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], "user       5");
        assert_eq!(lines[1], format!("publishes  {publishes}"));
        assert_eq!(lines[2], format!("follows    {follows}"));
        assert!(
            lines[3].starts_with("expires    20") && lines[3].contains(" UTC, in 1"),
            "{said}"
        );
        assert_eq!(lines.len(), 4);
    }
    let named = [&["--sub", "5", "--name", "Anna Berg"][..], &with_key].concat();
    let (status, said) = check(&with_key, &minted(&named));
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("\nname       Anna Berg\npublishes "),
        "{said}"
    );
}

#[test]
fn a_token_that_would_be_refused_is_explained_with_status_1() {
    let secret = Scratch::new("refusal", SECRET);
    let with_key = ["--jwt-hs256-secret-file", secret.path()];
    let later = now_s() + 7260;
    for (text, words) in [
        (
            signed(r#"{"sub":"5","exp":1000000000}"#),
            &["4002", "expired", "2001-09-09 01:46:40 UTC", "days", "ago"][..],
        ),
        (
            signed(format!(r#"{{"sub":"5","exp":4000000000,"nbf":{later}}}"#)),
            &["4001", "not valid yet", "UTC", "in 2 hours"],
        ),
        (signed(r#"{"sub":5.0,"exp":4000000000}"#), &["4001", "sub"]),
        (
            signed_with(b"another", r#"{"alg":"HS256"}"#, "{}"),
            &["4001", "signature"],
        ),
        (
            signed_with(b"", r#"{"alg":"none"}"#, "{}"),
            &["4001", "not signed"],
        ),
        (
            signed_with(b"", r#"{"alg":"RS256"}"#, "{}"),
            &["4001", "RS256"],
        ),
        ("x".repeat(1_000_000), &["4001", "longer"]),
        (String::new(), &["4001", "no token"]),
        ("\n".to_owned(), &["4001", "no token"]),
        ("é\u{1b}[2J".to_owned(), &["4001", "three parts"]),
    ] {
        let (status, said) = check(&with_key, &text);
        assert_eq!(status, Some(1), "{said}");
        assert!(
            said.starts_with("refused    ") && said.lines().count() == 1,
            "{said}"
        );
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
}

#[test]
fn tokens_are_checked_by_the_key_flags_of_the_server() {
    let (old, new) = (
        Scratch::new("flags-old", b"the old secret of 32 bytes or more\n"),
        Scratch::new("flags-new", b"the new secret of 32 bytes or more\n"),
    );
    let (ed25519, rsa) = (public_file("ed25519"), public_file("rsa"));
    let keys = [
        "--jwt-hs256-secret-file",
        new.path(),
        "--jwt-hs256-secret-file",
        old.path(),
        "--jwt-public-key-file",
        &ed25519,
        "--jwt-public-key-file",
        &rsa,
        "--jwt-audience",
        "map",
        "--jwt-issuer",
        "backend",
    ];
    let names = ["--jwt-audience", "map", "--jwt-issuer", "backend"];
    for secret in [&old, &new] {
        let arguments = ["--sub", "5", "--jwt-hs256-secret-file", secret.path()];
        let text = minted(&[&arguments[..], &names].concat());
        assert_eq!(check(&keys, &text).0, Some(0));
        let (status, said) = check(&keys, &minted(&arguments));
        assert_eq!(status, Some(1));
        assert!(said.contains("aud"), "{said}");
    }
    for (name, status) in [("ed25519", 0), ("rsa", 0), ("p256", 1)] {
        let pem = Scratch::new(&format!("flags-{name}"), &key_file(&format!("{name}.pem")));
        let arguments = ["--sub", "5", "--jwt-private-key-file", pem.path()];
        let text = minted(&[&arguments[..], &names].concat());
        assert_eq!(check(&keys, &text).0, Some(status), "{name}");
    }
}

#[test]
fn the_newest_secret_comes_first_and_signs() {
    let (old, new) = (
        Scratch::new("first-old", b"the old secret of 32 bytes or more"),
        Scratch::new("first-new", b"the new secret of 32 bytes or more"),
    );
    let both = format!("{},{}", new.path(), old.path());
    let text = minted(&["--sub", "5", "--jwt-hs256-secret-file", &both]);
    assert_eq!(
        check(&["--jwt-hs256-secret-file", new.path()], &text).0,
        Some(0)
    );
    assert_eq!(
        check(&["--jwt-hs256-secret-file", old.path()], &text).0,
        Some(1)
    );
}

#[test]
fn flags_of_token_may_come_from_the_environment() {
    let secret = Scratch::new("environment", SECRET);
    let environment = [
        ("SPECTATE_SUB", "5"),
        ("SPECTATE_FOLLOW", "6,7"),
        ("SPECTATE_PUBLISH", "*"),
        ("SPECTATE_TTL", "1h"),
        ("SPECTATE_JWT_AUDIENCE", "map"),
        ("SPECTATE_JWT_ISSUER", ""),
        ("SPECTATE_JWT_HS256_SECRET_FILE", secret.path()),
    ];
    let output = token(&[], &environment, "");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let keys = all_keys_with(Some("map"), None);
    let grant = keys
        .grant(stdout(&output).trim_end(), now_s())
        .expect("good");
    assert!(grant.may_follow("7") && grant.may_publish("9"));
    let output = token(&["--sub", "6"], &environment, "");
    let grant = keys
        .grant(stdout(&output).trim_end(), now_s())
        .expect("good");
    assert_eq!(grant.user, "6", "flags win");
    let environment = [(
        "SPECTATE_JWT_PUBLIC_KEY_FILE",
        &*format!("{},{}", public_file("rsa"), public_file("p256")),
    )];
    let pem = Scratch::new("environment-p256", &key_file("p256.pem"));
    let text = minted(&["--sub", "5", "--jwt-private-key-file", pem.path()]);
    let output = token(&["--check"], &environment, &text);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

#[test]
fn bad_arguments_are_refused_with_status_2_and_a_line_that_says_what_to_type() {
    let secret = Scratch::new("arguments", SECRET);
    let with_key = ["--jwt-hs256-secret-file", secret.path()];
    for (arguments, words) in [
        (&[][..], &["--sub"][..]),
        (&["--sub", ""], &["--sub", "try 5"]),
        (&["--sub", "a\nb"], &["--sub", "try 5"]),
        (&["--sub", "5", "--follow", "6,*"], &["--follow", "'*'"]),
        (&["--sub", "5", "--follow", "6,,7"], &["--follow", "try 5"]),
        (&["--sub", "5", "--publish", ""], &["--publish", "try 5"]),
        (&["--sub", "5", "--ttl", "0"], &["--ttl", "try 1s"]),
        (&["--sub", "5", "--ttl", "1 day"], &["--ttl", "12h"]),
        (&["--sub", "5", "--check"], &["--check", "--sub"]),
        (&["--check", "--jwt-key-file", "x"], &["--jwt-"]),
        (&["eyJhbGciOiJIUzI1NiJ9.e30.AAAA"], &["--help"]),
    ] {
        let output = token(&[arguments, &with_key].concat(), &[], "");
        let line = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {line}");
        assert!(
            line.starts_with("spectate: ") && line.lines().count() == 1,
            "{line}"
        );
        assert_eq!(stdout(&output), "");
        for word in words {
            assert!(line.contains(word), "{word}: {line}");
        }
    }
    let public = public_file("rsa");
    let flags = ["--jwt-public-key-file", &public, "--jwt-audience", "map"];
    assert!(
        check(&flags, "").1.contains("no token"),
        "one key is enough"
    );
    let output = token(&["--check", "--jwt-audience", "map"], &[], "");
    assert_eq!(
        output.status.code(),
        Some(2),
        "an audience without a key checks nothing"
    );
    assert!(
        stderr(&output).contains("--jwt-hs256-secret-file"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_missing_or_unusable_key_ends_with_status_1_and_a_line_that_shows_nothing_of_it() {
    let hidden = "hunter2-and-no-more";
    let short = Scratch::new("unusable", hidden.as_bytes());
    let secret = Scratch::new("unusable-not", SECRET);
    let pem = Scratch::new("unusable-pem", &key_file("rsa.pem"));
    for (arguments, word) in [
        (&["--sub", "5"][..], "--jwt-private-key-file"),
        (&["--check"], "--jwt-public-key-file"),
        (
            &["--sub", "5", "--jwt-hs256-secret-file", short.path()],
            "32",
        ),
        (
            &["--sub", "5", "--jwt-private-key-file", short.path()],
            "PEM",
        ),
        (
            &["--sub", "5", "--jwt-hs256-secret-file", pem.path()],
            "PEM",
        ),
        (
            &["--sub", "5", "--jwt-hs256-secret-file", "/nowhere"],
            "/nowhere: No such file",
        ),
        (
            &[
                "--sub",
                "5",
                "--jwt-hs256-secret-file",
                secret.path(),
                "--jwt-private-key-file",
                pem.path(),
            ],
            "not both",
        ),
        (
            &["--check", "--jwt-public-key-file", pem.path()],
            "private key",
        ),
    ] {
        let output = token(arguments, &[], "");
        let line = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert_eq!(stdout(&output), "");
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(
            line.contains(word) && !line.contains(hidden),
            "{word}: {line}"
        );
    }
}

#[test]
fn a_file_that_everybody_can_read_is_warned_about_and_used() {
    let secret = Scratch::new("warned", SECRET);
    let pem = Scratch::new("warned-pem", &key_file("p256.pem"));
    secret.set_mode(0o644);
    pem.set_mode(0o644);
    for arguments in [
        &["--sub", "5", "--jwt-hs256-secret-file", secret.path()][..],
        &["--sub", "5", "--jwt-private-key-file", pem.path()],
        &["--check", "--jwt-hs256-secret-file", secret.path()],
    ] {
        let output = token(arguments, &[], &signed(r#"{"sub":"5","exp":4000000000}"#));
        assert_eq!(output.status.code(), Some(0));
        let line = stderr(&output);
        assert!(
            line.contains("everybody") && line.contains("chmod"),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1, "{line}");
        assert_repeats_nothing(&line, "");
        assert!(!stdout(&output).contains("chmod"));
    }
}

#[test]
fn a_token_longer_than_servers_take_is_not_made() {
    let secret = Scratch::new("long", SECRET);
    let ids: Vec<String> = (0..2000).map(|id| format!("runner-{id}")).collect();
    let output = token(
        &[
            "--sub",
            "5",
            "--follow",
            &ids.join(","),
            "--jwt-hs256-secret-file",
            secret.path(),
        ],
        &[],
        "",
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("8192"), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
}

#[test]
fn what_a_token_says_cannot_drive_the_terminal() {
    let secret = Scratch::new("terminal", SECRET);
    let text = signed("{\"sub\":\"a\u{202e}b\",\"exp\":4000000000,\"follow\":[\"\u{2028}\"]}");
    let output = token(
        &["--check", "--jwt-hs256-secret-file", secret.path()],
        &[],
        &text,
    );
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        said.contains("a\\u{202e}b") && said.contains("\\u{2028}"),
        "{said}"
    );
    assert!(!said.contains(['\u{202e}', '\u{2028}']), "{said}");
}
