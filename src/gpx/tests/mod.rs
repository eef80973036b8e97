//! What a file may look like and is read all the same.

mod flaws;

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// Two points in the middle of a file, and what they are.
const TWO: &str = r#"<trkpt lat="47" lon="8"></trkpt><trkpt lat="47.01" lon="8"/>"#;
const PLACES: [(f64, f64); 2] = [(47.0, 8.0), (47.01, 8.0)];

fn track(points: &str) -> String {
    gpx(&format!("<trk><trkseg>{points}</trkseg></trk>"))
}

fn gpx(content: &str) -> String {
    format!(
        r#"<?xml version="1.0"?><gpx version="1.1" creator="c" xmlns="http://www.topografix.com/GPX/1/1">{content}</gpx>"#
    )
}

fn places(track: &Track) -> Vec<(f64, f64)> {
    let points = track.points().iter();
    points.map(|point| (point.lat, point.lng)).collect()
}

/// The only track of a file that has no flaws.
fn flawless(bytes: &[u8]) -> Track {
    let gpx = read(bytes).unwrap_or_else(|fault| panic!("{}: {fault}", bytes.escape_ascii()));
    assert_eq!(gpx.flaws, [], "{}", bytes.escape_ascii());
    assert_eq!(gpx.tracks.len(), 1, "{}", bytes.escape_ascii());
    gpx.tracks.into_iter().next().expect("just counted")
}

fn flaws(text: &str) -> Vec<String> {
    let gpx = read(text.as_bytes()).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    assert_eq!(places(&gpx.tracks[0]), PLACES, "{text}");
    gpx.flaws.iter().map(Fault::to_string).collect()
}

fn refused(bytes: &[u8]) -> String {
    let fault = read(bytes).map(|gpx| panic!("{gpx:?}"));
    fault.expect_err("just looked").to_string()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("room in memory");
    encoder.finish().expect("room in memory")
}

