//! gzip (RFC 1952): as small as can be for what is compressed once, and fast for what is compressed
//! for each asker. Knows nothing of what it compresses.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Compressed once, and sent often.
pub(super) fn smallest(bytes: &[u8]) -> Vec<u8> {
    gzip(bytes, Compression::best())
}

/// Compressed while others wait.
pub(super) fn fast(bytes: &[u8]) -> Vec<u8> {
    gzip(bytes, Compression::fast())
}

fn gzip(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    let written = encoder.write_all(bytes);
    let finished: io::Result<Vec<u8>> = written.and_then(|()| encoder.finish());
    finished.expect("writing to a Vec cannot fail")
}
