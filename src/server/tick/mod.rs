//! The steps of the tick, a file each, in the order in which they are taken: wait, accept, read,
//! expire, flush, keep, reap.

mod accept;
mod expire;
mod flush;
mod keep;
mod read;
mod reap;
mod wait;
