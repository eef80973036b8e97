//! One connection over one stream: what it reads, what it still has to write, when it is late, why
//! it ends. Knows no poll, no slab and nobody's follows; the time is handed in.

pub mod ceiling;
pub mod close;
pub mod connection;
mod covered;
mod due;
pub mod frames;
mod gather;
mod head;
mod intake;
mod marks;
pub mod outbox;
pub mod reader;
mod receiving;
mod reply;
pub mod stream;
pub mod tls;
