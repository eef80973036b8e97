//! Who came which way: trails hang on last known positions, and go with them. Where there is too much of
//! them, the longest unheard lose theirs first.

use std::time::Instant;

use super::heard::LastKnown;
use super::hub::Hub;
use super::keys::{MemberKey, RunnerKey};
use super::now::Now;
use super::sender_clock::counts_as;
use super::trail::{Added, Trail};
use super::trails::Taken;
use crate::fix::Fix;
use crate::point::TrailPoint;

impl Hub {
    /// Puts a runner's last known position, which has just come, onto its trail.
    pub(super) fn put_on_trail(&mut self, key: u32, made_at_ms: Option<f64>, now: Now) {
        let last = self.runners[key as usize].last.as_deref_mut();
        let Some(LastKnown { fix, trail, .. }) = last.filter(|_| self.trails.points_max > 0) else {
            return;
        };
        let Some(mut point) = TrailPoint::bare(fix, time_ms(made_at_ms, now)) else {
            return;
        };
        if trail.as_ref().is_some_and(|trail| trail.leaves_out(&point)) {
            return;
        }
        point.add_altitude(fix);
        let added = self.trails.add(trail, point);
        self.note_point(key, added, point);
        self.give_up_trails();
    }

    /// Puts a fix that was made before the newest onto its runner's trail.
    pub(super) fn put_late_on_trail(
        &mut self,
        key: u32,
        fix: &Fix,
        made_at_ms: Option<f64>,
        now: Now,
    ) -> Taken {
        let point = TrailPoint::of(fix, time_ms(made_at_ms, now));
        let last = self.runners[key as usize].last.as_deref_mut();
        let last = last.filter(|last| !last.is_trail_past && self.trails.points_max > 0);
        let Some((point, last)) = point.zip(last) else {
            return Taken::Late;
        };
        let added = self.trails.add(&mut last.trail, point);
        self.revision += u64::from(matches!(added, Added::Between | Added::Behind));
        if let (Added::Between | Added::Behind, Some(trail)) = (added, &mut last.trail)
            && self.trails.askers > 0
            && !std::mem::replace(&mut trail.has_late, true)
        {
            self.trails.late.add(key);
        }
        self.note_point(key, added, point);
        self.give_up_trails();
        match added {
            Added::Known => Taken::Known,
            _ => Taken::Late,
        }
    }

    /// Gives up trails until what is left is not too much. A runner who lost its trail begins another
    /// with its next live position.
    pub(super) fn give_up_trails(&mut self) {
        while self.trails.are_too_much()
            && let Some(key) = self.heard.first_with_trail
        {
            self.heard.first_with_trail = self.heard.queue.after(key);
            if let Some(last) = &mut self.runners[key as usize].last {
                last.is_trail_past = true;
                if let Some(trail) = last.trail.take() {
                    self.trails.discount(&trail);
                }
            }
        }
    }

    /// The trail of a runner, if there is one.
    pub(super) fn trail(&self, runner: RunnerKey) -> Option<&Trail> {
        self.last_known(runner)?.trail.as_deref()
    }

    /// Puts a trail back as it was read off with [`Trail::points`], in the place of what there is: of a
    /// runner whose last known position is there. Those whose last known position came first come first: they
    /// are the first to lose theirs.
    pub(super) fn restore_trail(
        &mut self,
        runner: RunnerKey,
        points: impl Iterator<Item = TrailPoint>,
    ) {
        let runner = self.runners.get_mut(runner.0 as usize);
        let Some(last) = runner.and_then(|runner| runner.last.as_deref_mut()) else {
            return;
        };
        if self.trails.points_max == 0 || last.is_trail_past {
            return;
        }
        if let Some(before) = last.trail.take() {
            self.trails.discount(&before);
        }
        if let Some(trail) = Trail::of(points, self.trails.points_max) {
            self.trails.count(&trail);
            last.trail = Some(Box::new(trail));
        }
        self.give_up_trails();
    }

    /// Asks for so many points of the trail of each whom the member follows; 0 ends it.
    pub(super) fn ask_trails(&mut self, key: MemberKey, points: u32) {
        let member = &mut self.members[key.index()];
        let before = std::mem::replace(&mut member.trail_points, points);
        self.trails.askers += usize::from(points > 0);
        self.trails.askers -= usize::from(before > 0);
    }

    /// How many points of each trail the member asked for.
    pub(super) fn trail_points(&self, key: MemberKey) -> usize {
        let member = self.members.get(key.index());
        let points = member.map_or(0, |member| member.trail_points);
        self.trails.points_max.min(points as usize)
    }

    /// The runners whose trail late points were put into since it was told, and may be told again
    /// now: as many as have so many followers together.
    pub(super) fn take_late_trails(
        &mut self,
        now: Instant,
        followers_max: usize,
    ) -> Vec<RunnerKey> {
        let mut late = self.trails.late.take(now);
        let (mut left, mut later) = (followers_max, Vec::new());
        late.retain(|key| {
            let Some(runner) = self.runners.get_mut(*key as usize) else {
                return false;
            };
            let followers = runner.followers.len() + self.everyone.members.len();
            let trail = runner.last.as_mut().and_then(|last| last.trail.as_mut());
            let Some(trail) = trail.filter(|trail| trail.has_late) else {
                return false;
            };
            if left == 0 {
                later.push(*key);
                return false;
            }
            left = left.saturating_sub(followers);
            trail.has_late = false;
            self.trails.late.tell(*key, now);
            true
        });
        self.trails.late.put_back(later);
        late.into_iter().map(RunnerKey).collect()
    }
}

/// When a fix was made as far as its trail is concerned, in milliseconds since the start of 1970: when
/// it came, if it does not say it, or says one that is too far ahead.
fn time_ms(made_at_ms: Option<f64>, now: Now) -> u64 {
    // What is before 1970 is then at its beginning.
    made_at_ms
        .map_or(now.unix_ms, |ms| counts_as(ms, now))
        .round() as u64
}
