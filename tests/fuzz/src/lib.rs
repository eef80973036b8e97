//! What the fuzzers try: each body takes arbitrary bytes and panics if a promise is broken. The
//! libFuzzer targets and the seeded tests run the same bodies.

// The bus is no part of the library's face: what it is tried with is tried in its own tests, too.
#[allow(dead_code, unused_imports, reason = "the server needs more of it")]
#[cfg(not(test))]
#[path = "../../../src/bus/mod.rs"]
mod bus;
pub mod connection;
#[cfg(not(test))]
pub mod engine;
pub mod gpx;
mod meddler;
pub mod message;
#[allow(dead_code, reason = "the scripted tests need more of it")]
#[path = "../../scripted/peer.rs"]
pub mod peer;
pub mod phones;
pub mod plan;
pub mod request_head;
#[allow(dead_code, reason = "the tests of the bus need more of it")]
#[cfg(not(test))]
#[path = "../../../src/bus/tests/run.rs"]
mod run;
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

// As the bus calls it.
#[cfg(not(test))]
use spectate::user;
