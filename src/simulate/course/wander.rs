//! Where simulated users are: random positions that are a function of the run's seed, the user
//! and the position's number, so that what was sent need not be stored to be compared, however
//! long the run. Pure.

use std::fmt::Write;

/// Digits of a coordinate behind the point. With the two before it these are 15, which any
/// server that takes the numbers for doubles can keep.
const DECIMALS: u32 = 13;
/// One degree, in the last of these digits.
const DEGREE: u64 = 10_u64.pow(DECIMALS);
/// The last digits of `lng` hold the position's number, so that no two of a user are alike.
const NUMBER_DIGITS: usize = 10;

/// Most positions of one user, and so of one run.
pub(crate) const POSITIONS_MAX: u64 = 10_u64.pow(NUMBER_DIGITS as u32);

/// Numbers are multiplied by this, so that they look as random as the other digits.
const FACTOR: u64 = 6_180_339_887;
/// What undoes it.
const FACTOR_INVERSE: u64 = 4_931_679_823;
const _: () = assert!(multiply(FACTOR, FACTOR_INVERSE) == 1);

/// The random positions of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wander {
    seed: u64,
    /// In degrees.
    lat_max: u64,
}

impl Wander {
    /// The same seed leads to the same positions.
    pub(crate) fn new(seed: u64) -> Wander {
        Wander { seed, lat_max: 100 }
    }

    /// Others, whose latitudes are some on Earth.
    pub(crate) fn on_earth(seed: u64) -> Wander {
        Wander { seed, lat_max: 90 }
    }

    /// Whether all its latitudes are some on Earth.
    pub(crate) fn is_on_earth(self) -> bool {
        self.lat_max <= 90
    }

    /// The message that publishes a user's position of this number, below [`POSITIONS_MAX`], under
    /// this id.
    pub(crate) fn text(self, user: usize, id: usize, number: u64) -> String {
        let (lat, lng) = self.coordinates(user, number);
        format!("{{\"userId\":{id},\"lat\":{lat},\"lng\":{lng}}}")
    }

    /// Which of the user's positions has these coordinates, to the last digit.
    pub(crate) fn number(self, user: usize, lat: &str, lng: &str) -> Option<u64> {
        let digits = lng
            .get(lng.len().checked_sub(NUMBER_DIGITS)?..)?
            .parse::<u64>()
            .ok()?;
        let shifted = digits + POSITIONS_MAX - self.shift(user);
        let number = multiply(shifted % POSITIONS_MAX, FACTOR_INVERSE);
        let (sent_lat, sent_lng) = self.coordinates(user, number);
        (sent_lat == lat && sent_lng == lng).then_some(number)
    }

    /// `lat` and `lng` from 0 to 100, or `lat` to 90, with all their digits.
    fn coordinates(self, user: usize, number: u64) -> (String, String) {
        let random = scatter(scatter(self.seed ^ scatter(user as u64)) ^ number);
        let lat = random % (self.lat_max * DEGREE);
        let lng = scatter(random) % (100 * DEGREE);
        let digits = (multiply(number, FACTOR) + self.shift(user)) % POSITIONS_MAX;
        (decimal(lat), decimal(lng - lng % POSITIONS_MAX + digits))
    }

    /// Where a user's numbers begin.
    fn shift(self, user: usize) -> u64 {
        scatter(self.seed ^ user as u64) % POSITIONS_MAX
    }
}

const fn multiply(left: u64, right: u64) -> u64 {
    (left as u128 * right as u128 % POSITIONS_MAX as u128) as u64
}

fn decimal(value: u64) -> String {
    let mut text = String::with_capacity(DECIMALS as usize + 3);
    // A write into a String cannot fail.
    let _ = write!(
        text,
        "{}.{:0width$}",
        value / DEGREE,
        value % DEGREE,
        width = DECIMALS as usize
    );
    text
}

/// A bijection on 64 bits without pattern: one step of SplitMix64 (Steele, Lea, Flood 2014).
fn scatter(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_from_0_to_100_and_tell_their_number() {
        let wander = Wander::new(7);
        for number in (0..1000).chain([POSITIONS_MAX - 1]) {
            let (lat, lng) = wander.coordinates(3, number);
            for coordinate in [&lat, &lng] {
                assert!((0.0..100.0).contains(&coordinate.parse::<f64>().expect("a number")));
                assert_eq!(
                    coordinate.find('.'),
                    Some(coordinate.len() - 1 - DECIMALS as usize)
                );
            }
            assert_eq!(wander.number(3, &lat, &lng), Some(number));
            assert_eq!(wander.number(4, &lat, &lng), None);
        }
    }

    #[test]
    fn on_earth_no_latitude_is_beyond_the_pole_and_each_tells_its_number() {
        let latitude_max = |wander: Wander| {
            let latitudes = (0..1000).map(|number| {
                let (lat, lng) = wander.coordinates(3, number);
                assert_eq!(wander.number(3, &lat, &lng), Some(number));
                lat.parse::<f64>().expect("a number")
            });
            latitudes.fold(0.0, f64::max)
        };
        assert!(latitude_max(Wander::new(7)) > 90.0);
        assert!((80.0..90.0).contains(&latitude_max(Wander::on_earth(7))));
        assert!(Wander::on_earth(7).is_on_earth() && !Wander::new(7).is_on_earth());
    }

    #[test]
    fn one_digit_more_less_or_other_is_no_position_of_the_user() {
        let wander = Wander::new(7);
        let (lat, lng) = wander.coordinates(3, 5);
        for (lat, lng) in [
            (format!("{lat}0"), lng.clone()),
            (lat.clone(), format!("{lng}0")),
            (format!("1{lat}"), lng.clone()),
            (lat.clone(), lng[..lng.len() - 1].to_owned()),
            (lng.clone(), lat.clone()),
            (lat.clone(), "1".to_owned()),
            (lat.clone(), format!("ä{}", &lng[3..])),
            (lat, String::new()),
        ] {
            assert_eq!(wander.number(3, &lat, &lng), None, "{lat} {lng}");
        }
    }
}
