//! Any text as a message, against a second reading of the same rules.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use spectate::dialect::Dialect;
use spectate::fix::{Bounds, Extra, Fix};
use spectate::protocol::{
    ClientMessage, Ids, Publication, decode, encode_error, encode_last_known, encode_position,
    encode_presence,
};
use spectate::refusal::Refusal;
use spectate::user::{Called, Freshness, Known, Presence, Spelling, UserId, Written};

const CODES: [&str; 4] = ["bad_json", "bad_message", "bad_id", "bad_position"];

/// Longest error message, in bytes of JSON.
const ERROR_BYTES_MAX: usize = 512;

const KEYS: [&str; 20] = [
    "initialRequest",
    "userId",
    "name",
    "following",
    "follow",
    "unfollow",
    "token",
    "presence",
    "audience",
    "goodbye",
    "ping",
    "lat",
    "lng",
    "accuracy",
    "altitude",
    "altitudeAccuracy",
    "heading",
    "speed",
    "timestamp",
    "battery",
];

/// Tries one input; what is not UTF-8 in it is replaced.
pub fn run(bytes: &[u8]) {
    let text = &String::from_utf8_lossy(bytes);
    let finite = decode(text, Bounds::Finite);
    let wgs84 = decode(text, Bounds::Wgs84);
    check(text, &finite, Bounds::Finite);
    check(text, &wgs84, Bounds::Wgs84);
    match (&finite, &wgs84) {
        (Ok(ClientMessage::Position(finite)), Ok(ClientMessage::Position(wgs84))) => {
            assert_eq!(finite.fix, wgs84.fix);
        }
        (_, Ok(ClientMessage::Position(_))) => panic!("narrower bounds take more"),
        (Ok(_), Ok(_)) | (_, Err(_)) => {}
        (Err(refusal), Ok(_)) => panic!("bounds alone make it a message: {refusal:?}"),
    }
}

fn check(text: &str, decoded: &Result<ClientMessage, Refusal>, bounds: Bounds) {
    let read = read(text);
    match decoded {
        Ok(ClientMessage::Hello(hello)) => {
            let fields = read.expect("a hello is JSON");
            assert_eq!(fields.known("initialRequest"), Some("true"));
            match &hello.user {
                Some(Ok(user)) => check_id(user),
                Some(Err(refusal)) => check_refusal(refusal),
                None => assert_eq!(fields.known("userId"), None),
            }
            check_name(&hello.name, fields.known("name"));
            check_switch(&hello.presence, fields.known("presence"));
            check_switch(&hello.audience, fields.known("audience"));
            check_ids(&hello.following, fields.known("following"));
        }
        Ok(ClientMessage::Position(publication)) => {
            let fields = read.expect("a position is JSON");
            assert_ne!(fields.known("initialRequest"), Some("true"));
            assert_eq!(
                fields.known("lat"),
                Some(publication.fix.lat_digits()),
                "lat as it was written"
            );
            assert_eq!(
                fields.known("lng"),
                Some(publication.fix.lng_digits()),
                "lng as it was written"
            );
            check_fix(&publication.fix, bounds);
            check_relay(publication, bounds);
        }
        Ok(ClientMessage::Change(change)) => {
            let fields = read.expect("a change is JSON");
            assert!(!fields.has("lat") && !fields.has("lng"));
            check_ids(&change.follow, fields.known("follow"));
            check_ids(&change.unfollow, fields.known("unfollow"));
            match (&change.goodbye, fields.known("goodbye")) {
                (None, None) | (Some(Ok(())), Some("true")) => {}
                (Some(Err(refusal)), Some(written)) if written != "true" => check_refusal(refusal),
                (said, written) => panic!("{said:?} for {written:?}"),
            }
        }
        Ok(ClientMessage::Ping(number)) => {
            let fields = read.expect("a ping is JSON");
            assert!(!fields.has("lat") && !fields.has("lng"));
            assert_eq!(fields.get("ping"), Some(*number), "as it was written");
            assert!(number.len() <= 32 && number.parse::<f64>().is_ok_and(f64::is_finite));
        }
        Ok(ClientMessage::Heartbeat) => assert!(["", "ping"].contains(&trim(text))),
        Err(refusal) => {
            check_refusal(refusal);
            let expected = read.as_ref().map_or("bad_json", Fields::expected);
            let code = match refusal.code().word() {
                "bad_id" => "bad_position",
                code => code,
            };
            assert_eq!(code, expected, "{text:?}: {refusal}");
        }
    }
}

