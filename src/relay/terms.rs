//! The words in which the relay speaks: what holds for everybody, who is owed what, what became of a
//! position.

use std::time::Duration;

use super::keys::{MemberKey, RunnerKey};
use super::rate::Excess;

/// What holds for everybody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Whether nobody may do anything without a grant.
    pub needs_grant: bool,
    /// Whether everybody may be followed without a grant.
    pub(crate) follows_all: bool,
    /// Most users that one member may follow.
    pub follows_max: usize,
    /// Most follows of all members together.
    pub(crate) follows_total_max: usize,
    /// Most positions a second of one authority.
    pub rate_max: Option<u32>,
    /// Most last known positions to keep; the oldest are forgotten first.
    pub last_known_max: usize,
    /// Most points of one trail; 0 for no trails.
    pub(crate) trail_points_max: usize,
    /// Most bytes of all trails; the longest unheard lose theirs first.
    pub(crate) trail_bytes_max: usize,
    /// Age at which a last known position counts as stale.
    pub stale_after: Duration,
    /// Age at which it is forgotten.
    pub forget_after: Duration,
}

/// What a member is owed, or is owed no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Debt {
    /// Who.
    pub member: MemberKey,
    /// What.
    pub owed: Owed,
}

/// What is owed; what it says is asked for when it goes out. Slots are those of the member's
/// follows by the time of the debt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owed {
    /// How many follow the member's user.
    Audience,
    /// Presence of the user in this slot.
    Presence(u32),
    /// The last known position of a user who has just been followed, in this slot. It must be
    /// asked for before anything else is published.
    LastKnown {
        /// Which follow.
        slot: u32,
        /// The user.
        runner: RunnerKey,
    },
    /// The trail of the user in this slot, before the last known position that is owed.
    Trail {
        /// Which follow.
        slot: u32,
        /// The earliest time of a point of it, in milliseconds since the start of 1970 UTC.
        from_ms: u64,
    },
    /// Presence of everyone in slots below this, from [`SPARSE_FROM`](crate::queue::SPARSE_FROM) on.
    EveryonesPresence(u32),
    /// The last known positions of those.
    EveryonesLastKnown(u32),
    /// The trails of those.
    EveryonesTrails {
        /// Above their slots.
        end: u32,
        /// As of one trail.
        from_ms: u64,
    },
    /// The same as until now about a user who has no name here but now has one: from now on it is
    /// about the follow in slot `to`.
    Named {
        /// The slot under the follow of everyone.
        from: u32,
        /// The slot of the follow by name.
        to: u32,
        /// Whether its last known position, if it is still owed among everyone's, is told with its
        /// age; `None` if there is none.
        with_age: Option<bool>,
    },
    /// Nothing any more about those whom no follow by name is about.
    EveryoneEnded,
    /// Nothing any more about the follow in `slot`, which has ended; the one in `renumbered` has
    /// taken its slot, unless they are the same.
    Ended {
        /// The slot that became free.
        slot: u32,
        /// The slot that now answers to `slot` instead.
        renumbered: u32,
    },
}

/// What became of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// It is the runner's newest, for its followers to have.
    Live(RunnerKey),
    /// It is older than the runner's newest, and nobody is to have it.
    Late,
    /// It was received already: it is the runner's newest, or one on its trail.
    Again,
    /// It is dropped, for it came too fast.
    TooFast(Excess),
}

/// The token of a renewal is for somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OtherUser;
