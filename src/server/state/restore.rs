//! Reads the state's file at the start: all of it, or the one before it, or nothing.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use log::{info, warn};

use super::files::Files;
use super::writing::{StateFile, tell_failure};
use crate::fix::Bounds;
use crate::relay::{Fault, Now, Relay, Restoring, Rules};

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// The relay that the file of this name has, or else one that knows nobody; and the file, which no
/// other server has from now on.
///
/// # Errors
/// A line for the operator.
pub(in crate::server) fn restore(
    path: &Path,
    interval: Duration,
    rules: Rules,
    bounds: Bounds,
    now: Now,
) -> Result<(StateFile, Relay), String> {
    let mut files = Files::named(path)?;
    let is_failing = match files.lock() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => {
            return Err(format!(
                "{}: another server keeps its state there",
                path.display()
            ));
        }
        Err(TryLockError::Error(error)) => {
            tell_failure(files.path(), &error);
            true
        }
    };
    let relay = restore_first(&mut files, || Restoring::new(rules, bounds, now))?;
    let relay = relay.unwrap_or_else(|| Relay::new(rules));
    let state = StateFile::new(files, interval, relay.revision(), now.monotonic, is_failing);
    Ok((state, relay))
}

/// What the first file has that is whole. Those before it are set aside.
fn restore_first(
    files: &mut Files,
    fresh: impl Fn() -> Restoring,
) -> Result<Option<Relay>, String> {
    for path in [files.path().to_owned(), files.old()] {
        let name = path.display();
        match read(&path, fresh())? {
            None => {}
            Some(Ok(relay)) => {
                info!("state file=\"{name}\" restored={}", relay.known_total());
                return Ok(Some(relay));
            }
            Some(Err(fault)) => match files.set_aside(path.clone()) {
                Ok(aside) => warn!(
                    "state file=\"{name}\" fault=\"{fault}\" set_aside=\"{}\"",
                    aside.display()
                ),
                Err(error) => warn!(
                    "state file=\"{name}\" fault=\"{fault}\" error=\"it cannot be set aside: {error}\""
                ),
            },
        }
    }
    Ok(None)
}

/// Reads a file, if it is there.
fn read(path: &Path, mut restoring: Restoring) -> Result<Option<Result<Relay, Fault>>, String> {
    let refuse = |reason: &str| format!("cannot read {}: {reason}", path.display());
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refuse(&error.to_string())),
        // To open one may take for ever.
        Ok(metadata) if !metadata.is_file() => return Err(refuse("this is no regular file")),
        Ok(_) => {}
    }
    let mut file = File::open(path).map_err(|error| refuse(&error.to_string()))?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Some(restoring.finish())),
            Ok(bytes) => {
                if let Err(fault) = restoring.take(&chunk[..bytes]) {
                    return Ok(Some(Err(fault)));
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(refuse(&error.to_string())),
        }
    }
}
