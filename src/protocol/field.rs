//! One value of a client's JSON, with its digits and escapes. Knows no messages.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::refusal::Refusal;

/// One JSON value as it was written, or its absence. Unlike an `Option<&RawValue>`, it can tell
/// `null` from a key that is not there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Field<'a>(pub(crate) Option<&'a str>);

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Field<'a>, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Field(Some(raw.get())))
    }
}

impl<'a> Field<'a> {
    pub(super) fn is_true(self) -> bool {
        self.0 == Some("true")
    }

    /// The value of the field of this name, if there is one other than `null`.
    pub(super) fn switch(self, name: &'static str) -> Option<Result<bool, Refusal>> {
        self.known().map(|json| match json {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Refusal::NotASwitch(name)),
        })
    }

    /// Whether the field of this name, which has a value other than `null`, is true.
    pub(super) fn only_true(self, name: &'static str) -> Option<Result<(), Refusal>> {
        self.known().map(|json| match json {
            "true" => Ok(()),
            _ => Err(Refusal::NotTrue(name)),
        })
    }

    pub(crate) fn is_object(self) -> bool {
        self.0.is_some_and(|json| json.starts_with('{'))
    }

    /// The value, if it is a list.
    pub(crate) fn list(self) -> Option<&'a str> {
        self.0.filter(|json| json.starts_with('['))
    }

    /// The value, if there is one other than `null`.
    pub(crate) fn known(self) -> Option<&'a str> {
        self.0.filter(|json| *json != "null")
    }
}

/// The text of a JSON string; `None` if the value is none, or text that Unicode does not have.
pub(crate) fn string(json: &str) -> Option<Cow<'_, str>> {
    let plain = json.strip_prefix('"')?.strip_suffix('"')?;
    if plain.contains('\\') {
        serde_json::from_str(json).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(plain))
    }
}
