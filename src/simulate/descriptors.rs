//! Open files, of which many connections need many. Knows no connection.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::plain;

/// Descriptors that are no connections: the standard three, the poll, and some to spare.
const DESCRIPTORS_SPARE: u64 = 16;

/// Raises the limit of open files as far as it goes without privileges, if so many connections
/// need it.
///
/// # Errors
/// A line that says how many it takes.
pub(crate) fn allow_descriptors(connections: usize) -> Result<(), String> {
    let needed = connections as u64 + DESCRIPTORS_SPARE;
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        let maximum = limit.maximum.unwrap_or_default();
        return Err(format!(
            "this takes {needed} open files and the limit is {maximum}: raise it (ulimit -Hn) or use fewer --users"
        ));
    }
    if limit.current.is_some_and(|current| current < needed) {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, raised).map_err(|error| {
            format!(
                "cannot raise the limit of open files to {needed}: {}",
                plain(&error.into())
            )
        })?;
    }
    Ok(())
}
