//! Key files: read afresh at each call, or not at all.

use std::path::{Path, PathBuf};

use spectate::auth::{KeyFlags, Refused};

use crate::scratch::Scratch;
use crate::support::*;

fn secrets(files: &[&Scratch]) -> KeyFlags {
    KeyFlags {
        jwt_hs256_secret_file: files.iter().map(|file| file.0.clone()).collect(),
        ..KeyFlags::default()
    }
}

fn key_path(name: &str) -> PathBuf {
    folder().join("keys").join(name)
}

/// A token that this secret signed.
fn token_of(secret: &[u8]) -> String {
    signed_with(
        secret,
        r#"{"alg":"HS256"}"#,
        r#"{"sub":"5","exp":1900000000}"#,
    )
}

fn loads(flags: &KeyFlags, secret: &[u8]) -> bool {
    let keys = flags
        .load()
        .expect("it loads")
        .keys
        .expect("there are keys");
    keys.grant(&token_of(secret), NOW_S).is_ok()
}

#[test]
fn without_flags_there_is_no_authentication() {
    let loaded = KeyFlags::default().load().expect("nothing to read");
    assert!(loaded.keys.is_none() && loaded.warnings.is_empty());
}

#[test]
fn one_newline_at_the_end_is_not_part_of_a_secret() {
    let with = |end: &[u8]| [SECRET, end].concat();
    for (content, secret) in [
        (with(b""), with(b"")),
        (with(b"\n"), with(b"")),
        (with(b"\r\n"), with(b"")),
        (with(b"\n\n"), with(b"\n")),
        (with(b" \n"), with(b" ")),
        (with(b"\r"), with(b"\r")),
        ([b"\n", SECRET].concat(), [b"\n", SECRET].concat()),
    ] {
        let file = Scratch::new("newline", &content);
        assert!(loads(&secrets(&[&file]), &secret), "{content:?}");
    }
    let file = Scratch::new("newline", b"\n");
    let line = secrets(&[&file]).load().expect_err("nothing is left");
    assert!(line.contains("no secret"), "{line}");
}

#[test]
fn keys_rotate_by_being_read_again() {
    let (old, new) = (
        b"the old secret of 32 bytes or more",
        b"the new secret of 32 bytes or more",
    );
    let file = Scratch::new("rotate", old);
    let flags = secrets(&[&file]);
    assert!(loads(&flags, old) && !loads(&flags, new));
    file.write(new);
    assert!(!loads(&flags, old) && loads(&flags, new));
    let before = Scratch::new("rotate-before", old);
    let both = secrets(&[&file, &before]);
    assert!(loads(&both, old) && loads(&both, new) && !loads(&both, SECRET));
}

#[test]
fn one_bad_file_spoils_the_load_with_a_line_that_names_it_and_shows_nothing_of_it() {
    let good = Scratch::new("spoil-good", SECRET);
    let hidden = "hunter2-and-no-more";
    let bad = Scratch::new("spoil-bad", hidden.as_bytes());
    let long = Scratch::new("spoil-long", hidden.repeat(10_000).as_bytes());
    let absent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tokens-absent");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    for (path, word) in [
        (&bad.0, "32"),
        (&long.0, "65536"),
        (&absent, "No such file"),
        (&folder, "directory"),
    ] {
        for public in [false, true] {
            let mut flags = secrets(&[&good]);
            match public {
                false => flags.jwt_hs256_secret_file.push(path.clone()),
                true => flags.jwt_public_key_file.push(path.clone()),
            }
            let line = flags.load().expect_err("a bad file");
            assert!(line.contains(path.to_str().expect("UTF-8")), "{line}");
            assert!(public || line.contains(word), "{line}");
            assert!(!line.contains(hidden) && !line.contains('\n'), "{line}");
            assert!(!line.contains("os error"), "{line}");
        }
    }
}

#[test]
fn all_kinds_of_keys_load_together_with_audience_and_issuer() {
    let secret = Scratch::new("together", SECRET);
    let mut flags = secrets(&[&secret]);
    flags.jwt_public_key_file = PAIRS
        .map(|(name, _)| key_path(&format!("{name}.pub.pem")))
        .into();
    flags.jwt_audience = Some("map".to_owned());
    let loaded = flags.load().expect("good files");
    assert_eq!(
        loaded.warnings,
        Vec::<String>::new(),
        "public keys may be read by everybody"
    );
    let keys = loaded.keys.expect("four keys");
    let grant = granted(&token_of(SECRET));
    for name in ["secret", "ed25519", "p256", "rsa"] {
        let token = signing_key(name)
            .mint(&grant, Some("map"), None)
            .expect("it signs");
        assert_eq!(keys.grant(&token, NOW_S).as_ref(), Ok(&grant));
        let token = signing_key(name)
            .mint(&grant, None, None)
            .expect("it signs");
        assert_eq!(keys.grant(&token, NOW_S), Err(Refused::WrongAudience));
    }
}

#[test]
fn a_secret_that_everybody_can_get_at_is_warned_about() {
    let file = Scratch::new("mode", SECRET);
    for (mode, warned) in [
        (0o600, false),
        (0o400, false),
        (0o640, false),
        (0o644, true),
        (0o604, true),
        (0o602, true),
    ] {
        file.set_mode(mode);
        let loaded = secrets(&[&file]).load().expect("a good file");
        assert_eq!(loaded.warnings.len(), usize::from(warned), "{mode:o}");
        for line in loaded.warnings {
            assert!(
                line.contains(file.path()) && line.contains("chmod"),
                "{line}"
            );
        }
    }
}

#[test]
fn what_is_loaded_shows_no_secret() {
    let file = Scratch::new("debug", SECRET);
    let flags = secrets(&[&file]);
    let shown = format!("{flags:?} {:?}", flags.load());
    assert!(
        shown.contains("HS256") && !shown.contains("horse"),
        "{shown}"
    );
    let bytes = format!("{:?}", &SECRET[..8]);
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
}
