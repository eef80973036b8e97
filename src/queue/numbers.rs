//! A map by numbers that we gave out ourselves, so that nobody chooses which of them collide: it needs
//! no strong hash, and is asked a million times in a burst.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by number.
pub(crate) type ByNumber<T> = HashMap<u32, T, BuildHasherDefault<Spread>>;

/// Spreads neighbours far over all 64 bits (Knuth, The Art of Computer Programming, 6.4).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread(u64);

/// 2^64 divided by the golden ratio, and odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = u64::from(number).wrapping_mul(GOLDEN);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(GOLDEN);
        }
    }
}
