//! The machine: which cores the server and the load get, how many descriptors there are, what it
//! is in words, and how busy it is.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Descriptors that are not connections.
const RESERVE: usize = 100;

/// Ticks that may be missing or too many between two looks.
const TICKS_UNSURE: u64 = 2;

/// A core for the server and another for the load, where there are two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pair: Option<(usize, usize)>,
    online: usize,
}

impl Cores {
    pub(crate) fn choose() -> Cores {
        let allowed: Vec<usize> = match sched_getaffinity(None) {
            Ok(set) => (0..CpuSet::MAX_CPU)
                .filter(|&cpu| set.is_set(cpu))
                .collect(),
            Err(_) => Vec::new(),
        };
        let pair = match allowed[..] {
            [first, .., last] => Some((first, last)),
            _ => None,
        };
        let online = read("/proc/stat")
            .lines()
            .filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "))
            .count();
        Cores {
            pair,
            online: online.max(1),
        }
    }

    /// The same with the other's core for each.
    pub(crate) fn swapped(self) -> Cores {
        Cores {
            pair: self.pair.map(|(server, load)| (load, server)),
            ..self
        }
    }

    /// Cores of the machine.
    pub(crate) fn count(self) -> usize {
        self.online
    }

    /// Whether the load may keep its core busy, so that nobody pays for waking it.
    pub(crate) fn may_spin(self) -> bool {
        self.pair.is_some()
    }

    pub(crate) fn pin_to_server(self) {
        pin(self.pair.map(|(server, _)| server));
    }

    pub(crate) fn pin_to_load(self) {
        pin(self.pair.map(|(_, load)| load));
    }
}

fn pin(core: Option<usize>) {
    if let Some(core) = core {
        let mut set = CpuSet::new();
        set.set(core);
        // Refused: the figures are noisier, and nothing else.
        let _ = sched_setaffinity(None, &set);
    }
}

/// Raises the soft descriptor limit to the hard one, and says how many connections that allows.
pub(crate) fn connections_max() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(descriptors)
        .unwrap_or(usize::MAX)
        .saturating_sub(RESERVE)
}

/// The machine in words.
pub(crate) fn words(cores: Cores) -> String {
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .unwrap_or("unknown CPU");
    let kernel = read("/proc/sys/kernel/osrelease");
    let pinned = match cores.pair {
        Some((server, load)) => format!("server on core {server}, load on core {load}"),
        None => {
            "nothing pinned: server and load share the one core, so latencies mean little".into()
        }
    };
    format!(
        "{} cores ({model}), Linux {}, loopback; {pinned}",
        cores.online,
        kernel.trim()
    )
}

/// CPU time of the whole machine since it started, in ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MachineTime {
    idle: u64,
    all: u64,
}

impl MachineTime {
    pub(crate) fn now() -> MachineTime {
        let stat = read("/proc/stat");
        // user nice system idle iowait irq softirq steal; guests are within user.
        let ticks: Vec<u64> = stat
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .take(8)
            .filter_map(|field| field.parse().ok())
            .collect();
        MachineTime {
            idle: ticks.iter().skip(3).take(2).sum(),
            all: ticks.iter().sum(),
        }
    }

    /// Share of the machine that was not idle until `later`, rounded down by what ticks cannot
    /// tell.
    pub(crate) fn busy_until(&self, later: &MachineTime) -> f64 {
        let all = later.all.saturating_sub(self.all);
        let idle = later.idle.saturating_sub(self.idle);
        all.saturating_sub(idle + TICKS_UNSURE) as f64 / (all as f64).max(1.0)
    }
}

/// A file of /proc; empty if it is not there.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
