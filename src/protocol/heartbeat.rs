//! What a node says of itself when it says that it is there: its version, and which of how many engines
//! it takes for the one through which it says so. Must never know what an engine is.

use serde::Deserialize;
use serde_json::json;

/// Which of how many engines, from 0.
pub type Place = (usize, usize);

#[derive(Deserialize)]
struct Heartbeat {
    engine: usize,
    engines: usize,
}

/// Writes a heartbeat.
pub fn encode_heartbeat(version: &str, (engine, engines): Place) -> String {
    json!({ "version": version, "engine": engine, "engines": engines }).to_string()
}

/// Reads which engine a heartbeat is for; nothing if it does not say.
pub fn decode_heartbeat(json: &str) -> Option<Place> {
    let heartbeat: Heartbeat = serde_json::from_str(json).ok()?;
    Some((heartbeat.engine, heartbeat.engines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_from_a_heartbeat_that_has_one() {
        assert_eq!(
            decode_heartbeat(&encode_heartbeat("1.0.0", (1, 2))),
            Some((1, 2))
        );
        assert_eq!(
            decode_heartbeat(r#"{"version":"9","engine":0,"engines":1,"more":[]}"#),
            Some((0, 1))
        );
        for none in [
            "",
            "{}",
            r#"{"version":"0.1.0"}"#,
            r#"{"engine":-1,"engines":1}"#,
        ] {
            assert_eq!(decode_heartbeat(none), None, "{none}");
        }
    }
}
