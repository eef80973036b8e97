//! What a node says of itself when it says that it is there: its version, and which of how many engines
//! it takes for the one through which it says so, and how many follow everyone there. Must never know what an engine is.

use serde::Deserialize;
use serde_json::json;

/// Which of how many engines, from 0.
pub type Place = (usize, usize);

/// What it says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heartbeat {
    /// Which engine it takes this one for.
    pub place: Place,
    /// How many follow everyone there.
    pub everyone: i64,
}

#[derive(Deserialize)]
struct Written {
    engine: usize,
    engines: usize,
    #[serde(default)]
    everyone: i32,
}

/// Writes a heartbeat.
pub fn encode_heartbeat(version: &str, heartbeat: Heartbeat) -> String {
    let (engine, engines) = heartbeat.place;
    let everyone = heartbeat.everyone;
    json!({ "version": version, "engine": engine, "engines": engines, "everyone": everyone })
        .to_string()
}

/// Reads one; nothing if it does not say which engine it is for.
pub fn decode_heartbeat(json: &str) -> Option<Heartbeat> {
    let written: Written = serde_json::from_str(json).ok()?;
    Some(Heartbeat {
        place: (written.engine, written.engines),
        everyone: written.everyone.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_node_says_of_itself_another_reads() {
        let heartbeat = |place, everyone| Heartbeat { place, everyone };
        for told in [heartbeat((1, 2), 0), heartbeat((0, 1), 5)] {
            assert_eq!(
                decode_heartbeat(&encode_heartbeat("1.0.0", told)),
                Some(told)
            );
        }
        assert_eq!(
            decode_heartbeat(r#"{"version":"9","engine":0,"engines":1,"more":[]}"#),
            Some(heartbeat((0, 1), 0))
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
