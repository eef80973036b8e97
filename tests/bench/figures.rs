//! The figures that runs yield: their names for machines, their columns for people, and whether
//! they are set against the floors.

/// What one run yields.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub values: Vec<(&'static Figure, f64)>,
    /// What was wrong; nothing in a good run.
    pub wrong: Vec<String>,
    /// Share of the machine that others used meanwhile.
    pub others: f64,
}

impl Outcome {
    pub fn value(&self, figure: &Figure) -> Option<f64> {
        let found = self.values.iter().find(|(other, _)| *other == figure);
        found.map(|(_, value)| *value)
    }
}

/// How rounds become one figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Middle {
    Median,
    /// For what is counted in coarse ticks: all rounds together have enough of them.
    Mean,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Figure {
    pub key: &'static str,
    pub header: &'static str,
    pub decimals: usize,
    pub middle: Middle,
    /// Least and greatest get a column too.
    pub shows_range: bool,
    pub is_compared: bool,
}

const fn figure(key: &'static str, header: &'static str, decimals: usize) -> Figure {
    Figure {
        key,
        header,
        decimals,
        middle: Middle::Median,
        shows_range: false,
        is_compared: true,
    }
}

impl Figure {
    const fn mean(self) -> Figure {
        Figure {
            middle: Middle::Mean,
            ..self
        }
    }

    const fn ranged(self) -> Figure {
        Figure {
            shows_range: true,
            ..self
        }
    }

    const fn alone(self) -> Figure {
        Figure {
            is_compared: false,
            ..self
        }
    }
}

pub static DELIVERIES: Figure = figure("deliveries_per_s", "deliveries/s", 0).ranged();
pub static CPU: Figure = figure("cpu_us_per_delivery", "CPU µs", 2).ranged();
pub static USER: Figure = figure("user_us_per_delivery", "user µs", 2).mean();
pub static SYSTEM: Figure = figure("system_us_per_delivery", "system µs", 2).mean();
pub static P50: Figure = figure("latency_p50_ms", "p50 ms", 2);
pub static P99: Figure = figure("latency_p99_ms", "p99 ms", 2);
pub static P999: Figure = figure("latency_p999_ms", "p99.9 ms", 2);
pub static RSS: Figure = figure("rss_mib", "RSS MiB", 1);
pub static BUSY: Figure = figure("server_cpu_percent", "server %", 0).alone();
pub static PER_READ: Figure = figure("deliveries_per_read", "per read", 1).alone();

pub static HANDSHAKES: Figure = figure("handshakes_per_s", "handshakes/s", 0).ranged();
pub static HANDSHAKE: Figure = figure("cpu_us_per_handshake", "CPU µs/handshake", 1).ranged();
pub static RSS_IDLE: Figure = figure("rss_kib_per_idle_follower", "KiB each, idle", 3);
pub static RSS_USED: Figure = figure("rss_kib_per_used_follower", "KiB each, used", 3);

pub static FOLLOW: Figure = figure("cpu_us_per_follow", "CPU µs/follow", 3).ranged();
pub static UNFOLLOW: Figure = figure("cpu_us_per_unfollow", "CPU µs/unfollow", 3).ranged();
pub static FOLLOW_RSS: Figure = figure("rss_bytes_per_follow", "bytes/follow", 0);
pub static LEAVE: Figure = figure("cpu_us_per_leave", "CPU µs/leave", 2).ranged();

pub static GROWTH: Figure = figure("rss_growth_mib", "RSS growth MiB", 2).ranged();
pub static NEWEST: Figure = figure("newest_arrived_percent", "newest arrived %", 1).ranged();
pub static ARRIVED: Figure = figure("missed_arrived_percent", "of the missed, %", 2);
pub static CUT_OFF: Figure = figure("cut_off", "cut off", 0);
