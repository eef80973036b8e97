//! A tracker app's HTTP request to reports, and the answer that the app wants. Which app it is,
//! the content says. Knows no sockets, no users, and nothing of who may move whom.

mod answers;
mod json;
mod overland;
mod own;
mod owntracks;
mod pairs;
mod point;
mod report;
mod times;
mod traccar;
mod units;

use serde::Deserialize;

use crate::fix::{Bounds, Fix};
use crate::protocol::Field;
pub use answers::{Answer, Counts, Friend, answer, answer_friends};
pub use pairs::{has_coordinates, has_id};
pub use report::{Batch, LIST_POSITIONS_MAX, Posted, Report, Unreadable};

/// The keys by which an object is known.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Keys<'a> {
    #[serde(borrow)]
    _type: Field<'a>,
    location: Field<'a>,
    locations: Field<'a>,
    current: Field<'a>,
    device_id: Field<'a>,
    lat: Field<'a>,
    lng: Field<'a>,
}

/// Reads a request; our own positions lie within these bounds.
pub fn read(posted: &Posted, bounds: Bounds) -> Result<Batch, Unreadable> {
    let body = trim(posted.body);
    let mut batch = match body.first() {
        // Never by the Content-Type: curl sends JSON as a form.
        Some(b'{') => read_object(posted, text(body)?, bounds),
        Some(b'[') => own::read_list(text(body)?, bounds),
        None if !has_coordinates(posted.query) => match owntracks::read_empty(posted) {
            Some(batch) => Ok(batch),
            None => pairs::read(posted.query, body),
        },
        _ => pairs::read(posted.query, body),
    }?;
    if batch.is_batch {
        sort(&mut batch.reports);
    }
    Ok(batch)
}

fn read_object(posted: &Posted, text: &str, bounds: Bounds) -> Result<Batch, Unreadable> {
    let keys: Keys = json::object(Field(Some(text)))?;
    if keys._type.known().is_some() {
        return owntracks::read(posted, text);
    }
    if keys.location.is_object() || keys.location.0.is_some() && keys.device_id.0.is_some() {
        return traccar::read(keys.location, keys.device_id);
    }
    if let Some(locations) = keys.locations.list() {
        return overland::read(locations, keys.current);
    }
    if keys.lat.0.is_some() || keys.lng.0.is_some() {
        return own::read(text, bounds);
    }
    Err(Unreadable::Malformed(
        "there is no position in this: an object has lat and lng, or is that of a tracker app"
            .to_owned(),
    ))
}

/// Without the white space of JSON around it (RFC 8259, 2), and without a byte order mark before it.
fn trim(body: &[u8]) -> &[u8] {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let is_space = |byte: &u8| b" \t\r\n".contains(byte);
    let begin = body.iter().position(|byte| !is_space(byte));
    let end = body.iter().rposition(|byte| !is_space(byte));
    match (begin, end) {
        (Some(begin), Some(end)) => &body[begin..=end],
        _ => b"",
    }
}

fn text(body: &[u8]) -> Result<&str, Unreadable> {
    str::from_utf8(body)
        .map_err(|error| Unreadable::Malformed(format!("JSON is UTF-8, and this is not: {error}")))
}

/// Puts reports in the order of their times; those without one stay in theirs, at the end.
fn sort(reports: &mut Vec<Report>) {
    let mut timed: Vec<(f64, Report)> = reports
        .drain(..)
        .map(|report| (time_ms(&report), report))
        .collect();
    timed.sort_by(|(left, _), (right, _)| left.total_cmp(right));
    reports.extend(timed.into_iter().map(|(_, report)| report));
}

fn time_ms(report: &Report) -> f64 {
    let fix = report.fix.as_ref().ok();
    fix.and_then(Fix::made_at_ms).unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests;
