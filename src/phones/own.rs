//! Our own positions, one or a list of them, by the rules of the protocol. Judges no id.

use super::json;
use super::report::{Batch, LIST_POSITIONS_MAX, Report, Unreadable};
use crate::dialect::Dialect;
use crate::fix::Bounds;
use crate::protocol::decode_position;
use crate::refusal::Refusal;

/// Reads one position.
pub(super) fn read(text: &str, bounds: Bounds) -> Result<Batch, Unreadable> {
    let report =
        report(text, bounds).map_err(|refusal| Unreadable::Malformed(refusal.to_string()))?;
    Ok(Batch::of_one(Dialect::Json, report))
}

/// Reads a list: all of it or nothing, if it is too long.
pub(super) fn read_list(text: &str, bounds: Bounds) -> Result<Batch, Unreadable> {
    let mut reports = Vec::new();
    let count = json::each(text, |value| {
        if reports.len() < LIST_POSITIONS_MAX {
            reports.push(report(value, bounds).unwrap_or_else(|refusal| Report {
                id: None,
                fix: Err(refusal),
            }));
        }
    })?;
    if count > LIST_POSITIONS_MAX {
        return Err(Unreadable::TooMany(count));
    }
    Ok(Batch {
        dialect: Dialect::Json,
        is_batch: true,
        reports,
        id: None,
    })
}

fn report(text: &str, bounds: Bounds) -> Result<Report, Refusal> {
    let position = decode_position(text, bounds)?;
    Ok(Report {
        id: position.user.0.map(json::id),
        fix: position.fix,
    })
}
