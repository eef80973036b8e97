//! The rooms of the bus together, against an engine that says what a test has it say.

use std::time::Duration;

use super::*;

mod any;
#[expect(unreachable_pub, reason = "a library there, a module here")]
#[path = "../../../tests/fuzz/src/engine.rs"]
mod engine;
mod follow;
mod life;
mod resp;
mod run;

use run::{Run, blob, get, greeting, message, subscribed};

const SECOND: Duration = Duration::from_secs(1);
