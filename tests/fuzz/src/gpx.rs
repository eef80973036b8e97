//! Any bytes as a GPX file.

use std::fmt::Write;

use spectate::gpx::{Fault, Gpx, Point, Track, read};

/// Inputs up to this long are cut at every byte; longer ones at about so many places.
const CUTS_MAX: usize = 128;

/// Longest explanation, in bytes: a line on a terminal, with some of the file's own words.
const CAUSE_BYTES_MAX: usize = 1024;

/// How packed files begin, of which a small one may be too large.
const GZIP: &[u8] = b"\x1f\x8b";

/// Tries one input.
pub fn run(bytes: &[u8]) {
    let whole = read(bytes);
    match &whole {
        Ok(gpx) => check(gpx),
        Err(fault) => check_fault(fault),
    }
    let step = bytes.len().div_ceil(CUTS_MAX).max(1);
    for at in (0..bytes.len()).step_by(step) {
        match (read(&bytes[..at]), &whole) {
            (Ok(cut), Ok(whole)) => check_cut(&cut, whole),
            (Ok(cut), Err(fault)) if !bytes.starts_with(GZIP) => {
                panic!("{at} bytes are {cut:?}, all of them {fault}")
            }
            _ => {}
        }
    }
}

fn check(gpx: &Gpx) {
    assert!(!gpx.tracks.is_empty());
    gpx.tracks.iter().for_each(check_track);
    gpx.flaws.iter().for_each(check_fault);
    check_plain(&gpx.tracks);
}

fn check_track(track: &Track) {
    for point in track.points() {
        assert!((-90.0..=90.0).contains(&point.lat), "{point:?}");
        assert!((-180.0..180.0).contains(&point.lng), "{point:?}");
        let values = [point.altitude, point.at_s];
        assert!(values.iter().flatten().all(|value| value.is_finite()));
    }
    let differs = |pair: &[Point]| (pair[0].lat, pair[0].lng) != (pair[1].lat, pair[1].lng);
    assert!(track.points().windows(2).any(differs), "{track:?}");
    assert!(track.segments().all(|segment| !segment.is_empty()));
    assert!(track.segments().flatten().eq(track.points()));
}

fn check_fault(fault: &Fault) {
    assert!(fault.line != Some(0));
    assert!((1..CAUSE_BYTES_MAX).contains(&fault.cause.len()), "{fault}");
}

/// What can be compared: in half a file, half a name may be in another encoding.
fn values(point: &Point) -> [Option<f64>; 4] {
    [Some(point.lat), Some(point.lng), point.altitude, point.at_s]
}

fn begins_with(track: &Track, begin: &Track) -> bool {
    let points = track.points().iter().map(values);
    track.points().len() >= begin.points().len()
        && points
            .zip(begin.points())
            .all(|(left, right)| left == values(right))
}

/// What a beginning of the bytes has, the whole has too.
fn check_cut(cut: &Gpx, whole: &Gpx) {
    for begin in &cut.tracks {
        let is_there = whole.tracks.iter().any(|track| begins_with(track, begin));
        assert!(is_there, "{begin:?} is not in {whole:?}");
    }
}

/// The same tracks in plain writing are the same tracks.
fn check_plain(tracks: &[Track]) {
    let mut plain = "<gpx>".to_owned();
    for track in tracks {
        plain += "<trk>";
        for segment in track.segments() {
            plain += "<trkseg>";
            for Point {
                lat, lng, altitude, ..
            } in segment
            {
                // A write into a String cannot fail.
                let _ = write!(plain, "<trkpt lat=\"{lat}\" lon=\"{lng}\">");
                if let Some(altitude) = altitude {
                    let _ = write!(plain, "<ele>{altitude}</ele>");
                }
                plain += "</trkpt>";
            }
            plain += "</trkseg>";
        }
        plain += "</trk>";
    }
    plain += "</gpx>";
    let again = read(plain.as_bytes()).unwrap_or_else(|fault| panic!("{fault} in {plain}"));
    assert_eq!(again.flaws, [], "{plain}");
    let places = |track: &Track| -> Vec<Vec<_>> {
        let segments = track.segments();
        segments
            .map(|segment| {
                segment
                    .iter()
                    .map(|point| (point.lat, point.lng, point.altitude))
                    .collect()
            })
            .collect()
    };
    assert!(
        again
            .tracks
            .iter()
            .map(places)
            .eq(tracks.iter().map(places)),
        "{plain}"
    );
}
