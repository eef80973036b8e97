//! Writes the state's file: a slice in a turn of the loop, or all at once at the end. The disk may
//! fail at any time, and is asked again after a while.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use log::{error, info};

use super::files::Files;
use crate::relay::{Now, RECORD_BYTES_MAX, Relay, SLICE_BYTES_MAX, Snapshot};
use crate::server::config::TRAIL_POINTS_MAX;
use crate::server::memory::STATE_SLICE_BYTES_MAX;

// A runner with the longest of trails, whose points take 25 bytes at most.
const _: () = assert!(RECORD_BYTES_MAX > 4096 + 25 * TRAIL_POINTS_MAX as usize);

// A buffer that grows has up to twice of what it needs.
const _: () = assert!(STATE_SLICE_BYTES_MAX >= 2 * SLICE_BYTES_MAX as u64);

/// The state's file, and what of it is being written.
#[derive(Debug)]
pub(in crate::server) struct StateFile {
    files: Files,
    /// What happened so long ago is in the file.
    interval: Duration,
    writing: Option<Writing>,
    /// The relay's revision that the file has.
    kept: u64,
    /// Before this nothing is begun.
    next: Instant,
    /// When the last one was ended.
    ended: Instant,
    is_failing: bool,
    slice: Vec<u8>,
    figures: Figures,
}

/// A file that is not complete.
#[derive(Debug)]
struct Writing {
    snapshot: Snapshot,
    file: File,
    began: Now,
    bytes: u64,
}

/// What is told of it in metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::server) struct Figures {
    /// When the file was last written, in seconds since the start of 1970 UTC; 0 if it was not.
    pub(in crate::server) written_unix_s: f64,
    /// How long that took.
    pub(in crate::server) took: Duration,
    /// How large it became.
    pub(in crate::server) bytes: u64,
    /// How often it could not be written.
    pub(in crate::server) errors: u64,
}

impl StateFile {
    /// A file that has the relay of this revision, or has not if the disk `is_failing`.
    pub(super) fn new(
        files: Files,
        interval: Duration,
        kept: u64,
        now: Instant,
        is_failing: bool,
    ) -> StateFile {
        StateFile {
            files,
            interval,
            writing: None,
            kept,
            next: now + interval,
            ended: now,
            is_failing,
            slice: Vec::new(),
            figures: Figures::default(),
        }
    }

    /// Goes on with writing, or begins with it if that is due: one slice, however busy the others
    /// are, as those who never rest would otherwise have nothing kept.
    pub(in crate::server) fn turn(&mut self, relay: &Relay, now: Now) {
        let is_due = self
            .next_deadline(relay)
            .is_some_and(|at| now.monotonic >= at);
        if !is_due {
            return;
        }
        if self.files.has_removed() {
            self.files.give_back();
            return;
        }
        let outcome = match self.write_slice(relay, now) {
            Ok(false) => return,
            Ok(true) => self.files.put_in_place(),
            Err(error) => Err(error),
        };
        self.end(outcome, now);
    }

    /// When there is something to do.
    pub(in crate::server) fn next_deadline(&self, relay: &Relay) -> Option<Instant> {
        if self.files.has_removed() {
            return Some(self.ended);
        }
        (self.writing.is_some() || relay.revision() != self.kept).then_some(self.next)
    }

    /// Writes all at once, and has the disk hold it.
    pub(in crate::server) fn write_all(&mut self, relay: &Relay, now: Now) {
        self.writing = None;
        let outcome = self.write_and_sync(relay, now);
        self.end(outcome, now);
    }

    /// What is told of it in metrics.
    pub(in crate::server) fn figures(&self) -> Figures {
        self.figures
    }

    fn write_and_sync(&mut self, relay: &Relay, now: Now) -> io::Result<()> {
        while !self.write_slice(relay, now)? {}
        if let Some(writing) = &self.writing {
            writing.file.sync_all()?;
        }
        self.files.put_in_place()?;
        self.files.sync_folder()
    }

    /// Writes a slice, the first one of a new file if none is begun; says whether it was the last.
    fn write_slice(&mut self, relay: &Relay, now: Now) -> io::Result<bool> {
        let writing = match &mut self.writing {
            Some(writing) => writing,
            none => none.insert(Writing {
                file: self.files.create()?,
                snapshot: Snapshot::new(relay),
                began: now,
                bytes: 0,
            }),
        };
        let is_last = writing.snapshot.slice(relay, now, &mut self.slice);
        writing.file.write_all(&self.slice)?;
        writing.bytes += self.slice.len() as u64;
        Ok(is_last)
    }

