//! Reads a roster's file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::Roster;

/// Longest file to read, in bytes: some 200,000 runners.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

impl Roster {
    /// Reads a file.
    ///
    /// # Errors
    /// A line that names the file, and in it the line to mend.
    pub fn load(path: &Path) -> Result<Roster, String> {
        let of_file = |reason: &str| format!("{}: {reason}", path.display());
        let mut bytes = Vec::new();
        let read =
            File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
        read.map_err(|error| of_file(&plain(&error)))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(of_file(&format!(
                "larger than {} MiB",
                FILE_BYTES_MAX >> 20
            )));
        }
        Roster::read(&bytes).map_err(|fault| of_file(&fault.to_string()))
    }

    /// The same again, for a loop that must not wait: of a file, and not of a pipe.
    ///
    /// # Errors
    /// As of [`Roster::load`].
    pub fn reload(path: &Path) -> Result<Roster, String> {
        match fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => {
                Err(format!("{}: this is no regular file", path.display()))
            }
            _ => Roster::load(path),
        }
    }
}

/// What the operating system says, without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}
