//! `spectate token --roster` as it is run. What is on its cards is read by a browser's tests.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::command::{stderr, stdout, token};
use crate::scratch::Scratch;
use crate::support::*;

const ROSTER: &[u8] = b"id,name,color\n5,Anna Berg,#cc3300\n6,\"J\xc3\xb6rg <b>\",\n";
const URL: [&str; 2] = ["--url", "https://race.example.com"];

/// Where a test has its cards written, gone when this is dropped.
fn out(name: &str) -> Scratch {
    let out = Scratch::new(&format!("{name}.html"), b"");
    fs::remove_file(&out.0).expect("our file");
    out
}

#[test]
fn a_roster_becomes_one_page_that_nobody_else_can_read() {
    let (roster, secret) = (
        Scratch::new("cards", ROSTER),
        Scratch::new("cards-key", SECRET),
    );
    let out = out("cards");
    let flags = ["--jwt-hs256-secret-file", secret.path()];
    let files = ["--roster", roster.path(), "--out", out.path()];
    // What stood there before, open to everybody, is replaced.
    for already_there in [false, true] {
        if already_there {
            out.write(b"old");
            out.set_mode(0o644);
        }
        let output = token(&[&files[..], &URL, &flags].concat(), &[], "");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(stderr(&output), "");
        let said = stdout(&output);
        assert!(said.starts_with("2 cards, good until 20"), "{said}");
        assert!(said.ends_with(&format!(": {}\n", out.path())), "{said}");
        let metadata = fs::metadata(&out.0).expect("it is there");
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
        let page = fs::read_to_string(&out.0).expect("UTF-8");
        for part in [
            "Anna Berg",
            "J\u{f6}rg &#60;b&#62;",
            "id <bdi>6</bdi>",
            ">race.example.com<",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<svg ").count(), 2);
        for other in ["<script", "src=", "href=", "http://", "eyJ"] {
            assert!(!page.contains(other), "{other}");
        }
        for text in [&said, &page] {
            assert!(!text.contains(str::from_utf8(SECRET).expect("UTF-8")));
        }
    }
    let folder = out.0.parent().expect("a folder");
    let name = out.0.file_name().expect("a name").to_str().expect("UTF-8");
    let beside = fs::read_dir(folder).expect("a folder").flatten();
    let left = beside.filter(|entry| entry.file_name().to_string_lossy().starts_with(name));
    assert_eq!(left.count(), 1, "nothing is left beside it");
}

#[test]
fn arguments_that_do_not_go_with_a_roster_are_refused_with_status_2() {
    let (roster, secret) = (
        Scratch::new("flags", ROSTER),
        Scratch::new("flags-key", SECRET),
    );
    let out = out("flags");
    let with_key = ["--jwt-hs256-secret-file", secret.path()];
    let roster = ["--roster", roster.path()];
    let to = ["--out", out.path()];
    for (arguments, words) in [
        ([&roster[..], &URL].concat(), "--out cards.html"),
        (
            [&roster[..], &to].concat(),
            "--url https://race.example.com",
        ),
        ([&roster[..], &to, &URL, &["--sub", "5"]].concat(), "--sub"),
        ([&roster[..], &to, &URL, &["--check"]].concat(), "--check"),
        ([&to[..], &["--sub", "5"]].concat(), "--roster FILE"),
        (
            [&roster[..], &to, &["--url", "race.example.com"]].concat(),
            "try https://race.example.com",
        ),
        (
            [&roster[..], &to, &["--url", "ws://race.example.com"]].concat(),
            "--url",
        ),
        (
            [&roster[..], &to, &["--url", "https://race.example.com/map"]].concat(),
            "--url",
        ),
        (
            [&roster[..], &to, &["--url", "https://me@race.example.com"]].concat(),
            "--url",
        ),
        ([&roster[..], &to, &["--url", "https://"]].concat(), "--url"),
    ] {
        let output = token(&[&arguments[..], &with_key].concat(), &[], "");
        let line = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {line}");
        assert!(
            line.starts_with("spectate: ") && line.lines().count() == 1,
            "{line}"
        );
        assert!(line.contains(words), "{words}: {line}");
        assert_eq!(stdout(&output), "");
        assert!(!out.0.exists());
    }
}

#[test]
fn a_server_to_watch_in_the_environment_is_no_hindrance_to_making_one_token() {
    let secret = Scratch::new("url-key", SECRET);
    let environment = [("SPECTATE_URL", "ws://127.0.0.1:8080")];
    let flags = ["--sub", "5", "--jwt-hs256-secret-file", secret.path()];
    let output = token(&flags, &environment, "");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn what_fails_ends_with_status_1_and_one_line_and_leaves_no_cards() {
    let secret = Scratch::new("fails-key", SECRET);
    let good = Scratch::new("fails-good", ROSTER);
    let bad = Scratch::new("fails-bad", b"id,name\r\n5,Anna\r\n\r\n6,\r\n");
    let empty = Scratch::new("fails-empty", b"id,name\n");
    let out = out("fails");
    let link = Scratch::new("fails-link.html", b"");
    fs::remove_file(&link.0).expect("our file");
    symlink("/nowhere", &link.0).expect("a link");
    let folder = env!("CARGO_TARGET_TMPDIR");
    let many: Vec<String> = (0..400).map(|id| format!("runner-{id}")).collect();
    let follow = ["--follow", &many.join(",")];
    let key = ["--jwt-hs256-secret-file", secret.path()];
    for (roster, out, more, words) in [
        (
            bad.path(),
            out.path(),
            &key[..],
            "fails-bad: line 4: the name is missing",
        ),
        (empty.path(), out.path(), &key, "nobody is on it"),
        ("/nowhere", out.path(), &key, "/nowhere: No such file"),
        (folder, out.path(), &key, "Is a directory"),
        (good.path(), folder, &key, "no regular file"),
        (good.path(), link.path(), &key, "no regular file"),
        (good.path(), "/nowhere/cards.html", &key, "No such file"),
        (good.path(), out.path(), &[], "--jwt-private-key-file"),
        (
            good.path(),
            out.path(),
            &[&follow[..], &key].concat(),
            "too long",
        ),
    ] {
        let flags = [&["--roster", roster, "--out", out], &URL[..], more].concat();
        let output = token(&flags, &[], "");
        let line = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(
            line.starts_with("spectate: ") && line.lines().count() == 1,
            "{line}"
        );
        assert!(line.contains(words), "{words}: {line}");
        assert_eq!(stdout(&output), "");
        assert!(
            Path::new(out).is_dir() || !Path::new(out).is_file(),
            "{out}"
        );
    }
}
