//! Several nodes are one service, through an engine of the test's own.

mod connection;
mod engine;
mod positions;
mod presence;
mod requests;

use engine::Engine;
