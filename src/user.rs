//! User ids, valid by construction, and what is told of a user. Knows nothing of JSON beyond the
//! text of an id, and nothing of messages, sockets or clocks.

use std::borrow::Cow;
use std::time::Duration;

use crate::dialect::Dialect;
use crate::fix::Fix;

/// Longest user id, in bytes of its text (UTF-8, after unescaping).
pub const ID_BYTES_MAX: usize = 64;

/// Longest display name, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 64;

/// Whether a text is that of a user id: 1 to [`ID_BYTES_MAX`] bytes without control characters.
pub fn is_id(text: &str) -> bool {
    is_line(text, ID_BYTES_MAX)
}

/// Whether a text is a display name: 1 to [`NAME_BYTES_MAX`] bytes without control characters.
pub fn is_name(text: &str) -> bool {
    is_line(text, NAME_BYTES_MAX)
}

fn is_line(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// A user id as a client wrote it: `5` and `"5"` are the same user, written in two ways.
#[derive(Clone, Debug)]
pub struct UserId<'a> {
    text: Cow<'a, str>,
    json: &'a str,
}

impl<'a> UserId<'a> {
    /// From a JSON string: its unescaped text, which must be an id's, and the JSON that it was
    /// written as.
    pub fn from_string(text: Cow<'a, str>, json: &'a str) -> Option<UserId<'a>> {
        (is_id(&text) && is_json_string(json)).then_some(UserId { text, json })
    }

    /// From a JSON integer of at most [`ID_BYTES_MAX`] characters, whose text is the id.
    pub fn from_integer(json: &'a str) -> Option<UserId<'a>> {
        let digits = json.strip_prefix('-').unwrap_or(json);
        let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let has_needless_zero = digits.len() > 1 && digits.starts_with('0');
        (is_plain && !has_needless_zero && json.len() <= ID_BYTES_MAX).then_some(UserId {
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

    /// How it was written, to be kept beside the text.
    pub fn written(&self) -> Written {
        let inside = self
            .json
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        match inside {
            None => Written::Bare,
            Some(inside) if inside == self.text => Written::Quoted,
            Some(_) => Written::Escaped(self.json.into()),
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

/// How an id was written, for whoever keeps its text apart: it goes out again as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The text is the JSON.
    Bare,
    /// The text in quotes is the JSON.
    Quoted,
    /// This is the JSON: a string with escapes.
    Escaped(Box<str>),
}

impl Written {
    /// As one of the two ways is, without needless escapes.
    pub fn spelled(spelling: Spelling, text: &str) -> Written {
        match spelling {
            Spelling::Integer => Written::Bare,
            Spelling::String => Written::as_string(text),
        }
    }

    /// The JSON of an id that has this text and was written so, in three pieces.
    pub fn pieces<'a>(&'a self, text: &'a str) -> [&'a str; 3] {
        match self {
            Written::Bare => ["", text, ""],
            Written::Quoted => ["\"", text, "\""],
            Written::Escaped(json) => ["", json, ""],
        }
    }

    /// The same in one piece.
    pub fn json(&self, text: &str) -> String {
        self.pieces(text).concat()
    }

    /// Room taken on the heap, in bytes.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Written::Escaped(json) => json.len(),
            Written::Bare | Written::Quoted => 0,
        }
    }

    /// How a program writes an id of this text: as a string without needless escapes.
    pub fn as_string(text: &str) -> Written {
        if !text.contains(['"', '\\']) {
            return Written::Quoted;
        }
        // An id has no control characters, so nothing else is in need of one.
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        Written::Escaped(format!("\"{escaped}\"").into())
    }
}

/// How fresh the last known position of a user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// Received within `--stale-after`.
    Live,
    /// Received before that.
    Stale,
    /// There is none, or none any more.
    Unknown,
}

impl Freshness {
    /// The word for it in messages and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Freshness::Live => "live",
            Freshness::Stale => "stale",
            Freshness::Unknown => "unknown",
        }
    }
}

