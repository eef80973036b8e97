//! GPX files, of version 1.0, 1.1 or none that is said: bytes in, tracks out, and tracks to files of
//! version 1.1. Takes what a way is made of and skips all else. Pure: the room must never know files,
//! clocks, or what a track is used for.
//!
//! | file | what it is for |
//! |---|---|
//! | `text` | bytes to text: gzip, and what is not UTF-8 |
//! | `reader` | text to tracks, and what of it could not be used |
//! | `value` | one latitude, longitude, elevation or time |
//! | `writer` | a track to text |

mod reader;
mod text;
mod track;
mod value;
mod writer;

pub use track::{FILE_BYTES_MAX, Fault, Gpx, POINTS_MAX, Point, Track};
pub use writer::write;

/// Reads a file, packed by gzip or not. A bad point or value is dropped; of a file that is cut
/// off or broken what comes before is read; both are told by [`Gpx::flaws`].
///
/// # Errors
/// What is wrong, when the file has no track or route that leads somewhere, or is larger than
/// [`FILE_BYTES_MAX`] or [`POINTS_MAX`].
pub fn read(bytes: &[u8]) -> Result<Gpx, Fault> {
    let unpacked = text::unpack(bytes)?;
    reader::read(&text::decode(&unpacked.bytes), unpacked.is_damaged)
}

#[cfg(test)]
mod tests;
