//! OwnTracks in its HTTP mode, by the booklet's page on its JSON. Of its messages, those that say
//! where a phone is move somebody; all others are taken and do nothing.

use serde::Deserialize;

use super::json;
use super::pairs;
use super::point::Point;
use super::report::{Batch, Posted, Report, Unreadable};
use super::times;
use super::units::{self, SpeedUnit};
use crate::dialect::Dialect;
use crate::fix::Extra;
use crate::protocol::{Field, string};

/// What comes before the user in a topic.
const TOPIC_BASE: &str = "owntracks/";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    _type: Field<'a>,
    topic: Field<'a>,
    lat: Field<'a>,
    lon: Field<'a>,
    acc: Field<'a>,
    alt: Field<'a>,
    vac: Field<'a>,
    cog: Field<'a>,
    vel: Field<'a>,
    tst: Field<'a>,
    batt: Field<'a>,
}

/// Reads a message.
pub(super) fn read(posted: &Posted, text: &str) -> Result<Batch, Unreadable> {
    let message: Message = json::object(Field(Some(text)))?;
    let topic = message.topic.known().and_then(string);
    let id = user(posted)
        .or_else(|| topic.as_deref().and_then(topic_user).map(str::to_owned))
        .or_else(|| given(posted.basic_user));
    let is_location = message._type.known().and_then(string).as_deref() == Some("location");
    let (lat, lon) = (json::text(message.lat), json::text(message.lon));
    if !is_location || lat.is_none() && lon.is_none() {
        return Ok(Batch::without_points(Dialect::OwnTracks, id));
    }
    let vel = json::text(message.vel);
    let point = Point::at(lat, lon)
        .with(
            Extra::Accuracy,
            json::text(message.acc).and_then(units::magnitude),
        )
        .with(
            Extra::Altitude,
            json::text(message.alt).and_then(units::number),
        )
        .with(
            Extra::AltitudeAccuracy,
            json::text(message.vac).and_then(units::magnitude),
        )
        .with(
            Extra::Heading,
            json::text(message.cog).and_then(units::magnitude),
        )
        .with(
            Extra::Speed,
            vel.and_then(|vel| units::speed(vel, SpeedUnit::KilometresPerHour)),
        )
        .with(
            Extra::Timestamp,
            json::text(message.tst).and_then(times::seconds),
        )
        .with(
            Extra::Battery,
            json::text(message.batt).and_then(units::percent),
        );
    let fix = point.fix();
    Ok(Batch::of_one(Dialect::OwnTracks, Report { id, fix }))
}

/// Reads an empty message, as the app sends it when a friend was removed; `None` if it is not of
/// this app.
pub(super) fn read_empty(posted: &Posted) -> Option<Batch> {
    let id = user(posted)?;
    Some(Batch::without_points(Dialect::OwnTracks, Some(id)))
}

/// The user beside the message.
fn user(posted: &Posted) -> Option<String> {
    given(posted.limit_user).or_else(|| pairs::owntracks_user(posted.query))
}

fn given(user: Option<&str>) -> Option<String> {
    user.filter(|user| !user.is_empty()).map(str::to_owned)
}

fn topic_user(topic: &str) -> Option<&str> {
    let user = topic.strip_prefix(TOPIC_BASE)?.split('/').next()?;
    (!user.is_empty()).then_some(user)
}
