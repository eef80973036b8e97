//! The service without a socket: who follows whom, where everyone is and was, who may do what, and
//! who is owed what. Members are numbers that it gives out; it knows no connections, no frames, no
//! JSON and no clock: the time is handed in, and what it owes is for others to write.

mod about;
mod askers;
mod audience;
mod authority;
mod called;
mod changes;
mod covering;
mod everyone;
mod following;
mod heard;
mod hub;
mod ids;
mod keys;
mod last_known;
mod member;
#[cfg(test)]
mod model;
mod names;
mod now;
mod paces;
mod presence;
mod rate;
mod remote;
mod reports;
mod sender_clock;
mod service;
mod snapshot;
mod stakes;
mod terms;
#[cfg(test)]
mod tests;
mod tracking;
mod trail;
#[cfg(test)]
mod trail_model;
mod trails;
mod trails_told;
mod views;

pub(crate) use authority::Authority;
pub(crate) use keys::{MemberKey, RunnerKey};
pub(crate) use now::Now;
pub(crate) use rate::Excess;
pub(crate) use remote::Stake;
pub(crate) use service::Relay;
pub(crate) use snapshot::{Fault, RECORD_BYTES_MAX, Restoring, SLICE_BYTES_MAX, Snapshot};
pub(crate) use terms::{Debt, Owed, Published, Rules};
