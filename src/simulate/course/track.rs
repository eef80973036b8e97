//! Courses out of GPX files. Knows nothing of how those are written, nor of who runs on them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::recording::{self, PACE_WITHOUT_TIMES, Untimed};
use super::{Course, Waypoint};
use crate::client::{plain, printable, tell};
use crate::gpx::{self, FILE_BYTES_MAX, Gpx};

/// Reads the first track in a file that leads somewhere, or the first such route if there is no
/// such track, as [`recording::course`] does. What of the file is not used, and that its times do
/// not count, is told on stderr.
///
/// # Errors
/// A line that names the file, when it cannot be read or holds no way.
pub(crate) fn load(path: &Path) -> Result<Course, String> {
    let shown = printable(&path.display().to_string());
    let bytes =
        file_bytes(path).map_err(|error| format!("cannot read {shown}: {}", plain(&error)))?;
    let gpx = gpx::read(&bytes);
    let gpx = gpx.map_err(|fault| format!("{shown}: {}", printable(&fault.to_string())))?;
    let (course, untimed) =
        course(&gpx).map_err(|reason| format!("nobody can run on {shown}: {reason}"))?;
    for flaw in &gpx.flaws {
        tell(&format!("{shown}: {flaw}"));
    }
    if let Some(untimed) = untimed {
        tell(&format!(
            "{shown} is run at {PACE_WITHOUT_TIMES} m/s: {untimed}"
        ));
    }
    Ok(course)
}

/// No more of a file than shows that it is too large.
fn file_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn course(gpx: &Gpx) -> Result<(Course, Option<Untimed>), &'static str> {
    let points = gpx.tracks.first().map_or(&[][..], |track| track.points());
    let times: Vec<Option<f64>> = points.iter().map(|point| point.at_s).collect();
    let waypoints = points.iter().map(|point| Waypoint {
        lat: point.lat,
        lng: point.lng,
        altitude: point.altitude,
        at_s: 0.0,
    });
    recording::course(waypoints.collect(), &times)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Course, &'static str> {
        let text = format!(r#"<gpx version="1.1" creator="test">{body}</gpx>"#);
        course(&gpx::read(text.as_bytes()).expect("a track")).map(|(course, _)| course)
    }

    #[test]
    fn segments_of_the_first_track_with_points_are_one_way() {
        let course = read(
            r#"<wpt lat="9" lon="9"/><rte><rtept lat="8" lon="8"/></rte>
               <trk><name>empty</name><trkseg/></trk>
               <trk><trkseg><trkpt lat="1" lon="2"><ele>5.5</ele><time>2026-01-01T00:00:00Z</time></trkpt></trkseg>
                    <trkseg><trkpt lat="1.01" lon="2"><time>2026-01-01T00:05:00.5Z</time></trkpt></trkseg></trk>
               <trk><trkseg><trkpt lat="7" lon="7"/></trkseg></trk>"#,
        );
        let course = course.expect("a way");
        assert_eq!(course.once_s(), 300.5);
        let begin = course.place(0.0);
        assert_eq!((begin.lat, begin.lng), (1.0, 2.0));
    }

    #[test]
    fn without_times_the_pace_is_the_same_everywhere() {
        let points = r#"<trkpt lat="0" lon="0"/><trkpt lat="0.01" lon="0"><time>2026-01-01T00:00:00Z</time></trkpt><trkpt lat="0.04" lon="0"/>"#;
        let course = read(&format!("<trk><trkseg>{points}</trkseg></trk>")).expect("a way");
        for time_s in [1.0, course.once_s() - 1.0] {
            assert_eq!(course.place(time_s).speed.round(), PACE_WITHOUT_TIMES);
        }
    }

    #[test]
    fn a_route_stands_in_for_a_track() {
        let course = read(r#"<rte><rtept lat="0" lon="0"/><rtept lat="0" lon="1"/></rte>"#);
        assert!(course.is_ok());
    }

    #[test]
    fn the_way_is_the_first_track_that_leads_somewhere_even_behind_a_route() {
        let course = read(
            r#"<rte><rtept lat="8" lon="8"/><rtept lat="8" lon="9"/></rte>
               <trk><trkseg><trkpt lat="1" lon="1"/><trkpt lat="1" lon="1"/></trkseg></trk>
               <trk><trkseg><trkpt lat="2" lon="2"/><trkpt lat="2" lon="3"/></trkseg></trk>"#,
        );
        assert_eq!(course.expect("a way").place(0.0).lat, 2.0);
    }

    #[test]
    fn what_leads_less_than_a_metre_far_is_no_way() {
        let way = r#"<trkpt lat="1" lon="1"/><trkpt lat="1.000001" lon="1"/>"#;
        let refused = read(&format!("<trk><trkseg>{way}</trkseg></trk>"));
        assert_eq!(refused.err(), Some("all of it is in one place"));
    }
}
