//! The bus: how several nodes are one service, through Redis or Valkey. Bytes and the time come in,
//! bytes and events come out. Must never know sockets, clocks, logs, nor what a relay is.
//!
//! From the ground up: [`resp`] is the engine's language, [`skip`] goes past what is too large,
//! [`incoming`] and [`outgoing`] are the two directions of one connection, [`link`] its life,
//! [`commands`] what can be said in it. Beside them is what nodes say to one another: [`names`] of
//! keys and channels, [`envelope`]s, in the order of their [`stamp`]s and with care for the
//! [`newest`], on the engine that an id falls to ([`jump`]).
//!
//! What a user needs to know of an engine is on two names: everything new is told in a channel, and
//! the newest is kept under a key, which is set first. Whoever subscribes and then reads therefore
//! has all: nothing falls in between, and what comes twice is known by its stamp.

mod commands;
mod envelope;
mod greeting;
mod incoming;
mod jump;
mod link;
mod names;
mod newest;
mod outgoing;
mod resp;
mod retry;
mod rights;
mod silence;
mod skip;
mod stamp;
mod trouble;

pub(crate) use envelope::{Envelope, Ignored, Kind};
pub(crate) use incoming::Incoming;
pub(crate) use jump::bucket_of;
pub(crate) use link::{Event, Link, Login, News};
pub(crate) use names::{Channel, INDEX_PARTS, Names, Of};
pub(crate) use newest::{Heard, Newest};
pub(crate) use outgoing::{NotTaken, Tag};
pub(crate) use resp::{VALUE_BYTES_MAX, Value};
pub(crate) use stamp::{Node, Stamp};
pub(crate) use trouble::{Trouble, said};

#[cfg(test)]
mod tests;
