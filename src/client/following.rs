//! Whom a client follows, from the command line to the hellos that say so.

use tungstenite::Message;

use super::link::Link;
use super::message::quoted;
use crate::user::{UserId, is_id};

/// Ids in one message: well under 64 KiB, whatever they are.
const IDS_PER_HELLO_MAX: usize = 100;

/// Whom a client follows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Following<'a> {
    /// Whoever there is, now and later.
    Everyone,
    /// These users, as JSON.
    Users(&'a [String]),
}

impl Following<'_> {
    /// Says hello on a new connection; `token` is the field that shows one, or empty.
    pub(crate) fn say(self, link: &mut Link, token: &str) {
        let users = match self {
            Following::Everyone => return hello(link, token, "\"*\""),
            Following::Users(users) => users,
        };
        let mut token = token;
        for ids in users.chunks(IDS_PER_HELLO_MAX) {
            hello(link, token, &format!("[{}]", ids.join(",")));
            // What comes after the first is for the same connection.
            token = "";
        }
    }
}

fn hello(link: &mut Link, token: &str, following: &str) {
    link.send(Message::text(format!(
        r#"{{"initialRequest":true{token},"following":{following}}}"#
    )));
}

/// The id as JSON: a number if it is written as JSON writes one, or else a string. A server
/// takes both for the same user.
pub(crate) fn parse_id(text: &str) -> Result<String, String> {
    if UserId::from_integer(text).is_some() {
        return Ok(text.to_owned());
    }
    match is_id(text) {
        true => Ok(quoted(text)),
        false => Err(format!(
            "{text:?} is no user id: 1 to 64 bytes without control characters (try 5)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers_where_json_has_such_numbers_and_strings_elsewhere() {
        for (text, json) in [
            ("5", "5"),
            ("-5", "-5"),
            ("0", "0"),
            ("007", "\"007\""),
            ("a b", "\"a b\""),
            ("\"", "\"\\\"\""),
        ] {
            assert_eq!(parse_id(text).as_deref(), Ok(json));
        }
        for text in ["", "\u{1}", &"x".repeat(65)] {
            assert!(parse_id(text).is_err(), "{text}");
        }
    }
}
