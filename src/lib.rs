//! A live-position server: a connection says which user ids it follows, and every position that a
//! user sends reaches each of that user's followers at once, over WebSocket.
//!
//! One single-threaded poll loop owns every socket. The rooms, from the outside in; each may use
//! only what stands below it:
//!
//! | room | what it is for |
//! |---|---|
//! | [`cli`] | the command line: subcommands, flags, environment variables |
//! | [`server`] | the loop, its connections, the HTTP answers, the outboxes |
//! | [`simulate`] | many simulated users and a check of what they receive, or runners to look at |
//! | [`client`] | one WebSocket client of the public protocol; `watch`, `record` and `replay` on it, `export` and `token` beside it |
//! | `relay` | who follows whom, where everyone was last, who is owed what |
//! | `bus` | how several servers are one, through Redis or Valkey |
//! | [`phones`] | a tracker app's HTTP request to positions, and the answer that it wants |
//! | [`protocol`] | message text to and from types |
//! | [`auth`] | tokens and keys to who somebody is and what they may do |
//! | [`refusal`] | why a message was not carried out, and what to mend |
//! | [`user`], [`fix`] | user ids and positions, valid by construction |
//! | [`point`] | where somebody was, in whole numbers |
//! | [`dialect`] | how a position was said |
//! | [`roster`] | who runs: the lines of a CSV file |
//! | [`gpx`] | the tracks in a GPX file |
//! | `qr` | QR codes as SVG |
//! | `queue` | a first-in-first-out queue through a table of slots |
//! | `logger`, `duration`, `date`, `size` | log lines that never block the loop; times, dates and sizes as people write them |
//!
//! [`server`] on one side, [`simulate`] and [`client`] on the other know nothing of each other.

pub mod auth;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        unused_imports,
        reason = "the server has no socket for it yet"
    )
)]
mod bus;
pub mod cli;
pub mod client;
mod date;
pub mod dialect;
mod duration;
pub mod fix;
pub mod gpx;
mod logger;
pub mod phones;
pub mod point;
pub mod protocol;
mod qr;
mod queue;
pub mod refusal;
mod relay;
pub mod roster;
pub mod server;
pub mod simulate;
mod size;
pub mod user;
