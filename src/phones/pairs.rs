//! `name=value` pairs in a query or a form: OsmAnd, Traccar Client up to 8, GPSLogger, Home
//! Assistant, and whoever else fills in a template. Names and units as the operators of Traccar,
//! GPSLogger and Home Assistant know them.

use std::borrow::Cow;

use super::point::Point;
use super::report::{Batch, Report, Unreadable};
use super::times;
use super::units::{self, SpeedUnit};
use crate::dialect::Dialect;
use crate::fix::Extra;

const IDS: &[&str] = &["id", "deviceid", "device", "userId", "ser", "aid"];
const OWNTRACKS_USER: &[&str] = &["u"];
const LAT: &[&str] = &["lat", "latitude"];
const LNG: &[&str] = &["lon", "lng", "longitude"];
const LOCATION: &[&str] = &["location"];
const TIMES: &[&str] = &["timestamp", "time", "timeoff"];
const HEADING: &[&str] = &["bearing", "heading", "dir", "direction", "cog"];
const ALTITUDE: &[&str] = &["altitude", "alt"];
const ACCURACY: &[&str] = &["accuracy", "acc", "hacc"];
const HDOP: &[&str] = &["hdop"];
const ALTITUDE_ACCURACY: &[&str] = &["vacc"];
const BATTERY: &[&str] = &["batt", "battery"];
const SPEED: &[&str] = &["speed"];
const SPEED_UNIT: &[&str] = &["speed_unit"];
const SPEED_MPS: &[&str] = &["spd"];
const SPEED_KMH: &[&str] = &["spd_kph"];

/// Names of one meaning each, those that count first in front.
const MEANINGS: [&[&str]; 16] = [
    IDS,
    OWNTRACKS_USER,
    LAT,
    LNG,
    LOCATION,
    TIMES,
    HEADING,
    ALTITUDE,
    ACCURACY,
    HDOP,
    ALTITUDE_ACCURACY,
    BATTERY,
    SPEED,
    SPEED_UNIT,
    SPEED_MPS,
    SPEED_KMH,
];

/// Most pairs in a request.
const PAIRS_MAX: usize = 1000;

/// What stands for bytes that are no text.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// The pairs that have a meaning here, each name once.
struct Pairs<'a>(Vec<(&'static str, Cow<'a, str>)>);

