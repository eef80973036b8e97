//! What the operating system says of this process.

use std::fs::{self, File};
use std::time::Duration;

use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The process as it is now. What cannot be read is `None`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    /// Memory that is in RAM, in bytes.
    pub resident_bytes: Option<u64>,
    /// Open descriptors.
    pub open_fds: Option<u64>,
    /// As many as there may be; `None` for no limit.
    pub max_fds: Option<u64>,
    /// Time used on processors, in the process itself and in the kernel for it.
    pub cpu: Duration,
}

impl Process {
    /// Asks the kernel.
    pub(crate) fn measure() -> Process {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Process {
            resident_bytes: resident_bytes(),
            open_fds: open_fds(),
            max_fds: getrlimit(Resource::Nofile).current,
            cpu: Duration::try_from(cpu).unwrap_or_default(),
        }
    }
}

/// Whether a terminal, when it ends, would end this process by a SIGHUP (tty(4)).
pub(crate) fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// The second number of this file, in pages (proc_pid_statm(5)).
fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * page_size() as u64)
}

/// The size of this directory, which is their number since Linux 6.2 and takes 11 µs. Before that
/// it was 0, and the entries are counted: 20,000 of them take 15 ms.
fn open_fds() -> Option<u64> {
    let folder = "/proc/self/fd";
    match fs::metadata(folder).ok()?.len() {
        // One of the entries is the folder's own while it is read.
        0 => Some((fs::read_dir(folder).ok()?.count() as u64).saturating_sub(1)),
        count => Some(count),
    }
}