/// An object's pairs, as they were written; or no pairs, for other JSON.
struct Fields<'a>(Option<Vec<(String, &'a str)>>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields<'a>, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Vec<(String, &'de str)>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    pairs.push((key, value.get()));
                }
                Ok(pairs)
            }
        }
        deserializer
            .deserialize_map(Pairs)
            .map(|pairs| Fields(Some(pairs)))
    }
}

/// The text as JSON, unless it is none or has a key of ours twice.
fn read(text: &str) -> Option<Fields<'_>> {
    let value: &RawValue = serde_json::from_str(text).ok()?;
    if !trim(text).starts_with('{') {
        return Some(Fields(None));
    }
    let fields: Fields = serde_json::from_str(value.get()).ok()?;
    let pairs = fields.0.as_ref().expect("an object");
    KEYS.iter()
        .all(|ours| pairs.iter().filter(|(key, _)| key == ours).count() <= 1)
        .then_some(fields)
}

/// Without the white space of JSON around it.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let pairs = self.0.as_ref()?;
        pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| *value)
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn known(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| *value != "null")
    }

    /// The code with which it must be refused, if it is.
    fn expected(&self) -> &'static str {
        let is_hello = self.known("initialRequest") == Some("true");
        let is_position = self.has("lat") || self.has("lng");
        if is_hello
            || !is_position
                && ["follow", "unfollow", "token", "goodbye"]
                    .iter()
                    .any(|name| self.known(name).is_some())
        {
            "never"
        } else if is_position {
            "bad_position"
        } else {
            "bad_message"
        }
    }
}

fn check_id(id: &UserId) {
    assert!((1..=64).contains(&id.text().len()), "{id:?}");
    assert!(!id.text().chars().any(char::is_control), "{id:?}");
    let text = match serde_json::from_str(id.json()) {
        Ok(text) => text,
        Err(_) => id.json().to_owned(),
    };
    assert_eq!(text, id.text(), "the text is what was written");
    let integer = id.json().strip_prefix('-').unwrap_or(id.json());
    assert!(id.json().starts_with('"') || integer.bytes().all(|byte| byte.is_ascii_digit()));
}

/// A switch is what was written, if that is one.
fn check_switch(switch: &Option<Result<bool, Refusal>>, written: Option<&str>) {
    match (switch, written) {
        (None, None) | (Some(Ok(true)), Some("true")) | (Some(Ok(false)), Some("false")) => {}
        (Some(Err(refusal)), Some(written)) => {
            check_refusal(refusal);
            assert!(!["true", "false"].contains(&written));
        }
        (switch, written) => panic!("{switch:?} for {written:?}"),
    }
}

/// A name is what was written, if that is one; and presence that tells it is JSON.
fn check_name(name: &Option<Result<Cow<str>, Refusal>>, written: Option<&str>) {
    let text = |written: &str| serde_json::from_str::<String>(written).ok();
    let is_name =
        |text: &String| (1..=64).contains(&text.len()) && !text.chars().any(char::is_control);
    match (name, written) {
        (None, None) => {}
        (Some(Err(refusal)), Some(written)) => {
            check_refusal(refusal);
            assert!(!text(written).as_ref().is_some_and(is_name), "{written}");
        }
        (Some(Ok(name)), Some(written)) => {
            let text = text(written).expect("a string");
            assert!(text == *name && is_name(&text), "{written}");
            let mut message = Vec::new();
            let presence = Presence {
                user: name,
                called: Called {
                    name: Some(name),
                    color: None,
                },
                spelling: Spelling::String,
                freshness: Freshness::Unknown,
                is_connected: true,
                age: None,
            };
            encode_presence(&presence, &mut message);
            let told: serde_json::Value = serde_json::from_slice(&message).expect("JSON");
            assert_eq!(told["presence"]["name"], text);
            assert_eq!(told["presence"]["userId"], text);
        }
        (name, written) => panic!("{name:?} for {written:?}"),
    }
}

