//! The pure rooms against naive models, under random operations.

mod hub;
mod outbox;
mod queue;
