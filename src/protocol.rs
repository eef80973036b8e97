//! The messages: text to types for what clients send, types to text for what they receive.
//! Knows no sockets, no clocks, and nobody's follows.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::position::{Bounds, Extra, ID_BYTES_MAX, Position, PositionError, UserId};

/// What a client said.
#[derive(Debug)]
pub enum ClientMessage<'a> {
    /// Who this connection is and whom it follows.
    Hello(Hello<'a>),
    /// Where somebody is.
    Position(Publication<'a>),
    /// Other follows than before.
    Change(Change<'a>),
}

/// An object with a true `initialRequest`. Each field stands for itself: a mistake in one leaves
/// the others valid.
#[derive(Debug)]
pub struct Hello<'a> {
    /// The user that this connection is; `None` for a pure spectator.
    pub user: Option<Result<UserId<'a>, Refusal>>,
    /// Users to follow in addition to those followed already.
    pub following: Ids<'a>,
}

/// A position as it was sent.
#[derive(Debug)]
pub struct Publication<'a> {
    /// Whose position; `None` for the user that the connection declared.
    pub user: Option<UserId<'a>>,
    /// Where.
    pub position: Position<'a>,
}

/// Follows to add, and then follows to end.
#[derive(Debug)]
pub struct Change<'a> {
    /// Users to follow.
    pub follow: Ids<'a>,
    /// Users to follow no longer.
    pub unfollow: Ids<'a>,
}

/// A list of user ids, as far as it was one.
#[derive(Debug, Default)]
pub struct Ids<'a> {
    /// Those that are ids.
    pub valid: Vec<UserId<'a>>,
    /// What was wrong with the rest.
    pub refusal: Option<Refusal>,
}

/// Why a message, or a part of it, was not carried out. Its [`Display`](fmt::Display) is the
/// sentence that tells the sender what to mend.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// Not JSON, or one of our keys twice; with the parser's own words.
    BadJson(String),
    /// JSON, but not an object from its first byte.
    NotAnObject,
    /// An object without any key that would make it a message.
    NoMessage,
    /// The field of this name should be a list.
    NotAList(&'static str),
    /// This many ids of a list are none; the first of them, as JSON.
    BadIds(usize, String),
    /// The `userId`, given as JSON, is none.
    BadUser(String),
    /// A position without a `userId` on a connection that declared none.
    MissingUser,
    /// The position is none.
    BadPosition(PositionError),
    /// The connection declared another user, given as JSON, than the message names.
    WrongUser(String),
    /// This many ids were over the limit of follows (the second number); the first, as JSON.
    TooManyFollows(usize, usize, String),
}

impl Refusal {
    /// The `code` of the error message.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::BadJson(_) => "bad_json",
            Refusal::NotAnObject | Refusal::NoMessage | Refusal::NotAList(_) => "bad_message",
            Refusal::BadIds(..) | Refusal::BadUser(_) | Refusal::MissingUser => "bad_id",
            Refusal::BadPosition(_) => "bad_position",
            Refusal::WrongUser(_) => "wrong_user",
            Refusal::TooManyFollows(..) => "too_many_follows",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Refusal::BadJson(reason) => write!(f, "this is not the JSON of one message: {reason}"),
            Refusal::NotAnObject => write!(f, "a message is a JSON object: its first byte must be {{"),
            Refusal::NoMessage => write!(
                f,
                "no message has these keys: send initialRequest true for a hello, lat and lng for a position, \
                 or follow or unfollow"
            ),
            Refusal::NotAList(field) => write!(f, "{field} must be a list of user ids"),
            Refusal::BadIds(1, first) => write!(f, "1 id was left out, {first}: {ID_RULE}"),
            Refusal::BadIds(count, first) => {
                write!(f, "{count} ids were left out, the first of them {first}: {ID_RULE}")
            }
            Refusal::BadUser(json) => write!(f, "userId is {json}: {ID_RULE}"),
            Refusal::MissingUser => {
                write!(f, "userId is missing: put it into the position, or into a hello before it")
            }
            Refusal::BadPosition(error) => error.fmt(f),
            Refusal::WrongUser(declared) => {
                write!(f, "this connection is user {declared}; be somebody else on another connection")
            }
            Refusal::TooManyFollows(count, max, first) => write!(
                f,
                "a connection follows at most {max} users: {count} left out, the first of them {first}; unfollow some"
            ),
        }
    }
}

