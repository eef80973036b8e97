//! The lines of a recording to a track for each user, in the order of time. Knows no format that
//! tracks are written in.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use crate::client::recording::Recorded;
use crate::client::recording::lines::{Flaws, Lines};
use crate::date;
use crate::fix::Extra;
use crate::user::Written;

/// What is held of a position: 32 bytes, and up to as much again for a track that grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) lat: f64,
    pub(super) lng: f64,
    /// When it was made, in milliseconds since the start of 1970 UTC.
    pub(super) at_ms: u64,
    /// In metres; not a number where it is not known.
    altitude: f64,
}

const _: () = assert!(size_of::<Point>() == 32);

impl Point {
    /// In metres, if known.
    pub(super) fn altitude(&self) -> Option<f64> {
        (!self.altitude.is_nan()).then_some(self.altitude)
    }
}

/// Where a user was.
#[derive(Debug)]
pub(super) struct Track {
    /// How the user's id was written first.
    pub(super) written: Written,
    /// At least one, one for each time.
    pub(super) points: Vec<Point>,
}

/// The tracks of a recording.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    /// By the text of the user's id.
    pub(super) by_user: BTreeMap<Box<str>, Track>,
    /// How many positions are nowhere on Earth.
    pub(super) left_out: u64,
}

impl Tracks {
    /// Reads a recording to its end. Of two positions of a user at the same time the first stays.
    ///
    /// # Errors
    /// What the file says against being read.
    pub(super) fn read(mut lines: Lines<impl BufRead>, flaws: &mut Flaws) -> io::Result<Tracks> {
        let mut tracks = Tracks::default();
        while let Some(line) = lines.next()? {
            match line.content {
                Ok(recorded) => tracks.take(&recorded),
                Err(flaw) => flaws.count(flaw, line.number),
            }
        }
        for track in tracks.by_user.values_mut() {
            track.points.sort_by_key(|point| point.at_ms);
            track.points.dedup_by_key(|point| point.at_ms);
        }
        Ok(tracks)
    }

    fn take(&mut self, recorded: &Recorded) {
        if !recorded.fix.is_wgs84() {
            self.left_out += 1;
            return;
        }
        let made_ms = recorded.fix.made_at_ms().and_then(date::dated);
        let point = Point {
            lat: recorded.fix.lat(),
            lng: recorded.fix.lng(),
            at_ms: made_ms.unwrap_or(recorded.received_ms),
            altitude: recorded.fix.value(Extra::Altitude).unwrap_or(f64::NAN),
        };
        let user = &recorded.user;
        match self.by_user.get_mut(user.text()) {
            Some(track) => track.points.push(point),
            None => {
                let track = Track {
                    written: user.written(),
                    points: vec![point],
                };
                self.by_user.insert(user.text().into(), track);
            }
        }
    }
}
