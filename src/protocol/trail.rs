//! Trails: how they are asked for, and how they are told. Knows nobody's follows.

use std::io::{self, Write};

use serde_json::Value;

use super::field::Field;
use crate::fix;
use crate::point::TrailPoint;
use crate::refusal::Refusal;
use crate::user::{TrailOf, Written};

/// Digits behind the point of a coordinate, and of an altitude.
const COORDINATE_DIGITS: u32 = 6;
const ALTITUDE_DIGITS: u32 = 2;

/// More digits than any number here has.
const DIGITS_MAX: usize = 24;

/// How many points of each trail are asked for; `None` if nothing is said of it.
pub(super) fn trail_points(field: Field) -> Option<Result<u32, Refusal>> {
    let count = match field.0? {
        "null" => Some(0.0),
        json => number(json).filter(|count| *count >= 0.0 && count.fract() == 0.0),
    };
    // Nobody keeps as many as would be too many for the type.
    Some(count.map(|count| count as u32).ok_or(Refusal::NotACount))
}

/// The first whole millisecond after this time.
pub(super) fn since(json: &str) -> Result<u64, Refusal> {
    let since = number(json).ok_or(Refusal::NotATime)?;
    Ok(match since >= 0.0 {
        true => (since as u64).saturating_add(1),
        false => 0,
    })
}

fn number(json: &str) -> Option<f64> {
    json.parse().ok().filter(|_| fix::is_number(json))
}

/// Writes the message that tells a trail.
pub fn encode_trail<P: Iterator<Item = TrailPoint>>(trail: TrailOf<'_, P>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"trail":{"userId":"#);
    let written = Written::spelled(trail.spelling, trail.user);
    for piece in written.pieces(trail.user) {
        out.extend_from_slice(piece.as_bytes());
    }
    out.extend_from_slice(br#","points":["#);
    for (number, point) in trail.points.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        out.push(b'[');
        write_place(&point, out);
        out.push(b',');
        write_decimal(point.ms as i64, 0, out);
        if let Some(altitude_cm) = point.altitude_cm {
            out.push(b',');
            write_decimal(altitude_cm.into(), ALTITUDE_DIGITS, out);
        }
        out.push(b']');
    }
    out.extend_from_slice(b"]}}");
}

/// Writes a trail as a GeoJSON Feature (RFC 7946): of less than two points, which make no line, it is
/// one without a place.
pub fn encode_trail_feature(
    user: &str,
    written: &Written,
    name: Option<&str>,
    points: &[TrailPoint],
) -> Vec<u8> {
    let mut out = Vec::new();
    // Writes into a Vec cannot fail.
    let _ = write_feature(user, written, name, points, &mut out);
    out
}

