//! `spectate simulate --course` runs a track as it was recorded, and says so of any other file.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Output;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tungstenite::Message;

use crate::relay::{Relay, Relaying};
use crate::{WAIT, spectate};

/// A file for one test, gone when this is dropped.
struct Track(PathBuf);

impl Track {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Track {
        let name = format!("track-{}-{name}.gpx", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, content).expect("room for a file");
        Track(path)
    }

    /// A thousandth of a degree to the north in every 10 s, and 5 m up, from 12:00 on.
    fn north(name: &str, seconds: u32) -> Track {
        let points: String = (0..=seconds)
            .step_by(10)
            .map(|second| {
                let (lat, altitude) = (f64::from(second) / 10_000.0, f64::from(second) / 2.0);
                let (minute, second) = (second / 60, second % 60);
                format!(
                    r#"<trkpt lat="{lat}" lon="8.5"><ele>{altitude}</ele><time>2026-05-01T12:{minute:02}:{second:02}Z</time></trkpt>"#
                )
            })
            .collect();
        Track::new(name, gpx(&points))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for Track {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn gpx(points: &str) -> String {
    format!(
        r#"<?xml version="1.0"?><gpx version="1.1" creator="a test" xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>{points}</trkseg></trk></gpx>"#
    )
}

fn simulate(relay: &Relay, flags: &[&str]) -> (Output, Value) {
    let url = relay.url();
    let mut command = spectate(&["simulate", "--json", "--url", &url]);
    let output = command.args(flags).output().expect("the program runs");
    let summary = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, summary)
}

/// All positions of these users until the relay ends the connection.
fn spectator(relay: &Relay, users: &str) -> impl FnOnce() -> Vec<Value> + use<> {
    let stream = TcpStream::connect(relay.address).expect("the relay listens");
    stream.set_read_timeout(Some(WAIT)).expect("above 0");
    let (mut socket, _) = tungstenite::client(relay.url(), stream).expect("an upgrade");
    let hello = format!(r#"{{"initialRequest":true,"following":[{users}]}}"#);
    socket.send(Message::text(hello)).expect("a socket");
    relay.hellos.recv_timeout(WAIT).expect("a hello");
    move || {
        let mut seen = Vec::new();
        while let Ok(message) = socket.read() {
            let fix: Value = serde_json::from_str(message.to_text().expect("text")).expect("JSON");
            if fix["age"].is_null() {
                seen.push(fix);
            }
        }
        seen
    }
}

fn number(fix: &Value, field: &str) -> f64 {
    let number = fix[field].as_f64();
    number.unwrap_or_else(|| panic!("{field} of {fix}"))
}

#[test]
fn a_track_is_run_at_its_pace_with_all_fields_that_are_known() {
    let relay = Relay::start(Relaying::Right);
    let track = Track::north("pace", 600);
    let seen = spectator(&relay, "0,1");
    let flags = ["--course", track.path(), "--users", "2", "--speed", "10"];
    let (output, summary) = simulate(&relay, &[&flags[..], &["--duration=3s"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(summary["positions"]["sent"], 6);
    relay.stop();
    let (first, second): (Vec<Value>, Vec<Value>) =
        seen().into_iter().partition(|fix| fix["userId"] == 0);
    for (number_of, fix) in first.iter().enumerate() {
        let far = number_of as f64;
        assert_eq!(number(fix, "lat"), (far * 1000.0).round() / 1e6);
        assert_eq!(number(fix, "altitude"), far * 5.0);
        assert_eq!(number(fix, "heading"), 0.0);
        assert!((number(fix, "speed") - 111.2).abs() < 0.1, "{fix}");
        let step_ms = number(fix, "timestamp") - number(&first[0], "timestamp");
        assert_eq!(step_ms, far * 1000.0);
    }
    // The other begins at the far end, half a second later, and comes back.
    let begin = &second[0];
    assert_eq!(
        number(begin, "timestamp") - number(&first[0], "timestamp"),
        500.0
    );
    assert_eq!(
        (number(begin, "lat"), number(begin, "heading")),
        (0.0595, 180.0)
    );
    assert_eq!((first.len(), second.len()), (3, 3));
}

#[test]
fn without_another_limit_everybody_runs_for_as_long_as_the_track_took() {
    let relay = Relay::start(Relaying::Right);
    let track = Track::north("once", 20);
    let flags = ["--course", track.path(), "--users", "4"];
    let (output, summary) = simulate(&relay, &[&flags[..], &["--speed=10"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(summary["positions"]["sent"], 8);
    let limited = ["--messages=3", "--rate=100", "--speed=0.1"];
    let (output, summary) = simulate(&relay, &[&flags[..], &limited].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(summary["positions"]["sent"], 3);
}

#[test]
fn what_comes_is_checked_to_the_last_field() {
    for (relaying, wrong) in [
        (Relaying::ChangesSpeed, "wrong_content"),
        (Relaying::Doubles, "doubled"),
    ] {
        let relay = Relay::start(relaying);
        let track = Track::north(wrong, 60);
        let flags = ["--course", track.path(), "--users=3", "--rate=100"];
        let (output, summary) = simulate(&relay, &[&flags[..], &["--messages=30"]].concat());
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(summary["wrong"][wrong]["count"], 1, "{summary}");
    }
}

#[test]
fn a_file_that_is_no_track_is_one_line_and_exit_status_1() {
    let relay = Relay::start(Relaying::Right);
    let whole = fs::read_to_string(&Track::north("whole", 60).0).expect("just written");
    let early = whole.find("</trkpt>").expect("a point");
    let nothing = "no track or route with two different points";
    for (name, content, told) in [
        ("text", "hello", "line 1: the file ends before <gpx>"),
        ("empty", "", "line 1: the file ends before <gpx>"),
        (
            "html",
            "<html><body/></html>",
            "line 1: the outermost element is <html>, not <gpx>",
        ),
        (
            "cut",
            &whole[..early],
            "line 1: the file ends before </gpx>: no track",
        ),
        ("nowhere", &gpx(""), nothing),
        ("still", &gpx(r#"<trkpt lat="1" lon="1"/>"#), nothing),
        (
            "close",
            &gpx(r#"<trkpt lat="1" lon="1"/><trkpt lat="1.000001" lon="1"/>"#),
            "all of it is in one place",
        ),
        (
            "beyond",
            &gpx("\n<trkpt lat='91' lon='1'/>"),
            "line 2: dropped 1 of 1 points: lat must be a number from -90 to 90",
        ),
        (
            "nan",
            &gpx(r#"<trkpt lat="NaN" lon="1"/>"#),
            "lat must be a number from -90 to 90",
        ),
        (
            "terminal",
            "<e\u{301}\u{1b}[2J\u{202e}x/>",
            "line 1: the outermost element is <e\u{301}\\u{1b}[2J\\u{202e}x>",
        ),
    ] {
        let track = Track::new(name, content);
        let (output, _) = simulate(&relay, &["--course", track.path()]);
        let line = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(line.contains(told) && line.contains(track.path()), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    for path in ["/no/such.gpx", env!("CARGO_TARGET_TMPDIR")] {
        let (output, _) = simulate(&relay, &["--course", path]);
        let line = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(line.contains(path) && line.lines().count() == 1, "{line}");
    }
}

#[test]
fn what_of_a_file_is_not_used_is_told_and_the_rest_is_run() {
    let relay = Relay::start(Relaying::Right);
    let whole = fs::read_to_string(&Track::north("used", 60).0).expect("just written");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(whole.as_bytes()).expect("room in memory");
    let gzip = gzip.finish().expect("room in memory");
    let behind = whole.replace(
        "<trk>",
        "<trk><trkseg><trkpt lat='9' lon='9'/></trkseg></trk><trk>",
    );
    let pause = r#"<trkpt lat="100" lon="180"/>"#;
    let before = "only what is complete before is used";
    for (name, content, told) in [
        ("whole", whole.clone().into_bytes(), None),
        ("packed", gzip.clone(), None),
        ("old", whole.replace("1.1", "1.0").replace("<time>", "<course>1</course><time>").into(), None),
        ("bare", whole.replace(r#" version="1.1""#, "").into(), None),
        ("second", behind.into(), None),
        ("break", whole.replace("Z</time>", "Z\n</time>").into(), None),
        (
            "pauses",
            whole.replacen("<trkpt", &format!("\n{pause}{pause}<trkpt"), 1).into(),
            Some("line 2: dropped 2 of 9 points: lat must be a number from -90 to 90".to_owned()),
        ),
        (
            "noon",
            whole.replacen(":00Z", ":00 noon", 1).into(),
            Some("line 1: dropped 1 of 14 elevations and times: time must be like 2026-05-01T12:00:00Z".to_owned()),
        ),
        (
            "cut",
            whole.trim_end_matches("</trkpt></trkseg></trk></gpx>").into(),
            Some(format!("line 1: the file ends before </gpx>: {before}")),
        ),
        (
            "damaged",
            gzip[..gzip.len() - 9].into(),
            Some(format!("line 1: the gzip data is cut off or damaged: {before}")),
        ),
    ] {
        let track = Track::new(name, content);
        let flags = ["--course", track.path(), "--users=1", "--rate=100"];
        let (output, summary) = simulate(&relay, &[&flags[..], &["--messages=5"]].concat());
        let line = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(0), "{line}");
        assert_eq!(summary["positions"]["sent"], 5);
        let told = told.map(|told| format!("spectate: {}: {told}\n", track.path()));
        assert_eq!(line, told.unwrap_or_default());
    }
}

#[test]
fn times_that_do_not_count_are_told_and_the_way_is_run_all_the_same() {
    let relay = Relay::start(Relaying::Right);
    for (name, time, told) in [
        (
            "untimed",
            &(|_| None) as &dyn Fn(u32) -> Option<u32>,
            "there are no times in it",
        ),
        ("equal", &|_| Some(0), "its times do not advance"),
        (
            "falling",
            &|point| Some(59 - point),
            "its times do not advance",
        ),
        (
            "ends",
            &|point| (point % 49 == 0).then_some(point),
            "only 2 of its 50 points have a time",
        ),
    ] {
        let points: String = (0..50)
            .map(|point| {
                let time =
                    time(point).map(|second| format!("<time>2026-05-01T12:00:{second:02}Z</time>"));
                let (lat, time) = (f64::from(point) / 1000.0, time.unwrap_or_default());
                format!(r#"<trkpt lat="{lat}" lon="8.5">{time}</trkpt>"#)
            })
            .collect();
        let track = Track::new(name, gpx(&points));
        let flags = ["--course", track.path(), "--users=1", "--rate=100"];
        let (output, _) = simulate(&relay, &[&flags[..], &["--messages=5"]].concat());
        let line = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(0), "{line}");
        let told = format!("spectate: {} is run at 3 m/s: {told}\n", track.path());
        assert_eq!(line, told);
    }
}

#[test]
fn flags_that_make_no_sense_together_are_refused() {
    let track = Track::north("sense", 60);
    let course = ["--course", track.path()];
    for (flags, status, told) in [
        (&["--speed=2"][..], 2, "--course"),
        (&["--speed=0", course[0], course[1]], 2, "try 10"),
        (&["--speed=nan", course[0], course[1]], 2, "try 10"),
        (&["--demo", course[0], course[1]], 2, "--demo"),
        (&["--demo", "--messages=5"], 2, "--demo"),
        (
            &["--users=2", "--rate=500", course[0], course[1]],
            1,
            "try --rate 2",
        ),
    ] {
        let output = spectate(&["simulate"]).args(flags).output();
        let output = output.expect("the program runs");
        let line = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(status), "{line}");
        assert!(line.contains(told) && line.lines().count() == 1, "{line}");
    }
}
