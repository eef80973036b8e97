//! `spectate export` makes a track for each user of a recording, in a file that is where it
//! belongs.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use spectate::gpx::{self, Point};

use crate::recorder::{Folder, stderr};
use crate::spectate;

fn export(recording: &Path, flag: &str, to: &Path) -> Output {
    let mut command = spectate(&["export"]);
    command.arg(recording).arg(flag).arg(to);
    command.output().expect("the program runs")
}

fn succeeds(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// The points in a GPX file, and the name of its only track.
fn track(path: &Path) -> (String, Vec<Point>) {
    let bytes = fs::read(path).expect("a file");
    let gpx = gpx::read(&bytes).unwrap_or_else(|fault| panic!("{path:?}: {fault}"));
    assert!(gpx.flaws.is_empty(), "{:?}", gpx.flaws);
    assert_eq!(gpx.tracks.len(), 1);
    let name = gpx.tracks[0].name.clone().unwrap_or_default();
    (name, gpx.tracks[0].points().to_vec())
}

#[test]
fn every_user_has_a_file_of_its_own_in_the_folder_whatever_the_id() {
    let folder = Folder::new("ids");
    let ids = [
        "5",
        "007",
        "-5",
        "..",
        ".",
        "../../etc/passwd",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "C:\\x",
        "con",
        "CON",
        "LPT1",
        "ab",
        "AB",
        "aB",
        "%2E",
        "a\u{202e}b",
        "<&>\"'",
        "\u{ffff}",
        "~2",
        "ab~2",
        " ",
        "..gpx",
        "NUL.gpx",
        "Jörg",
        &"/".repeat(64),
        &"\u{1f600}".repeat(16),
    ];
    let lines: String = ids
        .iter()
        .flat_map(|id| {
            (0..2).map(move |lat| json!({"userId": id, "lat": lat, "lng": 0, "received": lat}))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let recording = folder.with("recording", lines);
    let to = folder.file("a");
    let to = to.join("tracks");
    succeeds(&export(&recording, "--gpx", &to));
    assert_eq!(folder.names(), ["a", "recording"]);
    let entries: Vec<_> = fs::read_dir(&to).expect("a folder").flatten().collect();
    assert_eq!(entries.len(), ids.len());
    let (mut lower, mut names) = (Vec::new(), Vec::new());
    for entry in entries {
        assert!(entry.file_type().expect("a type").is_file());
        let name = entry.file_name().into_string().expect("UTF-8");
        let stem = name.strip_suffix(".gpx").expect("GPX");
        assert!(!stem.contains('.') && name.len() < 220, "{name}");
        lower.push(name.to_lowercase());
        names.push(track(&entry.path()).0);
    }
    lower.sort();
    lower.dedup();
    assert_eq!(lower.len(), ids.len(), "in upper or lower case alone");
    names.sort();
    // XML has no such character.
    let mut expected = ids.map(|id| id.replace('\u{ffff}', "\u{fffd}").trim_ascii().to_owned());
    expected.sort();
    assert_eq!(names, expected);
}

/// Three users: one with all there is, one who was seen once, and one who was nowhere.
const RECORDING: &str = r#"{"userId":5,"lat":3,"lng":180,"timestamp":1714470003000,"received":9000}
{"userId":5,"lat":1.50,"lng":-0.1,"altitude":7.5,"timestamp":1714470001,"received":9500}
{"userId":"5","lat":2,"lng":1e-7,"timestamp":1714470002000.4,"received":8000}
{"userId":5,"lat":9,"lng":9,"timestamp":1714470001000,"received":1}
{"userId":5,"lat":91,"lng":0,"received":1}
{"userId":"once","lat":4,"lng":5,"received":1714470000123}
not a line
{"userId":"nowhere","lat":0,"lng":-180.5,"received":1}
{"userId":"two","lat":1,"lng":1,"received":2000}
{"userId":"two","lat":0,"lng":0,"received":1000}
{"userId":"two","lat":1,"lng":1,"rec"#;

#[test]
fn a_track_is_in_the_order_of_time_without_doubles_and_without_what_is_nowhere() {
    let folder = Folder::new("gpx");
    let recording = folder.with("recording", RECORDING);
    let to = folder.file("tracks");
    let output = export(&recording, "--gpx", &to);
    succeeds(&output);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "3 tracks, 6 points\n"
    );
    let told = stderr(&output);
    assert!(told.contains("left out 2 positions"), "{told}");
    assert!(told.contains("not JSON: 1, the first is line 7"), "{told}");
    assert_eq!(told.lines().count(), 2, "{told}");
    let point = |lat, lng, altitude, at_s| Point {
        lat,
        lng,
        altitude,
        at_s: Some(at_s),
        name: None,
    };
    let expected = [
        point(1.5, -0.1, Some(7.5), 1_714_470_001.0),
        point(2.0, 1e-7, None, 1_714_470_002.0),
        point(3.0, -180.0, None, 1_714_470_003.0),
    ];
    assert_eq!(
        track(&to.join("5.gpx")),
        ("5".to_owned(), expected.to_vec())
    );
    let expected = [point(0.0, 0.0, None, 1.0), point(1.0, 1.0, None, 2.0)];
    assert_eq!(
        track(&to.join("two.gpx")),
        ("two".to_owned(), expected.to_vec())
    );
    let once = fs::read_to_string(to.join("once.gpx")).expect("UTF-8");
    let only = r#"<trkpt lat="4" lon="5"><time>2024-04-30T09:40:00.123Z</time></trkpt>"#;
    assert!(once.contains(only), "{once}");
    assert_eq!(once.matches("<trkpt").count(), 1);
    assert!(!to.join("nowhere.gpx").exists());
}

#[test]
fn geojson_has_a_feature_for_each_user_with_a_time_for_each_point() {
    let folder = Folder::new("geojson");
    let recording = folder.with("recording", RECORDING);
    let to = folder.file("tracks.geojson");
    succeeds(&export(&recording, "--geojson", &to));
    let text = fs::read_to_string(&to).expect("UTF-8");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["type"], "FeatureCollection");
    let features = json["features"].as_array().expect("a list");
    let by_user: BTreeMap<String, &Value> = features
        .iter()
        .map(|feature| (feature["properties"]["userId"].to_string(), feature))
        .collect();
    let feature = |kind, coordinates, user, times| {
        json!({
            "type": "Feature",
            "geometry": {"type": kind, "coordinates": coordinates},
            "properties": {"userId": user, "times": times},
        })
    };
    let way = json!([[-0.1, 1.5, 7.5], [1e-7, 2.0], [180.0, 3.0]]);
    let times = json!([
        1_714_470_001_000u64,
        1_714_470_002_000u64,
        1_714_470_003_000u64
    ]);
    assert_eq!(*by_user["5"], feature("LineString", way, json!(5), times));
    let once = feature(
        "Point",
        json!([5.0, 4.0]),
        json!("once"),
        json!([1_714_470_000_123u64]),
    );
    assert_eq!(*by_user["\"once\""], once);
    let way = json!([[0.0, 0.0], [1.0, 1.0]]);
    assert_eq!(
        *by_user["\"two\""],
        feature("LineString", way, json!("two"), json!([1000, 2000]))
    );
    assert_eq!(by_user.len(), 3);
}

#[test]
fn a_link_in_the_folder_is_not_followed() {
    let folder = Folder::new("link");
    let recording = folder.with("recording", RECORDING);
    let to = folder.file("tracks");
    fs::create_dir(&to).expect("room");
    let elsewhere = folder.with("elsewhere", "as it was");
    symlink(&elsewhere, to.join("5.gpx")).expect("room for a link");
    let output = export(&recording, "--gpx", &to);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("5.gpx: is no regular file"),
        "{output:?}"
    );
    assert_eq!(fs::read_to_string(&elsewhere).expect("UTF-8"), "as it was");
}

#[test]
fn an_export_takes_the_place_of_the_one_before_and_is_nobody_elses_to_read() {
    let folder = Folder::new("again");
    let recording = folder.with("recording", RECORDING);
    let to = folder.with("tracks.geojson", "x".repeat(100_000));
    succeeds(&export(&recording, "--geojson", &to));
    let text = fs::read_to_string(&to).expect("UTF-8");
    assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
    assert_eq!(folder.names(), ["recording", "tracks.geojson"]);
    let ways = folder.file("ways");
    succeeds(&export(&recording, "--gpx", &ways));
    for file in [to, ways.join("5.gpx")] {
        let mode = fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{file:?}");
    }
}

#[test]
fn a_recording_that_is_not_there_is_exit_status_1_and_an_export_to_nowhere_2() {
    let folder = Folder::new("no-recording");
    let (nothing, to) = (folder.file("nothing"), folder.file("to"));
    let output = export(&nothing, "--gpx", &to);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("nothing: No such file"),
        "{output:?}"
    );
    assert!(folder.names().is_empty());
    let output = spectate(&["export"]).arg(&nothing).output();
    assert_eq!(output.expect("the program runs").status.code(), Some(2));
}
