//! A track to the text of a GPX 1.1 file.

use std::borrow::Cow;
use std::io::{self, Write};

use quick_xml::escape::escape;

use super::track::Point;
use crate::date;

const BEGIN: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="spectate" xmlns="http://www.topografix.com/GPX/1/1">
"#;

/// Writes a file with one track of one segment. Points have what is known of them but their names,
/// and times to the millisecond.
///
/// # Errors
/// What `out` says against it.
pub fn write(
    out: &mut impl Write,
    name: &str,
    points: impl IntoIterator<Item = Point>,
) -> io::Result<()> {
    write!(
        out,
        "{BEGIN}<trk>\n<name>{}</name>\n<trkseg>\n",
        escape(characters(name))
    )?;
    for point in points {
        // Without exponents, which a decimal of XML Schema has not.
        let (lat, lng) = (point.lat, westernmost(point.lng));
        write!(out, r#"<trkpt lat="{lat}" lon="{lng}">"#)?;
        if let Some(altitude) = point.altitude {
            write!(out, "<ele>{altitude}</ele>")?;
        }
        if let Some(at_ms) = point.at_s.and_then(|at_s| date::dated(at_s * 1000.0)) {
            write!(out, "<time>{}</time>", date::extended(at_ms))?;
        }
        out.write_all(b"</trkpt>\n")?;
    }
    out.write_all(b"</trkseg>\n</trk>\n</gpx>\n")
}

/// The antimeridian is written as -180: up to 180 is less than 180 in GPX.
fn westernmost(lng: f64) -> f64 {
    if lng == 180.0 { -180.0 } else { lng }
}

/// A text with the replacement character for what no XML document may hold (XML 1.0, 2.2).
fn characters(text: &str) -> Cow<'_, str> {
    let is_character = |c: char| !matches!(c, '\u{fffe}' | '\u{ffff}') && (c >= ' ' || c == '\t');
    match text.chars().all(is_character) {
        true => Cow::Borrowed(text),
        false => (text.chars())
            .map(|c| if is_character(c) { c } else { '\u{fffd}' })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(lat: f64, lng: f64) -> Point {
        Point {
            lat,
            lng,
            altitude: None,
            at_s: None,
            name: None,
        }
    }

    fn written(name: &str, points: &[Point]) -> String {
        let mut out = Vec::new();
        write(&mut out, name, points.to_vec()).expect("memory");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_track_that_is_written_is_read_as_the_same() {
        let full = Point {
            altitude: Some(-1.5),
            at_s: Some(1_777_636_800.25),
            ..point(46.951_234_567_89, -179.999)
        };
        let points = [point(1e-9, -1e-300), full, point(-90.0, 180.0)];
        let name = "</name>&amp; \"Jörg\" ]]> '5'";
        let read = crate::gpx::read(written(name, &points).as_bytes()).expect("a track");
        assert!(read.flaws.is_empty(), "{:?}", read.flaws);
        let [track] = &read.tracks[..] else {
            panic!("{} tracks", read.tracks.len())
        };
        assert_eq!(track.name.as_deref(), Some(name));
        let expected = [points[0].clone(), points[1].clone(), point(-90.0, -180.0)];
        assert_eq!(track.points(), expected);
    }

    #[test]
    fn numbers_are_decimals_and_texts_hold_no_character_that_xml_has_not() {
        let text = written("a\u{ffff}b\u{1}", &[point(1e-7, 1e-300)]);
        assert!(text.contains("<name>a\u{fffd}b\u{fffd}</name>"), "{text}");
        assert!(text.contains(r#"lat="0.0000001""#), "{text}");
        let numbers = text.split('"').filter(|part| part.starts_with("0."));
        assert_eq!(numbers.filter(|number| number.contains('e')).count(), 0);
    }
}