#[test]
fn what_is_not_needed_may_be_odd_unknown_or_missing() {
    let way = format!("<trk><trkseg>{TWO}</trkseg></trk>");
    for text in [
        // The file around it: no declaration, version, creator or namespace, and any of them odd.
        format!("<gpx>{way}</gpx>"),
        format!("\u{feff}<gpx>{way}</gpx>"),
        format!("\n <gpx version='7' creator=''>{way}</gpx> and behind it <nothing> counts"),
        format!(r#"<gpx xmlns="http://www.topografix.com/GPX/1/0">{way}</gpx>"#),
        format!(r#"<gpx xmlns="urn:somebody:else" version="1.1">{way}</gpx>"#),
        format!("<!DOCTYPE gpx SYSTEM \"gpx.dtd\" [<!ENTITY lat '9'>]><gpx>{way}</gpx>"),
        format!(
            "<?xml version='1.0' encoding='utf-16'?><?xml-stylesheet href='x'?><gpx>{way}</gpx>"
        ),
        // Beside it.
        gpx(&format!(
            r#"<metadata><bounds minlat="47" minlon="179" maxlat="8" maxlon="-179"/></metadata>{way}"#
        )),
        gpx(&format!(
            "<metadata><time>2026-05-01T10:00:00+02:00\n</time></metadata>{way}"
        )),
        gpx(&format!(
            "<metadata><time>never</time><email/></metadata><time/>{way}"
        )),
        gpx(&format!(
            r#"<wpt lat="x"><ele>y</ele></wpt><trkpt lat="9" lon="9"/>{way}"#
        )),
        gpx(&format!(
            r#"<x><trk><trkseg><trkpt lat="9" lon="9"/></trkseg></trk></x>{way}"#
        )),
        // In it.
        track(&format!(
            "{TWO}<extensions><a><trkpt lat='9' lon='9'/></a></extensions>"
        )),
        track(&format!(
            "<!-- <trkpt lat='9' lon='9'/> -->{TWO}<![CDATA[<trkpt/>]]><?php trkpt ?>"
        )),
        gpx(&format!(
            "<trk><number>x</number><link/><trkseg>{TWO}</trkseg><type>?</type></trk>"
        )),
        track(&format!("words {TWO} & more")),
        track(&TWO.replace(
            "></trkpt>",
            "><sat>x</sat><fix>none of yours</fix><hdop/></trkpt>",
        )),
        track(&TWO.replace("></trkpt>", "><course>1</course><speed>3</speed></trkpt>")),
        track(&TWO.replace("></trkpt>", "><ele/><time> </time><name></name></trkpt>")),
        track(
            &TWO.replace("lat=", "\n  id='&nbsp;' lat = ")
                .replace("=\"8\"", "=' 8\n'"),
        ),
        track(&TWO.replace("=\"47\"", "=\"&#52;7\"")),
    ] {
        let track = flawless(text.as_bytes());
        assert_eq!(places(&track), PLACES, "{text}");
        let point = &track.points()[0];
        assert_eq!((point.altitude, point.at_s), (None, None), "{text}");
    }
}

#[test]
fn a_point_has_its_elevation_time_and_name_whatever_the_prefix() {
    let plain = gpx(
        "<trk><name>to &amp; fro</name><trkseg><trkpt lat='47' lon='8'>\
         <ele> 500.5\n</ele><time>1970-01-01T00:01:00.5Z\n</time><name><![CDATA[<A&B>]]></name></trkpt>\
         <trkpt lon='8' lat='47.01'><ele>5<!-- -->0</ele><time>1970-01-01T00:00:00</time></trkpt>\
         </trkseg></trk>",
    );
    let prefixed = plain.replace("</", "</g:").replace('<', "<g:");
    let prefixed = prefixed
        .replace("<g:/g:", "</g:")
        .replace("<g:!", "<!")
        .replace("<g:A", "<A")
        .replace("<g:?", "<?");
    for text in [plain, prefixed] {
        let track = flawless(text.as_bytes());
        let [first, second] = track.points() else {
            panic!("{track:?}");
        };
        assert_eq!(track.name.as_deref(), Some("to & fro"));
        assert_eq!(
            (first.altitude, first.at_s, first.name.as_deref()),
            (Some(500.5), Some(60.5), Some("<A&B>"))
        );
        assert_eq!(
            (second.altitude, second.at_s, second.name.as_deref()),
            (Some(50.0), Some(0.0), None)
        );
    }
}

#[test]
fn anybody_elses_elements_in_a_point_are_not_its_own() {
    let others =
        "><ele>5<x>6</x></ele><h:ele>9</h:ele><h:time>noon</h:time><h:name>x</h:name></trkpt>";
    let track = flawless(track(&TWO.replace("></trkpt>", others)).as_bytes());
    let point = &track.points()[0];
    assert_eq!(
        (point.altitude, point.at_s, &point.name),
        (Some(5.0), None, &None)
    );
}

#[test]
fn entities_are_decoded_once_and_never_expanded() {
    for (written, read) in [
        ("a &lt;b&gt; &quot;c&apos;", "a <b> \"c'"),
        ("&#x48;&#105;", "Hi"),
        ("&amp;lt;", "&lt;"),
        ("Fish & Chips", "Fish & Chips"),
        ("R&D; &lol9; &#0; &#xD800;", "R&D; &lol9; &#0; &#xD800;"),
    ] {
        let lol = "<!DOCTYPE gpx [<!ENTITY lol 'lol'><!ENTITY lol9 '&lol;&lol;'>]>";
        let way = gpx(&format!(
            "<trk><name>{written}</name><trkseg>{TWO}</trkseg></trk>"
        ));
        let track = flawless(way.replace("?>", &format!("?>{lol}")).as_bytes());
        assert_eq!(track.name.as_deref(), Some(read));
    }
}

#[test]
fn segments_stay_apart_and_an_empty_one_is_none() {
    let text = gpx(&format!(
        "<trk><trkseg/><trkseg>{TWO}</trkseg><trkseg><trkpt lat='x'/></trkseg>\
         <trkseg><trkpt lat='1' lon='1'/></trkseg><trkseg></trkseg></trk>"
    ));
    let gpx = read(text.as_bytes()).expect("a way");
    let track = &gpx.tracks[0];
    let lengths: Vec<usize> = track.segments().map(<[Point]>::len).collect();
    assert_eq!(lengths, [2, 1]);
    assert_eq!(track.segments().flatten().count(), track.points().len());
    assert_eq!(Track::default().segments().count(), 0);
}

#[test]
fn only_what_leads_somewhere_is_there_and_tracks_come_first() {
    let named = |kind: &str, name: &str, points: &str| {
        let points = match kind {
            "trk" => format!("<trkseg>{points}</trkseg>"),
            _ => points.replace("trkpt", "rtept"),
        };
        format!("<{kind}><name>{name}</name>{points}</{kind}>")
    };
    let once = r#"<trkpt lat="1" lon="180"/><trkpt lat="1" lon="-180"/>"#;
    let text = gpx(&[
        named("rte", "still", once),
        named("rte", "route", TWO),
        named("trk", "empty", ""),
        named("trk", "once", once),
        named("trk", "first", TWO),
        named("rte", "other route", TWO),
        named("trk", "second", TWO),
    ]
    .concat());
    let gpx = read(text.as_bytes()).expect("ways");
    let names: Vec<_> = (gpx.tracks.iter())
        .filter_map(|track| track.name.as_deref())
        .collect();
    assert_eq!(names, ["first", "second", "route", "other route"]);
}

#[test]
fn a_longitude_beyond_the_antimeridian_wraps() {
    let text = track(r#"<trkpt lat="1" lon="179.5"/><trkpt lat="1" lon="180.5"/>"#);
    let track = flawless(text.as_bytes());
    assert_eq!(places(&track), [(1.0, 179.5), (1.0, -179.5)]);
}

/// The length of a track with these segments, in metres.
fn length_m(segments: &[&[(f64, f64)]]) -> f64 {
    let segments: String = (segments.iter())
        .map(|points| {
            let points = points.iter();
            let points: String = points
                .map(|(lat, lng)| format!(r#"<trkpt lat="{lat}" lon="{lng}"/>"#))
                .collect();
            format!("<trkseg>{points}</trkseg>")
        })
        .collect();
    flawless(gpx(&format!("<trk>{segments}</trk>")).as_bytes()).length_m()
}

#[test]
fn a_track_is_as_long_as_its_great_circles() {
    const DEGREE_M: f64 = 111_195.08;
    for (points, expected_m) in [
        (&[(0.0, 0.0), (0.0, 1.0)][..], DEGREE_M),
        (&[(46.0, 7.0), (47.0, 7.0), (46.0, 7.0)], 2.0 * DEGREE_M),
        // On the parallel it would be 0.238 m more.
        (&[(80.0, 0.0), (80.0, 1.0)], 19_308.585),
        (&[(80.0, 179.5), (80.0, -179.5)], 19_308.585),
        (&[(0.0, 179.9), (0.0, -179.9)], 0.2 * DEGREE_M),
        // Over the pole.
        (&[(89.0, 0.0), (89.0, -180.0)], 2.0 * DEGREE_M),
        (&[(0.0, 0.0), (0.0, -180.0)], 180.0 * DEGREE_M),
        (&[(46.0, 7.0), (46.000_001, 7.0)], DEGREE_M / 1e6),
    ] {
        let length_m = length_m(&[points]);
        let wrong = (length_m - expected_m).abs() / expected_m;
        assert!(wrong < 1e-6, "{points:?}: {length_m} m, not {expected_m}");
    }
}

#[test]
fn gaps_between_segments_have_no_length() {
    let [one, two] = [[(46.0, 7.0), (46.1, 7.0)], [(50.0, 7.0), (50.1, 7.0)]];
    let apart = length_m(&[&one, &[(48.0, 7.0)], &two]);
    assert!((apart - 2.0 * length_m(&[&one])).abs() < 1e-3, "{apart}");
    let text = gpx(&format!(
        "<trk><trkseg>{TWO}</trkseg><trkseg/><trkseg>{TWO}{TWO}</trkseg><trkseg>{TWO}</trkseg></trk>"
    ));
    assert_eq!(flawless(text.as_bytes()).gaps(), [2, 6]);
    assert_eq!(flawless(track(TWO).as_bytes()).gaps(), [0; 0]);
}

#[test]
fn a_file_that_is_cut_off_is_not_whole_and_one_with_bad_points_is() {
    let whole = track(&format!("{TWO}<trkpt lat='91' lon='0'/>"));
    let is_whole = |bytes: &[u8]| read(bytes).expect("a track").is_whole;
    assert!(is_whole(whole.as_bytes()));
    assert!(!is_whole(whole.trim_end_matches("</gpx>").as_bytes()));
    let packed = gzip(whole.as_bytes());
    assert!(is_whole(&packed) && !is_whole(&packed[..packed.len() - 9]));
}
