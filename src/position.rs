//! User ids and positions, valid by construction: whoever holds one need not check it again. And
//! what else is told of a user. Knows nothing of JSON beyond the text of its numbers, and nothing
//! of sockets or clocks.

use std::borrow::Cow;
use std::fmt;

/// Longest user id, in bytes of its text (UTF-8, after unescaping).
pub const ID_BYTES_MAX: usize = 64;

/// A user id as a client wrote it: `5` and `"5"` are the same user, written in two ways.
#[derive(Clone, Debug)]
pub struct UserId<'a> {
    text: Cow<'a, str>,
    json: &'a str,
}

impl<'a> UserId<'a> {
    /// From a JSON string: its unescaped text, 1 to [`ID_BYTES_MAX`] bytes without control
    /// characters, and the JSON it was written as.
    pub fn from_string(text: Cow<'a, str>, json: &'a str) -> Option<UserId<'a>> {
        let fits = (1..=ID_BYTES_MAX).contains(&text.len());
        (fits && !text.chars().any(char::is_control)).then_some(UserId { text, json })
    }

    /// From a JSON integer of at most [`ID_BYTES_MAX`] characters, whose text is the id.
    pub fn from_integer(json: &'a str) -> Option<UserId<'a>> {
        let digits = json.strip_prefix('-').unwrap_or(json);
        let integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        (integer && json.len() <= ID_BYTES_MAX).then_some(UserId {
            text: Cow::Borrowed(json),
            json,
        })
    }

    /// What two ways of writing one user have in common.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The id as it was written: a JSON number or a JSON string with its quotes.
    pub fn json(&self) -> &'a str {
        self.json
    }

    /// Which of the two ways it was written in.
    pub fn spelling(&self) -> Spelling {
        if self.json.starts_with('"') {
            Spelling::String
        } else {
            Spelling::Integer
        }
    }
}

/// The two ways to write a user id in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// `5`
    Integer,
    /// `"5"`, or the same with escapes.
    String,
}

/// How fresh the last known position of a user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Received within `--stale-after`.
    Live,
    /// Received before that.
    Stale,
    /// There is none, or none any more.
    Unknown,
}

impl State {
    /// The word for it in messages and metrics.
    pub fn word(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Stale => "stale",
            State::Unknown => "unknown",
        }
    }
}

/// What is known of a user besides positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Presence<'a> {
    /// The text of the user's id.
    pub user: &'a str,
    /// How to write it.
    pub spelling: Spelling,
    /// How fresh the last known position is.
    pub state: State,
    /// Whether a connection is open that declared the id.
    pub is_connected: bool,
    /// Age of the last known position, in seconds.
    pub age_s: Option<f64>,
}

/// The optional fields of a position, in the order in which they are relayed. Names and units are
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

    fn max(self) -> f64 {
        match self {
            Extra::Heading => 360.0,
            Extra::Battery => 1.0,
            _ => f64::MAX,
        }
    }
}

/// Why something is no position. Each names the field to mend.
#[derive(Clone, Debug, PartialEq)]
pub enum PositionError {
    /// The field is needed and was not there, or was null.
    Missing(&'static str),
    /// The field holds something else than a number.
    NotANumber(&'static str),
    /// The number is too large for a double (`1e999`).
    NotFinite(&'static str),
    /// The number's magnitude is above this limit.
    OutOfRange(&'static str, f64),
}

impl fmt::Display for PositionError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            PositionError::Missing(field) => {
                write!(f, "{field} is missing: a position needs lat and lng")
            }
            PositionError::NotANumber(field) => write!(f, "{field} must be a number"),
            PositionError::NotFinite(field) => write!(f, "{field} must be a finite number"),
            PositionError::OutOfRange(field @ ("lat" | "lng"), max) => {
                write!(f, "{field} must be from -{max} to {max}")
            }
            PositionError::OutOfRange(field, max) => write!(f, "{field} must be at most {max}"),
        }
    }
}

/// The value of a JSON number. That `json` follows the JSON grammar is the caller's to know.
fn finite(field: &'static str, json: &str) -> Result<f64, PositionError> {
    if !json.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return Err(PositionError::NotANumber(field));
    }
    match json.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(PositionError::NotFinite(field)),
        Err(_) => Err(PositionError::NotANumber(field)),
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

/// Where somebody is: finite numbers that keep the digits they were written with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position<'a> {
    lat: &'a str,
    lng: &'a str,
    extras: [Option<&'a str>; Extra::ALL.len()],
    timestamp_ms: Option<f64>,
}

impl<'a> Position<'a> {
    /// From JSON values by field. `null` is a value that is not known, and so are negative
    /// numbers where phones write them for that; neither is kept.
    ///
    /// # Errors
    /// The first field that must be mended.
    pub fn new(
        bounds: Bounds,
        lat: Option<&'a str>,
        lng: Option<&'a str>,
        extra: impl Fn(Extra) -> Option<&'a str>,
    ) -> Result<Position<'a>, PositionError> {
        let mut position = Position {
            lat: coordinate("lat", lat, bounds, 90.0)?,
            lng: coordinate("lng", lng, bounds, 180.0)?,
            extras: [None; Extra::ALL.len()],
            timestamp_ms: None,
        };
        for (kept, field) in position.extras.iter_mut().zip(Extra::ALL) {
            let Some(json) = extra(field).filter(|json| *json != "null") else {
                continue;
            };
            let value = finite(field.name(), json)?;
            if value > field.max() {
                return Err(PositionError::OutOfRange(field.name(), field.max()));
            }
            *kept = (value >= 0.0 || !field.negative_means_unknown()).then_some(json);
            if field == Extra::Timestamp {
                position.timestamp_ms = Some(value);
            }
        }
        Ok(position)
    }

    /// Degrees north, as written.
    pub fn lat(&self) -> &'a str {
        self.lat
    }

    /// Degrees east, as written.
    pub fn lng(&self) -> &'a str {
        self.lng
    }

    /// The optional fields that are known, as written, in the order in which they are relayed.
    pub fn extras(&self) -> impl Iterator<Item = (Extra, &'a str)> {
        let fields = Extra::ALL.into_iter().zip(self.extras);
        fields.filter_map(|(field, json)| Some((field, json?)))
    }

    /// When the fix was made by the sender's clock, in milliseconds since the start of 1970 UTC.
    pub fn timestamp_ms(&self) -> Option<f64> {
        self.timestamp_ms
    }
}

fn coordinate<'a>(
    field: &'static str,
    json: Option<&'a str>,
    bounds: Bounds,
    magnitude_max: f64,
) -> Result<&'a str, PositionError> {
    let json = json
        .filter(|json| *json != "null")
        .ok_or(PositionError::Missing(field))?;
    let value = finite(field, json)?;
    if bounds == Bounds::Wgs84 && value.abs() > magnitude_max {
        return Err(PositionError::OutOfRange(field, magnitude_max));
    }
    Ok(json)
}
