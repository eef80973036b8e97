//! Who asks something of the relay, and how much they may do. Knows no connections: whoever comes
//! through some door holds one.

use std::time::Instant;

use super::keys::MemberKey;
use super::rate::{Bucket, Excess};
use crate::auth::Grant;

/// Who asks, with what a token grants them and the pace that they keep.
#[derive(Debug, Default)]
pub(crate) struct Authority {
    member: Option<MemberKey>,
    grant: Option<Box<Grant>>,
    /// There from the first position on, if there is a limit.
    bucket: Option<Box<Bucket>>,
}

impl Authority {
    /// Somebody who is no member: asks and publishes, and is told nothing.
    pub(crate) fn of_request(grant: Option<Grant>) -> Authority {
        Authority {
            grant: grant.map(Box::new),
            ..Authority::default()
        }
    }

    /// A member that has just joined, with what a token granted at the door.
    pub(crate) fn of_member(member: MemberKey, grant: Option<Grant>) -> Authority {
        Authority {
            member: Some(member),
            ..Authority::of_request(grant)
        }
    }

    /// The member that asks.
    pub(crate) fn member(&self) -> Option<MemberKey> {
        self.member
    }

    /// What a token grants, if one was shown.
    pub(crate) fn grant(&self) -> Option<&Grant> {
        self.grant.as_deref()
    }

    pub(super) fn set_grant(&mut self, grant: Grant) {
        self.grant = Some(Box::new(grant));
    }

    /// Takes a position's share of `rate` positions a second.
    pub(super) fn take(&mut self, rate: u32, now: Instant) -> Result<(), Excess> {
        let bucket = (self.bucket).get_or_insert_with(|| Box::new(Bucket::new(rate, now)));
        bucket.take(rate, now)
    }
}
