//! What the relay keeps beyond its process, as bytes and back: where everyone was last and when, the
//! newest timestamps, what users are called, and the ways that they came. Knows no files; the time is
//! handed in.
//!
//! ```text
//! spectate state VERSION\n
//! for each runner   u32, above 0: how many bytes of it follow
//!   its id          text: u8, and so many bytes of UTF-8
//!   received        f64: milliseconds since the start of 1970 UTC
//!   dialect, flags  u8, u8: a bit for each of what may follow, and for an id as a number
//!   fix             lat and lng, texts; u8, a bit for each of the extras; their digits, texts
//!   what flags say  newest timestamp, f64; an id as written with escapes, u16 and bytes; the token's
//!                   name and the hello's, texts; the trail: u32, so many points as `trail` keeps them
//! at the end        u32, which is 0; u64: how many runners; u32: CRC-32 of all bytes before it
//! ```
//!
//! Numbers are little-endian. A runner may be there twice, one that left and came back while the
//! others were written: the one received last counts.

mod record;
mod restoring;
mod taking;
#[cfg(test)]
mod tests;

use std::fmt;

pub(crate) use restoring::Restoring;
pub(crate) use taking::{SLICE_BYTES_MAX, Snapshot};

/// What the first line begins with.
const MAGIC: &str = "spectate state ";

/// The version that is written, and the only one that there has been.
const VERSION: u64 = 1;

/// Most bytes of one runner: a length above it is none that was written.
pub(crate) const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Why bytes are no state that can be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They do not begin as a state does.
    Foreign,
    /// A newer program wrote them.
    Newer(u64),
    /// They end too early.
    Torn,
    /// They are not what was written.
    Damaged,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Fault::Foreign => f.write_str("it is no state of spectate"),
            Fault::Newer(version) => write!(
                f,
                "it has version {version}, and this program knows {VERSION}"
            ),
            Fault::Torn => f.write_str("it ends too early"),
            Fault::Damaged => f.write_str("it is damaged"),
        }
    }
}
