//! JSON as apps write it: objects and lists by their parts, each of which is read by itself, so
//! that one bad value takes no other with it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::report::Unreadable;
use crate::protocol::{Field, string};
use crate::user::UserId;

/// An object by its keys, each of ours at most once; what is no object has none of them.
pub(super) fn object<'a, T>(value: Field<'a>) -> serde_json::Result<T>
where
    T: Default + Deserialize<'a>,
{
    match value.0 {
        // serde would take an array for a struct, field by field.
        Some(json) if value.is_object() => serde_json::from_str(json),
        _ => Ok(T::default()),
    }
}

/// Shows each value of a list, and counts them. None is kept, for there may be many.
pub(super) fn each<'a>(json: &'a str, show: impl FnMut(&'a str)) -> serde_json::Result<usize> {
    struct Each<F>(F);
    impl<'de, F: FnMut(&'de str)> Visitor<'de> for Each<F> {
        type Value = usize;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<usize, A::Error> {
            let mut count = 0;
            while let Some(value) = list.next_element::<&'de RawValue>()? {
                (self.0)(value.get());
                count += 1;
            }
            Ok(count)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let count = deserializer.deserialize_seq(Each(show))?;
    deserializer.end()?;
    Ok(count)
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Unreadable {
        Unreadable::Malformed(format!("this is not the JSON of positions: {error}"))
    }
}

/// The text of a string, or a number or whatever else it is as it was written; nothing for `null`
/// and for an empty string, in which apps say that they do not know.
pub(super) fn text<'a>(field: Field<'a>) -> Option<Cow<'a, str>> {
    let json = field.known()?;
    let text = string(json).unwrap_or(Cow::Borrowed(json));
    (!text.is_empty()).then_some(text)
}

/// The text of an id, which is not judged but for being a text or an integer: what is neither is
/// an empty text, and so no id.
pub(super) fn id(json: &str) -> String {
    if json.starts_with('"') {
        return string(json).unwrap_or_default().into_owned();
    }
    let integer = UserId::from_integer(json);
    integer.map_or_else(String::new, |id| id.text().to_owned())
}

/// The id that a field of an app gives; none for `null` and for an empty string.
pub(super) fn app_id(field: Field) -> Option<String> {
    field.known().filter(|json| *json != "\"\"").map(id)
}
