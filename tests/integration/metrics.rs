//! Metrics: the names that were promised, with values that are true.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::slow::position;
use crate::support::{Server, promtool};

/// All names, each with its type.
const NAMES: [(&str, &str); 29] = [
    ("spectate_connections", "gauge"),
    ("spectate_http_connections", "gauge"),
    ("spectate_connections_accepted_total", "counter"),
    ("spectate_connections_closed_total", "counter"),
    ("spectate_handshakes_rejected_total", "counter"),
    ("spectate_follows", "gauge"),
    ("spectate_runners", "gauge"),
    ("spectate_trail_points", "gauge"),
    ("spectate_trail_bytes", "gauge"),
    ("spectate_positions_received_total", "counter"),
    ("spectate_positions_rejected_total", "counter"),
    ("spectate_reports_rejected_total", "counter"),
    ("spectate_positions_late_total", "counter"),
    ("spectate_positions_delivered_total", "counter"),
    ("spectate_positions_conflated_total", "counter"),
    ("spectate_bytes_received_total", "counter"),
    ("spectate_bytes_sent_total", "counter"),
    ("spectate_loop_busy_seconds_total", "counter"),
    ("spectate_tick_seconds", "histogram"),
    ("spectate_state_written_timestamp_seconds", "gauge"),
    ("spectate_state_write_seconds", "gauge"),
    ("spectate_state_bytes", "gauge"),
    ("spectate_state_write_errors_total", "counter"),
    ("spectate_build_info", "gauge"),
    ("process_resident_memory_bytes", "gauge"),
    ("process_open_fds", "gauge"),
    ("process_max_fds", "gauge"),
    ("process_cpu_seconds_total", "counter"),
    ("process_start_time_seconds", "gauge"),
];

#[test]
fn metrics_are_prometheus_text_with_the_names_that_were_promised() {
    let server = Server::start(&[]);
    let answer = server.get("/metrics");
    let content_type = answer.header("Content-Type").expect("one");
    assert!(content_type.starts_with("text/plain; version=0.0.4"));
    for (name, kind) in NAMES {
        let heads = answer.body.lines().filter(|line| {
            line.starts_with(&format!("# HELP {name} ")) || *line == format!("# TYPE {name} {kind}")
        });
        assert_eq!(heads.count(), 2, "{name}");
    }
    let types = answer
        .body
        .lines()
        .filter(|line| line.starts_with("# TYPE "));
    assert_eq!(types.count(), NAMES.len(), "and no others");
    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').expect("a name and a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn promtool_finds_nothing_to_say_against_the_metrics() {
    let server = Server::start(&[]);
    let mut runner = server.join("5", "[5,6]");
    runner.send(&position(5, 1));
    runner.send("nonsense");
    runner.barrier();
    assert_eq!(server.get("/nowhere").status, 404);
    let text = server.get("/metrics").body;
    if let Some(said) = promtool(&["check", "metrics"], text.as_bytes()) {
        assert_eq!(said, "", "{text}");
    }
}

#[test]
fn runners_are_counted_by_state() {
    let server = Server::start(&["--stale-after", "5s", "--forget-after", "10s"]);
    let count = |state: &str| server.metric(&format!("spectate_runners{{state=\"{state}\"}}"));
    let counts = || ["live", "stale", "unknown"].map(count);
    assert_eq!(counts(), [0.0, 0.0, 0.0]);
    let (mut follower, _) = server.spectator("[5,6]");
    let mut runner = server.join("7", "[]");
    runner.barrier();
    assert_eq!(counts(), [0.0, 0.0, 3.0]);
    let mut gateway = server.connect();
    gateway.send(&position(5, 1));
    gateway.send(&position(8, 1));
    gateway.barrier();
    assert_eq!(counts(), [2.0, 0.0, 2.0]);
    server.wait_for_metric("spectate_runners{state=\"stale\"}", 2.0);
    assert_eq!(counts(), [0.0, 2.0, 2.0]);
    server.wait_for_metric("spectate_runners{state=\"stale\"}", 0.0);
    assert_eq!(counts(), [0.0, 0.0, 3.0], "nobody knows of 8 any more");
    assert_eq!(follower.receive(), position(5, 1));
}

#[test]
fn the_process_is_as_the_operating_system_sees_it() {
    let before = SystemTime::now().duration_since(UNIX_EPOCH);
    let server = Server::start(&[]);
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.barrier();
    }
    // The request for the metrics has a descriptor too.
    let expected = server.descriptors() as f64 + 1.0;
    server.wait_for_metric("process_open_fds", expected);
    assert!(server.metric("process_max_fds") >= expected);
    let resident = server.metric("process_resident_memory_bytes") / 1024.0;
    let seen = server.memory_kib() as f64;
    assert!(
        (seen / 2.0..seen * 2.0).contains(&resident),
        "{resident} {seen}"
    );
    let (cpu, seen) = (
        server.metric("process_cpu_seconds_total"),
        server.cpu_ticks(),
    );
    assert!(
        cpu > 0.0 && cpu <= seen as f64 / 100.0 + 0.05,
        "{cpu} {seen}"
    );
    let started = server.metric("process_start_time_seconds");
    let before = before.expect("after 1970").as_secs_f64();
    assert!(
        (before - 1.0..before + 20.0).contains(&started),
        "{started} {before}"
    );
}

#[test]
fn what_may_be_counted_is_there_from_the_start() {
    let server = Server::start(&[]);
    let text = server.get("/metrics").body;
    // What an alert waits for: a series that begins with its first event never rises.
    for series in [
        r#"spectate_handshakes_rejected_total{reason="full"} 0"#,
        r#"spectate_handshakes_rejected_total{reason="bad_token"} 0"#,
        r#"spectate_connections_closed_total{reason="stalled"} 0"#,
        r#"spectate_connections_closed_total{reason="defect"} 0"#,
        r#"spectate_positions_rejected_total{reason="not_allowed"} 0"#,
    ] {
        assert!(text.lines().any(|line| line == series), "{series}: {text}");
    }
}
