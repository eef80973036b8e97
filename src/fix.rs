//! Fixes, valid by construction: whoever holds one need not check it again, and its digits can be
//! nothing but JSON numbers. Knows nothing of JSON beyond these, nor whose fix it is.

use std::fmt;

/// Longest number in a fix, in bytes as written: twice what a double needs.
pub const NUMBER_BYTES_MAX: usize = 32;

/// The optional fields of a fix, in the order in which they are relayed. Names and units are
/// those of W3C Geolocation (`GeolocationCoordinates`, `GeolocationPosition`) and of the W3C
/// Battery Status API (`level`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// Radius of 95 % confidence around `lat`, `lng`, in metres.
    Accuracy,
    /// Height above the WGS 84 ellipsoid, in metres.
    Altitude,
    /// 95 % confidence of the altitude, in metres.
    AltitudeAccuracy,
    /// Direction of travel, in degrees clockwise from true north.
    Heading,
    /// Horizontal speed, in metres per second.
    Speed,
    /// When the fix was made, in milliseconds since the start of 1970 UTC.
    Timestamp,
    /// Charge of the sender's battery, from 0 to 1.
    Battery,
}

impl Extra {
    /// All of them, in the order in which they are relayed.
    pub const ALL: [Extra; 7] = [
        Extra::Accuracy,
        Extra::Altitude,
        Extra::AltitudeAccuracy,
        Extra::Heading,
        Extra::Speed,
        Extra::Timestamp,
        Extra::Battery,
    ];

    /// The field's name in a message.
    pub fn name(self) -> &'static str {
        match self {
            Extra::Accuracy => "accuracy",
            Extra::Altitude => "altitude",
            Extra::AltitudeAccuracy => "altitudeAccuracy",
            Extra::Heading => "heading",
            Extra::Speed => "speed",
            Extra::Timestamp => "timestamp",
            Extra::Battery => "battery",
        }
    }

    /// Phones write a value they do not know as a negative number.
    fn negative_means_unknown(self) -> bool {
        !matches!(self, Extra::Altitude | Extra::Timestamp)
    }

    /// The largest value that a fix may have.
    pub fn max(self) -> f64 {
        match self {
            Extra::Heading => 360.0,
            Extra::Battery => 1.0,
            _ => f64::MAX,
        }
    }
}

/// Why something is no fix. Each names the field to mend.
#[derive(Clone, Debug, PartialEq)]
pub enum FixError {
    /// The field is needed and was not there, or was null.
    Missing(&'static str),
    /// The field holds something else than a number.
    NotANumber(&'static str),
    /// The number is too large for a double (`1e999`).
    NotFinite(&'static str),
    /// The number is written in more than [`NUMBER_BYTES_MAX`].
    TooLong(&'static str),
    /// The number's magnitude is above this limit.
    OutOfRange(&'static str, f64),
}

impl fmt::Display for FixError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            FixError::Missing(field) => {
                write!(f, "{field} is missing: a position needs lat and lng")
            }
            FixError::NotANumber(field) => write!(f, "{field} must be a number"),
            FixError::NotFinite(field) => write!(f, "{field} must be a finite number"),
            FixError::TooLong(field) => write!(
                f,
                "{field} must be written in at most {NUMBER_BYTES_MAX} characters"
            ),
            FixError::OutOfRange(field @ ("lat" | "lng"), max) => {
                write!(f, "{field} must be from -{max} to {max}")
            }
            FixError::OutOfRange(field, max) => write!(f, "{field} must be at most {max}"),
        }
    }
}

/// Which latitudes and longitudes are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// Any finite number: the default, for the prototype's client draws `lat` from 0 to 100.
    Finite,
    /// |lat| ≤ 90 and |lng| ≤ 180.
    Wgs84,
}

/// A timestamp below this counts as seconds: in milliseconds it would be in 1973, and in seconds it is
/// in the year 5138.
const SECONDS_MAX: f64 = 1e11;

const LAT_MAX: f64 = 90.0;
const LNG_MAX: f64 = 180.0;

/// `lat`, `lng` and the extras.
const FIELDS: usize = 2 + Extra::ALL.len();

/// Where somebody is, as one device measured it: finite numbers, and the digits that they were
/// written with.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    lat: f64,
    lng: f64,
    /// The digits of all numbers, one behind the other.
    digits: Box<str>,
    /// How many of them each number has, `lat`, `lng` and the extras; none where it is not known.
    lengths: [u8; FIELDS],
}

const _: () = assert!(NUMBER_BYTES_MAX <= u8::MAX as usize);

