//! The Prometheus text exposition format, version 0.0.4. Knows no metrics.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};

/// The two lines before the samples of a metric.
pub(super) fn head(out: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// A metric that rises and falls.
pub(super) fn gauge(out: &mut String, name: &str, help: &str, value: impl Display) -> fmt::Result {
    head(out, name, "gauge", help)?;
    writeln!(out, "{name} {value}")
}

/// A metric that only rises.
pub(super) fn counter(
    out: &mut String,
    name: &str,
    help: &str,
    value: impl Display,
) -> fmt::Result {
    head(out, name, "counter", help)?;
    writeln!(out, "{name} {value}")
}

/// One that only rises, by a label.
pub(super) fn counters(
    out: &mut String,
    name: &str,
    help: &str,
    label: &str,
    values: &BTreeMap<&'static str, u64>,
) -> fmt::Result {
    head(out, name, "counter", help)?;
    for (value, count) in values {
        writeln!(out, "{name}{{{label}=\"{value}\"}} {count}")?;
    }
    Ok(())
}
