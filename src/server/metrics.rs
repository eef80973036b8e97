//! Plain counters, and their Prometheus text. Knows of what is counted no more than the words.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use super::exposition::{counter, counters, gauge, head};
use super::os::process::Process;
use super::state::Figures;
use super::wire::close::CloseReason;
use crate::dialect::Dialect;
use crate::refusal::Code;
use crate::user::Freshness;

/// Upper bounds of the histogram of tick durations, in seconds.
const TICK_BUCKETS_S: [f64; 8] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0];

/// What reports are refused with.
const REPORT_STATUSES: [&str; 6] = ["400", "401", "403", "413", "429", "503"];

/// What the server counts since it started.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Connections accepted.
    pub accepted: u64,
    /// WebSocket handshakes refused, by reason or HTTP status.
    handshakes_rejected: BTreeMap<&'static str, u64>,
    /// Ended connections, by reason.
    closed: BTreeMap<&'static str, u64>,
    /// Positions received and taken, by the place of their dialect among all.
    positions_received: [u64; Dialect::ALL.len()],
    /// Positions refused, by error code.
    positions_rejected: BTreeMap<&'static str, u64>,
    /// Reports of which nothing was taken, by HTTP status.
    reports_rejected: BTreeMap<&'static str, u64>,
    /// Positions older than their runner's newest, which are not relayed.
    pub positions_late: u64,
    /// Positions sent to followers.
    pub positions_delivered: u64,
    /// Positions not sent because a newer one of the same runner took their place.
    pub positions_conflated: u64,
    /// Bytes read from sockets.
    pub bytes_received: u64,
    /// Bytes written to sockets.
    pub bytes_sent: u64,
    /// Time that the loop spent working.
    pub busy: Duration,
    /// When the process started, in milliseconds since the start of 1970 UTC.
    started_unix_ms: f64,
    /// Ticks, by duration: one count per bucket, and one for what is over all of them.
    tick_counts: [u64; TICK_BUCKETS_S.len() + 1],
}

/// What is read off at the moment of a scrape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gauges {
    /// WebSockets open.
    pub connections: usize,
    /// Connections of plain HTTP.
    pub http_connections: usize,
    /// Follows in force.
    pub follows: usize,
    /// Users by the state of their last known position.
    pub runners: [(Freshness, usize); 3],
    /// The file of the state.
    pub state: Figures,
    /// Points of all trails, and the bytes that these take.
    pub trails: (usize, usize),
    /// The process itself.
    pub process: Process,
}

impl Metrics {
    /// All at zero, also by reasons that were not met yet: what rises from nothing does not rise
    /// for Prometheus.
    pub(super) fn new(started_unix_ms: f64) -> Metrics {
        let reasons = CloseReason::ALL.iter().map(|reason| (reason.word(), 0));
        let refuse_handshakes = (CloseReason::ALL.iter())
            .filter(|reason| reason.refuses_handshakes())
            .map(|reason| (reason.word(), 0));
        let refuse_positions = Code::ALL.iter().filter(|code| code.may_refuse_positions());
        Metrics {
            closed: reasons.collect(),
            handshakes_rejected: refuse_handshakes.collect(),
            reports_rejected: REPORT_STATUSES.map(|status| (status, 0)).into(),
            positions_rejected: refuse_positions.map(|code| (code.word(), 0)).collect(),
            started_unix_ms,
            ..Metrics::default()
        }
    }

    /// Counts the end of a connection.
    pub(super) fn close(&mut self, reason: CloseReason) {
        *self.closed.entry(reason.word()).or_default() += 1;
    }

    /// Counts a refused handshake, by reason or HTTP status.
    pub(super) fn reject_handshake(&mut self, reason: &'static str) {
        *self.handshakes_rejected.entry(reason).or_default() += 1;
    }

    /// Counts a position that was taken.
    pub(super) fn receive_position(&mut self, dialect: Dialect) {
        self.positions_received[dialect as usize] += 1;
    }

    /// All positions that were taken.
    pub(super) fn positions_received(&self) -> u64 {
        self.positions_received.iter().sum()
    }

    /// Counts a refused position.
    pub(super) fn reject_position(&mut self, code: Code) {
        *self.positions_rejected.entry(code.word()).or_default() += 1;
    }

    /// Counts a report of which nothing was taken, by HTTP status.
    pub(super) fn reject_report(&mut self, status: &'static str) {
        *self.reports_rejected.entry(status).or_default() += 1;
    }

    /// Counts one turn of the loop.
    pub(super) fn tick(&mut self, duration: Duration) {
        self.busy += duration;
        let seconds = duration.as_secs_f64();
        let bucket = TICK_BUCKETS_S
            .iter()
            .position(|bound| seconds <= *bound)
            .unwrap_or(TICK_BUCKETS_S.len());
        self.tick_counts[bucket] += 1;
    }

    /// The counters in the Prometheus text exposition format, version 0.0.4.
    pub(super) fn render(&self, gauges: Gauges) -> String {
        let mut text = String::new();
        // A write into a String cannot fail.
        let _ = self.write(gauges, &mut text);
        text
    }

