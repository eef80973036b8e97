//! Times as apps write them, to milliseconds since the start of 1970 UTC.

use std::borrow::Cow;

use super::units;
use crate::date::{MS_MAX, parse_ms};

/// Numbers from here on are milliseconds: as seconds they would be in 2038 or later, and as
/// milliseconds smaller ones would be in January 1970.
const MILLISECONDS_MIN: f64 = (1u64 << 31) as f64;

/// Digits of a fraction that are read: nanoseconds.
const FRACTION_DIGITS_MAX: usize = 9;

/// Where the letter between date and time stands in `2026-05-01T12:00:00`.
const SEPARATOR_AT: usize = 10;

/// A time in any of the ways that apps have: seconds, milliseconds, or ISO 8601, also with a space
/// for its `T`, of UTC if it has no offset.
pub(super) fn time(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let Some(digits) = units::number(Cow::Borrowed(&text)) else {
        return iso_8601(text.trim());
    };
    if units::value(&digits)? < MILLISECONDS_MIN {
        seconds(text)
    } else {
        milliseconds(text)
    }
}

/// A time in seconds.
pub(super) fn seconds(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let digits = units::magnitude(text)?;
    let milliseconds = (units::value(&digits)?.abs() * 1000.0).round();
    is_dated(milliseconds).then(|| Cow::Owned(format!("{milliseconds}")))
}

fn milliseconds(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    units::number(text).filter(|digits| units::value(digits).is_some_and(is_dated))
}

/// Whether that is a time since the start of 1970 which has a date.
pub(super) fn is_dated(milliseconds: f64) -> bool {
    (0.0..=MS_MAX as f64).contains(&milliseconds)
}

fn iso_8601(text: &str) -> Option<Cow<'static, str>> {
    let mut text = text.to_owned();
    if text.as_bytes().get(SEPARATOR_AT) == Some(&b' ') {
        text.replace_range(SEPARATOR_AT..=SEPARATOR_AT, "T");
    }
    // A plus that nobody percent-encoded was read as a space.
    let text = cut_fraction(&text.replace(' ', "+"));
    // Rounded, for the fraction is read as a double.
    parse_ms(&text).map(|ms| Cow::Owned(ms.to_string()))
}

/// Without the digits of a fraction that would be rounded up to a whole second.
fn cut_fraction(text: &str) -> String {
    let Some(point) = text.find(['.', ',']) else {
        return text.to_owned();
    };
    let (before, fraction) = text.split_at(point + 1);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let kept = digits.min(FRACTION_DIGITS_MAX);
    [before, &fraction[..kept], &fraction[digits..]].concat()
}
