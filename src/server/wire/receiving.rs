//! A request whose body is being received. Knows no clock, and nothing of what the body says.

use std::time::Duration;

use super::ceiling::{Ceiling, Held};
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
    /// What it holds.
    held: Held,
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
        bodies: &Ceiling,
    ) -> Result<Receiving, Response> {
        Ok(Receiving {
            report,
            body: Body::new(framing)?,
            held: bodies.hold(0),
            is_awaited,
        })
    }

    /// Takes what was read.
    ///
    /// # Errors
    /// It is no body, it is too long, or there is no room for it. The last piece needs none, so that
    /// one which comes at once is always taken.
    pub(super) fn take(&mut self, reader: &mut Reader) -> Result<Received, Response> {
        let taken = self.body.take(reader.rest())?;
        reader.consume(taken);
        let more_bytes = self.body.heap_bytes().saturating_sub(self.held.bytes());
        let has_room = self.body.is_complete() || reader.bodies.has_room(more_bytes);
        self.held.grow_to(self.body.heap_bytes());
        match (self.body.is_complete(), has_room) {
            (true, _) => Ok(Received::All),
            (false, true) => Ok(Received::Part),
            (false, false) => Err(Response::no_room()),
        }
    }

    /// What the head says.
    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    /// The request with its content, and what that holds.
    pub(super) fn into_parts(self) -> (Box<Report>, Held) {
        let mut report = self.report;
        if report.has_content {
            report.content = self.body.into_content();
        }
        (report, self.held)
    }

    /// How much longer it may take for what was received.
    pub(super) fn earned_time(&self) -> Duration {
        Duration::from_secs((self.body.received() / BYTES_PER_SECOND_MIN) as u64)
    }
}
