//! The messages: text to types for what clients send, types to text for what they receive.
//! Knows no sockets, no clocks, and nobody's follows.
//!
//! [keys]: crate::server#tokens-and-keys
//! [roster]: crate::server#the-roster
//! [commands]: crate::server#other-commands
//! [record]: crate::server#record-and-replay
#![doc = include_str!("README.md")]

mod field;
mod geojson;
mod heartbeat;
mod names;
mod trail;

use std::borrow::Cow;
use std::io::Write;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::auth::Token;
use crate::fix::{self, Bounds, Extra, Fix};
use crate::refusal::{Refusal, quote};
use crate::user::{Known, Presence, UserId, Written, is_name};
pub(crate) use field::{Field, string};
pub use geojson::{Feature, Way, encode_features, encode_way};
pub use heartbeat::{Heartbeat, Place, decode_heartbeat, encode_heartbeat};
use names::CalledFields;
pub use names::{decode_word, encode_roster, encode_word};
pub use trail::{encode_trail, encode_trail_feature};
use trail::{since, trail_points};

/// What a client said.
#[derive(Debug)]
pub enum ClientMessage<'a> {
    /// Who this connection is and whom it follows.
    Hello(Hello<'a>),
    /// Where somebody is.
    Position(Publication<'a>),
    /// Other follows than before.
    Change(Change<'a>),
    /// Whether this end is there, and the number to answer with, as it was written.
    Ping(&'a str),
    /// Something that keeps a connection alive and asks for nothing.
    Heartbeat,
}

impl ClientMessage<'_> {
    /// The token that the message brings.
    pub fn token(&self) -> Option<&Token<'_>> {
        match self {
            ClientMessage::Hello(hello) => hello.token.as_ref(),
            ClientMessage::Change(change) => change.token.as_ref(),
            ClientMessage::Position(_) | ClientMessage::Ping(_) | ClientMessage::Heartbeat => None,
        }
    }
}

/// An object with a true `initialRequest`. Each field stands for itself: a mistake in one leaves
/// the others valid.
#[derive(Debug)]
pub struct Hello<'a> {
    /// The user that this connection is; `None` for a pure spectator.
    pub user: Option<Result<UserId<'a>, Refusal>>,
    /// What to call that user.
    pub name: Option<Result<Cow<'a, str>, Refusal>>,
    /// What shows who this is.
    pub token: Option<Token<'a>>,
    /// Whether to send presence from now on; `None` leaves it as it was.
    pub presence: Option<Result<bool, Refusal>>,
    /// Whether to tell how many follow this user from now on; `None` leaves it as it was.
    pub audience: Option<Result<bool, Refusal>>,
    /// How many points of each trail to send from now on, 0 for none; `None` leaves it as it was.
    pub trail: Option<Result<u32, Refusal>>,
    /// The earliest time of points of the trails that this brings, in milliseconds since the start of
    /// 1970 UTC; `None` if all of them are wanted.
    pub since: Option<Result<u64, Refusal>>,
    /// Users to follow in addition to those followed already.
    pub following: Ids<'a>,
}

/// A position as it was sent.
#[derive(Debug)]
pub struct Publication<'a> {
    /// Whose position; `None` for the user that the connection declared.
    pub user: Option<UserId<'a>>,
    /// Where.
    pub fix: Fix,
}

/// Another token, follows to add, then follows to end, and then goodbye.
#[derive(Debug)]
pub struct Change<'a> {
    /// What shows for longer who this is.
    pub token: Option<Token<'a>>,
    /// Users to follow.
    pub follow: Ids<'a>,
    /// Users to follow no longer.
    pub unfollow: Ids<'a>,
    /// Whether this user's positions end here; `None` if nothing is said of it.
    pub goodbye: Option<Result<(), Refusal>>,
}

/// A list of user ids, as far as it was one, or everyone.
#[derive(Debug, Default)]
pub struct Ids<'a> {
    /// Whether it is everyone, and no list.
    pub everyone: bool,
    /// Those that are ids.
    pub valid: Vec<UserId<'a>>,
    /// What was wrong with the rest.
    pub refusal: Option<Refusal>,
}

