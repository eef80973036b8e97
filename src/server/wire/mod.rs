//! One connection over one stream: what it reads, what it still has to write, when it is late, why
//! it ends. Knows no poll, no slab and nobody's follows; the time is handed in.

pub mod ceiling;
#[cfg(test)]
mod client_tests;
pub mod close;
pub mod connection;
mod covered;
pub mod deadlines;
mod due;
pub mod flush;
pub mod frames;
mod gather;
mod head;
mod intake;
mod marks;
pub mod outbox;
pub mod reader;
mod receiving;
mod records;
mod reply;
mod requests;
pub mod stream;
pub mod tls;