fn write_feature(
    user: &str,
    written: &Written,
    name: Option<&str>,
    points: &[TrailPoint],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let points = Some(points).filter(|points| points.len() > 1);
    out.extend_from_slice(br#"{"type":"Feature","geometry":"#);
    if let Some(points) = points {
        out.extend_from_slice(br#"{"type":"LineString","coordinates":["#);
        for (number, point) in points.iter().enumerate() {
            out.extend_from_slice(if number > 0 { b",[" } else { b"[" });
            write_place(point, out);
            if let Some(altitude_cm) = point.altitude_cm {
                out.push(b',');
                write_decimal(altitude_cm.into(), ALTITUDE_DIGITS, out);
            }
            out.push(b']');
        }
        out.extend_from_slice(b"]}");
    } else {
        out.extend_from_slice(b"null");
    }
    let [open, id, close] = written.pieces(user);
    let name = Value::from(name);
    write!(
        out,
        r#","properties":{{"userId":{open}{id}{close},"name":{name},"times":["#
    )?;
    for (number, point) in points.unwrap_or_default().iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        write_decimal(point.ms as i64, 0, out);
    }
    out.extend_from_slice(b"]}}\n");
    Ok(())
}

/// East, and then north, in degrees.
fn write_place(point: &TrailPoint, out: &mut Vec<u8>) {
    write_decimal(point.lng_e6.into(), COORDINATE_DIGITS, out);
    out.push(b',');
    write_decimal(point.lat_e6.into(), COORDINATE_DIGITS, out);
}

/// Writes a number that has so many digits behind its point, without needless zeros. There may be
/// thousands of them in one message, and this takes a fifth of the time of the standard formats.
fn write_decimal(number: i64, behind: u32, out: &mut Vec<u8>) {
    let mut digits = [0; DIGITS_MAX];
    let mut start = DIGITS_MAX;
    let mut rest = number.unsigned_abs();
    let mut put = |digit: u8| {
        start -= 1;
        digits[start] = digit;
    };
    let mut has_fraction = false;
    for place in 0.. {
        if place == behind && has_fraction {
            put(b'.');
        }
        if place > behind && rest == 0 {
            break;
        }
        let digit = (rest % 10) as u8;
        rest /= 10;
        has_fraction |= place < behind && digit > 0;
        if place >= behind || has_fraction {
            put(b'0' + digit);
        }
    }
    if number < 0 {
        put(b'-');
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::Spelling;

    fn decimal(number: i64, behind: u32) -> String {
        let mut out = Vec::new();
        write_decimal(number, behind, &mut out);
        String::from_utf8(out).expect("digits")
    }

    #[test]
    fn decimals_have_no_needless_digits() {
        for (number, behind, expected) in [
            (0, 6, "0"),
            (7_250_000, 6, "7.25"),
            (-180_000_000, 6, "-180"),
            (1, 6, "0.000001"),
            (-1, 6, "-0.000001"),
            (-50, 2, "-0.5"),
            (100, 2, "1"),
            (1_714_470_000_000, 0, "1714470000000"),
            (0, 0, "0"),
            (i64::MIN, 6, "-9223372036854.775808"),
        ] {
            assert_eq!(decimal(number, behind), expected);
        }
    }

    const POINT: TrailPoint = TrailPoint {
        lat_e6: 46_950_000,
        lng_e6: -7_000_001,
        ms: 1_714_470_000_000,
        altitude_cm: None,
    };

    #[test]
    fn a_trail_is_told_with_east_first_and_its_user_as_the_follow_wrote_it() {
        let high = TrailPoint {
            altitude_cm: Some(-4310),
            ms: 1_714_470_030_000,
            ..POINT
        };
        let expected = "[[-7.000001,46.95,1714470000000],[-7.000001,46.95,1714470030000,-43.1]]";
        for (user, spelling, written) in [
            ("5", Spelling::Integer, "5"),
            ("5", Spelling::String, "\"5\""),
            ("\"", Spelling::String, "\"\\\"\""),
        ] {
            let mut out = Vec::new();
            let points = [POINT, high].into_iter();
            encode_trail(
                TrailOf {
                    user,
                    spelling,
                    points,
                },
                &mut out,
            );
            assert_eq!(
                String::from_utf8_lossy(&out),
                format!(r#"{{"trail":{{"userId":{written},"points":{expected}}}}}"#)
            );
        }
        let feature = encode_trail_feature("5", &Written::Bare, Some("A \"B\""), &[POINT, high]);
        assert_eq!(
            String::from_utf8_lossy(&feature),
            concat!(
                r#"{"type":"Feature","geometry":{"type":"LineString","coordinates":[[-7.000001,46.95],[-7.000001,46.95,-43.1]]},"#,
                r#""properties":{"userId":5,"name":"A \"B\"","times":[1714470000000,1714470030000]}}"#,
                "\n"
            )
        );
        let feature = encode_trail_feature("5", &Written::Quoted, None, &[POINT]);
        assert_eq!(
            String::from_utf8_lossy(&feature),
            "{\"type\":\"Feature\",\"geometry\":null,\"properties\":{\"userId\":\"5\",\"name\":null,\"times\":[]}}\n"
        );
    }

    #[test]
    fn a_count_is_a_whole_number_and_since_is_any() {
        let count = |json| trail_points(Field(Some(json)));
        for (json, points) in [
            ("60", 60),
            ("0", 0),
            ("null", 0),
            ("-0", 0),
            ("6e1", 60),
            ("60.0", 60),
            ("1e30", u32::MAX),
        ] {
            assert_eq!(count(json), Some(Ok(points)), "{json}");
        }
        for json in ["-1", "0.5", "true", "false", "\"60\"", "[]", "1e999"] {
            assert_eq!(count(json), Some(Err(Refusal::NotACount)), "{json}");
        }
        assert_eq!(trail_points(Field(None)), None);
        for (json, from_ms) in [
            ("1714470000000", 1_714_470_000_001),
            ("1714470000000.5", 1_714_470_000_001),
            ("-5", 0),
            ("0", 1),
            ("1e300", u64::MAX),
        ] {
            assert_eq!(since(json), Ok(from_ms), "{json}");
        }
        for json in ["true", "\"5\"", "{}", "1e999"] {
            assert_eq!(since(json), Err(Refusal::NotATime), "{json}");
        }
    }
}