impl Fix {
    /// From numbers as JSON has them, by field. `null` is a value that is not known, and so are
    /// negative numbers where phones write them for that; neither is kept.
    ///
    /// # Errors
    /// The first field that must be mended.
    pub fn new<'a>(
        bounds: Bounds,
        lat: Option<&'a str>,
        lng: Option<&'a str>,
        extra: impl Fn(Extra) -> Option<&'a str>,
    ) -> Result<Fix, FixError> {
        let mut kept = [""; FIELDS];
        let lat_value = coordinate("lat", lat, bounds, LAT_MAX)?;
        let lng_value = coordinate("lng", lng, bounds, LNG_MAX)?;
        kept[0] = lat.unwrap_or_default();
        kept[1] = lng.unwrap_or_default();
        for (kept, field) in kept[2..].iter_mut().zip(Extra::ALL) {
            let Some(json) = extra(field).filter(|json| *json != "null") else {
                continue;
            };
            let value = number(field.name(), json)?;
            if value > field.max() {
                return Err(FixError::OutOfRange(field.name(), field.max()));
            }
            if value >= 0.0 || !field.negative_means_unknown() {
                *kept = json;
            }
        }
        let length = kept.iter().map(|digits| digits.len()).sum();
        let mut digits = String::with_capacity(length);
        for known in kept.iter().filter(|digits| !digits.is_empty()) {
            digits.push_str(known);
        }
        Ok(Fix {
            lat: lat_value,
            lng: lng_value,
            digits: digits.into_boxed_str(),
            lengths: kept.map(|digits| digits.len() as u8),
        })
    }

    /// Degrees north.
    pub fn lat(&self) -> f64 {
        self.lat
    }

    /// Degrees east.
    pub fn lng(&self) -> f64 {
        self.lng
    }

    /// Degrees north, as written.
    pub fn lat_digits(&self) -> &str {
        &self.digits[..self.lengths[0] as usize]
    }

    /// Degrees east, as written.
    pub fn lng_digits(&self) -> &str {
        let start = self.lengths[0] as usize;
        &self.digits[start..start + self.lengths[1] as usize]
    }

    /// The optional fields that are known, as written, in the order in which they are relayed.
    pub fn extras(&self) -> impl Iterator<Item = (Extra, &str)> {
        let mut end = self.lengths[0] as usize + self.lengths[1] as usize;
        Extra::ALL
            .into_iter()
            .zip(&self.lengths[2..])
            .filter_map(move |(field, length)| {
                let start = end;
                end += *length as usize;
                (*length > 0).then(|| (field, &self.digits[start..end]))
            })
    }

    /// The value of an optional field that is known.
    pub fn value(&self, field: Extra) -> Option<f64> {
        let (_, digits) = self.extras().find(|(extra, _)| *extra == field)?;
        digits.parse().ok()
    }

    /// When it was made by the clock of its sender, in milliseconds since the start of 1970 UTC:
    /// its timestamp, which some senders write in seconds.
    pub fn made_at_ms(&self) -> Option<f64> {
        let timestamp = self.value(Extra::Timestamp)?;
        Some(match timestamp < SECONDS_MAX {
            true => timestamp * 1000.0,
            false => timestamp,
        })
    }

    /// Whether that is a place on Earth.
    pub fn is_wgs84(&self) -> bool {
        self.lat.abs() <= LAT_MAX && self.lng.abs() <= LNG_MAX
    }

    /// Room taken on the heap, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.digits.len()
    }
}

fn coordinate(
    field: &'static str,
    json: Option<&str>,
    bounds: Bounds,
    magnitude_max: f64,
) -> Result<f64, FixError> {
    let json = json
        .filter(|json| *json != "null")
        .ok_or(FixError::Missing(field))?;
    let value = number(field, json)?;
    if bounds == Bounds::Wgs84 && value.abs() > magnitude_max {
        return Err(FixError::OutOfRange(field, magnitude_max));
    }
    Ok(value)
}

/// Whether this is a number as a fix may have it.
pub fn is_number(json: &str) -> bool {
    number("", json).is_ok()
}

/// The value of a number as JSON has it (RFC 8259, 6).
fn number(field: &'static str, json: &str) -> Result<f64, FixError> {
    let value = match json.parse::<f64>() {
        Ok(value) if is_json_number(json.as_bytes()) => value,
        _ => return Err(FixError::NotANumber(field)),
    };
    if json.len() > NUMBER_BYTES_MAX {
        return Err(FixError::TooLong(field));
    }
    if value.is_finite() {
        Ok(value)
    } else {
        Err(FixError::NotFinite(field))
    }
}

