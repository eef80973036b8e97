//! A live-position server: a connection says which user ids it follows, and every position that a
//! user sends reaches each of that user's followers at once, over WebSocket.
//!
//! One single-threaded poll loop owns every socket. [`server`] on one side, [`simulate`] and [`client`]
//! on the other know nothing of each other.
//!
#![doc = include_str!("README.md")]

pub mod auth;
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
mod trust;
pub mod user;
