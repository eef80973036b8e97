//! Connections on scripted streams: every read and write cut at every byte, made-up time.

mod costs;
mod deadlines;
mod peer;
mod requests;
mod script;
mod states;
mod tls;