/// Whether what Rust reads as a number is one for JSON too, which needs digits on both sides of a
/// point, has no needless zeros in front, no plus sign and no words (see [`f64::from_str`]).
///
/// [`f64::from_str`]: std::str::FromStr::from_str
fn is_json_number(text: &[u8]) -> bool {
    let begins_well = match text.strip_prefix(b"-").unwrap_or(text) {
        [b'0', b'0'..=b'9', ..] => false,
        [b'0'..=b'9', ..] => true,
        _ => false,
    };
    let point = text.iter().position(|byte| *byte == b'.');
    begins_well && point.is_none_or(|at| text.get(at + 1).is_some_and(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fix(lat: &str, lng: &str) -> Result<Fix, FixError> {
        Fix::new(Bounds::Finite, Some(lat), Some(lng), |_| None)
    }

    #[test]
    fn a_timestamp_in_seconds_is_told_from_one_in_milliseconds() {
        for (timestamp, made_at_ms) in [
            (None, None),
            (Some("1714470000123"), Some(1_714_470_000_123.0)),
            (Some("1714470000.5"), Some(1_714_470_000_500.0)),
            (Some("99999999999"), Some(99_999_999_999_000.0)),
            (Some("100000000000"), Some(1e11)),
            (Some("-1"), Some(-1000.0)),
        ] {
            let extra = |field| timestamp.filter(|_| field == Extra::Timestamp);
            let fix = Fix::new(Bounds::Finite, Some("1"), Some("2"), extra).expect("a fix");
            assert_eq!(fix.made_at_ms(), made_at_ms, "{timestamp:?}");
        }
    }

    #[test]
    fn only_what_json_calls_a_number_gets_into_a_fix() {
        for digits in ["0", "-0", "1.50", "2E0", "1e-7", "-12.5e+3", "0.0"] {
            let fix = fix(digits, "1").expect(digits);
            assert_eq!(fix.lat_digits(), digits);
            assert_eq!(fix.lat(), digits.parse::<f64>().expect(digits));
        }
        for digits in [
            "",
            "-",
            "+1",
            "01",
            "-01",
            ".5",
            "1.",
            "1.e5",
            "1e",
            "1e+",
            "1x",
            "0x1",
            "NaN",
            "inf",
            "infinity",
            "1_000",
            " 1",
            "1 ",
            "1,\"x\":2",
            "\"1\"",
            "١",
            "true",
            "[1]",
            "{}",
        ] {
            assert_eq!(
                fix("1", digits),
                Err(FixError::NotANumber("lng")),
                "{digits}"
            );
        }
        assert_eq!(fix("1e999", "1"), Err(FixError::NotFinite("lat")));
        assert_eq!(fix("null", "1"), Err(FixError::Missing("lat")));
    }

    #[test]
    fn a_number_has_at_most_32_characters() {
        let longest = format!("1.{}", "0".repeat(NUMBER_BYTES_MAX - 2));
        assert!(fix(&longest, &longest).is_ok());
        assert_eq!(
            fix(&format!("{longest}0"), "1"),
            Err(FixError::TooLong("lat"))
        );
        let all_long = Fix::new(Bounds::Finite, Some(&longest), Some(&longest), |_| {
            Some(longest.as_str())
        });
        let all_long = all_long.expect("each is within its limits");
        assert_eq!(all_long.extras().count(), Extra::ALL.len());
        assert!(all_long.extras().all(|(_, digits)| digits == longest));
    }

    #[test]
    fn fields_keep_their_digits_whichever_of_them_are_known() {
        for known in 0..1u32 << Extra::ALL.len() {
            let digits = ["0.10", "0.11", "0.12", "0.13", "0.14", "0.15", "0.16"];
            let is_known = |field: Extra| known >> field as u32 & 1 == 1;
            let fix = Fix::new(Bounds::Finite, Some("1.0"), Some("-2.00"), |field| {
                is_known(field).then_some(digits[field as usize])
            });
            let fix = fix.expect("numbers");
            assert_eq!((fix.lat_digits(), fix.lng_digits()), ("1.0", "-2.00"));
            let expected = Extra::ALL.into_iter().filter(|field| is_known(*field));
            let expected: Vec<_> = expected
                .map(|field| (field, digits[field as usize]))
                .collect();
            assert_eq!(fix.extras().collect::<Vec<_>>(), expected);
            for field in Extra::ALL {
                assert_eq!(fix.value(field).is_some(), is_known(field));
            }
        }
    }
}