impl<'a> Pairs<'a> {
    /// Of two pairs of one name, the later counts, and so one of the body before one of the query;
    /// but an empty value hides none.
    ///
    /// # Errors
    /// There are more of them than any app sends.
    fn new(query: &'a str, body: &'a [u8]) -> Result<Pairs<'a>, Unreadable> {
        let mut pairs: Vec<(&str, Cow<str>)> = Vec::new();
        let query = form_urlencoded::parse(query.as_bytes());
        for (number, (name, value)) in query.chain(form_urlencoded::parse(body)).enumerate() {
            if number == PAIRS_MAX {
                return Err(Unreadable::Malformed(format!(
                    "there are more than {PAIRS_MAX} pairs: send one position at a time"
                )));
            }
            let mut names = MEANINGS.iter().copied().flatten();
            let Some(name) = names.find(|known| **known == name) else {
                continue;
            };
            match pairs.iter_mut().find(|(known, _)| known == name) {
                Some(_) if value.is_empty() => {}
                Some(pair) => pair.1 = value,
                None => pairs.push((name, value)),
            }
        }
        Ok(Pairs(pairs))
    }

    /// Whether the name is there, be it without a value.
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == name)
    }

    /// The values of these names, in the order of the names, without those that are empty.
    fn values(&self, names: &'static [&'static str]) -> impl Iterator<Item = Cow<'_, str>> {
        names.iter().filter_map(|name| {
            let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
            (!value.is_empty()).then_some(Cow::Borrowed(&**value))
        })
    }

    fn value(&self, names: &'static [&'static str]) -> Option<Cow<'_, str>> {
        self.values(names).next()
    }

    fn has_coordinates(&self) -> bool {
        [LAT, LNG, LOCATION]
            .iter()
            .any(|names| self.value(names).is_some())
    }

    fn id(&self, names: &'static [&'static str]) -> Option<String> {
        self.value(names).map(|id| match id.contains(REPLACEMENT) {
            // Two such ids would be taken for one.
            true => String::new(),
            false => id.into_owned(),
        })
    }

    fn speed(&self) -> Option<Cow<'_, str>> {
        let speed = self
            .value(SPEED)
            .and_then(|speed| units::speed(speed, self.speed_unit()));
        let mps = || units::speed(self.value(SPEED_MPS)?, SpeedUnit::MetresPerSecond);
        let kmh = || units::speed(self.value(SPEED_KMH)?, SpeedUnit::KilometresPerHour);
        speed.or_else(mps).or_else(kmh)
    }

    fn speed_unit(&self) -> SpeedUnit {
        // Its template has the phone's serial number for a device, which not every phone tells.
        let is_home_assistant = self.has("latitude") && self.has("device");
        match self.value(SPEED_UNIT) {
            Some(unit) => SpeedUnit::named(&unit).unwrap_or(SpeedUnit::Knots),
            None if is_home_assistant => SpeedUnit::MetresPerSecond,
            None => SpeedUnit::Knots,
        }
    }

    fn point(&self) -> Point<'_> {
        let (mut lat, mut lng) = (self.value(LAT), self.value(LNG));
        if lat.is_none() && lng.is_none() {
            (lat, lng) = self.location();
        }
        let accuracy = self.values(ACCURACY).find_map(units::magnitude);
        let hdop = || units::hdop(self.value(HDOP)?);
        let vacc = self.value(ALTITUDE_ACCURACY);
        Point::at(lat, lng)
            .with(Extra::Accuracy, accuracy.or_else(hdop))
            .with(
                Extra::Altitude,
                self.values(ALTITUDE).find_map(units::number),
            )
            .with(Extra::AltitudeAccuracy, vacc.and_then(units::magnitude))
            .with(
                Extra::Heading,
                self.values(HEADING).find_map(units::magnitude),
            )
            .with(Extra::Speed, self.speed())
            .with(Extra::Timestamp, self.values(TIMES).find_map(times::time))
            .with(
                Extra::Battery,
                self.values(BATTERY).find_map(units::percent),
            )
    }

    /// Latitude and longitude in one value, with a comma between them.
    fn location(&self) -> (Option<Cow<'_, str>>, Option<Cow<'_, str>>) {
        let location = self.value(LOCATION).unwrap_or_default();
        match location.split_once(',') {
            Some((lat, lng)) => (Some(lat.to_owned().into()), Some(lng.to_owned().into())),
            None => (Some(location), None),
        }
    }
}

/// Reads pairs. Without coordinates they are a sign of life of somebody.
pub(super) fn read(query: &str, body: &[u8]) -> Result<Batch, Unreadable> {
    let pairs = Pairs::new(query, body)?;
    let id = pairs.id(IDS);
    if pairs.has_coordinates() {
        let fix = pairs.point().fix();
        return Ok(Batch::of_one(Dialect::Osmand, Report { id, fix }));
    }
    match id {
        id if !pairs.0.is_empty() || body.is_empty() => {
            Ok(Batch::without_points(Dialect::Osmand, id))
        }
        _ => Err(Unreadable::Malformed(
            "there is no position in this: send the pairs id, lat and lon, or the JSON of a tracker app".to_owned(),
        )),
    }
}

/// Whether a query brings coordinates, right or wrong.
pub fn has_coordinates(query: &str) -> bool {
    has_any(query, &[LAT, LNG, LOCATION])
}

/// Whether a query says whose position or sign of life it is.
pub fn has_id(query: &str) -> bool {
    has_any(query, &[IDS])
}

/// Whether one of these names has a value. It is asked of every query before anybody knows what
/// that may cost, so no name is decoded: apps write these as they are.
fn has_any(query: &str, names: &[&[&str]]) -> bool {
    query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or_default();
        !value.is_empty() && names.iter().any(|names| names.contains(&name))
    })
}

/// The user that OwnTracks names in a query.
pub(super) fn owntracks_user(query: &str) -> Option<String> {
    Pairs::new(query, b"").ok()?.id(OWNTRACKS_USER)
}
