//! Several nodes are one service, through an engine of the test's own.

mod connection;
mod engine;
mod everyone;
mod faults;
mod nonsense;
mod positions;
mod presence;
mod processes;
mod races;
mod requests;
mod restarts;
mod simulate;
mod tls;
mod trails;

use engine::Engine;
