//! What many connections ask for: descriptors of this machine, and of a server's queue no more
//! than it holds. Knows no connection.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::plain;

/// Connections under way at the same time: less than the backlog of a common server, so that no
/// connect has to be repeated after a second.
pub const CONNECTS_IN_FLIGHT_MAX: usize = 256;

/// Longest time in which nobody comes further while connections are opened.
pub const OPENING_WAIT: Duration = Duration::from_secs(10);

/// Descriptors that are no connections: the standard three, the poll, and some to spare.
const DESCRIPTORS_SPARE: u64 = 16;

/// Raises the limit of open files as far as it goes without privileges, if so many connections
/// need it.
///
/// # Errors
/// A line that says how many it takes.
pub fn allow_descriptors(connections: usize) -> Result<(), String> {
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
