//! What the fuzzers try: each body takes arbitrary bytes and panics if a promise is broken. The
//! libFuzzer targets and the seeded tests run the same bodies.

pub mod connection;
pub mod gpx;
mod meddler;
pub mod message;
#[allow(dead_code, reason = "the scripted tests need more of it")]
#[path = "../../scripted/peer.rs"]
pub mod peer;
pub mod phones;
pub mod plan;
pub mod request_head;
#[allow(dead_code, reason = "the scripted tests need more of it")]
#[path = "../../scripted/script.rs"]
pub mod script;
pub mod talk;
pub mod tls;
pub mod token;
#[allow(dead_code, reason = "the scripted tests need more of it")]
#[path = "../../scripted/transport.rs"]
pub mod transport;
pub mod wire;
pub mod world;
