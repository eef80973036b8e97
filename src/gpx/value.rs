//! What single values of a GPX file mean. None of them is worth a file: a bad one comes back as
//! the words for what it should have been.

use crate::date;

/// What a latitude must be.
pub(super) const LAT: &str = "lat must be a number from -90 to 90";
/// What a longitude must be.
pub(super) const LON: &str = "lon must be a number";
/// What an elevation must be.
pub(super) const ELE: &str = "ele must be a number";
/// What a time must be.
pub(super) const TIME: &str = "time must be like 2026-05-01T12:00:00Z";

/// Degrees north.
pub(super) fn lat(text: &str) -> Result<f64, &'static str> {
    number(text).filter(|lat| lat.abs() <= 90.0).ok_or(LAT)
}

/// Degrees east, brought to the turn from -180 up to 180, as GPX has it.
pub(super) fn lng(text: &str) -> Result<f64, &'static str> {
    let lng = number(text).ok_or(LON)?;
    if (-180.0..180.0).contains(&lng) {
        return Ok(lng);
    }
    let wrapped = (lng + 180.0).rem_euclid(360.0) - 180.0;
    // Just west of -180 the remainder is rounded up to a whole turn.
    Ok(if wrapped < 180.0 { wrapped } else { -180.0 })
}

/// Metres above the sea.
pub(super) fn altitude(text: &str) -> Result<f64, &'static str> {
    number(text).ok_or(ELE)
}

/// Seconds since the start of 1970 UTC. A time without an offset is one of UTC.
pub(super) fn time(text: &str) -> Result<f64, &'static str> {
    date::parse(text).ok_or(TIME)
}

fn number(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latitude_is_a_number_up_to_the_poles() {
        for (text, degrees) in [("47.5", 47.5), ("-90", -90.0), ("+9e1", 90.0), ("0", 0.0)] {
            assert_eq!(lat(text), Ok(degrees));
        }
        for text in [
            "",
            "x",
            "90.0000001",
            "100",
            "NaN",
            "inf",
            "1e999",
            "47,5",
            "0x1",
        ] {
            assert_eq!(lat(text), Err(LAT), "{text}");
        }
    }

    #[test]
    fn a_longitude_wraps_and_within_a_turn_keeps_every_digit() {
        for (text, degrees) in [
            ("8.123456789012345", 8.123_456_789_012_345),
            ("-180", -180.0),
            ("180", -180.0),
            ("190.5", -169.5),
            ("-190.5", 169.5),
            ("-180.00000000000003", -180.0),
            ("725", 5.0),
        ] {
            assert_eq!(lng(text), Ok(degrees), "{text}");
        }
        for text in ["", "east", "nan", "-inf", "1e999"] {
            assert_eq!(lng(text), Err(LON), "{text}");
        }
        let far = lng("1e300").expect("a number");
        assert!((-180.0..180.0).contains(&far), "{far}");
    }

    #[test]
    fn a_time_is_one_of_iso_8601() {
        for text in [
            "2026-05-01T10:00:00Z",
            "2026-05-01T12:00:00+02:00",
            "2026-05-01T05:30:00-04:30",
            "2026-05-01T12:00:00+02",
            "2026-05-01T12:00:00+0200",
            "2026-05-01T10:00:00",
            "2026-05-01T10:00:00.000",
            "2026-05-01T10:00Z",
            "20260501T100000Z",
        ] {
            assert_eq!(time(text), Ok(1_777_629_600.0), "{text}");
        }
        for (text, fraction) in [(".5Z", 0.5), (".250", 0.25), (",125+00:00", 0.125)] {
            let text = format!("1970-01-01T00:00:01{text}");
            assert_eq!(time(&text), Ok(1.0 + fraction), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-05-01",
            "10:00:00Z",
            "2026-13-01T10:00:00Z",
            "2026-05-01T25:00:00Z",
            "2026-05-01T10:00:00Z or so",
            "2026-05-01T10:00:00+99:00",
            "1777629600",
        ] {
            assert_eq!(time(text), Err(TIME), "{text}");
        }
    }
}
