//! Tracks as GeoJSON (RFC 7946).

use std::io::{self, Write};

use super::tracks::{Point, Track, Tracks};

/// Writes a FeatureCollection: a LineString for each user, or a Point for one who was seen once,
/// with properties `userId` and `times`, a time in milliseconds since 1970 for each point.
pub(super) fn write(out: &mut impl Write, tracks: &Tracks) -> io::Result<()> {
    out.write_all(br#"{"type":"FeatureCollection","features":["#)?;
    for (number, (user, track)) in tracks.by_user.iter().enumerate() {
        let comma = if number > 0 { "," } else { "" };
        write!(out, "{comma}\n{{\"type\":\"Feature\",\"geometry\":{{")?;
        write_geometry(out, track)?;
        let user = track.written.json(user);
        write!(out, "}},\"properties\":{{\"userId\":{user},\"times\":[")?;
        for (number, point) in track.points.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            write!(out, "{comma}{}", point.at_ms)?;
        }
        out.write_all(b"]}}")?;
    }
    out.write_all(b"\n]}\n")
}

fn write_geometry(out: &mut impl Write, track: &Track) -> io::Result<()> {
    if let [point] = &track.points[..] {
        out.write_all(br#""type":"Point","coordinates":"#)?;
        return write_position(out, point);
    }
    out.write_all(br#""type":"LineString","coordinates":["#)?;
    for (number, point) in track.points.iter().enumerate() {
        if number > 0 {
            out.write_all(b",")?;
        }
        write_position(out, point)?;
    }
    out.write_all(b"]")
}

/// The shortest digits that are the same numbers again, with an exponent if there is need.
fn write_position(out: &mut impl Write, point: &Point) -> io::Result<()> {
    write!(out, "[{:?},{:?}", point.lng, point.lat)?;
    if let Some(altitude) = point.altitude() {
        write!(out, ",{altitude:?}")?;
    }
    out.write_all(b"]")
}
