//! Costly work that waits for room in a tick. Knows not how it is done.

use std::vec;

use super::wire::connection::Input;
use super::work::{Extent, cost_us, points_cost_us};
use crate::dialect::Dialect;
use crate::fix::Fix;
use crate::phones::Counts;
use crate::relay::Authority;

/// Points of a report that are relayed before others have their turn.
pub(super) const POINTS_PER_TURN_MAX: usize = 64;

/// What a connection waits for to be carried out.
#[derive(Debug)]
pub(super) enum Postponed {
    /// Something that was read.
    Input(Input),
    /// The rest of a report.
    Reporting(Reporting),
    /// The next step of a TLS handshake.
    Handshake,
}

impl Postponed {
    /// What the next piece of it is estimated to cost, in microseconds.
    pub(super) fn cost_us(&self, extent: Extent) -> u32 {
        match self {
            Postponed::Input(input) => cost_us(input, extent),
            Postponed::Handshake => extent.handshake_us,
            Postponed::Reporting(reporting) => {
                points_cost_us(reporting.points.len().min(POINTS_PER_TURN_MAX))
            }
        }
    }
}

/// A report that was understood and may be relayed, as far as that has not happened yet.
#[derive(Debug)]
pub(super) struct Reporting {
    /// How it was said.
    pub(super) dialect: Dialect,
    /// Whose positions are still to be relayed, and where.
    pub(super) points: vec::IntoIter<(String, Fix)>,
    /// What became of the others.
    pub(super) counts: Counts,
    /// Whom it moved last.
    pub(super) moved: Option<String>,
    /// Who sends it.
    pub(super) authority: Authority,
}
