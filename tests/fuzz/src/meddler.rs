//! Somebody between a peer and a connection, who changes what the peer encrypted.

use super::plan::Tape;
use super::script::Script;

/// Most changes in one life.
const CHANGES_MAX: u8 = 4;

/// One thing that is done when the peer's record of this number comes.
#[derive(Clone, Copy, Debug)]
struct Change {
    record: u8,
    kind: u8,
    at: u8,
    value: u8,
}

#[derive(Debug, Default)]
pub(crate) struct Meddler {
    changes: Vec<Change>,
    /// How many records and bytes went through its hands.
    records: usize,
    passed: usize,
    first: Vec<u8>,
    /// A record that is to come behind the next.
    held: Vec<u8>,
}

impl Meddler {
    pub(crate) fn read(tape: &mut Tape) -> Meddler {
        let count = tape.byte() % (CHANGES_MAX + 1);
        let mut change = || Change {
            record: tape.byte() % 16,
            kind: tape.byte(),
            at: tape.byte(),
            value: tape.byte(),
        };
        Meddler {
            changes: (0..count).map(|_| change()).collect(),
            ..Meddler::default()
        }
    }

    /// Has the peer speak; whether it may be understood otherwise than it meant it.
    pub(crate) fn meddle(&mut self, script: &mut Script) -> bool {
        let Some(peer) = &mut script.peer else {
            return false;
        };
        peer.speak(&mut script.steps);
        let mut was_changed = false;
        loop {
            // What is in front of it passed before, and was not read.
            let fresh: Vec<u8> = peer.ciphertext.drain(self.passed - script.read..).collect();
            if fresh.is_empty() {
                peer.is_disturbed |= was_changed;
                return was_changed;
            }
            for record in records(&fresh) {
                let mut out = record.to_vec();
                for change in self.changes.clone() {
                    if usize::from(change.record) == self.records {
                        match change.kind % 12 {
                            0 => drop(peer.change_keys()),
                            1 => peer.end(),
                            _ => self.change(change, &mut out),
                        }
                        was_changed |= change.kind % 12 > 0;
                    }
                }
                if self.records == 0 {
                    self.first = record.to_vec();
                }
                self.records += 1;
                self.passed += out.len();
                peer.ciphertext.extend(out);
            }
            peer.speak(&mut script.steps);
        }
    }

    fn change(&mut self, change: Change, record: &mut Vec<u8>) {
        let (at, value) = (usize::from(change.at), change.value);
        let held = std::mem::take(&mut self.held);
        let within = at % record.len().max(1);
        match change.kind % 12 {
            2 => record.clear(),
            3 => record.extend_from_within(..),
            4 => self.held = std::mem::take(record),
            5 => record.truncate(within),
            6 => drop(record.splice(..0, vec![value; at])),
            7 => {
                let mut made = vec![value, 3, 3, 0, change.at];
                made.resize(5 + at, 0);
                drop(record.splice(..0, made));
            }
            8 => drop(record.splice(..0, [21, 3, 3, 0, 2, value, change.at])),
            9 => drop(record.splice(..0, self.first.clone())),
            10 if !record.is_empty() => record[within.min(4)] = value,
            _ if !record.is_empty() => record[within] ^= 1 << (value % 8),
            _ => {}
        }
        record.extend(held);
    }
}

/// Whole records, one after another (RFC 8446, 5.1).
fn records(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let [_, _, _, high, low] = *bytes.first_chunk()?;
        let (record, rest) = bytes.split_at(5 + usize::from(u16::from_be_bytes([high, low])));
        bytes = rest;
        Some(record)
    })
}
