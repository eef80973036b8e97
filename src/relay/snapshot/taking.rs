//! The relay to bytes, a slice at a time, although it changes between two of them: each runner is as
//! it was when its slice was made.

use crc32fast::Hasher;

use super::{MAGIC, RECORD_BYTES_MAX, VERSION, record};
use crate::relay::now::Now;
use crate::relay::service::Relay;

/// A slice ends with the runner that fills so many bytes: some 2000 runners, and about a millisecond.
const SLICE_BYTES: usize = 160 * 1024;

/// The most that a slice can be.
pub(crate) const SLICE_BYTES_MAX: usize = SLICE_BYTES + RECORD_BYTES_MAX;

/// Numbers of runners looked at for one slice: many have no runner, or none who was ever heard.
const KEYS_PER_SLICE_MAX: usize = 8192;

/// A snapshot that is being taken.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The number of the runner to go on with, and of the first one that came too late.
    next: usize,
    end: usize,
    count: u64,
    checksum: Hasher,
    revision: u64,
}

impl Snapshot {
    /// Begins with the first runner.
    pub(crate) fn new(relay: &Relay) -> Snapshot {
        Snapshot {
            next: 0,
            end: relay.hub.runners.capacity(),
            count: 0,
            checksum: Hasher::new(),
            revision: relay.revision(),
        }
    }

    /// The relay's revision of which all is in it.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Puts the next slice into `out`, alone; says whether it was the last one.
    pub(crate) fn slice(&mut self, relay: &Relay, now: Now, out: &mut Vec<u8>) -> bool {
        out.clear();
        if self.next == 0 {
            out.extend(format!("{MAGIC}{VERSION}\n").into_bytes());
        }
        let last = self.end.min(self.next + KEYS_PER_SLICE_MAX);
        while self.next < last && out.len() < SLICE_BYTES {
            let runner = relay.hub.runners.get(self.next);
            self.next += 1;
            let known = runner.and_then(|runner| Some((runner, runner.last.as_deref()?)));
            if let Some((runner, last)) = known {
                let age_ms = last.age(now.monotonic).as_secs_f64() * 1000.0;
                let received_ms = now.unix_ms - age_ms;
                record::append(&runner.id, received_ms, last, runner.names.as_deref(), out);
                self.count += 1;
            }
        }
        let is_last = self.next >= self.end;
        if is_last {
            out.extend(0u32.to_le_bytes());
            out.extend(self.count.to_le_bytes());
        }
        self.checksum.update(out);
        if is_last {
            out.extend(self.checksum.clone().finalize().to_le_bytes());
        }
        is_last
    }
}
