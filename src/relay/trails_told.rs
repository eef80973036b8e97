//! Trails as members ask for them, are owed them and are told them.

use std::iter;
use std::time::Instant;

use super::authority::Authority;
use super::keys::{MemberKey, RunnerKey};
use super::service::Relay;
use super::terms::{Debt, Owed};
use super::trail::Trail;
use crate::point::TrailPoint;
use crate::refusal::Refusal;
use crate::user::TrailOf;

/// Followers looked at in one step, of runners whose trail is sent again: it is some 8 KB to each.
const TRAILS_PER_STEP_MAX: usize = 500;

impl Relay {
    /// Begins or ends trails for what a member follows: so many points of each, and 0 for none. Those of
    /// whom it follows already are owed at once, from this time on.
    ///
    /// # Errors
    /// It has no grant where one is needed.
    pub(crate) fn ask_trails(
        &mut self,
        by: &Authority,
        points: u32,
        from_ms: u64,
    ) -> Result<(), Refusal> {
        self.admit(by)?;
        let Some(member) = by.member() else {
            return Ok(());
        };
        self.hub.ask_trails(member, points);
        if self.hub.trail_points(member) > 0 {
            for slot in 0..self.hub.following(member) as u32 {
                self.owe(member, Owed::Trail { slot, from_ms });
            }
            if self.hub.follows_everyone(member) {
                let end = self.hub.covered_end();
                self.owe(member, Owed::EveryonesTrails { end, from_ms });
            }
        }
        Ok(())
    }

    /// Owes trails that late points were put into to those who asked for trails.
    pub(super) fn owe_late_trails(&mut self, now: Instant) {
        for runner in self.hub.take_late_trails(now, TRAILS_PER_STEP_MAX) {
            self.owe_trail(runner);
        }
    }

    fn owe_trail(&mut self, runner: RunnerKey) {
        let (covered, from_ms) = (runner.covered_slot(), 0);
        let by_name = self.hub.followers(runner).iter();
        let by_name = by_name.map(|follower| (follower.member, follower.slot));
        let covering = self.hub.covering(runner).map(|member| (member, covered));
        let owed = (by_name.chain(covering))
            .filter(|(member, _)| self.hub.trail_points(*member) > 0)
            .map(|(member, slot)| Debt {
                member,
                owed: Owed::Trail { slot, from_ms },
            });
        self.debts.extend(owed);
    }

    /// The trail of the user in one slot of a member, if the member asked for trails: its newest points,
    /// as many as it asked for, and none before this time.
    pub(crate) fn say_trail(
        &self,
        member: MemberKey,
        slot: u32,
        from_ms: u64,
    ) -> Option<TrailOf<'_, impl Iterator<Item = TrailPoint>>> {
        let (runner, spelling) = self.hub.in_slot(member, slot)?;
        let trail = self
            .hub
            .trail(runner)
            .filter(|trail| trail.ends_since(from_ms))?;
        let before = trail.len().saturating_sub(self.hub.trail_points(member));
        let mut points = trail.points().skip(before);
        let first = points.find(|point| point.ms >= from_ms)?;
        Some(TrailOf {
            user: self.hub.id(runner),
            spelling,
            points: iter::once(first).chain(points),
        })
    }

    /// The points of a runner's trail, the oldest first.
    pub(crate) fn trail(&self, runner: RunnerKey) -> impl Iterator<Item = TrailPoint> {
        (self.hub.trail(runner)).into_iter().flat_map(Trail::points)
    }

    /// How many points of each trail a member is told.
    pub(crate) fn trail_points(&self, member: MemberKey) -> usize {
        self.hub.trail_points(member)
    }

    /// How many points all trails have, and how many bytes they take.
    pub(crate) fn trails_total(&self) -> (usize, usize) {
        (self.hub.trails.points, self.hub.trails.bytes)
    }
}
