//! What a node counts of the bus, and its Prometheus text. Must never know whom it is about.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::bus::Ignored;
use crate::server::exposition::{counter, gauge, head};

/// Upper bounds of the histograms, in seconds.
const BUCKETS_S: [f64; 8] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0];

/// Counters since the start.
#[derive(Debug, Default)]
pub(in crate::server) struct Counts {
    /// Positions that went to an engine.
    pub(super) published: u64,
    /// Positions that gave way to newer ones before that.
    pub(super) conflated: u64,
    /// Positions that came from other nodes.
    pub(super) received: u64,
    ignored: [u64; Ignored::ALL.len()],
    /// Commands that an engine refused.
    pub(super) refused: u64,
    /// From a heartbeat to its echo.
    pub(super) round_trip: Histogram,
    /// From the node that received a position to this one, by the clocks of both.
    pub(super) latency: Histogram,
}

/// What is read off at the moment of a scrape.
#[derive(Clone, Debug)]
pub(in crate::server) struct Health {
    /// Each engine, and whether it is there.
    pub(super) engines: Vec<(String, bool)>,
    pub(super) subscriptions: usize,
    pub(super) pending_bytes: usize,
    pub(super) nodes: usize,
    pub(super) reconnects: u64,
    /// Positions of which newer ones had come with them.
    pub(super) passed_over: u64,
}

/// Durations, by their length.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    counts: [u64; BUCKETS_S.len() + 1],
    sum: Duration,
}

impl Histogram {
    pub(super) fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BUCKETS_S.iter().position(|bound| seconds <= *bound);
        self.counts[bucket.unwrap_or(BUCKETS_S.len())] += 1;
        self.sum += duration;
    }

    fn write(&self, out: &mut String, name: &str, help: &str) -> fmt::Result {
        head(out, name, "histogram", help)?;
        let mut total = 0;
        for (bound, count) in BUCKETS_S.iter().zip(self.counts) {
            total += count;
            writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {total}")?;
        }
        total += self.counts[BUCKETS_S.len()];
        writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {total}")?;
        writeln!(out, "{name}_sum {}", self.sum.as_secs_f64())?;
        writeln!(out, "{name}_count {total}")
    }
}

impl Counts {
    /// Counts a message that says nothing to us.
    pub(in crate::server) fn ignore(&mut self, reason: Ignored) {
        let place = Ignored::ALL.iter().position(|it| *it == reason);
        if let Some(count) = place.and_then(|place| self.ignored.get_mut(place)) {
            *count += 1;
        }
    }

    /// Appends them in the Prometheus text exposition format.
    pub(in crate::server) fn write(&self, health: &Health, out: &mut String) -> fmt::Result {
        head(
            out,
            "spectate_bus_up",
            "gauge",
            "Whether each engine of the bus takes commands.",
        )?;
        for (server, is_up) in &health.engines {
            let up = u8::from(*is_up);
            writeln!(out, "spectate_bus_up{{server=\"{server}\"}} {up}")?;
        }
        counter(
            out,
            "spectate_bus_published_total",
            "Positions given to the bus.",
            self.published,
        )?;
        counter(
            out,
            "spectate_bus_conflated_total",
            "Positions replaced by newer ones of the same runner on their way to or from the bus.",
            self.conflated + health.passed_over,
        )?;
        counter(
            out,
            "spectate_bus_refused_total",
            "Commands that an engine did not take, for lack of memory for one. All is told again.",
            self.refused,
        )?;
        counter(
            out,
            "spectate_bus_received_total",
            "Positions taken from the bus.",
            self.received,
        )?;
        head(
            out,
            "spectate_bus_ignored_total",
            "counter",
            "Messages of the bus that said nothing to this node, by reason.",
        )?;
        for (reason, count) in Ignored::ALL.iter().zip(self.ignored) {
            let reason = reason.word();
            writeln!(
                out,
                "spectate_bus_ignored_total{{reason=\"{reason}\"}} {count}"
            )?;
        }
        gauge(
            out,
            "spectate_bus_subscriptions",
            "Users whom this node hears of through the bus.",
            health.subscriptions,
        )?;
        gauge(
            out,
            "spectate_bus_pending_bytes",
            "Bytes that wait to be written to the bus.",
            health.pending_bytes,
        )?;
        gauge(
            out,
            "spectate_bus_nodes",
            "Nodes on the bus, this one included.",
            health.nodes,
        )?;
        counter(
            out,
            "spectate_bus_reconnects_total",
            "Connections to engines that took the place of others.",
            health.reconnects,
        )?;
        self.round_trip.write(
            out,
            "spectate_bus_round_trip_seconds",
            "From a heartbeat to its echo.",
        )?;
        self.latency.write(
            out,
            "spectate_bus_latency_seconds",
            "From the node that received a position to this one, by the clocks of both.",
        )
    }
}
