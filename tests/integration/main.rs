//! The real program over real sockets, one module for each promise. Nothing here sleeps: every
//! wait is a read with a timeout.

mod access;
mod bad_input;
#[path = "../certificates.rs"]
mod certificates;
mod cli;
mod course;
mod credentials;
mod deadlines;
mod demo;
mod drain;
mod ending;
mod everyone;
mod handshake;
mod hangup;
mod interop;
mod layering;
mod limits;
mod manuals;
mod markdown;
mod memory;
mod metrics;
mod missing;
mod names;
#[path = "../needs.rs"]
mod needs;
mod nodes;
mod origins;
mod package;
mod pages;
mod phone;
mod positions;
mod presence;
mod printed;
mod proxies;
mod qr;
mod readme;
#[path = "../redis.rs"]
mod redis;
mod relay;
mod reports;
mod requests;
#[path = "../tokens/scratch.rs"]
mod scratch;
mod shell;
mod simulate;
mod slow;
mod state;
mod state_faults;
mod storm;
mod support;
mod tls;
mod trails;
