//! When an engine that refused something is told all again: it may be out of memory, or load its data.
//! Must never know what it was told.

use std::time::{Duration, Instant};

/// The first pause before that, and the longest; each is twice the one before.
const PAUSE_MIN: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Without a refusal for so long, an engine takes all again.
const QUIET: Duration = Duration::from_secs(2 * PAUSE_MAX.as_secs());

/// What one engine refused.
#[derive(Debug)]
pub(super) struct Resync {
    refused_at: Option<Instant>,
    pause: Duration,
    at: Option<Instant>,
}

impl Resync {
    /// Nothing was refused.
    pub(super) fn new() -> Resync {
        Resync {
            refused_at: None,
            pause: PAUSE_MIN,
            at: None,
        }
    }

    /// Takes note that something was refused; says whether that is news.
    pub(super) fn refused(&mut self, now: Instant) -> bool {
        let is_news = self.refused_at.is_none_or(|at| now >= at + QUIET);
        if is_news {
            self.pause = PAUSE_MIN;
        }
        self.refused_at = Some(now);
        if self.at.is_none() {
            self.at = Some(now + self.pause);
            self.pause = PAUSE_MAX.min(2 * self.pause);
        }
        is_news
    }

    /// Whether all is to be told again now: once.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        self.at.take_if(|at| *at <= now).is_some()
    }

    /// When that is.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// Says that the connection is gone: on the next one all is told anyway.
    pub(super) fn lost(&mut self) {
        self.at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_told_again_after_a_pause_that_grows_while_something_is_refused() {
        let begin = Instant::now();
        let at = |s: u64| begin + Duration::from_secs(s);
        let mut resync = Resync::new();
        assert!(resync.refused(at(0)));
        assert!(!resync.refused(at(1)), "no news");
        assert!(!resync.take_due(at(4)) && resync.take_due(at(5)) && !resync.take_due(at(5)));
        resync.refused(at(6));
        assert_eq!(resync.deadline(), Some(at(16)));
        for from in [16, 100, 180] {
            resync.take_due(at(from));
            assert!(!resync.refused(at(from)));
        }
        assert_eq!(resync.deadline(), Some(at(240)), "60 s at most");
        resync.lost();
        assert_eq!(resync.deadline(), None);
        assert!(resync.refused(at(180 + QUIET.as_secs())), "news again");
        assert_eq!(resync.deadline(), Some(at(185 + QUIET.as_secs())));
    }
}
