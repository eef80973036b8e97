//! `serve --course`: the way of a race, drawn out of a GPX file for whoever asks.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::pages::{Answer, get};
use crate::scratch::Scratch;
use crate::support::{Server, WAIT, program, wait_for_exit};

const SECRET: &[u8] = b"a secret of tests that is long enough";

/// A file with one named track: each segment is a list of points, north and east.
fn gpx(name: &str, segments: &[&[(f64, f64)]]) -> String {
    let segments = segments.iter().map(|points| {
        let points = points.iter();
        let points = points.map(|(lat, lng)| format!(r#"<trkpt lat="{lat}" lon="{lng}"/>"#));
        format!("<trkseg>{}</trkseg>", points.collect::<String>())
    });
    format!(
        r#"<gpx version="1.1" creator="t"><trk><name>{name}</name>{}</trk></gpx>"#,
        segments.collect::<String>()
    )
}

fn start(file: &Scratch, flags: &[&str]) -> Server {
    Server::start(&[&["--course", file.path()], flags].concat())
}

fn feature(answer: &Answer) -> Value {
    assert_eq!(answer.status(), "200", "{}", answer.head);
    assert_eq!(answer.header("Content-Type"), Some("application/geo+json"));
    serde_json::from_str(&answer.text()).expect("JSON")
}

fn length_m(server: &Server) -> f64 {
    let feature = feature(&get(server, "/course", ""));
    let length_m = feature["properties"]["length"].as_f64();
    length_m.unwrap_or_else(|| panic!("{feature}"))
}

#[test]
fn a_course_is_one_line_with_all_points_and_its_length_without_gaps() {
    let text = gpx(
        "Rennsteig &amp; \"zurück\"",
        &[
            &[(46.0, 7.25), (46.01, 7.25), (46.01, 7.25)],
            &[(47.0, 7.25), (47.01, 7.25)],
        ],
    );
    // What leads nowhere comes before it, and another way behind.
    let text = text.replace(
        "<trk>",
        r#"<trk><name>no</name><trkseg><trkpt lat="1" lon="1"/></trkseg></trk><trk>"#,
    );
    let text = text.replace(
        "</gpx>",
        r#"<trk><trkseg><trkpt lat="1" lon="1"/><trkpt lat="2" lon="2"/></trkseg></trk></gpx>"#,
    );
    let file = Scratch::new("course-one", text.as_bytes());
    let server = start(&file, &[]);
    let feature = feature(&get(&server, "/course", ""));
    let expected = json!({
        "type": "Feature",
        "geometry": {
            "type": "LineString",
            "coordinates":
                [[7.25, 46.0], [7.25, 46.01], [7.25, 46.01], [7.25, 47.0], [7.25, 47.01]],
        },
        "properties": {"name": "Rennsteig & \"zurück\"", "length": 2223.9, "gaps": [3]},
    });
    assert_eq!(feature, expected);
}

#[test]
fn a_course_without_a_name_or_gaps_says_so_and_a_route_is_one() {
    let way =
        r#"<gpx><rte><rtept lat="80" lon="179.5"/><rtept lat="80" lon="-179.5"/></rte></gpx>"#;
    let file = Scratch::new("course-route", way.as_bytes());
    let feature = feature(&get(&start(&file, &[]), "/course", ""));
    let properties = json!({"name": null, "length": 19308.6});
    assert_eq!(feature["properties"], properties);
    let line = json!([[179.5, 80.0], [-179.5, 80.0]]);
    assert_eq!(feature["geometry"]["coordinates"], line);
}

#[test]
fn pages_anywhere_read_the_course_also_where_tokens_are_asked_for() {
    let file = Scratch::new(
        "course-cors",
        gpx("A", &[&[(1.0, 2.0), (1.0, 3.0)]]).as_bytes(),
    );
    let secret = Scratch::new("course-secret", SECRET);
    let keys = ["--jwt-hs256-secret-file", secret.path()];
    for flags in [&keys[..], &[]] {
        let server = start(&file, flags);
        for headers in [
            "Origin: https://elsewhere.example\r\n",
            "",
            "If-None-Match: *\r\n",
        ] {
            let answer = get(&server, "/course?x=1", headers);
            assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
        }
        let asked = "Origin: https://elsewhere.example\r\nAccess-Control-Request-Method: GET\r\n";
        let preflight = Answer::to(&server, "OPTIONS", "/course", asked);
        assert_eq!(preflight.status(), "204");
        assert_eq!(preflight.header("Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(Answer::to(&server, "PUT", "/course", "").status(), "405");
    }
}

#[test]
fn a_course_is_packed_for_who_takes_gzip_and_not_sent_again_to_who_holds_it() {
    let points: Vec<(f64, f64)> = (0..500)
        .map(|at| (46.0 + f64::from(at) / 1e4, 7.25))
        .collect();
    let file = Scratch::new("course-gzip", gpx("A", &[&points]).as_bytes());
    let server = start(&file, &[]);
    const GZIP: &str = "Accept-Encoding: gzip\r\n";
    let [plain, packed] = ["", GZIP].map(|headers| get(&server, "/course", headers));
    assert_eq!(packed.header("Content-Encoding"), Some("gzip"));
    assert!(packed.body.len() * 3 < plain.body.len());
    assert_eq!(packed.text(), plain.text());
    let coordinates = &feature(&plain)["geometry"]["coordinates"];
    assert_eq!(coordinates.as_array().map(Vec::len), Some(500));
    for (answer, headers) in [(plain, ""), (packed, GZIP)] {
        assert_eq!(answer.header("Cache-Control"), Some("no-cache"));
        assert_eq!(answer.header("Vary"), Some("Accept-Encoding"));
        let held = format!("{headers}If-None-Match: {}\r\n", answer.etag());
        assert_eq!(get(&server, "/course", &held).status(), "304");
        let head = Answer::to(&server, "HEAD", "/course", headers);
        assert_eq!((head.head, head.body.len()), (answer.head, 0));
    }
}

#[test]
fn without_a_course_there_is_none() {
    let answer = get(&Server::start(&[]), "/course", "");
    assert_eq!(answer.status(), "404");
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
    assert!(answer.text().contains("--course"), "{}", answer.text());
}

#[test]
fn a_file_that_is_no_course_ends_the_start_with_1_and_a_line_that_names_it() {
    let whole = gpx("A", &[&[(1.0, 2.0), (1.0, 3.0)]]);
    let many = r#"<trkpt lat="1" lon="2"/><trkpt lat="1" lon="3"/>"#.repeat(50_001);
    for (name, content, told) in [
        ("text", "hello", "the file ends before <gpx>"),
        ("nowhere", &gpx("A", &[&[(1.0, 2.0)]]), "no track or route"),
        (
            "cut",
            whole.trim_end_matches("</trk></gpx>"),
            "the file ends before </gpx>",
        ),
        ("words", "<\u{1b}[2J/>", "<\\\\u{1b}[2J>"),
        (
            "many",
            &format!("<gpx><trk><trkseg>{many}</trkseg></trk></gpx>"),
            "100002 points",
        ),
    ] {
        let file = Scratch::new(&format!("course-bad-{name}"), content.as_bytes());
        let line = refusal(file.path());
        assert!(line.contains(file.path()), "{line}");
        assert!(
            line.contains(told) || line.contains(&told.replace("\\\\", "\\")),
            "{line}"
        );
    }
    for path in ["/no/such.gpx", env!("CARGO_TARGET_TMPDIR")] {
        assert!(refusal(path).contains(path));
    }
}

/// The one line with which a server does not start.
fn refusal(course: &str) -> String {
    let mut command: Command = program(&["serve", "--listen", "127.0.0.1:0", "--course", course]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program is built");
    assert_eq!(wait_for_exit(&mut child).code(), Some(1), "{course}");
    let output = child.wait_with_output().expect("it ended");
    let line = String::from_utf8(output.stderr).expect("UTF-8");
    let is_one = line.lines().count() == 1 && line.starts_with("spectate: ");
    assert!(is_one && output.stdout.is_empty(), "{line}");
    line
}

#[test]
fn what_of_a_course_is_left_out_is_told_at_the_start() {
    let text = gpx("A", &[&[(1.0, 2.0), (91.0, 2.0), (1.0, 3.0)]]);
    let file = Scratch::new("course-flaw", text.as_bytes());
    let server = start(&file, &[]);
    let feature = feature(&get(&server, "/course", ""));
    let line = json!([[2.0, 1.0], [3.0, 1.0]]);
    assert_eq!(feature["geometry"]["coordinates"], line);
    let (_, _, log) = server.stop();
    let line = log.lines().find(|line| line.contains("WARN"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.contains(file.path()) && line.contains("dropped 1 of 3 points"),
        "{line}"
    );
}

#[test]
fn sighup_reads_the_course_again_all_of_it_or_nothing() {
    let [short, long] = [3.0, 4.0].map(|end| gpx("A", &[&[(1.0, 2.0), (1.0, end)]]));
    let file = Scratch::new("course-hup", short.as_bytes());
    let server = start(&file, &[]);
    let begin = get(&server, "/course", "");
    let short_m = length_m(&server);
    let reload = |times: usize| {
        server.signal(Signal::HUP);
        let begin = Instant::now();
        while server.log().matches(" reload ").count() != times {
            assert!(begin.elapsed() < WAIT, "{}", server.log());
        }
    };
    file.write(long.as_bytes());
    assert_eq!(length_m(&server), short_m, "not read before the signal");
    reload(1);
    let long_m = length_m(&server);
    assert!((long_m - 2.0 * short_m).abs() < 2.0, "{long_m}");
    let held = format!("If-None-Match: {}\r\n", begin.etag());
    assert_eq!(get(&server, "/course", &held).status(), "200");
    // Half a file that somebody is writing, nothing, no file at all, and a pipe to wait at.
    file.write(&short.as_bytes()[..short.len() - 9]);
    reload(2);
    file.write(b"");
    reload(3);
    fs::remove_file(file.path()).expect("our file");
    reload(4);
    mkfifoat(CWD, file.path(), Mode::RUSR | Mode::WUSR).expect("room for a pipe");
    reload(5);
    assert_eq!(length_m(&server), long_m);
    let (status, _, log) = server.stop();
    assert_eq!(status.code(), Some(0));
    let told: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(told.len(), 4, "{log}");
    let is_told = |line: &&str| line.contains(file.path()) && line.ends_with(" course=unchanged");
    assert!(told.iter().all(is_told), "{told:#?}");
    assert!(
        log.contains(" reload course points=2 length_m=222356"),
        "{log}"
    );
}

#[test]
fn sighup_reads_keys_and_course_each_for_itself() {
    let [short, long] = [3.0, 4.0].map(|end| gpx("A", &[&[(1.0, 2.0), (1.0, end)]]));
    let file = Scratch::new("course-keys", short.as_bytes());
    let secret = Scratch::new("course-keys-secret", SECRET);
    let server = start(&file, &["--jwt-hs256-secret-file", secret.path()]);
    let short_m = length_m(&server);
    file.write(long.as_bytes());
    secret.write(b"short");
    server.signal(Signal::HUP);
    let begin = Instant::now();
    while length_m(&server) == short_m {
        assert!(begin.elapsed() < WAIT, "{}", server.log());
    }
    assert!(server.log().contains("keys=unchanged"));
}
