//! Files that hold secrets, or where people were: whole or not there, and nobody else's to read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::plain;

/// The owner reads and writes.
const MODE: u32 = 0o600;

/// Writes a file anew, with mode 0600 whatever stood there: beside it first, and then renamed.
///
/// # Errors
/// A line that names the file, when it cannot be written or is none.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    write_by(path, |file| file.write_all(content))
}

/// The same for content that is written bit by bit.
///
/// # Errors
/// As [`write()`].
pub(super) fn write_by(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), String> {
    let refuse = |reason: &str| format!("{}: {reason}", path.display());
    match fs::symlink_metadata(path) {
        // A rename would take the place of a device or a link.
        Ok(metadata) if !metadata.is_file() => return Err(refuse("is no regular file")),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(refuse(&plain(&error))),
        _ => {}
    }
    let beside = beside(path).ok_or_else(|| refuse("is no name of a file"))?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(MODE);
    let file = options
        .open(&beside)
        .map_err(|error| format!("{}: {}", beside.display(), plain(&error)))?;
    let mut file = BufWriter::new(file);
    let written = content(&mut file)
        .and_then(|()| file.flush())
        .and_then(|()| file.get_ref().sync_all())
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        // What is left of it holds secrets too.
        let _ = fs::remove_file(&beside);
        refuse(&plain(&error))
    })
}

fn beside(path: &Path) -> Option<PathBuf> {
    let mut name = path.file_name()?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    Some(path.with_file_name(name))
}
