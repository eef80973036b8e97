//! The way that one user came: the newest points, far enough from each other, in the order of their
//! times. Knows no user and no clock.
//!
//! The first and the last point are kept as they are, and of those behind the first how they differ
//! from the one before: north, east, time and altitude as variable-length numbers of seven bits a
//! byte, signed ones with the sign lowest. A runner's point, some metres and seconds behind the one
//! before, takes 6 to 8 bytes, and 8 to 10 with an altitude; at worst it is 25. With what the allocator
//! adds and the room that is left for more, 240 points take 2032 bytes, and 2544 with altitudes.

use crate::point::{MS_MAX, TrailPoint};

/// Points closer to the one before are not kept, in metres,
const APART_METRES: f64 = 10.0;

/// but for those so much later, in milliseconds.
const APART_MS: u64 = 30_000;

/// A list grows by this part of its room,
const GROWTH_DIVISOR: usize = 4;

/// and so many bytes: a few points.
const GROWTH_BYTES: usize = 24;

/// Bytes that glibc's allocator adds to a piece, the unit in which it gives them, and its smallest
/// piece.
const PIECE_HEAD_BYTES: usize = 8;
const PIECE_UNIT_BYTES: usize = 16;
const PIECE_BYTES_MIN: usize = 32;

/// What became of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is the newest of the trail.
    Behind,
    /// It was put between others, or before them.
    Between,
    /// It is too close to the one before, or older than what a full trail begins with.
    Left,
    /// There is one of its time already.
    Known,
}

/// What the first point differs from, where it is written.
const NOWHERE: TrailPoint = TrailPoint {
    lat_e6: 0,
    lng_e6: 0,
    ms: 0,
    altitude_cm: None,
};

/// The points of one user; never none.
#[derive(Debug)]
pub(crate) struct Trail {
    last: TrailPoint,
    first: TrailPoint,
    /// How each point behind the first differs from the one before, from `start` on.
    differences: Vec<u8>,
    start: u32,
    count: u32,
    /// Whether some were put between others since that was told.
    pub(super) has_late: bool,
}

impl Trail {
    /// A trail of one point.
    pub(crate) fn new(point: TrailPoint) -> Trail {
        Trail {
            last: point,
            first: point,
            differences: Vec::new(),
            start: 0,
            count: 1,
            has_late: false,
        }
    }

    /// The newest so many of these points, whose times rise, as they are; `None` of none.
    pub(crate) fn of(points: impl Iterator<Item = TrailPoint>, points_max: usize) -> Option<Trail> {
        let mut trail: Option<Trail> = None;
        for point in points.filter(|point| point.ms <= MS_MAX) {
            match &mut trail {
                Some(trail) if point.ms > trail.last.ms => trail.push(point),
                Some(_) => {}
                None => trail = Some(Trail::new(point)),
            }
        }
        if let Some(trail) = &mut trail {
            trail.trim(points_max);
        }
        trail
    }

    /// How many points there are.
    pub(crate) fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is a point of this time or later.
    pub(super) fn ends_since(&self, from_ms: u64) -> bool {
        self.last.ms >= from_ms
    }

    /// The points, the oldest first.
    pub(crate) fn points(&self) -> impl Iterator<Item = TrailPoint> {
        let mut rest = &self.differences[self.start as usize..];
        let mut point = self.first;
        std::iter::once(self.first).chain(std::iter::from_fn(move || {
            point = (!rest.is_empty()).then(|| read_difference(point, &mut rest))?;
            Some(point)
        }))
    }

    /// What it takes in memory, in bytes, with what the allocator adds.
    pub(crate) fn bytes(&self) -> usize {
        piece_bytes(size_of::<Trail>()) + piece_bytes(self.differences.capacity())
    }

    /// Adds a point where it belongs by its time, and keeps at most so many. It is left out if it is
    /// close to the point before it, in place and time; those behind it stay as they are.
    pub(crate) fn add(&mut self, point: TrailPoint, points_max: usize) -> Added {
        if point.ms > self.last.ms {
            if is_close(&self.last, &point) {
                return Added::Left;
            }
            self.push(point);
            self.trim(points_max);
            return Added::Behind;
        }
        if point.ms == self.last.ms || point.ms == self.first.ms {
            return Added::Known;
        }
        let added = match point.ms < self.first.ms {
            true if self.len() >= points_max => Added::Left,
            true => self.put_first(point),
            false => self.put_between(point),
        };
        self.trim(points_max);
        added
    }

    /// Whether a point is newer than all, and would be left out.
    pub(super) fn leaves_out(&self, point: &TrailPoint) -> bool {
        point.ms > self.last.ms && is_close(&self.last, point)
    }

