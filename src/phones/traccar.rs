//! Traccar Client from version 9: a location in an object.

use serde::Deserialize;

use super::json;
use super::point::Point;
use super::report::{Batch, Report, Unreadable};
use super::times;
use super::units;
use crate::dialect::Dialect;
use crate::fix::Extra;
use crate::protocol::Field;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Location<'a> {
    #[serde(borrow)]
    timestamp: Field<'a>,
    coords: Field<'a>,
    battery: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Coords<'a> {
    #[serde(borrow)]
    latitude: Field<'a>,
    longitude: Field<'a>,
    accuracy: Field<'a>,
    altitude: Field<'a>,
    altitude_accuracy: Field<'a>,
    heading: Field<'a>,
    speed: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Battery<'a> {
    #[serde(borrow)]
    level: Field<'a>,
}

/// Reads a location and the `device_id` beside it. One without coordinates is a sign of life.
pub(super) fn read(location: Field, device_id: Field) -> Result<Batch, Unreadable> {
    let id = json::app_id(device_id);
    let location: Location = json::object(location)?;
    let coords: Coords = json::object(location.coords)?;
    let battery: Battery = json::object(location.battery)?;
    let (lat, lng) = (json::text(coords.latitude), json::text(coords.longitude));
    if lat.is_none() && lng.is_none() {
        return Ok(Batch::without_points(Dialect::Traccar, id));
    }
    let magnitude = |field| json::text(field).and_then(units::magnitude);
    let point = Point::at(lat, lng)
        .with(Extra::Accuracy, magnitude(coords.accuracy))
        .with(
            Extra::Altitude,
            json::text(coords.altitude).and_then(units::number),
        )
        .with(Extra::AltitudeAccuracy, magnitude(coords.altitude_accuracy))
        .with(Extra::Heading, magnitude(coords.heading))
        .with(Extra::Speed, magnitude(coords.speed))
        .with(
            Extra::Timestamp,
            json::text(location.timestamp).and_then(times::time),
        )
        .with(Extra::Battery, magnitude(battery.level));
    let fix = point.fix();
    Ok(Batch::of_one(Dialect::Traccar, Report { id, fix }))
}
