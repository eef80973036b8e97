//! A point while it is read: numbers in our units, and what is not known left out.

use std::borrow::Cow;

use super::units;
use crate::fix::{Bounds, Extra, Fix};
use crate::refusal::Refusal;

/// What an app measured.
#[derive(Debug, Default)]
pub(super) struct Point<'a> {
    lat: Option<Cow<'a, str>>,
    lng: Option<Cow<'a, str>>,
    extras: [Option<Cow<'a, str>>; Extra::ALL.len()],
}

impl<'a> Point<'a> {
    /// From the texts of its coordinates, as they came.
    pub(super) fn at(lat: Option<Cow<'a, str>>, lng: Option<Cow<'a, str>>) -> Point<'a> {
        Point {
            lat: lat.map(units::coordinate),
            lng: lng.map(units::coordinate),
            ..Point::default()
        }
    }

    /// With a number of JSON for this field, if there is one that a fix may have.
    pub(super) fn with(mut self, extra: Extra, digits: Option<Cow<'a, str>>) -> Point<'a> {
        self.extras[extra as usize] =
            digits.filter(|digits| units::value(digits).is_some_and(|value| value <= extra.max()));
        self
    }

    /// The same as a fix: it must be on Earth.
    pub(super) fn fix(&self) -> Result<Fix, Refusal> {
        Fix::new(
            Bounds::Wgs84,
            self.lat.as_deref(),
            self.lng.as_deref(),
            |extra| self.extras[extra as usize].as_deref(),
        )
        .map_err(Refusal::BadPosition)
    }
}
