//! The real program over real sockets, one module for each promise. Nothing here sleeps: every
//! wait is a read with a timeout.

mod bad_input;
mod cli;
mod ending;
mod handshake;
mod interop;
mod layering;
mod readme;
mod relay;
mod support;
