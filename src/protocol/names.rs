//! What users are called, as JSON.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::user::{Called, Written, is_name};

/// What a user is called, as fields of an object behind another one.
pub(super) struct CalledFields<'a>(pub(super) Called<'a>);

impl fmt::Display for CalledFields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Called { name, color } = self.0;
        for (key, value) in [("name", name), ("color", color)] {
            if let Some(value) = value {
                write!(f, ",\"{key}\":{}", Value::from(value))?;
            }
        }
        Ok(())
    }
}

/// Writes a list of users, by the texts of their ids, with what each is called.
pub fn encode_roster<'a>(users: impl Iterator<Item = (&'a str, Called<'a>)>) -> String {
    let users = users.map(|(id, called)| {
        let id = Written::as_string(id).json(id);
        format!("{{\"userId\":{id}{}}}", CalledFields(called))
    });
    format!("[{}]", users.collect::<Vec<_>>().join(","))
}

/// What one node tells the others of a user besides where it is.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Word {
    connected: bool,
    token: Option<Box<str>>,
    name: Option<Box<str>>,
}

/// Writes whether a connection declared a user, and what it is called by a token and by itself.
pub fn encode_word(is_connected: bool, names: &[Option<Box<str>>; 2]) -> String {
    let mut text = format!("{{\"connected\":{is_connected}");
    for (key, name) in ["token", "name"].into_iter().zip(names) {
        if let Some(name) = name {
            text.push_str(&format!(",\"{key}\":{}", Value::from(&**name)));
        }
    }
    text.push('}');
    text
}

/// Reads the same; nothing of what says something else.
pub fn decode_word(json: &str) -> Option<(bool, [Option<Box<str>>; 2])> {
    // serde would take an array for a struct, field by field.
    let word: Word = serde_json::from_str(json)
        .ok()
        .filter(|_| json.starts_with('{'))?;
    let names = [word.token, word.name].map(|name| name.filter(|name| is_name(name)));
    Some((word.connected, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_node_says_of_a_user_another_reads() {
        for names in [
            [None, None],
            [Some("Anna \"B\"".into()), None],
            [None, Some("Zoë".into())],
        ] {
            for is_connected in [false, true] {
                let json = encode_word(is_connected, &names);
                assert_eq!(
                    decode_word(&json),
                    Some((is_connected, names.clone())),
                    "{json}"
                );
            }
        }
        assert_eq!(decode_word("{}"), Some((false, [None, None])));
        assert_eq!(decode_word("[true]"), None);
        let bad = "{\"connected\":true,\"name\":\"a\\nb\"}";
        assert_eq!(decode_word(bad), Some((true, [None, None])));
    }
}
