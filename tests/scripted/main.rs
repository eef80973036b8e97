//! Connections on scripted streams, plain and by TLS: every read and write cut at every byte,
//! made-up time.

mod costs;
mod deadlines;
mod messages;
mod peer;
mod requests;
mod script;
mod states;
mod tls;
mod transport;
