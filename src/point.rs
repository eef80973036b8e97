//! Where somebody was and when, in whole numbers: what is kept of a fix once it is no longer the
//! newest. Knows no clock, and not whose it is.

use crate::fix::{Extra, Fix};

/// Millionths of a degree in a degree.
const PER_DEGREE: f64 = 1e6;

/// Centimetres in a metre.
const PER_METRE: f64 = 100.0;

/// Once round the Earth, in millionths of a degree.
const ROUND_E6: i32 = 360_000_000;

/// How far north and east there is something on Earth, in millionths of a degree.
const LAT_E6_MAX: u32 = 90_000_000;
const LNG_E6_MAX: u32 = 180_000_000;

/// A millionth of a degree of a great circle, in metres: of a sphere of 6371008.8 m, the mean radius
/// (Moritz, Geodetic Reference System 1980).
const E6_METRES: f64 = 0.111_195_08;

/// The latest time of a point: every whole number up to here is one for JavaScript too.
pub const MS_MAX: u64 = 1 << 53;

/// A point of somebody's way. Coordinates are within WGS 84.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailPoint {
    /// Millionths of a degree north.
    pub lat_e6: i32,
    /// Millionths of a degree east.
    pub lng_e6: i32,
    /// Milliseconds since the start of 1970 UTC, at most [`MS_MAX`].
    pub ms: u64,
    /// Height above the WGS 84 ellipsoid, in centimetres, if it is known.
    pub altitude_cm: Option<i32>,
}

impl TrailPoint {
    /// From a fix made at this time; `None` if that is no place on Earth.
    pub fn of(fix: &Fix, ms: u64) -> Option<TrailPoint> {
        let mut point = TrailPoint::bare(fix, ms)?;
        point.add_altitude(fix);
        Some(point)
    }

    /// The same without its altitude, which takes longer to read than the rest.
    pub(crate) fn bare(fix: &Fix, ms: u64) -> Option<TrailPoint> {
        let e6 = |degrees: f64| (degrees * PER_DEGREE).round() as i32;
        fix.is_wgs84().then(|| TrailPoint {
            lat_e6: e6(fix.lat()),
            lng_e6: e6(fix.lng()),
            ms: ms.min(MS_MAX),
            altitude_cm: None,
        })
    }

    /// Reads the altitude of the fix that it is from.
    pub(crate) fn add_altitude(&mut self, fix: &Fix) {
        let cm = fix.value(Extra::Altitude).map(|m| (m * PER_METRE).round());
        let is_plausible = |cm: &f64| cm.abs() <= f64::from(i32::MAX);
        self.altitude_cm = cm.filter(is_plausible).map(|cm| cm as i32);
    }

    /// Whether it can be one that was kept: on Earth, and not after the latest time.
    pub(crate) fn is_plausible(&self) -> bool {
        self.lat_e6.unsigned_abs() <= LAT_E6_MAX
            && self.lng_e6.unsigned_abs() <= LNG_E6_MAX
            && self.ms <= MS_MAX
    }

    /// Whether two points are less than so many metres apart, on a sphere. Right for some kilometres,
    /// wherever on Earth that is, but for the poles themselves.
    pub(crate) fn is_within(&self, metres: f64, other: &TrailPoint) -> bool {
        let north_e6 = f64::from(self.lat_e6 - other.lat_e6);
        let mut east_e6 = (self.lng_e6 - other.lng_e6).abs();
        if east_e6 > ROUND_E6 / 2 {
            // The shorter way, over the antimeridian.
            east_e6 = ROUND_E6 - east_e6;
        }
        let (east_e6, reach_e6) = (f64::from(east_e6), metres / E6_METRES);
        let reach_squared = reach_e6 * reach_e6;
        let north_squared = north_e6 * north_e6;
        if north_squared >= reach_squared {
            return false;
        }
        // Nowhere is a degree east longer than on the equator.
        if north_squared + east_e6 * east_e6 < reach_squared {
            return true;
        }
        let middle_e6 = f64::from(self.lat_e6) - north_e6 / 2.0;
        let east_e6 = east_e6 * (middle_e6 / PER_DEGREE).to_radians().cos();
        north_squared + east_e6 * east_e6 < reach_squared
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fix::Bounds;

    fn at(lat: f64, lng: f64) -> TrailPoint {
        let (lat, lng) = (lat.to_string(), lng.to_string());
        let fix = Fix::new(Bounds::Finite, Some(&lat), Some(&lng), |_| None).expect("numbers");
        TrailPoint::of(&fix, 0).expect("on Earth")
    }

    /// By the haversine formula (Sinnott, Virtues of the Haversine, 1984), in metres.
    fn distance(from: TrailPoint, to: TrailPoint) -> f64 {
        let radians = |e6: i32| (f64::from(e6) / 1e6).to_radians();
        let half = |a: i32, b: i32| ((radians(b) - radians(a)) / 2.0).sin().powi(2);
        let a = half(from.lat_e6, to.lat_e6)
            + radians(from.lat_e6).cos() * radians(to.lat_e6).cos() * half(from.lng_e6, to.lng_e6);
        2.0 * 6_371_008.8 * a.sqrt().asin()
    }

    #[test]
    fn ten_metres_are_ten_metres_at_every_latitude_and_over_the_antimeridian() {
        for lat in [-89.0, -80.0, -45.5, 0.0, 23.4, 60.0, 80.0, 89.0] {
            for lng in [-180.0, -179.999_99, 0.0, 7.25, 179.999_99, 180.0] {
                let from = at(lat, lng);
                for (north, east) in [(1.0, 0.0), (0.0, 1.0), (0.6, 0.8), (-0.7, 0.714)] {
                    for metres in [1.0, 9.5, 10.5, 100.0, 3000.0] {
                        let degrees = metres / 111_195.08;
                        let to_lat = lat + north * degrees;
                        let to_lng = lng + east * degrees / lat.to_radians().cos();
                        let wrapped = (to_lng + 540.0).rem_euclid(360.0) - 180.0;
                        let to = at(to_lat, wrapped);
                        let really = distance(from, to);
                        assert!((really - metres).abs() < 0.3 + metres / 30.0, "{really}");
                        let is_within = metres < 10.0;
                        assert_eq!(from.is_within(10.0, &to), is_within, "{from:?} {to:?}");
                        assert_eq!(to.is_within(10.0, &from), is_within, "{from:?} {to:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_kept_is_rounded_and_what_is_no_place_is_not_kept() {
        let point = at(-46.123_456_7, 179.999_999_6);
        assert_eq!((point.lat_e6, point.lng_e6), (-46_123_457, 180_000_000));
        let with = |lat, lng, altitude| {
            let fix = Fix::new(Bounds::Finite, Some(lat), Some(lng), |extra| match extra {
                Extra::Altitude => altitude,
                _ => None,
            });
            TrailPoint::of(&fix.expect("numbers"), 7)
        };
        let altitude = |text| with("1", "2", Some(text)).and_then(|point| point.altitude_cm);
        assert_eq!(altitude("-431.256"), Some(-43_126));
        assert_eq!(altitude("431.256"), Some(43_126));
        assert_eq!(altitude("0"), Some(0));
        assert_eq!(altitude("1e300"), None);
        for (lat, lng) in [("90.1", "0"), ("0", "-180.5"), ("1e300", "0"), ("100", "7")] {
            assert_eq!(with(lat, lng, None), None, "{lat} {lng}");
        }
    }
}
