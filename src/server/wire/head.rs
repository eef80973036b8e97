//! When a request head is looked at: as a whole when its end may be here, and not each time that a
//! piece of it comes. Knows nothing of what it says.

use super::reader::Reader;
use crate::server::http::{self, HEAD_BYTES_MAX, Head};

/// So many bytes of a head are looked at as they come: much that is no HTTP shows there, and never
/// sends an end.
const BEGINNING_BYTES_MAX: usize = 64;

/// What the bytes read are, wherever they were cut. `is_first_look` says that none of them was looked
/// at before, not even those of an earlier turn.
pub(super) fn next_head(reader: &mut Reader, is_first_look: bool) -> Head {
    reader.consume(empty_lines(reader.rest()));
    let bytes = reader.rest();
    let seen = match is_first_look {
        true => 0,
        false => bytes.len() - reader.fresh_bytes(),
    };
    if bytes.len() >= HEAD_BYTES_MAX || has_end(bytes, seen) {
        http::parse(bytes)
    } else if seen < BEGINNING_BYTES_MAX && seen < bytes.len() {
        http::parse(&bytes[..bytes.len().min(BEGINNING_BYTES_MAX)])
    } else {
        Head::Partial
    }
}

/// How many bytes of empty lines come first: they are passed over (RFC 9112, 2.2).
fn empty_lines(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some(behind) = (rest.strip_prefix(b"\n")).or_else(|| rest.strip_prefix(b"\r\n")) {
        rest = behind;
    }
    bytes.len() - rest.len()
}

/// Whether an empty line ends behind the bytes that were seen before.
fn has_end(bytes: &[u8], seen: usize) -> bool {
    let bytes = &bytes[seen.saturating_sub(2)..];
    let ends_line = |(_, byte): &(usize, &u8)| **byte == b'\n';
    (bytes.iter().enumerate()).filter(ends_line).any(|(at, _)| {
        let behind = &bytes[at + 1..];
        behind.starts_with(b"\n") || behind.starts_with(b"\r\n")
    })
}
