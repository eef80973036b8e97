//! The summary of a simulation, for people and for machines. Knows only the figures.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use indicatif::HumanCount;
use serde::Serialize;

use super::faults::{Fault, Tally};
use super::ledger::Ledger;

/// What came of a simulation. As JSON it is one object with these keys.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    users: usize,
    /// From the first position to the last delivery.
    seconds: f64,
    positions: Positions,
    deliveries: Deliveries,
    /// From when a position was due to when a delivery of it was read; `None` if none came.
    latency_ms: Option<Latency>,
    /// Whether nothing is wrong.
    ok: bool,
    /// Kind of fault to how many and which; kinds without any are there too.
    wrong: BTreeMap<String, &'a Tally>,
}

#[derive(Debug, Serialize)]
struct Positions {
    sent: u64,
    per_second: f64,
}

#[derive(Debug, Serialize)]
struct Deliveries {
    expected: u64,
    arrived: u64,
    per_second: f64,
}

#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
    max: f64,
}

impl<'a> Report<'a> {
    /// Of a closed ledger whose run took this long.
    pub(crate) fn new(ledger: &'a Ledger, time: Duration) -> Report<'a> {
        // A run of one position can be shorter than the clock can tell.
        let seconds = time.as_secs_f64().max(1e-6);
        let latency_us = ledger.latency_us();
        let latency_ms = (!latency_us.is_empty()).then(|| Latency {
            p50: latency_us.value_at_quantile(0.5) as f64 / 1000.0,
            p99: latency_us.value_at_quantile(0.99) as f64 / 1000.0,
            max: latency_us.max() as f64 / 1000.0,
        });
        let wrong = ledger
            .faults
            .tallies()
            .map(|(fault, tally)| (fault.title().replace(' ', "_"), tally));
        let rate = |count: u64| (count as f64 / seconds).round();
        Report {
            users: ledger.users(),
            seconds,
            positions: Positions {
                sent: ledger.sent(),
                per_second: rate(ledger.sent()),
            },
            deliveries: Deliveries {
                expected: ledger.expected(),
                arrived: ledger.arrived(),
                per_second: rate(ledger.arrived()),
            },
            latency_ms,
            ok: ledger.faults.is_empty(),
            wrong: wrong.collect(),
        }
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_ok(&self) -> bool {
        self.ok
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (positions, deliveries) = (&self.positions, &self.deliveries);
        let per_second = |rate: f64| format!("{} a second", HumanCount(rate as u64));
        writeln!(f, "users       {}", HumanCount(self.users as u64))?;
        write!(
            f,
            "positions   {} in {:.2} s, ",
            HumanCount(positions.sent),
            self.seconds
        )?;
        writeln!(f, "{}", per_second(positions.per_second))?;
        write!(
            f,
            "deliveries  {} expected, ",
            HumanCount(deliveries.expected)
        )?;
        writeln!(
            f,
            "{} arrived, {}",
            HumanCount(deliveries.arrived),
            per_second(deliveries.per_second)
        )?;
        if let Some(Latency { p50, p99, max }) = self.latency_ms {
            writeln!(
                f,
                "latency     p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.2} ms"
            )?;
        }
        if self.ok {
            return writeln!(
                f,
                "right: every delivery came once, in order, with the digits that were sent"
            );
        }
        writeln!(f, "WRONG:")?;
        for fault in Fault::ALL {
            let tally = self.wrong.get(&fault.title().replace(' ', "_"));
            if let Some(tally) = tally.filter(|tally| tally.count > 0) {
                write_tally(f, fault, tally)?;
            }
        }
        Ok(())
    }
}

fn write_tally(f: &mut fmt::Formatter, fault: Fault, tally: &Tally) -> fmt::Result {
    writeln!(f, "  {}: {}", fault.title(), HumanCount(tally.count))?;
    for example in &tally.examples {
        writeln!(f, "    {example}")?;
    }
    match tally.count - tally.examples.len() as u64 {
        0 => Ok(()),
        more => writeln!(f, "    and {} more", HumanCount(more)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::course::motion::Motion;
    use std::time::Instant;

    fn ledger(delivered: bool) -> Ledger {
        let (now, mut ledger) = (Instant::now(), Ledger::new(0, 1, Motion::random(7)));
        for _ in 0..7 {
            let text = ledger.publish(0, now);
            if delivered {
                ledger.receive(0, &text, now + Duration::from_millis(2));
            }
        }
        ledger.close();
        ledger
    }

    #[test]
    fn a_run_without_faults_says_so_and_how_fast_it_was() {
        let ledger = ledger(true);
        let report = Report::new(&ledger, Duration::from_millis(500));
        assert!(report.is_ok());
        assert_eq!(
            report.to_string(),
            "users       1\n\
             positions   7 in 0.50 s, 14 a second\n\
             deliveries  7 expected, 7 arrived, 14 a second\n\
             latency     p50 2.00 ms, p99 2.00 ms, max 2.00 ms\n\
             right: every delivery came once, in order, with the digits that were sent\n"
        );
    }

    #[test]
    fn faults_are_counted_and_the_first_are_told() {
        let ledger = ledger(false);
        let report = Report::new(&ledger, Duration::from_secs(1));
        assert!(!report.is_ok());
        let text = report.to_string();
        assert!(
            text.contains("WRONG:\n  missing: 7\n    user 0 did not get {\"userId\":0,"),
            "{text}"
        );
        assert!(text.ends_with("    and 2 more\n"), "{text}");
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["wrong"]["missing"]["count"], 7);
        assert_eq!(json["wrong"]["out_of_order"]["count"], 0);
        assert_eq!(json["latency_ms"], serde_json::Value::Null);
        assert_eq!(json["ok"], false);
    }
}
