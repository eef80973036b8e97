//! Overland: a queue of GeoJSON Features (RFC 7946), by the README of its iOS app.

use serde::Deserialize;

use super::json;
use super::point::Point;
use super::report::{Batch, Report, Unreadable};
use super::times;
use super::units;
use crate::dialect::Dialect;
use crate::fix::Extra;
use crate::protocol::{Field, string};
use crate::refusal::Refusal;

/// Far more than the coordinates of a point take.
const COORDINATES_BYTES_MAX: usize = 1024;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Feature<'a> {
    #[serde(borrow)]
    geometry: Field<'a>,
    properties: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Geometry<'a> {
    #[serde(borrow, rename = "type")]
    kind: Field<'a>,
    coordinates: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Properties<'a> {
    #[serde(borrow)]
    timestamp: Field<'a>,
    altitude: Field<'a>,
    speed: Field<'a>,
    course: Field<'a>,
    horizontal_accuracy: Field<'a>,
    vertical_accuracy: Field<'a>,
    battery_level: Field<'a>,
    device_id: Field<'a>,
    unique_id: Field<'a>,
}

/// Reads a queue, and the newest point where the app sends it ahead of a long one. Records of
/// another kind than points are passed over.
pub(super) fn read(locations: &str, current: Field) -> Result<Batch, Unreadable> {
    let mut reports = Vec::new();
    json::each(locations, |feature| reports.extend(report(feature)))?;
    reports.extend(current.known().and_then(report));
    Ok(Batch {
        dialect: Dialect::Overland,
        is_batch: true,
        reports,
        id: None,
    })
}

/// One record, if it is a point.
fn report(feature: &str) -> Option<Report> {
    match read_point(feature) {
        Ok(report) => report,
        // Keys that are there twice.
        Err(error) => Some(Report {
            id: None,
            fix: Err(Refusal::BadJson(error.to_string())),
        }),
    }
}

fn read_point(feature: &str) -> serde_json::Result<Option<Report>> {
    let feature: Feature = json::object(Field(Some(feature)))?;
    let geometry: Geometry = json::object(feature.geometry)?;
    if geometry.kind.known().and_then(string).as_deref() != Some("Point") {
        return Ok(None);
    }
    let mut coordinates = [Field(None); 2];
    let mut unfilled = coordinates.iter_mut();
    let list = geometry.coordinates.list();
    let list = list.filter(|list| list.len() <= COORDINATES_BYTES_MAX);
    json::each(list.unwrap_or("[]"), |value| {
        if let Some(coordinate) = unfilled.next() {
            *coordinate = Field(Some(value));
        }
    })?;
    let [lng, lat] = coordinates;
    let properties: Properties = json::object(feature.properties)?;
    let magnitude = |field| json::text(field).and_then(units::magnitude);
    let point = Point::at(json::text(lat), json::text(lng))
        .with(Extra::Accuracy, magnitude(properties.horizontal_accuracy))
        .with(
            Extra::Altitude,
            json::text(properties.altitude).and_then(units::number),
        )
        .with(
            Extra::AltitudeAccuracy,
            magnitude(properties.vertical_accuracy),
        )
        .with(Extra::Heading, magnitude(properties.course))
        .with(Extra::Speed, magnitude(properties.speed))
        .with(
            Extra::Timestamp,
            json::text(properties.timestamp).and_then(times::time),
        )
        .with(Extra::Battery, magnitude(properties.battery_level));
    let id = json::app_id(properties.device_id).or_else(|| json::app_id(properties.unique_id));
    let fix = point.fix();
    Ok(Some(Report { id, fix }))
}
