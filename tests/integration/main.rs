//! The real program over real sockets, one module for each promise. Nothing here sleeps: every
//! wait is a read with a timeout.

mod bad_input;
mod cli;
mod deadlines;
mod drain;
mod ending;
mod handshake;
mod interop;
mod layering;
mod limits;
mod presence;
mod readme;
mod relay;
mod slow;
mod storm;
mod support;
