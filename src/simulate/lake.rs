//! A course for showing: the running track round the reservoir in New York's Central Park, which
//! its runners take counter-clockwise. Drawn by hand, to some 20 metres. Pure.

use super::course::{Course, Place, Waypoint};

/// The reservoir's track, in metres above the sea.
pub(crate) const ALTITUDE_M: f64 = 36.0;

/// Degrees north and east, from the South Gate House on.
const TRACK: [(f64, f64); 80] = [
    (40.78285, -73.96292),
    (40.78262, -73.96265),
    (40.78245, -73.96235),
    (40.78235, -73.96201),
    (40.78232, -73.96165),
    (40.78235, -73.96132),
    (40.78244, -73.96100),
    (40.78261, -73.96071),
    (40.78282, -73.96045),
    (40.78305, -73.96022),
    (40.78330, -73.96003),
    (40.78356, -73.95988),
    (40.78382, -73.95974),
    (40.78406, -73.95961),
    (40.78430, -73.95948),
    (40.78454, -73.95934),
    (40.78478, -73.95918),
    (40.78502, -73.95900),
    (40.78528, -73.95880),
    (40.78556, -73.95860),
    (40.78585, -73.95840),
    (40.78617, -73.95820),
    (40.78650, -73.95802),
    (40.78681, -73.95789),
    (40.78712, -73.95780),
    (40.78743, -73.95775),
    (40.78772, -73.95773),
    (40.78798, -73.95774),
    (40.78822, -73.95780),
    (40.78842, -73.95793),
    (40.78858, -73.95812),
    (40.78868, -73.95840),
    (40.78874, -73.95872),
    (40.78878, -73.95905),
    (40.78880, -73.95940),
    (40.78881, -73.95975),
    (40.78880, -73.96010),
    (40.78877, -73.96045),
    (40.78872, -73.96080),
    (40.78866, -73.96111),
    (40.78858, -73.96142),
    (40.78847, -73.96173),
    (40.78836, -73.96205),
    (40.78828, -73.96237),
    (40.78822, -73.96268),
    (40.78820, -73.96299),
    (40.78820, -73.96330),
    (40.78823, -73.96362),
    (40.78826, -73.96395),
    (40.78828, -73.96428),
    (40.78830, -73.96460),
    (40.78833, -73.96493),
    (40.78834, -73.96525),
    (40.78831, -73.96557),
    (40.78824, -73.96585),
    (40.78812, -73.96604),
    (40.78795, -73.96618),
    (40.78774, -73.96629),
    (40.78750, -73.96638),
    (40.78726, -73.96647),
    (40.78700, -73.96658),
    (40.78673, -73.96675),
    (40.78645, -73.96690),
    (40.78620, -73.96698),
    (40.78595, -73.96702),
    (40.78570, -73.96702),
    (40.78545, -73.96698),
    (40.78521, -73.96689),
    (40.78500, -73.96675),
    (40.78483, -73.96653),
    (40.78468, -73.96625),
    (40.78454, -73.96592),
    (40.78440, -73.96555),
    (40.78428, -73.96518),
    (40.78415, -73.96480),
    (40.78401, -73.96442),
    (40.78385, -73.96405),
    (40.78364, -73.96371),
    (40.78340, -73.96340),
    (40.78312, -73.96316),
];

/// The way round the reservoir, by how far along it somebody is.
#[derive(Debug)]
pub(crate) struct Lake {
    /// At one metre a second: its times are its lengths.
    metres: Course,
}

impl Lake {
    /// The reservoir, from its South Gate House on.
    pub(crate) fn central_park() -> Lake {
        let mut waypoints: Vec<Waypoint> = TRACK
            .iter()
            .map(|&(lat, lng)| Waypoint {
                lat,
                lng,
                altitude: Some(ALTITUDE_M),
                at_s: 0.0,
            })
            .collect();
        waypoints.push(waypoints[0]);
        let metres = Course::at_pace(waypoints, 1.0);
        Lake {
            metres: metres.expect("the track is longer than a metre"),
        }
    }

    /// How long it is once round, in metres.
    pub(crate) fn lap_m(&self) -> f64 {
        self.metres.period_s()
    }

    /// Where they are so many metres behind the South Gate House, however often round; before it
    /// if there are less than none.
    pub(crate) fn place(&self, run_m: f64) -> Place {
        self.metres.place(run_m)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the track goes round a point: a ray to the east crosses it an odd number of times.
    fn encloses(lat: f64, lng: f64) -> bool {
        let legs = TRACK.iter().zip(TRACK.iter().cycle().skip(1));
        let crossings = legs.filter(|((from_lat, from_lng), (to_lat, to_lng))| {
            let part = (lat - from_lat) / (to_lat - from_lat);
            (0.0..1.0).contains(&part) && from_lng + part * (to_lng - from_lng) > lng
        });
        crossings.count() % 2 == 1
    }

    #[test]
    fn it_is_about_as_long_as_the_real_one_and_closed() {
        let lake = Lake::central_park();
        // 1.58 miles, says the sign.
        assert!((2300.0..2700.0).contains(&lake.lap_m()));
        assert!((lake.metres.once_s() - lake.lap_m()).abs() < 1e-6);
    }

    #[test]
    fn it_goes_round_the_reservoir_and_round_nothing_beside_it() {
        assert!(encloses(40.7857, -73.9625), "the middle of the water");
        for (lat, lng, what) in [
            (40.7830, -73.9590, "the Guggenheim Museum"),
            (40.7794, -73.9632, "the Metropolitan Museum"),
            (
                40.7835,
                -73.9645,
                "the police station on the 86th Street transverse",
            ),
            (40.7812, -73.9665, "the Great Lawn"),
            (40.7855, -73.9697, "Central Park West at 86th Street"),
            (40.7905, -73.9600, "the North Meadow"),
        ] {
            assert!(!encloses(lat, lng), "{what}");
        }
    }

    #[test]
    fn it_goes_counter_clockwise() {
        let legs = TRACK.iter().zip(TRACK.iter().cycle().skip(1));
        let area: f64 = legs.map(|((y0, x0), (y1, x1))| (x0 + x1) * (y1 - y0)).sum();
        assert!(area > 0.0);
    }
}
