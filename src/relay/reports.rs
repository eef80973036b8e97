//! Positions that come by requests: from no member, and each request on its own.

use std::collections::HashMap;
use std::time::Instant;

use super::authority::Authority;
use super::now::Now;
use super::service::Relay;
use super::terms::Published;
use super::trails::Taken;
use crate::dialect::Dialect;
use crate::fix::Fix;
use crate::refusal::{Refusal, quote};
use crate::user::Written;

impl Relay {
    /// Whose position it is that a request names this id for, or none. Where there are tokens, apps
    /// may have ids of their own: then it is the token's user.
    ///
    /// # Errors
    /// It is not for the authority to send, or it is nobody's.
    pub(crate) fn reporter<'a>(
        &self,
        by: &'a Authority,
        id: Option<&'a str>,
    ) -> Result<&'a str, Refusal> {
        match (by.grant(), id) {
            (Some(grant), Some(id)) if grant.may_publish(id) => Ok(id),
            (Some(grant), _) if grant.may_publish(&grant.user) => Ok(&grant.user),
            (Some(grant), id) => {
                let user = id.unwrap_or(&grant.user);
                let json = Written::as_string(user).json(user);
                Err(Refusal::MayNotPublish(quote(&json)))
            }
            (None, _) if self.rules.needs_grant => Err(Refusal::Unauthorized),
            (None, Some(id)) => Ok(id),
            (None, None) => Err(Refusal::MissingUser),
        }
    }

    /// Whether a request with so many positions of each of these users keeps the pace of at least
    /// one of them. Then it is taken whole.
    pub(crate) fn keeps_pace(&mut self, counts: &HashMap<&str, u32>, now: Instant) -> bool {
        match self.rules.rate_max {
            Some(rate) => self.paces.take(counts, rate, now),
            None => true,
        }
    }

    /// Takes a position of a user, for whom the authority may publish.
    pub(crate) fn report(
        &mut self,
        by: &Authority,
        user: &str,
        fix: Fix,
        dialect: Dialect,
        now: Now,
    ) -> Published {
        let published = self.take_report(user, fix, dialect, now);
        if by.grant().is_some_and(|grant| grant.user == user) {
            self.call_as_granted(by);
        }
        published
    }

    fn take_report(&mut self, user: &str, fix: Fix, dialect: Dialect, now: Now) -> Published {
        let runner = self.hub.runner_or_new(user);
        if self.hub.is_newest(runner, &fix) {
            return Published::Again;
        }
        let written = Written::as_string(user);
        match self.hub.publish(runner, written, fix, dialect, now) {
            Taken::Live => Published::Live(runner),
            Taken::Late => Published::Late,
            Taken::Known => Published::Again,
        }
    }
}
