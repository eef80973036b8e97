//! What servers send, from text to types, and what users say to them besides where they are.
//! Knows no sockets, and not who asked for what.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tungstenite::Message;

use crate::fix::{Bounds, Extra, Fix};
use crate::user::UserId;

/// What a server said. Numbers and ids are JSON as it came.
#[derive(Debug)]
pub(crate) enum ServerMessage<'a> {
    /// Where somebody is.
    Position(Sighting<'a>),
    /// A message of ours that could not be taken.
    Error {
        /// The word for machines.
        code: String,
        /// The sentence for people.
        message: String,
    },
    /// Anything else.
    Other,
}

/// A position as a follower receives it.
#[derive(Debug)]
pub(crate) struct Sighting<'a> {
    /// Whose position: the sender's own way of writing the id.
    pub(crate) user: &'a str,
    /// Degrees north.
    pub(crate) lat: &'a str,
    /// Degrees east.
    pub(crate) lng: &'a str,
    /// Seconds since the server received it, on a last known position; `None` on a live one.
    pub(crate) age: Option<&'a str>,
    /// When it was received, in a recording; servers do not say it.
    pub(crate) received: Option<&'a str>,
    extras: [Option<&'a RawValue>; Extra::ALL.len()],
}

impl<'a> Sighting<'a> {
    /// The optional fields that are there, in the order in which they are relayed.
    pub(crate) fn extras(&self) -> impl Iterator<Item = (Extra, &'a str)> {
        Extra::ALL
            .into_iter()
            .zip(self.extras)
            .filter_map(|(extra, json)| Some((extra, json?.get())))
    }

    /// The user's id, if it is one.
    pub(crate) fn user_id(&self) -> Option<UserId<'a>> {
        match self.user.starts_with('"') {
            true => {
                let text = serde_json::from_str::<JsonText>(self.user).ok()?;
                UserId::from_string(text.0, self.user)
            }
            false => UserId::from_integer(self.user),
        }
    }

    /// The fix, if its numbers make one.
    pub(crate) fn fix(&self) -> Option<Fix> {
        let extra = |field| self.extras().find(|(extra, _)| *extra == field);
        let (lat, lng) = (Some(self.lat), Some(self.lng));
        Fix::new(Bounds::Finite, lat, lng, |field| Some(extra(field)?.1)).ok()
    }

    /// The position as a message without its closing brace, with the digits as they are; `but` is
    /// a field that is left out.
    pub(crate) fn unclosed(&self, but: Option<Extra>) -> String {
        let (user, lat, lng) = (self.user, self.lat, self.lng);
        let mut message = format!(r#"{{"userId":{user},"lat":{lat},"lng":{lng}"#);
        for (extra, number) in self.extras().filter(|(extra, _)| Some(*extra) != but) {
            // A String takes whatever is written to it.
            let _ = write!(message, r#","{}":{number}"#, extra.name());
        }
        message
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonFields<'a> {
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    lat: Option<&'a RawValue>,
    #[serde(borrow)]
    lng: Option<&'a RawValue>,
    #[serde(borrow)]
    age: Option<&'a RawValue>,
    #[serde(borrow)]
    received: Option<&'a RawValue>,
    #[serde(borrow)]
    accuracy: Option<&'a RawValue>,
    #[serde(borrow)]
    altitude: Option<&'a RawValue>,
    #[serde(borrow)]
    altitude_accuracy: Option<&'a RawValue>,
    #[serde(borrow)]
    heading: Option<&'a RawValue>,
    #[serde(borrow)]
    speed: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    battery: Option<&'a RawValue>,
    error: Option<JsonError>,
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct JsonText<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct JsonError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// Reads one message. Keys that are not ours are skipped.
pub(crate) fn decode(text: &str) -> ServerMessage<'_> {
    let Ok(fields) = serde_json::from_str::<JsonFields>(text) else {
        return ServerMessage::Other;
    };
    if let Some(error) = fields.error {
        return ServerMessage::Error {
            code: error.code,
            message: error.message,
        };
    }
    let (Some(user), Some(lat), Some(lng)) = (fields.user_id, fields.lat, fields.lng) else {
        return ServerMessage::Other;
    };
    let extras = Extra::ALL.map(|extra| match extra {
        Extra::Accuracy => fields.accuracy,
        Extra::Altitude => fields.altitude,
        Extra::AltitudeAccuracy => fields.altitude_accuracy,
        Extra::Heading => fields.heading,
        Extra::Speed => fields.speed,
        Extra::Timestamp => fields.timestamp,
        Extra::Battery => fields.battery,
    });
    let age = fields.age.map(RawValue::get);
    ServerMessage::Position(Sighting {
        user: user.get(),
        lat: lat.get(),
        lng: lng.get(),
        age,
        received: fields.received.map(RawValue::get),
        extras,
    })
}

/// The hello of a user with a number for its id, who follows these users.
pub(crate) fn hello(user: usize, following: &[usize], token: Option<&str>) -> Message {
    let token = token.map(|token| format!(r#","token":{}"#, quoted(token)));
    Message::text(format!(
        r#"{{"initialRequest":true{},"userId":{user},"following":{following:?}}}"#,
        token.unwrap_or_default()
    ))
}

/// The message that renews a token before it expires.
pub(crate) fn renewal(token: &str) -> Message {
    Message::text(format!(r#"{{"token":{}}}"#, quoted(token)))
}

/// A string as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// How many keys an object has, whatever they are; `None` for anything else.
pub(crate) fn key_count(text: &str) -> Option<usize> {
    let object: HashMap<Cow<str>, IgnoredAny> = serde_json::from_str(text).ok()?;
    Some(object.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_keeps_the_digits_and_the_id_as_they_came() {
        let ServerMessage::Position(seen) =
            decode(r#"{"userId":"5","lat":1.50,"lng":-0,"battery":0.10,"x":[1],"age":2.5}"#)
        else {
            panic!("a position")
        };
        assert_eq!(
            (seen.user, seen.lat, seen.lng, seen.age),
            ("\"5\"", "1.50", "-0", Some("2.5"))
        );
        assert_eq!(
            seen.extras().collect::<Vec<_>>(),
            [(Extra::Battery, "0.10")]
        );
    }

    #[test]
    fn an_error_is_told_from_anything_else() {
        let text = r#"{"error":{"code":"bad_position","message":"lat must be a finite number"}}"#;
        assert!(
            matches!(decode(text), ServerMessage::Error { code, .. } if code == "bad_position")
        );
        for text in [
            "",
            "[]",
            "{}",
            "hello",
            r#"{"audience":12}"#,
            r#"{"userId":5,"lat":1}"#,
            r#"{"error":"x"}"#,
        ] {
            assert!(matches!(decode(text), ServerMessage::Other), "{text}");
        }
    }
}
