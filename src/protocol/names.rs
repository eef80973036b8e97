//! What users are called, as JSON.

use std::fmt;

use serde_json::Value;

use crate::user::{Called, Written};

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
