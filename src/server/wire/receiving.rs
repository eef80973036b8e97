//! A request whose body is being received. Knows no clock, and nothing of what the body says.

use std::time::Duration;

use super::ceiling::Held;
use super::reader::Reader;
use crate::server::http::{Body, Framing, Report, Response};

/// So many bytes of a body are waited for a second longer.
const BYTES_PER_SECOND_MIN: usize = 16 * 1024;

/// How much of a body is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// All of it.
    All,
    /// What was read so far.
    Part,
}

/// A request and what was received of its body.
#[derive(Debug)]
pub(super) struct Receiving {
    report: Box<Report>,
    body: Body,
    /// What it holds over more than one read.
    held: Option<Held>,
    /// Whether the body comes only when it is said to be welcome.
    pub(super) is_awaited: bool,
}

impl Receiving {
    /// Nothing of a body yet.
    ///
    /// # Errors
    /// It will be too long.
    pub(super) fn new(
        report: Box<Report>,
        framing: Framing,
        is_awaited: bool,
    ) -> Result<Receiving, Response> {
        Ok(Receiving {
            report,
            body: Body::new(framing)?,
            held: None,
            is_awaited,
        })
    }

    /// Takes what was read.
    ///
    /// # Errors
    /// It is no body, it is too long, or there is no room for it. One that comes at once needs none.
    pub(super) fn take(&mut self, reader: &mut Reader) -> Result<Received, Response> {
        let taken = self.body.take(reader.rest())?;
        reader.consume(taken);
        if self.body.is_complete() {
            return Ok(Received::All);
        }
        let held = (self.held).get_or_insert_with(|| reader.bodies.hold(0));
        if !reader.bodies.has_room(self.body.received() - held.bytes()) {
            return Err(Response::no_room());
        }
        held.grow_to(self.body.received());
        Ok(Received::Part)
    }

    /// The request with its content.
    pub(super) fn into_report(self) -> Box<Report> {
        let mut report = self.report;
        if report.has_content {
            report.content = self.body.into_content();
        }
        report
    }

    /// How much longer it may take for what was received.
    pub(super) fn earned_time(&self) -> Duration {
        Duration::from_secs((self.body.received() / BYTES_PER_SECOND_MIN) as u64)
    }
}
