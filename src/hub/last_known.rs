//! Where everyone was last, and whether that is live, stale or forgotten.

use std::time::{Duration, Instant};

use super::member::SPARE_ENTRIES_MAX;
use super::{Hub, Now, RunnerKey};
use crate::position::State;

/// A fix this far ahead of the server's clock, in milliseconds, counts as made now: a phone's
/// wrong clock must not freeze its dot.
const FUTURE_MS_MAX: f64 = 60_000.0;

/// What a last known position may weigh on average, in bytes: with more, fewer are kept.
const LAST_KNOWN_BYTES_MEAN_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct LastKnown {
    message: Vec<u8>,
    received_at: Instant,
    newest_fix_ms: Option<f64>,
}

impl Hub {
    /// Keeps `message` as the user's last known position, which is live from now on; `false` if
    /// its fix, made at `timestamp_ms` by its sender's clock, is older than the user's newest.
    pub fn publish(
        &mut self,
        runner: RunnerKey,
        message: &[u8],
        timestamp_ms: Option<f64>,
        now: Now,
    ) -> bool {
        let key = runner.0;
        let fix_ms = fix_ms(timestamp_ms, now);
        let runner = &mut self.runners[key as usize];
        match &mut runner.last {
            Some(last) => {
                if matches!((fix_ms, last.newest_fix_ms), (Some(fix), Some(newest)) if fix < newest)
                {
                    return false;
                }
                self.last_known_bytes = self.last_known_bytes + message.len() - last.message.len();
                last.message.clear();
                last.message.shrink_to(2 * message.len());
                last.message.extend_from_slice(message);
                last.received_at = now.monotonic;
                last.newest_fix_ms = fix_ms.or(last.newest_fix_ms);
            }
            last => {
                self.last_known += 1;
                self.last_known_bytes += message.len();
                *last = Some(LastKnown {
                    message: message.to_vec(),
                    received_at: now.monotonic,
                    newest_fix_ms: fix_ms,
                });
            }
        }
        if !std::mem::replace(&mut runner.is_live, true) {
            self.live += 1;
            self.note_change(key);
        }
        self.unqueue_heard(key);
        self.heard.push(key);
        self.first_live.get_or_insert(key);
        while self.last_known > self.last_known_max
            || self.last_known_bytes
                > self
                    .last_known_max
                    .saturating_mul(LAST_KNOWN_BYTES_MEAN_MAX)
        {
            // The newest always stays: it is on its way to followers.
            match self.heard.first() {
                Some(oldest) if oldest != key => self.forget_last_known(oldest),
                _ => break,
            }
        }
        true
    }

    /// Makes last known positions stale that were received before this time, so many at most;
    /// says whether there may be more of them.
    pub fn stale_before(&mut self, time: Instant, stale_max: usize) -> bool {
        for _ in 0..stale_max {
            let Some(key) = self.first_live else {
                return false;
            };
            let runner = &mut self.runners[key as usize];
            if (runner.last.as_ref()).is_some_and(|last| last.received_at >= time) {
                return false;
            }
            runner.is_live = false;
            self.live -= 1;
            self.first_live = self.heard.after(key);
            self.note_change(key);
        }
        true
    }

    /// Forgets last known positions that were received before this time, so many at most; says
    /// whether there may be more of them.
    pub fn forget_before(&mut self, time: Instant, forget_max: usize) -> bool {
        for _ in 0..forget_max {
            let oldest = self.heard.first().filter(|oldest| {
                let last = self.runners[*oldest as usize].last.as_ref();
                last.is_none_or(|last| last.received_at < time)
            });
            match oldest {
                Some(oldest) => self.forget_last_known(oldest),
                None => {
                    self.give_back_room();
                    return false;
                }
            }
        }
        true
    }

    /// The newest message about the runner in one slot of a connection, and its age.
    pub fn newest(&self, connection: u32, slot: u32, now: Instant) -> Option<(&[u8], Duration)> {
        let member = self.members.get(connection as usize)?;
        let follow = member.following.get(slot as usize)?;
        self.last_known(RunnerKey(follow.runner), now)
    }

    /// The newest message about a runner, and its age.
    pub fn last_known(&self, runner: RunnerKey, now: Instant) -> Option<(&[u8], Duration)> {
        let last = self.runners.get(runner.0 as usize)?.last.as_ref()?;
        let age = now.saturating_duration_since(last.received_at);
        Some((&last.message, age))
    }

    /// How fresh a runner's last known position is.
    pub fn state(&self, runner: RunnerKey) -> State {
        match self.runners.get(runner.0 as usize) {
            Some(runner) if runner.is_live => State::Live,
            Some(runner) if runner.last.is_some() => State::Stale,
            _ => State::Unknown,
        }
    }

    /// How many users are live, stale and unknown.
    pub fn runners_by_state(&self) -> [(State, usize); 3] {
        [
            (State::Live, self.live),
            (State::Stale, self.last_known - self.live),
            (State::Unknown, self.runners.len() - self.last_known),
        ]
    }

    fn forget_last_known(&mut self, key: u32) {
        self.unqueue_heard(key);
        let runner = &mut self.runners[key as usize];
        if let Some(last) = runner.last.take() {
            self.last_known -= 1;
            self.last_known_bytes -= last.message.len();
            self.live -= usize::from(std::mem::take(&mut runner.is_live));
            self.note_change(key);
        }
        self.forget_unused(key);
    }

    fn unqueue_heard(&mut self, key: u32) {
        if self.first_live == Some(key) {
            self.first_live = self.heard.after(key);
        }
        self.heard.remove(key);
    }

    fn give_back_room(&mut self) {
        if self.keys.capacity() > 4 * self.keys.len() + SPARE_ENTRIES_MAX {
            self.keys.shrink_to(2 * self.keys.len());
            self.runners.shrink_to_fit();
            self.heard.shrink_to(self.runners.capacity());
        }
    }
}

/// What a sender's timestamp counts as: nothing if it is missing, now if it is in the far future.
fn fix_ms(timestamp_ms: Option<f64>, now: Now) -> Option<f64> {
    timestamp_ms.map(|fix| {
        if fix > now.unix_ms + FUTURE_MS_MAX {
            now.unix_ms
        } else {
            fix
        }
    })
}
