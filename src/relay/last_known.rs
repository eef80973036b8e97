//! Where everyone was last, and whether that is live, stale or forgotten.

use std::collections::BTreeSet;
use std::iter;
use std::time::Instant;

use super::heard::LastKnown;
use super::hub::Hub;
use super::keys::RunnerKey;
use super::names::Names;
use super::now::Now;
use super::sender_clock::SenderClock;
use super::trails::Taken;
use crate::dialect::Dialect;
use crate::fix::Fix;
use crate::user::{Freshness, Written};

impl Hub {
    /// Keeps this as the user's last known position, which is live from now on, unless the fix was
    /// made, by its sender's clock, before the user's newest. It goes onto the user's trail, late or
    /// not.
    pub(super) fn publish(
        &mut self,
        runner: RunnerKey,
        written: Written,
        fix: Fix,
        dialect: Dialect,
        now: Now,
    ) -> Taken {
        let key = runner.0;
        let made_at_ms = fix.made_at_ms();
        let runner = &mut self.runners[key as usize];
        let mut no_clock = SenderClock::default();
        let clock = runner
            .last
            .as_mut()
            .map_or(&mut no_clock, |last| &mut last.clock);
        if !clock.take(made_at_ms, now) {
            return self.put_late_on_trail(key, &fix, made_at_ms, now);
        }
        let last = LastKnown {
            fix,
            written,
            received_at: now.monotonic,
            clock: *clock,
            dialect,
            trail: None,
            is_trail_past: false,
            is_from_elsewhere: false,
        };
        self.keep(key, last, true);
        self.put_on_trail(key, made_at_ms, now);
        Taken::Live
    }

    /// Keeps a last known position in the place of the one before.
    pub(super) fn keep(&mut self, key: u32, mut last: LastKnown, is_live: bool) {
        let runner = &mut self.runners[key as usize];
        let was_from_here = (runner.last.as_ref()).is_some_and(|last| !last.is_from_elsewhere);
        let has_moved = was_from_here == last.is_from_elsewhere;
        self.heard.bytes += last.bytes();
        match &mut runner.last {
            Some(before) => {
                self.heard.bytes -= before.bytes();
                last.trail = before.trail.take();
                **before = last;
            }
            none => {
                self.heard.count += 1;
                runner.heard_after = self.everyone.turns;
                *none = Some(Box::new(last));
            }
        }
        runner.was_known = true;
        self.revision += 1;
        let was_live = std::mem::replace(&mut runner.is_live, is_live);
        self.heard.live += usize::from(is_live);
        self.heard.live -= usize::from(was_live);
        if is_live != was_live {
            self.note_change(key);
        }
        if has_moved {
            self.note_stake(key);
        }
        self.heard.unqueue(key);
        self.heard.queue.push(key);
        if is_live {
            self.heard.first_live.get_or_insert(key);
        }
        self.heard.first_with_trail.get_or_insert(key);
        while self.heard.is_too_much() {
            // The newest always stays: it is on its way to followers.
            match self.heard.queue.first() {
                Some(oldest) if oldest != key => self.forget_last_known(RunnerKey(oldest)),
                _ => break,
            }
        }
    }

    /// Whether a fix of the user with this timestamp is the newest.
    pub(super) fn is_newest(&self, runner: RunnerKey, fix: &Fix) -> bool {
        let (Some(last), Some(made_at_ms)) = (self.last_known(runner), fix.made_at_ms()) else {
            return false;
        };
        [last.fix.made_at_ms(), last.clock.newest_ms()].contains(&Some(made_at_ms))
    }

    /// Makes last known positions stale that were received before this time, so many at most;
    /// says whether there may be more of them.
    pub(super) fn stale_before(&mut self, time: Instant, stale_max: usize) -> bool {
        self.stale_aged_before(time);
        for _ in 0..stale_max {
            let Some(key) = self.heard.first_live else {
                return false;
            };
            if self
                .received_at(key)
                .is_some_and(|received_at| received_at >= time)
            {
                return false;
            }
            self.heard.first_live = self.heard.queue.after(key);
            self.turn_stale(key);
        }
        true
    }

    /// Makes a last known position stale that is not yet.
    pub(super) fn turn_stale(&mut self, key: u32) {
        if std::mem::take(&mut self.runners[key as usize].is_live) {
            self.heard.live -= 1;
            self.note_change(key);
        }
    }

    /// Forgets last known positions that were received before this time, so many at most; says
    /// whether there may be more of them.
    pub(super) fn forget_before(&mut self, time: Instant, forget_max: usize) -> bool {
        self.forget_aged_before(time);
        for _ in 0..forget_max {
            match self.heard.queue.first() {
                Some(oldest) if self.received_at(oldest).is_none_or(|at| at < time) => {
                    self.forget_last_known(RunnerKey(oldest));
                }
                _ => return false,
            }
        }
        true
    }

