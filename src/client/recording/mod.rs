//! Recordings: files in which each line is a position as a follower receives it (message 3 of the
//! protocol) with one field more, `received`, when that was, in milliseconds since the start of
//! 1970 UTC. Knows no servers.
//!
//! | file | what it is for |
//! |---|---|
//! | this one | one line of a recording, from text and to text |
//! | `lines` | a recording from its first line to its last, and what of it is no position |
//! | `newest` | what was recorded last of each user |
//! | `file` | the file that a recorder writes |

pub(super) mod file;
pub(super) mod lines;
pub(super) mod newest;

use serde::de::IgnoredAny;

use super::message::{self, ServerMessage, Sighting};
use crate::date;
use crate::fix::Fix;
use crate::user::UserId;

/// Longest line, in bytes without its newline: as long as a server's longest message.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024;

/// What every line that we write begins with.
const BEGIN: &str = r#"{"userId":"#;

/// A line of a recording.
#[derive(Debug)]
pub(super) struct Recorded<'a> {
    /// The position as it was received.
    pub(super) seen: Sighting<'a>,
    /// Whose it is.
    pub(super) user: UserId<'a>,
    /// Its numbers.
    pub(super) fix: Fix,
    /// When it was received, in milliseconds since the start of 1970 UTC.
    pub(super) received_ms: u64,
}

/// Why a line is none of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is longer than [`LINE_BYTES_MAX`].
    TooLong,
    /// It is not JSON.
    NotJson,
    /// It is no position: without a user, or without numbers for its place.
    NoPosition,
    /// It does not say when it was received.
    NoTime,
}

impl Flaw {
    /// All of them.
    pub(super) const ALL: [Flaw; 4] =
        [Flaw::NotJson, Flaw::NoPosition, Flaw::NoTime, Flaw::TooLong];

    /// Goes on from "lines that".
    fn words(self) -> &'static str {
        match self {
            Flaw::TooLong => "are longer than 64 KiB",
            Flaw::NotJson => "are not JSON",
            Flaw::NoPosition => "are no position of a user",
            Flaw::NoTime => "do not say when they were received",
        }
    }
}

/// Reads a line, without its newline.
///
/// # Errors
/// Why it is none of a recording.
pub(super) fn parse(line: &[u8]) -> Result<Recorded<'_>, Flaw> {
    if line.len() > LINE_BYTES_MAX {
        return Err(Flaw::TooLong);
    }
    let text = str::from_utf8(line).map_err(|_| Flaw::NotJson)?;
    let ServerMessage::Position(seen) = message::decode(text) else {
        let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
        return Err(if is_json {
            Flaw::NoPosition
        } else {
            Flaw::NotJson
        });
    };
    let user = seen.user_id().ok_or(Flaw::NoPosition)?;
    let fix = seen.fix().ok_or(Flaw::NoPosition)?;
    let received_ms = seen.received.and_then(|ms| date::dated(ms.parse().ok()?));
    Ok(Recorded {
        user,
        fix,
        received_ms: received_ms.ok_or(Flaw::NoTime)?,
        seen,
    })
}

/// The line of a position that came in this message, with its newline: the message byte for byte,
/// but for an age, as far as it is written as servers of ours do.
pub(super) fn line(message: &str, seen: &Sighting, received_ms: u64) -> String {
    let begin = match (seen.age, seen.received) {
        (None, None) => message.strip_suffix('}'),
        (Some(age), None) => message.strip_suffix(&format!(r#","age":{age}}}"#)),
        _ => None,
    };
    let is_ours = |begin: &&str| {
        begin.starts_with(BEGIN) && !begin.contains('\n') && begin.len() < LINE_BYTES_MAX / 2
    };
    let begin = match begin.filter(is_ours) {
        Some(begin) => begin.to_owned(),
        None => seen.unclosed(None),
    };
    format!("{begin},\"received\":{received_ms}}}\n")
}

/// Whether bytes can be the beginning of a line of ours.
fn can_begin(bytes: &[u8]) -> bool {
    let length = bytes.len().min(BEGIN.len());
    bytes[..length] == BEGIN.as_bytes()[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(message: &str) -> String {
        let ServerMessage::Position(seen) = message::decode(message) else {
            panic!("a position: {message}")
        };
        line(message, &seen, 7)
    }

    #[test]
    fn a_message_is_recorded_byte_for_byte_without_an_age() {
        let extras = r#""accuracy":5.0,"timestamp":1.7e12"#;
        let line = format!("{{\"userId\":\"\\u0035\",\"lat\":1.50,\"lng\":-0,{extras}");
        let written = format!("{line},\"received\":7}}\n");
        assert_eq!(recorded(&format!("{line}}}")), written);
        assert_eq!(recorded(&format!("{line},\"age\":12.30}}")), written);
        let read = parse(written.trim_end().as_bytes()).expect("a line");
        assert_eq!((read.user.text(), read.received_ms), ("5", 7));
    }

    #[test]
    fn whatever_a_server_writes_is_one_line_that_can_be_read_again() {
        for message in [
            " {\"userId\":5,\"lat\":1,\"lng\":2} ",
            "{\"lat\":1,\"userId\":5,\"lng\":2}",
            "{\"userId\":5,\n\"lat\":1,\"lng\":2}",
            "{\"userId\":5,\"age\":3,\"lat\":1,\"lng\":2}",
            "{\"userId\":5,\"lat\":1,\"lng\":2,\"received\":9}",
        ] {
            let line = recorded(message);
            assert_eq!(line, "{\"userId\":5,\"lat\":1,\"lng\":2,\"received\":7}\n");
        }
    }

    #[test]
    fn a_line_that_is_no_position_is_told_what_it_lacks() {
        let long = format!("{{\"x\":\"{}\"}}", "x".repeat(LINE_BYTES_MAX));
        for (line, flaw) in [
            ("", Flaw::NotJson),
            ("# a comment", Flaw::NotJson),
            ("{\"userId\":5,\"lat\":1,\"lng\":2,\"rec", Flaw::NotJson),
            ("[]", Flaw::NoPosition),
            ("{\"userId\":5,\"lat\":1,\"received\":1}", Flaw::NoPosition),
            ("{\"lat\":1,\"lng\":2,\"received\":1}", Flaw::NoPosition),
            (
                "{\"userId\":5,\"lat\":\"1\",\"lng\":2,\"received\":1}",
                Flaw::NoPosition,
            ),
            (
                "{\"userId\":\"\",\"lat\":1,\"lng\":2,\"received\":1}",
                Flaw::NoPosition,
            ),
            ("{\"userId\":5,\"lat\":1,\"lng\":2}", Flaw::NoTime),
            (
                "{\"userId\":5,\"lat\":1,\"lng\":2,\"received\":-1}",
                Flaw::NoTime,
            ),
            (
                "{\"userId\":5,\"lat\":1,\"lng\":2,\"received\":\"1\"}",
                Flaw::NoTime,
            ),
            (&long, Flaw::TooLong),
        ] {
            assert_eq!(parse(line.as_bytes()).map(|_| ()), Err(flaw), "{line}");
        }
    }
}
