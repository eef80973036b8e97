//! Bytes back to a relay, which is there when all of them have come and are right, and not before.

use std::time::Duration;

use crc32fast::Hasher;

use super::record::{self, Record};
use super::{Fault, MAGIC, RECORD_BYTES_MAX, VERSION};
use crate::fix::Bounds;
use crate::relay::heard::LastKnown;
use crate::relay::now::Now;
use crate::relay::sender_clock::SenderClock;
use crate::relay::service::Relay;
use crate::relay::terms::Rules;

/// Longest first line: that of any version.
const FIRST_LINE_BYTES_MAX: usize = MAGIC.len() + "18446744073709551615\n".len();

/// What comes behind the last runner: a length of 0, how many there were, and the checksum.
const END_BYTES: usize = 4 + 8 + 4;

/// What is to come next.
#[derive(Debug)]
enum Part {
    FirstLine,
    Runner,
    Nothing,
}

/// A relay that is being restored.
#[derive(Debug)]
pub(crate) struct Restoring {
    relay: Relay,
    bounds: Bounds,
    now: Now,
    part: Part,
    /// Bytes of which not all have come that are needed to go on.
    pending: Vec<u8>,
    count: u64,
    checksum: Hasher,
}

impl Restoring {
    /// Nothing has come yet. What is older than the rules allow, or beyond the bounds, is left out.
    pub(crate) fn new(rules: Rules, bounds: Bounds, now: Now) -> Restoring {
        Restoring {
            relay: Relay::new(rules),
            bounds,
            now,
            part: Part::FirstLine,
            pending: Vec::new(),
            count: 0,
            checksum: Hasher::new(),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// They are no state.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend(bytes);
        let mut rest = &pending[..];
        while let Some(taken) = self.take_part(rest)? {
            rest = &rest[taken..];
        }
        let taken = pending.len() - rest.len();
        pending.drain(..taken);
        self.pending = pending;
        Ok(())
    }

    /// The relay, when nothing more comes.
    ///
    /// # Errors
    /// It was not all.
    pub(crate) fn finish(mut self) -> Result<Relay, Fault> {
        match self.part {
            Part::Nothing => {
                let stale_after = self.relay.rules.stale_after;
                let live_since = self.now.monotonic.checked_sub(stale_after);
                self.relay.hub.line_up(live_since);
                Ok(self.relay)
            }
            Part::FirstLine if !begins_well(&self.pending) => Err(Fault::Foreign),
            _ => Err(Fault::Torn),
        }
    }

    /// Takes one part of a state, and says how many bytes that were; `None` if not all have come.
    fn take_part(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        match self.part {
            Part::FirstLine => self.take_first_line(bytes),
            Part::Runner => self.take_runner(bytes),
            Part::Nothing if bytes.is_empty() => Ok(None),
            Part::Nothing => Err(Fault::Damaged),
        }
    }

    fn take_first_line(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            return match bytes.len() > FIRST_LINE_BYTES_MAX || !begins_well(bytes) {
                true => Err(Fault::Foreign),
                false => Ok(None),
            };
        };
        let line = str::from_utf8(&bytes[..end]).ok();
        let version = line.and_then(|line| line.strip_prefix(MAGIC));
        match version.and_then(|version| version.parse::<u64>().ok()) {
            Some(VERSION) => {}
            Some(version) if version > VERSION => return Err(Fault::Newer(version)),
            _ => return Err(Fault::Foreign),
        }
        self.part = Part::Runner;
        self.checksum.update(&bytes[..=end]);
        Ok(Some(end + 1))
    }

    fn take_runner(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let Some(length) = bytes.first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length == 0 {
            return self.take_end(bytes);
        }
        if length > RECORD_BYTES_MAX {
            return Err(Fault::Damaged);
        }
        let Some(record) = bytes.get(4..4 + length) else {
            return Ok(None);
        };
        self.put(record::read(record).ok_or(Fault::Damaged)?);
        self.count += 1;
        self.checksum.update(&bytes[..4 + length]);
        Ok(Some(4 + length))
    }

    fn take_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let Some(end) = bytes.first_chunk::<END_BYTES>() else {
            return Ok(None);
        };
        let (counted, checksum) = end.split_at(END_BYTES - 4);
        self.checksum.update(counted);
        let expected = self.checksum.clone().finalize();
        if counted[4..] != self.count.to_le_bytes() || checksum != expected.to_le_bytes() {
            return Err(Fault::Damaged);
        }
        self.part = Part::Nothing;
        Ok(Some(END_BYTES))
    }

    /// Has a runner be where it was, unless that is too long ago.
    fn put(&mut self, record: Record) {
        // By a clock that was set back since, some were received in the future.
        let age_ms = (self.now.unix_ms - record.received_ms).max(0.0);
        let age = Duration::try_from_secs_f64(age_ms / 1000.0).unwrap_or(Duration::MAX);
        let received_at = self.now.monotonic.checked_sub(age);
        let is_outside = self.bounds == Bounds::Wgs84 && !record.fix.is_wgs84();
        let Some(received_at) = received_at.filter(|_| !is_outside) else {
            return;
        };
        if age > self.relay.rules.forget_after {
            return;
        }
        let last = LastKnown {
            fix: record.fix,
            written: record.written,
            received_at,
            clock: SenderClock::restored(record.newest_ms),
            dialect: record.dialect,
            trail: None,
            is_trail_past: false,
            is_from_elsewhere: false,
        };
        let hub = &mut self.relay.hub;
        let runner = hub.put_back(record.id, last, record.names);
        if let Some(runner) = runner {
            hub.restore_trail(runner, record.trail.into_iter());
        }
    }
}

/// Whether these may be the first bytes of a state.
fn begins_well(bytes: &[u8]) -> bool {
    let length = bytes.len().min(MAGIC.len());
    bytes[..length] == MAGIC.as_bytes()[..length]
}
