//! What apps want to hear when a request was taken. Knows no HTTP beyond the type of the content.

use serde_json::Value;

use super::times;
use crate::dialect::Dialect;
use crate::fix::Fix;

const JSON: Option<&str> = Some("application/json");

/// What became of the points of a request: each is in one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that are the newest of their users, or were that when they came first.
    pub accepted: usize,
    /// Those that are older than the newest.
    pub late: usize,
    /// Those that were not taken.
    pub refused: usize,
}

/// The content of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its media type; `None` where it is empty.
    pub media_type: Option<&'static str>,
    /// The content itself.
    pub body: String,
}

/// Where somebody is whom the asker follows.
#[derive(Clone, Copy, Debug)]
pub struct Friend<'a> {
    /// The text of the user's id.
    pub id: &'a str,
    /// What the user is called.
    pub name: Option<&'a str>,
    /// The last known position.
    pub fix: &'a Fix,
    /// When it came, for those without a time of their own.
    pub received_unix_s: u64,
}

/// The answer to a request whose points were all looked at.
pub fn answer(dialect: Dialect, counts: Counts) -> Answer {
    let Counts {
        accepted,
        late,
        refused,
    } = counts;
    let body = match dialect {
        Dialect::WebSocket | Dialect::Osmand | Dialect::Traccar => String::new(),
        Dialect::OwnTracks => "[]".to_owned(),
        Dialect::Overland => r#"{"result":"ok"}"#.to_owned(),
        Dialect::Json => {
            format!(r#"{{"accepted":{accepted},"late":{late},"refused":{refused}}}"#)
        }
    };
    Answer {
        media_type: JSON.filter(|_| !body.is_empty()),
        body,
    }
}

/// The answer to OwnTracks, from which it draws others on its map. A friend at no place on Earth
/// is left out, for the app takes coordinates as they come.
pub fn answer_friends<'a>(friends: impl Iterator<Item = Friend<'a>>) -> Answer {
    let mut messages = Vec::new();
    for friend in friends.filter(|friend| friend.fix.is_wgs84()) {
        let (tid, topic) = (Value::from(tid(friend.id)), topic(friend.id));
        messages.push(format!(
            r#"{{"_type":"location","tid":{tid},"lat":{},"lon":{},"tst":{},"topic":{topic}}}"#,
            friend.fix.lat_digits(),
            friend.fix.lng_digits(),
            unix_s(&friend),
        ));
        if let Some(name) = friend.name.map(Value::from) {
            messages.push(format!(
                r#"{{"_type":"card","tid":{tid},"name":{name},"topic":{topic}}}"#
            ));
        }
    }
    Answer {
        media_type: JSON,
        body: format!("[{}]", messages.join(",")),
    }
}

/// The two characters that stand on the app's map.
fn tid(id: &str) -> &str {
    let begin = id.char_indices().rev().nth(1);
    begin.map_or(id, |(at, _)| &id[at..])
}

fn topic(id: &str) -> Value {
    Value::from(format!("owntracks/{id}/phone"))
}

/// The app passes over a friend without a time.
fn unix_s(friend: &Friend) -> u64 {
    match friend.fix.made_at_ms() {
        Some(milliseconds) if times::is_dated(milliseconds) => (milliseconds / 1000.0) as u64,
        _ => friend.received_unix_s,
    }
}