const ID_RULE: &str = "a user id is a string of 1 to 64 bytes without control characters, or an integer";
const _: () = assert!(ID_BYTES_MAX == 64, "ID_RULE says the limit in words");

/// Longest piece of a client's own text that an error message quotes, in bytes.
const QUOTE_BYTES_MAX: usize = 80;

/// The client's own words, short enough for an error message.
pub fn quote(json: &str) -> String {
    if json.len() <= QUOTE_BYTES_MAX {
        return json.to_owned();
    }
    format!("{}…", &json[..json.floor_char_boundary(QUOTE_BYTES_MAX)])
}

/// One JSON value as it was written, or its absence. Unlike an `Option<&RawValue>`, it can tell
/// `null` from a key that is not there.
#[derive(Clone, Copy, Debug, Default)]
struct Field<'a>(Option<&'a str>);

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Field<'a>, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Field(Some(raw.get())))
    }
}

impl<'a> Field<'a> {
    fn is_true(self) -> bool {
        self.0 == Some("true")
    }

    /// The value, if there is one other than `null`.
    fn known(self) -> Option<&'a str> {
        self.0.filter(|json| *json != "null")
    }
}

/// Our keys in an object from a client; all others are skipped.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Fields<'a> {
    #[serde(borrow)]
    initial_request: Field<'a>,
    user_id: Field<'a>,
    following: Field<'a>,
    follow: Field<'a>,
    unfollow: Field<'a>,
    token: Field<'a>,
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
    if !text.starts_with('{') {
        // serde would take an array for a struct, field by field.
        return Err(match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => Refusal::NotAnObject,
            Err(error) => Refusal::BadJson(error.to_string()),
        });
    }
    let fields: Fields = serde_json::from_str(text).map_err(|error| Refusal::BadJson(error.to_string()))?;
    if fields.initial_request.is_true() {
        return Ok(ClientMessage::Hello(Hello {
            user: fields.user_id.known().map(user_id),
            following: ids("following", fields.following),
        }));
    }
    if fields.lat.0.is_some() || fields.lng.0.is_some() {
        let position = Position::new(bounds, fields.lat.0, fields.lng.0, |extra| fields.extra(extra))
            .map_err(Refusal::BadPosition)?;
        let user = fields.user_id.0.map(user_id).transpose()?;
        return Ok(ClientMessage::Position(Publication { user, position }));
    }
    if [fields.follow, fields.unfollow, fields.token].iter().any(|field| field.known().is_some()) {
        return Ok(ClientMessage::Change(Change {
            follow: ids("follow", fields.follow),
            unfollow: ids("unfollow", fields.unfollow),
        }));
    }
    Err(Refusal::NoMessage)
}

/// Reads a user id from one JSON value.
fn user_id(json: &str) -> Result<UserId<'_>, Refusal> {
    let id = match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => UserId::from_string(Cow::Borrowed(plain), json),
        Some(_) => serde_json::from_str::<String>(json)
            .ok()
            .and_then(|unescaped| UserId::from_string(Cow::Owned(unescaped), json)),
        None => UserId::from_integer(json),
    };
    id.ok_or_else(|| Refusal::BadUser(quote(json)))
}

/// Reads a list of user ids as far as it goes; a missing list is an empty one.
fn ids<'a>(name: &'static str, field: Field<'a>) -> Ids<'a> {
    let Some(json) = field.known() else { return Ids::default() };
    let Ok(values) = serde_json::from_str::<Vec<&'a RawValue>>(json) else {
        return Ids { valid: Vec::new(), refusal: Some(Refusal::NotAList(name)) };
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
    Ids { valid, refusal }
}

/// Writes the message that followers receive: `user` as JSON, then the position with the digits
/// that it was sent with.
pub fn encode_position(user: &str, position: &Position, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"userId\":");
    out.extend_from_slice(user.as_bytes());
    out.extend_from_slice(b",\"lat\":");
    out.extend_from_slice(position.lat().json().as_bytes());
    out.extend_from_slice(b",\"lng\":");
    out.extend_from_slice(position.lng().json().as_bytes());
    for (extra, number) in position.extras() {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(extra.name().as_bytes());
        out.extend_from_slice(b"\":");
        out.extend_from_slice(number.json().as_bytes());
    }
    out.push(b'}');
}