/// Our keys in an object from a client; all others are skipped.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Fields<'a> {
    #[serde(borrow)]
    initial_request: Field<'a>,
    user_id: Field<'a>,
    name: Field<'a>,
    following: Field<'a>,
    follow: Field<'a>,
    unfollow: Field<'a>,
    token: Field<'a>,
    presence: Field<'a>,
    audience: Field<'a>,
    trail: Field<'a>,
    since: Field<'a>,
    goodbye: Field<'a>,
    ping: Field<'a>,
    lat: Field<'a>,
    lng: Field<'a>,
    accuracy: Field<'a>,
    altitude: Field<'a>,
    altitude_accuracy: Field<'a>,
    heading: Field<'a>,
    speed: Field<'a>,
    timestamp: Field<'a>,
    battery: Field<'a>,
}

impl<'a> Fields<'a> {
    fn fix(&self, bounds: Bounds) -> Result<Fix, Refusal> {
        Fix::new(bounds, self.lat.0, self.lng.0, |extra| self.extra(extra))
            .map_err(Refusal::BadPosition)
    }

    fn extra(&self, extra: Extra) -> Option<&'a str> {
        match extra {
            Extra::Accuracy => self.accuracy,
            Extra::Altitude => self.altitude,
            Extra::AltitudeAccuracy => self.altitude_accuracy,
            Extra::Heading => self.heading,
            Extra::Speed => self.speed,
            Extra::Timestamp => self.timestamp,
            Extra::Battery => self.battery,
        }
        .0
    }
}

/// Reads one message.
pub fn decode(text: &str, bounds: Bounds) -> Result<ClientMessage<'_>, Refusal> {
    // What JSON allows around a value (RFC 8259, 2).
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    if text.is_empty() || text == "ping" {
        return Ok(ClientMessage::Heartbeat);
    }
    if !text.starts_with('{') {
        // serde would take an array for a struct, field by field.
        return Err(match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => Refusal::NotAnObject,
            Err(error) => Refusal::BadJson(error.to_string()),
        });
    }
    let fields: Fields =
        serde_json::from_str(text).map_err(|error| Refusal::BadJson(error.to_string()))?;
    if fields.initial_request.is_true() {
        return Ok(ClientMessage::Hello(Hello {
            user: fields.user_id.known().map(user_id),
            name: fields.name.known().map(name),
            token: fields.token.known().map(token),
            presence: fields.presence.switch("presence"),
            audience: fields.audience.switch("audience"),
            trail: trail_points(fields.trail),
            since: fields.since.known().map(since),
            following: ids("following", fields.following),
        }));
    }
    if fields.lat.0.is_some() || fields.lng.0.is_some() {
        let fix = fields.fix(bounds)?;
        let user = fields.user_id.0.map(user_id).transpose()?;
        return Ok(ClientMessage::Position(Publication { user, fix }));
    }
    let changes = [fields.follow, fields.unfollow, fields.token, fields.goodbye];
    if changes.iter().any(|field| field.known().is_some()) {
        return Ok(ClientMessage::Change(Change {
            token: fields.token.known().map(token),
            follow: ids("follow", fields.follow),
            unfollow: ids("unfollow", fields.unfollow),
            goodbye: fields.goodbye.only_true("goodbye"),
        }));
    }
    match fields.ping.0 {
        Some(number) if fix::is_number(number) => Ok(ClientMessage::Ping(number)),
        Some(_) => Err(Refusal::PingWithoutNumber),
        None => Err(Refusal::NoMessage),
    }
}

/// A position that came by itself: there is no connection that could have said whose it is.
#[derive(Debug)]
pub(crate) struct LonePosition<'a> {
    /// Its `userId` as it was written, which may be no id.
    pub(crate) user: Field<'a>,
    /// Where.
    pub(crate) fix: Result<Fix, Refusal>,
}

/// Reads an object as a position, whatever else it might be as a message.
pub(crate) fn decode_position(text: &str, bounds: Bounds) -> Result<LonePosition<'_>, Refusal> {
    if !text.starts_with('{') {
        return Err(Refusal::NotAnObject);
    }
    let fields: Fields =
        serde_json::from_str(text).map_err(|error| Refusal::BadJson(error.to_string()))?;
    Ok(LonePosition {
        user: fields.user_id,
        fix: fields.fix(bounds),
    })
}

/// Reads a token: what is no string is no good one, as the keys will say.
fn token(json: &str) -> Token<'_> {
    Token::new(string(json).unwrap_or(Cow::Borrowed(json)))
}