/// Each entry of the list is taken or counted in the refusal.
fn check_ids(ids: &Ids, written: Option<&str>) {
    ids.valid.iter().for_each(check_id);
    if let Some(refusal) = &ids.refusal {
        check_refusal(refusal);
    }
    let list = written.map(serde_json::from_str::<Vec<&RawValue>>);
    let refused = match (&ids.refusal, list) {
        (None, None) => return assert!(ids.valid.is_empty()),
        (Some(Refusal::NotAList(_)), Some(Err(_))) => return assert!(ids.valid.is_empty()),
        (Some(Refusal::BadIds(count, _)), Some(Ok(list))) => (*count, list.len()),
        (None, Some(Ok(list))) => (0, list.len()),
        (refusal, list) => panic!("{refusal:?} for {list:?}"),
    };
    assert_eq!(ids.valid.len() + refused.0, refused.1);
}

fn check_fix(fix: &Fix, bounds: Bounds) {
    let value = |json: &str| json.parse::<f64>().expect("a number");
    let (lat, lng) = (value(fix.lat_digits()), value(fix.lng_digits()));
    assert_eq!((lat, lng), (fix.lat(), fix.lng()));
    assert!(lat.is_finite() && lng.is_finite());
    assert!(bounds == Bounds::Finite || lat.abs() <= 90.0 && lng.abs() <= 180.0);
    for (field, number) in fix.extras() {
        let value = value(number);
        assert!(value.is_finite(), "{field:?}");
        let is_in_range = match field {
            Extra::Altitude | Extra::Timestamp => true,
            Extra::Heading => (0.0..=360.0).contains(&value),
            Extra::Battery => (0.0..=1.0).contains(&value),
            Extra::Accuracy | Extra::AltitudeAccuracy | Extra::Speed => value >= 0.0,
        };
        assert!(is_in_range, "{field:?} {value}");
    }
}

/// What followers get is JSON, and the same position when it is read again.
fn check_relay(publication: &Publication, bounds: Bounds) {
    if let Some(user) = &publication.user {
        check_id(user);
    }
    let user = publication.user.as_ref().map_or("5", UserId::json);
    let known = Known {
        user: publication.user.as_ref().map_or("5", UserId::text),
        written: &(publication.user.as_ref()).map_or(Written::Bare, UserId::written),
        fix: &publication.fix,
        age: Duration::from_millis(12_340),
        dialect: Dialect::WebSocket,
    };
    let mut live = Vec::new();
    encode_position(&known, &mut live);
    let mut last_known = Vec::new();
    encode_last_known(&known, &mut last_known);
    assert!(last_known.ends_with(b",\"age\":12.3}"));
    for relayed in [live, last_known] {
        let relayed = str::from_utf8(&relayed).expect("text");
        assert!(
            read(relayed).is_some_and(|fields| fields.0.is_some()),
            "no object: {relayed}"
        );
        let Ok(ClientMessage::Position(again)) = decode(relayed, bounds) else {
            panic!("no position: {relayed}")
        };
        assert_eq!(again.fix, publication.fix);
        assert_eq!(again.user.as_ref().map(UserId::json), Some(user));
    }
}

fn check_refusal(refusal: &Refusal) {
    assert!(CODES.contains(&refusal.code().word()), "{refusal:?}");
    let mut message = Vec::new();
    encode_error(refusal, &mut message);
    assert!(message.len() <= ERROR_BYTES_MAX, "{refusal:?}");
    let error: serde_json::Value = serde_json::from_slice(&message).expect("an error is JSON");
    assert_eq!(error["error"]["code"], refusal.code().word());
    assert_eq!(error["error"]["message"], refusal.to_string());
}