    /// Appends the points as bytes: their number, and how each differs from the one before, the first
    /// one from nowhere at the beginning of 1970.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut first = Difference::default();
        first.write(&NOWHERE, &self.first);
        out.extend(self.count.to_le_bytes());
        out.extend(first.bytes());
        out.extend(&self.differences[self.start as usize..]);
    }

    /// The points that were written so; `None` if these are not the bytes of any.
    pub(super) fn read(bytes: &[u8]) -> Option<Vec<TrailPoint>> {
        let (count, mut rest) = bytes.split_first_chunk()?;
        let (mut points, mut before) = (Vec::new(), NOWHERE);
        for _ in 0..u32::from_le_bytes(*count) {
            let point = (!rest.is_empty()).then(|| read_difference(before, &mut rest))?;
            let is_behind = points.is_empty() || point.ms > before.ms;
            if !is_behind || !point.is_plausible() {
                return None;
            }
            points.push(point);
            before = point;
        }
        (rest.is_empty() && !points.is_empty()).then_some(points)
    }

    fn push(&mut self, point: TrailPoint) {
        let mut difference = Difference::default();
        difference.write(&self.last, &point);
        self.splice(self.differences.len(), 0, &difference);
        self.last = point;
        self.count += 1;
    }

    fn put_first(&mut self, point: TrailPoint) -> Added {
        let mut difference = Difference::default();
        difference.write(&point, &self.first);
        self.splice(self.start as usize, 0, &difference);
        self.first = point;
        self.count += 1;
        Added::Between
    }

    fn put_between(&mut self, point: TrailPoint) -> Added {
        let (mut before, mut after) = (self.first, self.first);
        let (mut rest, mut at) = (&self.differences[self.start as usize..], 0);
        while after.ms < point.ms {
            before = after;
            at = self.differences.len() - rest.len();
            after = read_difference(before, &mut rest);
        }
        if after.ms == point.ms {
            return Added::Known;
        }
        if is_close(&before, &point) {
            return Added::Left;
        }
        let replaced = self.differences.len() - rest.len() - at;
        let mut difference = Difference::default();
        difference.write(&before, &point);
        difference.write(&point, &after);
        self.splice(at, replaced, &difference);
        self.count += 1;
        Added::Between
    }

    /// Takes the oldest points off until there are so many at most.
    fn trim(&mut self, points_max: usize) {
        while self.len() > points_max.max(1) {
            let mut rest = &self.differences[self.start as usize..];
            self.first = read_difference(self.first, &mut rest);
            self.start = (self.differences.len() - rest.len()) as u32;
            self.count -= 1;
        }
    }

    /// Puts bytes in the place of so many others, where room is made first by what was taken off, if
    /// that is a good part.
    fn splice(&mut self, mut at: usize, replaced: usize, difference: &Difference) {
        let with = difference.bytes();
        let room = self.differences.len() - replaced + with.len();
        if room > self.differences.capacity() {
            let start = self.start as usize;
            if start > self.differences.capacity() / GROWTH_DIVISOR && start >= with.len() {
                self.differences.drain(..start);
                (self.start, at) = (0, at - start);
            } else {
                let grown = room + self.differences.len() / GROWTH_DIVISOR + GROWTH_BYTES;
                let more = grown - self.differences.len();
                self.differences.reserve_exact(more);
            }
        }
        (self.differences).splice(at..at + replaced, with.iter().copied());
    }
}

/// Whether the second of two points is too close to be kept behind the first.
fn is_close(before: &TrailPoint, point: &TrailPoint) -> bool {
    point.ms - before.ms < APART_MS && point.is_within(APART_METRES, before)
}

/// What the allocator gives for so many bytes.
fn piece_bytes(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        _ => (bytes + PIECE_HEAD_BYTES)
            .next_multiple_of(PIECE_UNIT_BYTES)
            .max(PIECE_BYTES_MIN),
    }
}

/// Two of the longest: each is a time of up to 64 bits, and three numbers of up to 33.
const DIFFERENCE_BYTES_MAX: usize = 2 * (10 + 3 * 5);

/// How one point differs from the one before, or two from the one before each.
struct Difference {
    bytes: [u8; DIFFERENCE_BYTES_MAX],
    length: usize,
}

impl Default for Difference {
    fn default() -> Difference {
        Difference {
            bytes: [0; DIFFERENCE_BYTES_MAX],
            length: 0,
        }
    }
}

impl Difference {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn write(&mut self, before: &TrailPoint, point: &TrailPoint) {
        // The time's lowest bit says whether an altitude follows.
        let passed_ms = (point.ms - before.ms) << 1;
        self.number(passed_ms | u64::from(point.altitude_cm.is_some()));
        self.signed(i64::from(point.lat_e6) - i64::from(before.lat_e6));
        self.signed(i64::from(point.lng_e6) - i64::from(before.lng_e6));
        if let Some(altitude_cm) = point.altitude_cm {
            let before_cm = before.altitude_cm.unwrap_or_default();
            self.signed(i64::from(altitude_cm) - i64::from(before_cm));
        }
    }

    fn signed(&mut self, number: i64) {
        self.number((number << 1 ^ number >> 63) as u64);
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    fn byte(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }
}

/// The point that differs from the one before as the bytes say, which are taken off. Of bytes that
/// were not written here it is some point, or none on Earth.
fn read_difference(before: TrailPoint, bytes: &mut &[u8]) -> TrailPoint {
    let time = read_number(bytes);
    let moved = |from: i32, by: i64| i64::from(from).wrapping_add(by) as i32;
    TrailPoint {
        ms: before.ms.wrapping_add(time >> 1),
        lat_e6: moved(before.lat_e6, read_signed(bytes)),
        lng_e6: moved(before.lng_e6, read_signed(bytes)),
        altitude_cm: (time & 1 == 1)
            .then(|| moved(before.altitude_cm.unwrap_or_default(), read_signed(bytes))),
    }
}

fn read_signed(bytes: &mut &[u8]) -> i64 {
    let number = read_number(bytes);
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn read_number(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while shift < u64::BITS
        && let Some((byte, rest)) = bytes.split_first()
    {
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}
