//! What a file holds, and what may be wrong with it.

use std::fmt;

/// Longest file, and longest text that is packed in one, in bytes: a day of one point a second,
/// with all that a watch measures.
pub const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most points of a file: eleven days of one a second.
pub const POINTS_MAX: usize = 1_000_000;

/// The earth's mean radius, in metres (IUGG).
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// What there is in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpx {
    /// At least one: all tracks that lead somewhere, and behind them all such routes, each in the
    /// order of the file.
    pub tracks: Vec<Track>,
    /// What could not be used, although the rest was.
    pub flaws: Vec<Fault>,
    /// Whether the file could be read to its end, whatever was dropped on the way.
    pub is_whole: bool,
}

/// A track, or a route, which is a track of one segment. It leads somewhere: at least two of its
/// points differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track {
    /// What it is called, if anything.
    pub name: Option<String>,
    pub(super) points: Vec<Point>,
    /// At which points segments begin.
    pub(super) begins: Vec<usize>,
}

impl Track {
    /// The points of all segments.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The points of each segment: between two of these nobody knows the way. None is empty.
    pub fn segments(&self) -> impl Iterator<Item = &[Point]> {
        let ends = self.begins.iter().skip(1).copied();
        let ends = ends.chain([self.points.len()]);
        (self.begins.iter().zip(ends)).map(|(begin, end)| &self.points[*begin..end])
    }

    /// The numbers of the points before which there is a gap: segments begin there.
    pub fn gaps(&self) -> &[usize] {
        self.begins.get(1..).unwrap_or_default()
    }

    /// The way along all segments, in metres by great circles. What lies between segments does
    /// not count.
    pub fn length_m(&self) -> f64 {
        let segments = self.segments();
        let legs = segments.flat_map(|segment| segment.windows(2));
        legs.map(|leg| distance_m(&leg[0], &leg[1])).sum()
    }

    pub(super) fn leads_somewhere(&self) -> bool {
        let place = |point: &Point| (point.lat, point.lng);
        let mut places = self.points.iter().map(place);
        let first = places.next();
        places.any(|place| Some(place) != first)
    }
}

/// A point of a track.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Degrees north, from -90 to 90.
    pub lat: f64,
    /// Degrees east, from -180 up to 180.
    pub lng: f64,
    /// Metres above the sea, if known.
    pub altitude: Option<f64>,
    /// When it was passed, in seconds since the start of 1970 UTC, if known.
    pub at_s: Option<f64>,
    /// What it is called, if anything.
    pub name: Option<Box<str>>,
}

/// The shortest way over a sphere, in metres, by the haversine formula: exact for points near each
/// other and near a pole, and over the antimeridian.
fn distance_m(from: &Point, to: &Point) -> f64 {
    let half_sine = |degrees: f64| (degrees.to_radians() / 2.0).sin();
    let (north, east) = (half_sine(to.lat - from.lat), half_sine(to.lng - from.lng));
    let cosines = from.lat.to_radians().cos() * to.lat.to_radians().cos();
    let haversine = north * north + cosines * east * east;
    2.0 * EARTH_RADIUS_M * haversine.clamp(0.0, 1.0).sqrt().asin()
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1, in the unpacked file; `None` if it is wrong with all of it.
    pub line: Option<usize>,
    /// In words, of which some may be the file's own.
    pub cause: String,
}

impl Fault {
    pub(super) fn followed_by(mut self, words: &str) -> Fault {
        self.cause += ": ";
        self.cause += words;
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.cause)
    }
}

impl std::error::Error for Fault {}
