//! The figures that runs yield: their names for machines, their columns for people, and whether
//! they are set against the floors.

/// What one run yields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) values: Vec<(&'static Figure, f64)>,
    /// What was wrong; nothing in a good run.
    pub(crate) wrong: Vec<String>,
    /// Share of the machine that others used meanwhile.
    pub(crate) others: f64,
}

impl Outcome {
    pub(crate) fn value(&self, figure: &Figure) -> Option<f64> {
        let found = self.values.iter().find(|(other, _)| *other == figure);
        found.map(|(_, value)| *value)
    }
}

/// How rounds become one figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Middle {
    Median,
    /// For what is counted in coarse ticks: all rounds together have enough of them.
    Mean,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    pub(crate) key: &'static str,
    pub(crate) header: &'static str,
    pub(crate) decimals: usize,
    pub(crate) middle: Middle,
    /// Least and greatest get a column too.
    pub(crate) shows_range: bool,
    pub(crate) is_compared: bool,
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

pub(crate) static DELIVERIES: Figure = figure("deliveries_per_s", "deliveries/s", 0).ranged();
pub(crate) static CPU: Figure = figure("cpu_us_per_delivery", "CPU µs", 2).ranged();
pub(crate) static USER: Figure = figure("user_us_per_delivery", "user µs", 2).mean();
pub(crate) static SYSTEM: Figure = figure("system_us_per_delivery", "system µs", 2).mean();
pub(crate) static P50: Figure = figure("latency_p50_ms", "p50 ms", 2);
pub(crate) static P99: Figure = figure("latency_p99_ms", "p99 ms", 2);
pub(crate) static P999: Figure = figure("latency_p999_ms", "p99.9 ms", 2);
pub(crate) static RSS: Figure = figure("rss_mib", "RSS MiB", 1);
pub(crate) static BUSY: Figure = figure("server_cpu_percent", "server %", 0).alone();
pub(crate) static PER_READ: Figure = figure("deliveries_per_read", "per read", 1).alone();

pub(crate) static PER_WRITE: Figure = figure("deliveries_per_write", "per write", 1).alone();

pub(crate) static HANDSHAKES: Figure = figure("handshakes_per_s", "handshakes/s", 0).ranged();
pub(crate) static HANDSHAKE: Figure =
    figure("cpu_us_per_handshake", "CPU µs/handshake", 1).ranged();
pub(crate) static RESUMED: Figure = figure("cpu_us_per_resumed_handshake", "resumed", 1).ranged();
pub(crate) static RSS_IDLE: Figure = figure("rss_kib_per_idle_follower", "KiB each, idle", 3);
pub(crate) static RSS_USED: Figure = figure("rss_kib_per_used_follower", "KiB each, used", 3);

pub(crate) static FOLLOW: Figure = figure("cpu_us_per_follow", "CPU µs/follow", 3).ranged();
pub(crate) static UNFOLLOW: Figure = figure("cpu_us_per_unfollow", "CPU µs/unfollow", 3).ranged();
pub(crate) static FOLLOW_RSS: Figure = figure("rss_bytes_per_follow", "bytes/follow", 0);
pub(crate) static LEAVE: Figure = figure("cpu_us_per_leave", "CPU µs/leave", 2).ranged();

pub(crate) static WORST: Figure = figure("bystander_worst_ms", "worst ms", 1).ranged();
pub(crate) static MEDIAN: Figure = figure("bystander_median_ms", "median ms", 2);
pub(crate) static PEAK: Figure = figure("rss_peak_mib", "peak MiB", 1);
pub(crate) static DONE: Figure = figure("carried_out", "carried out", 0);
pub(crate) static TOOK: Figure = figure("attack_ms", "attack ms", 0);

pub(crate) static STATE_BYTES: Figure = figure("state_mb", "MB", 2);
pub(crate) static WRITE: Figure = figure("state_write_ms", "write ms", 0);
pub(crate) static LONGEST_TURN: Figure = figure("longest_turn_ms", "turn ms, at most", 1);
pub(crate) static STOP: Figure = figure("state_stop_ms", "stop ms", 0);
pub(crate) static RESTORE: Figure = figure("state_start_ms", "start ms", 0);

pub(crate) static BY_ENGINE: Figure = figure("engine_us_per_position", "engine µs/position", 2);
pub(crate) static WITH_ENGINE: Figure = figure("cpu_us_per_delivery_with_engine", "with engine", 2);
pub(crate) static TAKE: Figure = figure("cpu_us_per_position_alone", "taken, alone", 2).ranged();
pub(crate) static PUBLISH: Figure = figure("cpu_us_per_publish", "published", 2).ranged();
pub(crate) static RECEIVE: Figure = figure("cpu_us_per_receive", "received", 2).ranged();
pub(crate) static ENGINE_PUBLISH: Figure =
    figure("engine_us_per_publish", "engine: published", 2).ranged();
pub(crate) static ENGINE_RECEIVE: Figure =
    figure("engine_us_per_receive", "engine: to each node", 2).ranged();

pub(crate) static REPORTS: Figure = figure("reports_per_s", "reports/s", 0);
pub(crate) static REPORT: Figure = figure("cpu_us_per_report", "CPU µs/report", 2);
pub(crate) static POSITION: Figure = figure("cpu_us_per_position", "CPU µs/position", 2);
pub(crate) static TO_POSITION: Figure = figure("report_to_position", "ratio", 2).ranged();
pub(crate) static ANSWERED: [Figure; 3] = [
    figure("answered_p50_ms", "answered p50 ms", 2),
    figure("answered_p99_ms", "p99 ms", 2),
    figure("answered_max_ms", "max ms", 2),
];
pub(crate) static DELIVERED: [Figure; 3] = [
    figure("delivered_p50_ms", "delivered p50 ms", 2),
    figure("delivered_p99_ms", "p99 ms", 2),
    figure("delivered_max_ms", "max ms", 2),
];
pub(crate) static BY_WEBSOCKET: [Figure; 3] = [
    figure("by_websocket_p50_ms", "WebSocket p50 ms", 2),
    figure("by_websocket_p99_ms", "p99 ms", 2),
    figure("by_websocket_max_ms", "max ms", 2),
];

pub(crate) static GROWTH: Figure = figure("rss_growth_mib", "RSS growth MiB", 2).ranged();
pub(crate) static NEWEST: Figure = figure("newest_arrived_percent", "newest arrived %", 1).ranged();
pub(crate) static ARRIVED: Figure = figure("missed_arrived_percent", "of the missed, %", 2);
pub(crate) static CUT_OFF: Figure = figure("cut_off", "cut off", 0);