    /// Ends writing, well or not.
    fn end(&mut self, outcome: io::Result<()>, now: Now) {
        let writing = self.writing.take();
        self.ended = now.monotonic;
        match (outcome, writing) {
            (Ok(()), Some(writing)) => self.succeed(&writing, now),
            (Ok(()), None) => {}
            (Err(error), _) => self.fail(&error, now),
        }
    }

    fn succeed(&mut self, writing: &Writing, now: Now) {
        let began_at = writing.began.monotonic;
        let took = now.monotonic.saturating_duration_since(began_at);
        self.kept = writing.snapshot.revision();
        // By the end of the next one, nothing of this one is older than the interval.
        self.next = began_at + self.interval.saturating_sub(took);
        self.figures = Figures {
            written_unix_s: now.unix_ms / 1000.0,
            took,
            bytes: writing.bytes,
            ..self.figures
        };
        if std::mem::take(&mut self.is_failing) {
            let name = self.files.path().display();
            info!(
                "state file=\"{name}\" bytes={}: it is written again",
                writing.bytes
            );
        }
    }

    fn fail(&mut self, error: &io::Error, now: Now) {
        self.files.discard();
        self.next = now.monotonic + self.interval;
        self.figures.errors += 1;
        if !std::mem::replace(&mut self.is_failing, true) {
            tell_failure(self.files.path(), error);
        }
    }
}

/// Tells the operator, once while the disk fails.
pub(super) fn tell_failure(path: &Path, error: &io::Error) {
    error!(
        "state file=\"{}\" error=\"{error}\": nothing is kept until it can be written",
        path.display()
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::fix::{Bounds, Fix};
    use crate::relay::{Authority, Rules};

    /// Enough for many slices.
    const RUNNERS: u32 = 60_000;
    const INTERVAL: Duration = Duration::from_secs(10);
    const TICK: Duration = Duration::from_millis(100);

    fn relay(now: Now) -> Relay {
        let mut relay = Relay::new(Rules {
            needs_grant: false,
            follows_all: true,
            follows_max: 1,
            follows_total_max: 1,
            rate_max: None,
            last_known_max: RUNNERS as usize,
            trail_points_max: 0,
            trail_bytes_max: 0,
            stale_after: INTERVAL,
            forget_after: 100 * INTERVAL,
        });
        for user in 0..RUNNERS {
            report(&mut relay, user, now);
        }
        relay
    }

    fn report(relay: &mut Relay, user: u32, now: Now) {
        let fix = Fix::new(Bounds::Finite, Some("1"), Some("2"), |_| None);
        let (by, user) = (Authority::of_request(None), user.to_string());
        relay.report(&by, &user, fix.expect("numbers"), Dialect::Json, now);
    }

    #[test]
    fn what_is_kept_of_a_large_state_that_never_rests_is_no_older_than_the_interval() {
        let folder = std::env::temp_dir().join(format!("spectate-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("room for a folder");
        let files = Files::named(&folder.join("state")).expect("a folder that is there");
        let start = Now {
            monotonic: Instant::now(),
            unix_ms: 1.7e12,
        };
        let mut relay = relay(start);
        let mut state = StateFile::new(files, INTERVAL, 0, start.monotonic, false);
        let mut writes = 0.0;
        for tick in 1..600 {
            let passed = TICK * tick;
            let now = Now {
                monotonic: start.monotonic + passed,
                unix_ms: start.unix_ms + passed.as_secs_f64() * 1000.0,
            };
            report(&mut relay, tick, now);
            let written_before = state.figures().written_unix_s;
            state.turn(&relay, now);
            let Figures {
                written_unix_s,
                took,
                ..
            } = state.figures();
            writes += f64::from(u8::from(written_unix_s != written_before));
            if written_unix_s > 0.0 {
                assert!(took > 2 * TICK, "in slices: {took:?}");
                let age_s = now.unix_ms / 1000.0 - (written_unix_s - took.as_secs_f64());
                let longest = INTERVAL + 2 * TICK;
                assert!(age_s < longest.as_secs_f64(), "{age_s} at {passed:?}");
            }
        }
        drop(state);
        std::fs::remove_dir_all(&folder).expect("our folder");
        assert!((5.0..8.0).contains(&writes), "{writes}");
    }
}
