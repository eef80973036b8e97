//! Both clocks, read in one place.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::relay::Now;

/// Reads both clocks.
pub(super) fn read_clocks() -> Now {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Now {
        monotonic: Instant::now(),
        unix_ms: since_1970.as_secs_f64() * 1000.0,
    }
}
