//! Last known positions as GeoJSON (RFC 7946).

use super::{ClientMessage, Publication, decode};
use crate::position::{Bounds, Extra, Position, State};

/// A user on a map.
#[derive(Clone, Copy, Debug)]
pub struct Feature<'a> {
    /// The position, as followers got it.
    pub position: &'a [u8],
    /// Its age, in seconds.
    pub age_s: f64,
    /// How fresh that is.
    pub state: State,
    /// Whether a connection is open that declared the user.
    pub is_connected: bool,
}

/// Writes a GeoJSON Feature, with the sender's digits and its way of writing the id. Where the
/// position is none on Earth, the Feature is without a place (RFC 7946, 3.2), and has `lat` and
/// `lng` as properties.
pub fn encode_feature(feature: &Feature, out: &mut Vec<u8>) {
    let text = str::from_utf8(feature.position).unwrap_or_default();
    // What followers get is a position message too.
    let (user, position, is_on_earth) = match read(text, Bounds::Wgs84) {
        Some((user, position)) => (user, position, true),
        None => match read(text, Bounds::Finite) {
            Some((user, position)) => (user, position, false),
            None => return,
        },
    };
    let mut write = |text: &str| out.extend_from_slice(text.as_bytes());
    write("{\"type\":\"Feature\",\"id\":");
    write(user);
    write(",\"geometry\":");
    if is_on_earth {
        write("{\"type\":\"Point\",\"coordinates\":[");
        write(position.lng());
        write(",");
        write(position.lat());
        for (_, altitude) in position
            .extras()
            .filter(|(extra, _)| *extra == Extra::Altitude)
        {
            write(",");
            write(altitude);
        }
        write("]}");
    } else {
        write("null");
    }
    write(",\"properties\":{\"userId\":");
    write(user);
    write(&format!(
        ",\"age\":{:.1},\"state\":\"{}\",\"connected\":{}",
        feature.age_s,
        feature.state.word(),
        feature.is_connected
    ));
    let mut property = |name: &str, json: &str| {
        write(",\"");
        write(name);
        write("\":");
        write(json);
    };
    if !is_on_earth {
        property("lat", position.lat());
        property("lng", position.lng());
    }
    for (extra, json) in position.extras() {
        if extra != Extra::Altitude || !is_on_earth {
            property(extra.name(), json);
        }
    }
    write("}}");
}

fn read(text: &str, bounds: Bounds) -> Option<(&str, Position<'_>)> {
    match decode(text, bounds) {
        Ok(ClientMessage::Position(Publication { user, position })) => {
            Some((user?.json(), position))
        }
        _ => None,
    }
}