/// Reads a display name.
fn name(json: &str) -> Result<Cow<'_, str>, Refusal> {
    (string(json).filter(|name| is_name(name))).ok_or(Refusal::BadName)
}

/// Reads a user id from one JSON value.
fn user_id(json: &str) -> Result<UserId<'_>, Refusal> {
    let id = if json.starts_with('"') {
        string(json).and_then(|text| UserId::from_string(text, json))
    } else {
        UserId::from_integer(json)
    };
    id.ok_or_else(|| Refusal::BadUser(quote(json)))
}

/// Reads a list of user ids as far as it goes, or `"*"`; a missing list is an empty one.
fn ids<'a>(name: &'static str, field: Field<'a>) -> Ids<'a> {
    let Some(json) = field.known() else {
        return Ids::default();
    };
    if string(json).is_some_and(|text| text == "*") {
        return Ids {
            everyone: true,
            ..Ids::default()
        };
    }
    let Ok(values) = serde_json::from_str::<Vec<&'a RawValue>>(json) else {
        return Ids {
            refusal: Some(Refusal::NotAList(name)),
            ..Ids::default()
        };
    };
    let mut valid = Vec::with_capacity(values.len());
    let mut bad: Option<(usize, &str)> = None;
    for value in values {
        match user_id(value.get()) {
            Ok(id) => valid.push(id),
            Err(_) => bad.get_or_insert((0, value.get())).0 += 1,
        }
    }
    let refusal = bad.map(|(count, first)| Refusal::BadIds(count, quote(first)));
    Ids {
        everyone: false,
        valid,
        refusal,
    }
}

/// Writes the message that followers receive, with the sender's digits and its way of writing the
/// id.
pub fn encode_position(known: &Known, out: &mut Vec<u8>) {
    encode_open_position(known, out);
    out.push(b'}');
}

/// Writes a last known position: the same with its age, in seconds, as the last field.
pub fn encode_last_known(known: &Known, out: &mut Vec<u8>) {
    encode_open_position(known, out);
    // A write into a Vec cannot fail.
    let _ = write!(out, ",\"age\":{:.1}}}", known.age.as_secs_f64());
}

fn encode_open_position(known: &Known, out: &mut Vec<u8>) {
    let fix = known.fix;
    out.extend_from_slice(b"{\"userId\":");
    for piece in known.written.pieces(known.user) {
        out.extend_from_slice(piece.as_bytes());
    }
    out.extend_from_slice(b",\"lat\":");
    out.extend_from_slice(fix.lat_digits().as_bytes());
    out.extend_from_slice(b",\"lng\":");
    out.extend_from_slice(fix.lng_digits().as_bytes());
    for (extra, digits) in fix.extras() {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(extra.name().as_bytes());
        out.extend_from_slice(b"\":");
        out.extend_from_slice(digits.as_bytes());
    }
}

/// Writes the message that tells presence.
pub fn encode_presence(presence: &Presence, out: &mut Vec<u8>) {
    let written = Written::spelled(presence.spelling, presence.user);
    // Writes into a Vec cannot fail.
    let _ = write!(
        out,
        "{{\"presence\":{{\"userId\":{}{},\"state\":\"{}\",\"connected\":{}",
        written.json(presence.user),
        CalledFields(presence.called),
        presence.freshness.word(),
        presence.is_connected
    );
    if let Some(age) = presence.age {
        let _ = write!(out, ",\"age\":{:.1}", age.as_secs_f64());
    }
    out.extend_from_slice(b"}}");
}

/// Writes the message that tells how many connections follow a user.
pub fn encode_audience(connections: usize, out: &mut Vec<u8>) {
    let _ = write!(out, "{{\"audience\":{connections}}}");
}

/// Writes the answer to a ping with this number.
pub fn encode_pong(number: &str, out: &mut Vec<u8>) {
    let _ = write!(out, "{{\"pong\":{number}}}");
}

/// Writes the error message for a refusal.
pub fn encode_error(refusal: &Refusal, out: &mut Vec<u8>) {
    let message = Value::from(refusal.to_string());
    let _ = write!(
        out,
        "{{\"error\":{{\"code\":\"{}\",\"message\":{message}}}}}",
        refusal.code().word()
    );
}

#[cfg(test)]
mod tests;
