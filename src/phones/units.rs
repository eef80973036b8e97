//! Numbers as apps write them, to numbers as a fix has them: JSON's digits in our units. What is
//! in our units already keeps its digits.

use std::borrow::Cow;

use crate::fix;

/// A unit of speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpeedUnit {
    MetresPerSecond,
    KilometresPerHour,
    Knots,
    MilesPerHour,
}

impl SpeedUnit {
    /// The unit that the value of `speed_unit` names.
    pub(super) fn named(name: &str) -> Option<SpeedUnit> {
        match name {
            "mps" => Some(SpeedUnit::MetresPerSecond),
            "kmh" => Some(SpeedUnit::KilometresPerHour),
            "kn" => Some(SpeedUnit::Knots),
            "mph" => Some(SpeedUnit::MilesPerHour),
            _ => None,
        }
    }

    fn metres_per_second(self) -> f64 {
        match self {
            SpeedUnit::MetresPerSecond => 1.0,
            SpeedUnit::KilometresPerHour => 1000.0 / 3600.0,
            // The international nautical mile has 1852 m.
            SpeedUnit::Knots => 1852.0 / 3600.0,
            // The international mile has 1609.344 m.
            SpeedUnit::MilesPerHour => 1609.344 / 3600.0,
        }
    }
}

/// Metres of 95 % accuracy that one unit of HDOP stands for.
const HDOP_M: f64 = 5.0;

/// Any number. Apps also write some that JSON has not (`+5`, `5.`, `.5`, `05`) and some that are
/// longer than a fix takes; these are written anew.
pub(super) fn number(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let text = match text {
        // A plus that nobody percent-encoded was read as a space.
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    };
    if fix::is_number(&text) {
        return Some(text);
    }
    let value: f64 = text.parse().ok()?;
    let digits = plain(value).unwrap_or_else(|| format!("{value:e}"));
    fix::is_number(&digits).then_some(Cow::Owned(digits))
}

/// A number that is unknown if it is negative.
pub(super) fn magnitude(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    number(text).filter(|digits| value(digits).is_some_and(|value| value >= 0.0))
}

/// A latitude or longitude: what is no number stays what it is, to be refused by its name.
pub(super) fn coordinate(text: Cow<'_, str>) -> Cow<'_, str> {
    number(Cow::Borrowed(&text))
        .map(|digits| Cow::Owned(digits.into_owned()))
        .unwrap_or(text)
}

/// A speed in metres per second.
pub(super) fn speed(text: Cow<'_, str>, unit: SpeedUnit) -> Option<Cow<'_, str>> {
    match unit {
        SpeedUnit::MetresPerSecond => magnitude(text),
        _ => converted(text, unit.metres_per_second()),
    }
}

/// Charge from 0 to 1, of percent.
pub(super) fn percent(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    // Judged before it is rounded.
    let percent =
        magnitude(text).filter(|digits| value(digits).is_some_and(|value| value <= 100.0));
    converted(percent?, 0.01)
}

/// Accuracy in metres, of a horizontal dilution of precision.
pub(super) fn hdop(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    converted(text, HDOP_M)
}

/// The value of a number of JSON.
pub(super) fn value(digits: &str) -> Option<f64> {
    digits.parse().ok().filter(|value: &f64| value.is_finite())
}

/// A magnitude in another unit, to a thousandth.
fn converted(text: Cow<'_, str>, factor: f64) -> Option<Cow<'_, str>> {
    // Without the sign of -0.
    let value = value(&magnitude(text)?)?.abs() * factor;
    let rounded = (value * 1000.0).round() / 1000.0;
    plain(rounded).map(Cow::Owned)
}

/// The shortest digits of a number without an exponent, if there is room for them.
fn plain(value: f64) -> Option<String> {
    let digits = format!("{value}");
    fix::is_number(&digits).then_some(digits)
}