    /// When the first of the live ones was received, and the first of all.
    pub(super) fn longest_unheard(&self) -> (Option<Instant>, Option<Instant>) {
        let received_at = |key: Option<u32>| key.and_then(|key| self.received_at(key));
        let aged = &self.heard.aged;
        let first = |queued: Option<Instant>, aged: &BTreeSet<(Instant, u32)>| {
            let aged = aged.first().map(|(time, _)| *time);
            queued.into_iter().chain(aged).min()
        };
        (
            first(received_at(self.heard.first_live), &aged.live),
            first(received_at(self.heard.queue.first()), &aged.all),
        )
    }

    /// The last known position of a runner.
    pub(super) fn last_known(&self, runner: RunnerKey) -> Option<&LastKnown> {
        self.runners.get(runner.0 as usize)?.last.as_deref()
    }

    /// How fresh a runner's last known position is.
    pub(super) fn freshness(&self, runner: RunnerKey) -> Freshness {
        match self.runners.get(runner.0 as usize) {
            Some(runner) if runner.is_live => Freshness::Live,
            Some(runner) if runner.last.is_some() => Freshness::Stale,
            _ => Freshness::Unknown,
        }
    }

    /// Everybody whose last known position there is, the longest unheard first.
    pub(super) fn everybody_known(&self) -> impl Iterator<Item = RunnerKey> {
        let queue = &self.heard.queue;
        iter::successors(queue.first(), |key| queue.after(*key)).map(RunnerKey)
    }

    /// How many users are live, stale and unknown.
    pub(super) fn runners_by_freshness(&self) -> [(Freshness, usize); 3] {
        let heard = &self.heard;
        [
            (Freshness::Live, heard.live),
            (Freshness::Stale, heard.count - heard.live),
            (Freshness::Unknown, self.runners.len() - heard.count),
        ]
    }

    pub(super) fn received_at(&self, key: u32) -> Option<Instant> {
        Some(self.last_known(RunnerKey(key))?.received_at)
    }

    /// Has a user be where it was before a restart, unless it was heard later than that. It is not
    /// among the others before [`Hub::line_up`]. Says who it is.
    pub(super) fn put_back(
        &mut self,
        user: &str,
        last: LastKnown,
        names: Option<Names>,
    ) -> Option<RunnerKey> {
        let key = self.key_or_new(user);
        let runner = &mut self.runners[key as usize];
        if let Some(other) = &runner.last {
            if other.received_at > last.received_at {
                return None;
            }
            if let Some(trail) = &other.trail {
                self.trails.discount(trail);
            }
            self.heard.bytes -= other.bytes();
            self.heard.count -= 1;
        }
        self.heard.bytes += last.bytes();
        self.heard.count += 1;
        runner.last = Some(Box::new(last));
        runner.names = names.map(Box::new);
        runner.was_known = true;
        Some(RunnerKey(key))
    }

    /// Puts those who were put back into the order in which they were heard: live ones are those
    /// heard since then. Of too many, the longest unheard are forgotten, and of too long trails theirs.
    pub(super) fn line_up(&mut self, live_since: Option<Instant>) {
        let known = (self.runners.iter())
            .filter_map(|(key, runner)| Some((runner.last.as_ref()?.received_at, key as u32)));
        let mut known: Vec<(Instant, u32)> = known.collect();
        known.sort_unstable();
        for (received_at, key) in known {
            self.heard.queue.push(key);
            if live_since.is_none_or(|since| received_at >= since) {
                self.runners[key as usize].is_live = true;
                self.heard.live += 1;
                self.heard.first_live.get_or_insert(key);
            }
        }
        self.heard.first_with_trail = self.heard.queue.first();
        while self.heard.is_too_much()
            && let Some(oldest) = self.heard.queue.first()
        {
            self.forget_last_known(RunnerKey(oldest));
        }
        self.give_up_trails();
    }

    /// Forgets where a runner was last, if that is known.
    pub(super) fn forget_last_known(&mut self, runner: RunnerKey) {
        let RunnerKey(key) = runner;
        self.heard.unqueue(key);
        let runner = &mut self.runners[key as usize];
        if let Some(last) = runner.last.take() {
            self.revision += 1;
            if let Some(trail) = &last.trail {
                self.trails.discount(trail);
            }
            self.heard.count -= 1;
            self.heard.bytes -= last.bytes();
            self.heard.live -= usize::from(std::mem::take(&mut runner.is_live));
            self.note_change(key);
            self.forget_names(key);
            self.note_stake(key);
        }
        self.forget_unused(RunnerKey(key));
    }
}