    fn write(&self, gauges: Gauges, out: &mut String) -> fmt::Result {
        gauge(
            out,
            "spectate_connections",
            "WebSockets open.",
            gauges.connections,
        )?;
        gauge(
            out,
            "spectate_http_connections",
            "Connections of plain HTTP.",
            gauges.http_connections,
        )?;
        counter(
            out,
            "spectate_connections_accepted_total",
            "Connections accepted.",
            self.accepted,
        )?;
        counters(
            out,
            "spectate_connections_closed_total",
            "Connections ended, by reason.",
            "reason",
            &self.closed,
        )?;
        counters(
            out,
            "spectate_handshakes_rejected_total",
            "WebSocket handshakes refused, by reason or HTTP status.",
            "reason",
            &self.handshakes_rejected,
        )?;
        gauge(
            out,
            "spectate_follows",
            "Follows in force, over all connections.",
            gauges.follows,
        )?;
        head(
            out,
            "spectate_runners",
            "gauge",
            "Users who are followed, connected or remembered, by the state of their last known position.",
        )?;
        for (freshness, count) in gauges.runners {
            writeln!(
                out,
                "spectate_runners{{state=\"{}\"}} {count}",
                freshness.word()
            )?;
        }
        let (points, bytes) = gauges.trails;
        gauge(
            out,
            "spectate_trail_points",
            "Points of all trails.",
            points,
        )?;
        gauge(
            out,
            "spectate_trail_bytes",
            "Memory that trails take: at most --trail-memory.",
            bytes,
        )?;
        head(
            out,
            "spectate_positions_received_total",
            "counter",
            "Positions taken, by the way they came.",
        )?;
        for (dialect, count) in Dialect::ALL.iter().zip(self.positions_received) {
            writeln!(
                out,
                "spectate_positions_received_total{{source=\"{}\"}} {count}",
                dialect.word()
            )?;
        }
        counters(
            out,
            "spectate_positions_rejected_total",
            "Positions refused, by error code.",
            "reason",
            &self.positions_rejected,
        )?;
        counters(
            out,
            "spectate_reports_rejected_total",
            "Reports over HTTP of which nothing was taken, by status.",
            "status",
            &self.reports_rejected,
        )?;
        counter(
            out,
            "spectate_positions_late_total",
            "Positions older than their runner's newest, not relayed.",
            self.positions_late,
        )?;
        counter(
            out,
            "spectate_positions_delivered_total",
            "Positions sent to followers.",
            self.positions_delivered,
        )?;
        counter(
            out,
            "spectate_positions_conflated_total",
            "Positions replaced by newer ones of the same runner before they were sent.",
            self.positions_conflated,
        )?;
        counter(
            out,
            "spectate_bytes_received_total",
            "Bytes read from sockets.",
            self.bytes_received,
        )?;
        counter(
            out,
            "spectate_bytes_sent_total",
            "Bytes written to sockets.",
            self.bytes_sent,
        )?;
        counter(
            out,
            "spectate_loop_busy_seconds_total",
            "Time that the loop spent working.",
            self.busy.as_secs_f64(),
        )?;
        self.write_ticks(out)?;
        write_state(gauges.state, out)?;
        head(
            out,
            "spectate_build_info",
            "gauge",
            "The version that runs; always 1.",
        )?;
        writeln!(
            out,
            "spectate_build_info{{version=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        )?;
        write_process(&gauges.process, self.started_unix_ms, out)
    }

    fn write_ticks(&self, out: &mut String) -> fmt::Result {
        head(
            out,
            "spectate_tick_seconds",
            "histogram",
            "Duration of one turn of the loop, without waiting.",
        )?;
        let mut count = 0;
        for (bound, ticks) in TICK_BUCKETS_S.iter().zip(self.tick_counts) {
            count += ticks;
            writeln!(
                out,
                "spectate_tick_seconds_bucket{{le=\"{bound}\"}} {count}"
            )?;
        }
        count += self.tick_counts[TICK_BUCKETS_S.len()];
        writeln!(out, "spectate_tick_seconds_bucket{{le=\"+Inf\"}} {count}")?;
        writeln!(out, "spectate_tick_seconds_sum {}", self.busy.as_secs_f64())?;
        writeln!(out, "spectate_tick_seconds_count {count}")
    }
}

/// How it is with what a restart is to find.
fn write_state(state: Figures, out: &mut String) -> fmt::Result {
    gauge(
        out,
        "spectate_state_written_timestamp_seconds",
        "When the state was last written, since the start of 1970 UTC; 0 if it was not.",
        state.written_unix_s,
    )?;
    gauge(
        out,
        "spectate_state_write_seconds",
        "How long it took to write it, with the turns of the loop in between.",
        state.took.as_secs_f64(),
    )?;
    gauge(
        out,
        "spectate_state_bytes",
        "How large it was.",
        state.bytes,
    )?;
    counter(
        out,
        "spectate_state_write_errors_total",
        "How often it could not be written.",
        state.errors,
    )
}

/// The names that Prometheus clients give to every process. What is not known is left out.
fn write_process(process: &Process, started_unix_ms: f64, out: &mut String) -> fmt::Result {
    if let Some(bytes) = process.resident_bytes {
        gauge(
            out,
            "process_resident_memory_bytes",
            "Memory that is in RAM.",
            bytes,
        )?;
    }
    if let Some(count) = process.open_fds {
        gauge(out, "process_open_fds", "Descriptors open.", count)?;
    }
    if let Some(count) = process.max_fds {
        gauge(
            out,
            "process_max_fds",
            "Most descriptors that may be open.",
            count,
        )?;
    }
    counter(
        out,
        "process_cpu_seconds_total",
        "Time used on processors, in the process and in the kernel for it.",
        process.cpu.as_secs_f64(),
    )?;
    gauge(
        out,
        "process_start_time_seconds",
        "When the process started, since the start of 1970 UTC.",
        started_unix_ms / 1000.0,
    )
}
