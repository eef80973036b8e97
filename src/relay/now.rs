//! The time, as it is handed in.

use std::time::Instant;

/// The clocks' readings, taken once per tick and handed in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// For ages: never jumps.
    pub monotonic: Instant,
    /// For the comparison with the senders' timestamps: milliseconds since the start of 1970 UTC.
    pub unix_ms: f64,
}
