//! What a restart keeps: the relay's state in a file, which is written a slice at a time between
//! turns of the loop, and read at the start. Knows no connections; the time is handed in.

mod files;
mod restore;
mod writing;

pub(super) use restore::restore;
pub(super) use writing::{Figures, StateFile};
