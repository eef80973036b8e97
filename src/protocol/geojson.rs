//! Last known positions, and a course, as GeoJSON (RFC 7946).

use std::io::Write;

use super::names::CalledFields;
use crate::fix::Extra;
use crate::user::{Called, Freshness, Known};

/// A user on a map.
#[derive(Clone, Copy, Debug)]
pub struct Feature<'a> {
    /// Where.
    pub known: Known<'a>,
    /// What the user is called.
    pub name: Option<&'a str>,
    /// How fresh that is.
    pub freshness: Freshness,
    /// Whether a connection is open that declared the user.
    pub is_connected: bool,
}

/// Writes a FeatureCollection, as far as it stays under so many bytes; `None` if it does not.
pub fn encode_features<'a>(
    features: impl Iterator<Item = Feature<'a>>,
    bytes_max: usize,
) -> Option<Vec<u8>> {
    let mut out = br#"{"type":"FeatureCollection","features":["#.to_vec();
    for (number, feature) in features.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        // Writes into a Vec cannot fail.
        let _ = write_feature(&feature, &mut out);
        if out.len() > bytes_max {
            return None;
        }
    }
    out.extend_from_slice(b"]}\n");
    Some(out)
}

/// A way on a map.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// What it is called, if anything.
    pub name: Option<&'a str>,
    /// How long it is, in metres, without its gaps.
    pub length_m: f64,
    /// The numbers of the points before which there is a gap, in ascending order.
    pub gaps: &'a [usize],
}

/// Writes a Feature with one line through these points, each north and then east in degrees, also
/// over gaps.
pub fn encode_way(way: Way<'_>, points: impl Iterator<Item = (f64, f64)>) -> Vec<u8> {
    let mut out = Vec::new();
    // Writes into a Vec cannot fail.
    let _ = write_way(way, points, &mut out);
    out
}

fn write_way(
    way: Way<'_>,
    points: impl Iterator<Item = (f64, f64)>,
    out: &mut Vec<u8>,
) -> std::io::Result<()> {
    out.extend_from_slice(br#"{"type":"Feature","geometry":{"type":"LineString","coordinates":["#);
    for (number, (lat, lng)) in points.enumerate() {
        let comma = if number > 0 { "," } else { "" };
        // The shortest digits that are the same number again, with an exponent if there is need.
        write!(out, "{comma}[{lng:?},{lat:?}]")?;
    }
    out.extend_from_slice(br#"]},"properties":{"name":"#);
    serde_json::to_writer(&mut *out, &way.name)?;
    write!(out, ",\"length\":{:.1}", way.length_m)?;
    if !way.gaps.is_empty() {
        out.extend_from_slice(br#","gaps":"#);
        serde_json::to_writer(&mut *out, way.gaps)?;
    }
    out.extend_from_slice(b"}}\n");
    Ok(())
}

/// A Feature with the sender's digits and its way of writing the id. Where the position is none on
/// Earth, the Feature is without a place (RFC 7946, 3.2), and has `lat` and `lng` as properties.
fn write_feature(feature: &Feature, out: &mut Vec<u8>) -> std::io::Result<()> {
    let Known {
        user,
        written,
        fix,
        age,
        dialect,
    } = feature.known;
    let [open, id, close] = written.pieces(user);
    let (lat, lng) = (fix.lat_digits(), fix.lng_digits());
    let is_on_earth = fix.is_wgs84();
    write!(
        out,
        "{{\"type\":\"Feature\",\"id\":{open}{id}{close},\"geometry\":"
    )?;
    if is_on_earth {
        write!(out, "{{\"type\":\"Point\",\"coordinates\":[{lng},{lat}")?;
        for (_, altitude) in fix.extras().filter(|(extra, _)| *extra == Extra::Altitude) {
            write!(out, ",{altitude}")?;
        }
        write!(out, "]}}")?;
    } else {
        write!(out, "null")?;
    }
    write!(
        out,
        ",\"properties\":{{\"userId\":{open}{id}{close}{},\"age\":{:.1},\"state\":\"{}\",\"connected\":{},\"source\":\"{}\"",
        CalledFields(Called {
            name: feature.name,
            color: None
        }),
        age.as_secs_f64(),
        feature.freshness.word(),
        feature.is_connected,
        dialect.word()
    )?;
    if !is_on_earth {
        write!(out, ",\"lat\":{lat},\"lng\":{lng}")?;
    }
    for (extra, digits) in fix.extras() {
        if extra != Extra::Altitude || !is_on_earth {
            write!(out, ",\"{}\":{digits}", extra.name())?;
        }
    }
    write!(out, "}}}}")
}