/// Where a user was last.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The text of the user's id.
    pub user: &'a str,
    /// How its sender wrote that.
    pub written: &'a Written,
    /// The newest fix.
    pub fix: &'a Fix,
    /// How long ago it was received.
    pub age: Duration,
    /// How it was said.
    pub dialect: Dialect,
}

/// What a user is called, and the colour that goes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Called<'a> {
    /// A display name.
    pub name: Option<&'a str>,
    /// `#rrggbb`.
    pub color: Option<&'a str>,
}

/// What is known of a user besides positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Presence<'a> {
    /// The text of the user's id.
    pub user: &'a str,
    /// What the user is called.
    pub called: Called<'a>,
    /// How to write it.
    pub spelling: Spelling,
    /// How fresh the last known position is.
    pub freshness: Freshness,
    /// Whether a connection is open that declared the id.
    pub is_connected: bool,
    /// Age of the last known position.
    pub age: Option<Duration>,
}

/// The way that a user came.
#[derive(Clone, Debug)]
pub struct TrailOf<'a, P> {
    /// The text of the user's id.
    pub user: &'a str,
    /// How to write it.
    pub spelling: Spelling,
    /// The points, the oldest first; at least one.
    pub points: P,
}

/// A string as JSON has it (RFC 8259, 7), with its quotes.
fn is_json_string(json: &str) -> bool {
    let inside = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let Some(inside) = inside else { return false };
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        let is_valid = match c {
            '\\' => match chars.next() {
                Some('u') => (0..4).all(|_| chars.next().is_some_and(|c| c.is_ascii_hexdigit())),
                escaped => escaped.is_some_and(|c| "\"\\/bfnrt".contains(c)),
            },
            c => c != '"' && c >= ' ',
        };
        if !is_valid {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_valid_json_whatever_its_maker_says() {
        for json in [
            "",
            "\"",
            "5",
            "\"a",
            "a\"",
            "\"a\"b\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u123g\"",
            "\"\n\"",
            "\"\",\"lat\":1",
            "[\"a\"]",
        ] {
            assert!(UserId::from_string("a".into(), json).is_none(), "{json}");
        }
        for json in [
            "\"a\"",
            "\"\\u0061\"",
            "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
            "\"ä😀\"",
        ] {
            assert!(UserId::from_string("a".into(), json).is_some(), "{json}");
        }
        for json in ["", "-", "007", "5.0", "1e2", "+5", "5,6", "--5", "5-5"] {
            assert!(UserId::from_integer(json).is_none(), "{json}");
        }
        // Not even where text and JSON are not of one id.
        for (text, json) in [("a\"b", "\"xyz\""), ("a\\", "\"a\""), ("\"", "\"\"")] {
            let id = UserId::from_string(text.into(), json).expect("an id and a string");
            assert_eq!(id.written().json(id.text()), json);
        }
    }

    #[test]
    fn an_id_goes_out_as_it_came() {
        for (text, json, written) in [
            ("5", "5", Written::Bare),
            ("5", "\"5\"", Written::Quoted),
            ("5", "\"\\u0035\"", Written::Escaped("\"\\u0035\"".into())),
            ("\"", "\"\\\"\"", Written::Escaped("\"\\\"\"".into())),
        ] {
            let id = match json.starts_with('"') {
                true => UserId::from_string(text.into(), json),
                false => UserId::from_integer(json),
            };
            let id = id.expect(json);
            assert_eq!(id.written(), written);
            assert_eq!(id.written().json(id.text()), json);
            assert_eq!(id.spelling() == Spelling::Integer, written == Written::Bare);
        }
        for (text, json) in [
            ("5", "\"5\""),
            ("ä / 😀", "\"ä / 😀\""),
            ("\"\\\"", r#""\"\\\"""#),
        ] {
            let written = Written::as_string(text).json(text);
            assert_eq!(written, json);
            assert!(UserId::from_string(text.into(), &written).is_some());
        }
    }
}