/// Writes a last known position: what [`encode_position`] wrote when it was new, with its age in
/// seconds as the last field.
pub fn encode_last_known(position: &[u8], age_s: f64, out: &mut Vec<u8>) {
    let open = position.strip_suffix(b"}").unwrap_or(position);
    out.extend_from_slice(open);
    // A write into a Vec cannot fail.
    let _ = write!(out, ",\"age\":{age_s:.1}}}");
}

/// Writes the error message for a refusal.
pub fn encode_error(refusal: &Refusal, out: &mut Vec<u8>) {
    let message = serde_json::Value::String(refusal.to_string());
    let _ = write!(out, "{{\"error\":{{\"code\":\"{}\",\"message\":{message}}}}}", refusal.code());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relayed(text: &str) -> String {
        let Ok(ClientMessage::Position(publication)) = decode(text, Bounds::Finite) else {
            panic!("no position: {text}")
        };
        let user = publication.user.expect("a user");
        let mut out = Vec::new();
        encode_position(user.json(), &publication.position, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    fn refused(text: &str) -> (&'static str, String) {
        let refusal = decode(text, Bounds::Finite).expect_err(text);
        (refusal.code(), refusal.to_string())
    }

    #[test]
    fn a_position_keeps_the_senders_digits_and_way_of_writing_the_id() {
        for (sent, expected) in [
            (r#"{"userId":5,"lat":1.50,"lng":2E0}"#, r#"{"userId":5,"lat":1.50,"lng":2E0}"#),
            (r#"{"lng": -0, "lat" : 1e-7 ,"userId":"5"}"#, r#"{"userId":"5","lat":1e-7,"lng":-0}"#),
            (r#"{"\u0075serId":"\u0035","lat":1,"lng":1}"#, r#"{"userId":"\u0035","lat":1,"lng":1}"#),
        ] {
            assert_eq!(relayed(sent), expected);
        }
    }

    #[test]
    fn optional_fields_follow_in_a_fixed_order_without_nulls_and_unknown_values() {
        let sent = r#"{"userId":5,"battery":0.5,"timestamp":-7,"speed":-1,"heading":360,"altitudeAccuracy":null,
            "altitude":-3.0,"accuracy":5,"colour":"red","lat":1,"lng":2}"#;
        assert_eq!(
            relayed(sent),
            r#"{"userId":5,"lat":1,"lng":2,"accuracy":5,"altitude":-3.0,"heading":360,"timestamp":-7,"battery":0.5}"#
        );
    }

    #[test]
    fn bad_positions_are_refused_with_the_field_to_mend() {
        for (text, message) in [
            (r#"{"userId":5,"lat":1e999,"lng":1}"#, "lat must be a finite number"),
            (r#"{"userId":5,"lat":"1","lng":1}"#, "lat must be a number"),
            (r#"{"userId":5,"lat":null,"lng":1}"#, "lat is missing: a position needs lat and lng"),
            (r#"{"userId":5,"lat":1}"#, "lng is missing: a position needs lat and lng"),
            (r#"{"userId":5,"lat":1,"lng":[1]}"#, "lng must be a number"),
            (r#"{"userId":5,"lat":1,"lng":1,"heading":360.1}"#, "heading must be at most 360"),
            (r#"{"userId":5,"lat":1,"lng":1,"battery":1.01}"#, "battery must be at most 1"),
            (r#"{"userId":5,"lat":1,"lng":1,"speed":"fast"}"#, "speed must be a number"),
            (r#"{"userId":5,"lat":1,"lng":1,"accuracy":-1e999}"#, "accuracy must be a finite number"),
        ] {
            assert_eq!(refused(text), ("bad_position", message.to_owned()), "{text}");
        }
    }

    #[test]
    fn wgs84_bounds_hold_where_they_are_asked_for() {
        let text = r#"{"userId":5,"lat":90.5,"lng":1}"#;
        assert!(decode(text, Bounds::Finite).is_ok());
        assert_eq!(
            decode(text, Bounds::Wgs84).expect_err("over 90").to_string(),
            "lat must be from -90 to 90"
        );
        assert!(decode(r#"{"userId":5,"lat":-90,"lng":180.0}"#, Bounds::Wgs84).is_ok());
        assert!(decode(r#"{"userId":5,"lat":0,"lng":-180.01}"#, Bounds::Wgs84).is_err());
    }

    #[test]
    fn what_is_not_json_or_has_a_key_of_ours_twice_is_bad_json() {
        for text in [
            "",
            "hello",
            "{",
            "\u{feff}{}",
            r#"{"userId":5,"lat":05,"lng":1}"#,
            r#"{"userId":5,"lat":NaN,"lng":1}"#,
            r#"{"userId":5,"lat":1,"lng":1}x"#,
            r#"{"userId":5,"lat":1,"lat":1,"lng":1}"#,
            r#"{"userId":007,"lat":1,"lng":1}"#,
        ] {
            assert_eq!(refused(text).0, "bad_json", "{text}");
        }
    }

    #[test]
    fn json_that_is_no_message_of_ours_is_a_bad_message() {
        for text in ["[5,1,2]", "5", "null", "\"{}\"", " {}", "{}", r#"{"initialRequest":1}"#, r#"{"follow":null}"#] {
            assert_eq!(refused(text).0, "bad_message", "{text}");
        }
        let Ok(ClientMessage::Change(change)) = decode(r#"{"follow":5,"unfollow":[1]}"#, Bounds::Finite) else {
            panic!("a change")
        };
        assert_eq!(change.follow.refusal, Some(Refusal::NotAList("follow")));
        assert_eq!(change.unfollow.valid.len(), 1);
    }

    #[test]
    fn ids_are_strings_or_integers_and_nothing_else() {
        for json in ["5", "-5", "\"5\"", "\"007\"", "\"ä\"", "123456789012345678901234567890", r#""\u0035\"""#] {
            assert!(user_id(json).is_ok(), "{json}");
        }
        let long = format!("\"{}\"", "x".repeat(65));
        let digits = "1".repeat(65);
        for json in
            ["5.0", "1e2", "null", "\"\"", "true", "[5]", "{}", r#""\u0000""#, r#""\u009f""#, r#""\ud800""#, &long, &digits]
        {
            assert!(user_id(json).is_err(), "{json}");
        }
        assert!(user_id(&format!("\"{}\"", "x".repeat(64))).is_ok());
        assert_eq!(user_id("5").expect("an id").text(), user_id("\"5\"").expect("an id").text());
        assert_ne!(user_id("7").expect("an id").text(), user_id("\"007\"").expect("an id").text());
    }

    #[test]
    fn a_hello_is_carried_out_field_by_field() {
        let text = r#"{"initialRequest":true,"userId":5.5,"following":[1,"",2,null,"x"],"lat":3}"#;
        let Ok(ClientMessage::Hello(hello)) = decode(text, Bounds::Finite) else { panic!("a hello") };
        assert!(matches!(&hello.user, Some(Err(refusal)) if refusal.code() == "bad_id"));
        let valid: Vec<&str> = hello.following.valid.iter().map(UserId::text).collect();
        assert_eq!(valid, ["1", "2", "x"]);
        assert_eq!(hello.following.refusal, Some(Refusal::BadIds(2, "\"\"".to_owned())));
        let Ok(ClientMessage::Hello(hello)) =
            decode(r#"{"initialRequest":true,"userId":null,"following":null}"#, Bounds::Finite)
        else {
            panic!("a hello")
        };
        assert!(hello.user.is_none() && hello.following.valid.is_empty() && hello.following.refusal.is_none());
    }

    #[test]
    fn a_hundred_thousand_levels_neither_overflow_the_stack_nor_hide_the_message() {
        for depth in [100, 100_000] {
            let text = format!(
                "{{\"userId\":5,\"lat\":1,\"lng\":2,\"x\":{}{}}}",
                "[".repeat(depth),
                "]".repeat(depth)
            );
            assert_eq!(relayed(&text), r#"{"userId":5,"lat":1,"lng":2}"#);
        }
    }

    #[test]
    fn an_error_quotes_little_and_escapes_it() {
        let json = format!("\"{}\\\"\"", "é".repeat(200));
        let refusal = user_id(&json).expect_err("too long");
        let mut out = Vec::new();
        encode_error(&refusal, &mut out);
        assert!(out.len() < 400);
        let parsed: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(parsed["error"]["code"], "bad_id");
    }
}
