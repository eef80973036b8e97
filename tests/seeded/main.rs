//! The fuzzers' bodies in every test run: on generated inputs, the same each time, and on every
//! input that once broke something.

#[expect(unreachable_pub, reason = "a library there, a module here")]
#[path = "../fuzz/src/lib.rs"]
mod bodies;
mod generate;

use std::fs;
use std::path::Path;

use bodies::{connection, gpx, message, phones, plan, request_head, script, talk, tls, token};
use generate::Generator;
use spectate::auth::Refused;
use spectate::dialect::Dialect;
use spectate::fix::Bounds;
use spectate::gpx::read;
use spectate::phones::{self as door, Unreadable};
use spectate::protocol::{ClientMessage, decode};
use spectate::server::http::{Head, Request, parse};
use spectate::server::wire::close::CloseReason;
use spectate::server::wire::reader::Reader;

/// Leaves the input that broke something in a file, so that it can become a regression.
struct Kept<'a>(&'a Path, &'a [u8]);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Kept(name, input) = self;
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
            eprintln!(
                "the input: {} {:?}",
                path.display(),
                fs::write(&path, input)
            );
        }
    }
}

fn try_seeds(target: &str, seeds: u64, generate: fn(&mut Generator) -> Vec<u8>, body: fn(&[u8])) {
    for seed in 0..seeds {
        let input = generate(&mut Generator::new(seed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{target}-{seed}"));
        let _kept = Kept(&path, &input);
        body(&input);
    }
}

fn try_regressions(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/regressions");
    let Ok(files) = fs::read_dir(folder.join(target)) else {
        return;
    };
    for file in files {
        let path = file.expect("a readable folder").path();
        let input = fs::read(&path).expect("a readable file");
        let _kept = Kept(&path, &input);
        body(&input);
    }
}

#[test]
fn any_request_head_keeps_the_promises() {
    try_regressions("request_head", request_head::run);
    try_seeds(
        "request_head",
        2_000,
        Generator::request_head,
        request_head::run,
    );
}

#[test]
fn any_message_keeps_the_promises() {
    try_regressions("message", message::run);
    try_seeds("message", 20_000, Generator::message, message::run);
}

#[test]
fn any_token_keeps_the_promises() {
    try_regressions("token", token::run);
    try_seeds("token", 10_000, Generator::token, token::run);
}

#[test]
fn any_gpx_file_keeps_the_promises() {
    try_regressions("gpx", gpx::run);
    try_seeds("gpx", 1_500, Generator::gpx, gpx::run);
}

#[test]
fn any_request_of_a_phone_keeps_the_promises() {
    try_regressions("phones", phones::run);
    try_seeds("phones", 10_000, Generator::request_of_phone, phones::run);
}

#[test]
fn any_connection_keeps_the_promises() {
    try_regressions("connection", connection::run);
    try_seeds("connection", 700, Generator::plan, connection::run);
}

#[test]
fn any_connection_by_tls_keeps_the_promises() {
    try_regressions("tls", tls::run);
    try_seeds("tls", 700, Generator::plan_by_tls, tls::run);
}

/// Of so many inputs, how many come to each of these.
fn count<const N: usize>(seeds: u64, outcome: impl Fn(&mut Generator) -> usize) -> [u32; N] {
    let mut counts = [0; N];
    for seed in 0..seeds {
        counts[outcome(&mut Generator::new(seed))] += 1;
    }
    counts
}

#[test]
fn the_generated_inputs_reach_every_outcome() {
    let heads: [u32; 6] = count(500, |generator| match parse(&generator.request_head()) {
        Head::Partial => 0,
        Head::Refused(_) => 1,
        Head::Complete(head) => match head.request {
            Request::Plain { .. } => 2,
            Request::Upgrade { .. } => 3,
            Request::Options { .. } => 4,
            Request::Report(_) => 5,
        },
    });
    let messages: [u32; 9] = count(1_000, |generator| {
        let text = String::from_utf8_lossy(&generator.message()).into_owned();
        match decode(&text, Bounds::Finite) {
            Ok(ClientMessage::Hello(_)) => 0,
            Ok(ClientMessage::Position(_)) => 1,
            Ok(ClientMessage::Change(_)) => 2,
            Ok(ClientMessage::Ping(_)) => 7,
            Ok(ClientMessage::Heartbeat) => 8,
            Err(refusal) => match refusal.code().word() {
                "bad_json" => 3,
                "bad_message" => 4,
                "bad_id" => 5,
                _ => 6,
            },
        }
    });
    let tokens: [u32; 4] = count(500, |generator| match token::outcome(&generator.token()) {
        Ok(_) => 0,
        Err(refused) if refused.close_code() == 4002 => 1,
        Err(Refused::FieldWrong(_) | Refused::FieldMissing(_)) => 2,
        Err(_) => 3,
    });
    // A request at most, one message behind it, several; and then an end.
    let talks: [u32; 4] = count(500, |generator| {
        let stream = plan::stream(&plan::read(&generator.plan()));
        let mut reader = Reader::new(script::MESSAGE_BYTES_MAX);
        let talk = talk::Talk::hear(&mut reader, &stream, usize::MAX);
        match talk.end {
            Some(_) => 3,
            None => talk.heard.len().clamp(1, 3) - 1,
        }
    });
    let files: [u32; 3] = count(500, |generator| match read(&generator.gpx()) {
        Ok(gpx) if gpx.flaws.is_empty() => 0,
        Ok(_) => 1,
        Err(_) => 2,
    });
    let doors: [u32; 8] = count(3_000, |generator| {
        let request = generator.request_of_phone();
        match phones::posted(&request, |posted| door::read(posted, Bounds::Finite)) {
            Err(Unreadable::Malformed(_)) => 0,
            Err(Unreadable::TooMany(_)) => 1,
            Ok(batch) if batch.reports.is_empty() => 2,
            Ok(batch) => {
                2 + Dialect::ALL
                    .iter()
                    .position(|dialect| *dialect == batch.dialect)
                    .expect("one of all")
            }
        }
    });
    let ends: [u32; 4] = count(300, |generator| {
        match tls::outcome(&generator.plan_by_tls()) {
            None => 0,
            Some(CloseReason::TlsFailed) => 1,
            Some(CloseReason::Answered) => 2,
            Some(_) => 3,
        }
    });
    for counts in [
        &heads[..],
        &messages,
        &talks,
        &tokens,
        &files,
        &doors,
        &ends,
    ] {
        assert!(
            counts.iter().all(|count| *count >= 10),
            "{heads:?} {messages:?} {talks:?} {tokens:?} {files:?} {doors:?} {ends:?}"
        );
    }
}
