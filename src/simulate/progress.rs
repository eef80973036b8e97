//! How far a run is, as a bar on stderr if that is a terminal. Decides nothing.

use std::time::Instant;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use super::course::wander::POSITIONS_MAX;
use super::schedule::Schedule;

/// For so many users to be connected.
pub(crate) fn of_connects(users: usize) -> ProgressBar {
    bar(users as u64, "{pos} of {len} users connected")
}

/// For the positions of a run: of their number, or of the time if that is what ends it.
pub(crate) fn of_positions(schedule: &Schedule) -> ProgressBar {
    let begun_at = schedule.begun_at;
    match schedule.ends_at {
        Some(end) if schedule.positions == POSITIONS_MAX => {
            bar((end - begun_at).as_millis() as u64, "{msg} positions")
        }
        _ => bar(schedule.positions, "{pos} of {len} positions"),
    }
}

/// Shows on a bar [`of_positions`] how many are sent by now.
pub(crate) fn show(progress: &ProgressBar, schedule: &Schedule, sent: u64, now: Instant) {
    if schedule.positions == POSITIONS_MAX {
        progress.set_message(HumanCount(sent).to_string());
        progress.set_position((now - schedule.begun_at).as_millis() as u64);
    } else {
        progress.set_position(sent);
    }
}

fn bar(length: u64, label: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {label}"));
    ProgressBar::new(length).with_style(style.expect("the template is well-formed"))
}
