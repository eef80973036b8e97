//! What a report by an app does: whose positions it brings is judged as a whole, and then they are
//! relayed, a piece at a time. Knows no app's way to write them.

use std::collections::HashMap;

use log::{debug, info};

use super::config::Entrance;
use super::connections::ConnectionId;
use super::deliver::Origin;
use super::http::{Credentials, Report, Response};
use super::parts::Server;
use super::postponed::{POINTS_PER_TURN_MAX, Postponed, Reporting};
use crate::auth::{Follow, Grant, Refused};
use crate::dialect::Dialect;
use crate::fix::Fix;
use crate::phones::{self, Answer, Batch, Counts, Friend, Posted, Unreadable};
use crate::refusal::{Code, Refusal, quote};
use crate::relay::{Authority, Published};
use crate::user::{Written, is_id};

/// More than they take in an answer.
const FRIENDS_BYTES_MAX: usize = 64 * 1024;

/// Most friends that a runner's app is told of.
const FRIENDS_MAX: usize = 100;

impl Server {
    /// Takes a report, and answers it once all of its points were looked at.
    pub(super) fn report(&mut self, id: ConnectionId, report: Report) {
        match self.judge(id, &report) {
            Ok(reporting) => self.go_on_reporting(id, reporting),
            Err(response) => self.refuse_report(id, &response),
        }
    }

    /// Welcomes a report whose body is still to come, unless its head says already that it will not
    /// be taken.
    pub(super) fn expect_report(&mut self, id: ConnectionId) {
        let has_room = self.has_room_for_http(id);
        let Some(entry) = self.connections.get_mut(id) else {
            return;
        };
        if entry.entrance == Entrance::Metrics {
            // What is sent there will not be taken; the answer says so.
            return entry.connection.welcome_body();
        }
        let Some(report) = entry.connection.expected_report().cloned() else {
            return;
        };
        let is_welcome = match (has_room, self.drain.is_some()) {
            (_, true) => Err(Response::restarting()),
            (false, false) => Err(Response::full()),
            (true, false) => self.authority_of(id, &report).map(|_| ()),
        };
        match is_welcome {
            Ok(()) => {
                if let Some(entry) = self.connections.get_mut(id) {
                    entry.connection.welcome_body();
                }
            }
            Err(response) => {
                if let Some(entry) = self.connections.get_mut(id) {
                    entry.connection.refuse_body();
                }
                self.refuse_report(id, &response);
            }
        }
    }

    /// Answers a report of which nothing is taken.
    pub(super) fn refuse_report(&mut self, id: ConnectionId, response: &Response) {
        self.metrics.reject_report(response.status());
        self.reply_to(id, response);
    }

    /// Relays the next points of a report; answers behind the last.
    pub(super) fn go_on_reporting(&mut self, id: ConnectionId, mut reporting: Reporting) {
        for _ in 0..POINTS_PER_TURN_MAX {
            let Some((user, fix)) = reporting.points.next() else {
                break;
            };
            let (dialect, counts) = (reporting.dialect, &mut reporting.counts);
            let by = &reporting.authority;
            match self.relay.report(by, &user, fix, dialect, self.now) {
                Published::Late => {
                    counts.late += 1;
                    self.metrics.positions_late += 1;
                    continue;
                }
                Published::Live(runner) => self.deliver(runner, Origin::Here),
                Published::Again | Published::TooFast(_) => {}
            }
            counts.accepted += 1;
            self.metrics.receive_position(dialect);
            reporting.moved = Some(user);
            self.relieve();
        }
        if reporting.points.len() > 0 {
            if let Some(entry) = self.connections.get_mut(id) {
                self.queues
                    .postpone_first(id, entry, Postponed::Reporting(reporting));
            }
            return;
        }
        let Counts {
            accepted,
            late,
            refused,
        } = reporting.counts;
        debug!(
            "report id={} source={} accepted={accepted} late={late} refused={refused}",
            id.serial(),
            reporting.dialect.word()
        );
        let Answer { media_type, body } = match reporting.dialect {
            Dialect::OwnTracks if self.unsent.has_room(FRIENDS_BYTES_MAX) => {
                let friends = self.friends(&reporting.authority, reporting.moved.as_deref());
                phones::answer_friends(friends.into_iter())
            }
            dialect => phones::answer(dialect, reporting.counts),
        };
        self.reply_to(id, &Response::of_report(media_type, body.into_bytes()));
    }

    /// Whether a report may be relayed, and which of its points; or the answer to it.
    fn judge(&mut self, id: ConnectionId, report: &Report) -> Result<Reporting, Response> {
        if self.drain.is_some() {
            return Err(Response::restarting());
        }
        let authority = self.authority_of(id, report)?;
        let has_keys = self.door.asks_for_tokens();
        let basic_user = match &report.credentials {
            Credentials::Basic { user, .. } if !has_keys => Some(&**user),
            _ => None,
        };
        let posted = Posted {
            query: &report.query,
            limit_user: report.limit_user.as_deref(),
            basic_user,
            body: &report.content,
        };
        let batch = phones::read(&posted, self.config.bounds()).map_err(|unreadable| {
            let line = unreadable.to_string();
            match unreadable {
                Unreadable::Malformed(_) => Response::bad_request(&line),
                Unreadable::TooMany(_) => Response::too_many(&line),
            }
        })?;
        if !has_keys {
            check_ids(&batch)?;
        }
        let mut reporting = Reporting {
            dialect: batch.dialect,
            points: Vec::new().into_iter(),
            counts: Counts::default(),
            moved: None,
            authority,
        };
        let points = self.points(batch, &mut reporting)?;
        let mut counts: HashMap<&str, u32> = HashMap::new();
        for (user, _) in &points {
            *counts.entry(user).or_default() += 1;
        }
        if !self.relay.keeps_pace(&counts, self.now.monotonic) {
            for _ in &points {
                self.metrics.reject_position(Code::TooFast);
            }
            return Err(Response::too_fast());
        }
        reporting.points = points.into_iter();
        Ok(reporting)
    }

    /// The points that may be relayed; the others are counted as refused.
    fn points(
        &mut self,
        batch: Batch,
        reporting: &mut Reporting,
    ) -> Result<Vec<(String, Fix)>, Response> {
        let mut points = Vec::with_capacity(batch.reports.len());
        let mut denied: Option<(usize, Refusal)> = None;
        let count = batch.reports.len();
        for point in batch.reports {
            let named = point.id.as_deref();
            let valid = named.filter(|id| is_id(id));
            let user = match named {
                // Where tokens say who sends it, apps may have ids that are none here.
                Some(named) if valid.is_none() && !self.door.asks_for_tokens() => {
                    Err(bad_id(named))
                }
                _ => (self.relay)
                    .reporter(&reporting.authority, valid)
                    .map(str::to_owned),
            };
            match user.and_then(|user| Ok((user, point.fix?))) {
                Ok(point) => points.push(point),
                Err(refusal) => {
                    reporting.counts.refused += 1;
                    self.metrics.reject_position(refusal.code());
                    if refusal.code() == Code::NotAllowed {
                        denied.get_or_insert((0, refusal)).0 += 1;
                    }
                }
            }
        }
        match denied {
            Some((denied, refusal)) if denied == count => {
                Err(Response::forbidden(&refusal.to_string()))
            }
            _ => Ok(points),
        }
    }

    /// Who sends a report, unless it comes from a page that may not send any, or shows nothing good
    /// where that is asked for.
    fn authority_of(&self, id: ConnectionId, report: &Report) -> Result<Authority, Response> {
        let grant = match self.door.asks_for_tokens() {
            true => self.grant_of_report(report).map(Some),
            false => Ok(None),
        };
        let is_shown_by_program =
            matches!(report.credentials, Credentials::Bearer(_)) && matches!(grant, Ok(Some(_)));
        let is_welcome = match report.origin.is_named() {
            true => is_shown_by_program || self.door.allows(&report.origin),
            false => !report.is_cross_site,
        };
        if !is_welcome {
            info!(
                "refuse id={} reason=foreign_origin {}",
                id.serial(),
                report.origin
            );
            return Err(Response::forbidden(
                "pages from there may not send positions: see --allow-origin",
            ));
        }
        grant
            .map(Authority::of_request)
            .map_err(Response::unauthorized_report)
    }

    fn grant_of_report(&self, report: &Report) -> Result<Grant, Refused> {
        let token = match &report.credentials {
            Credentials::Bearer(token) | Credentials::Query(token) => token,
            Credentials::Basic { password, .. } => password,
            Credentials::None => return Err(Refused::Missing),
            Credentials::Unreadable => return Err(Refused::NotThreeParts),
        };
        self.door.verify(token, self.now)
    }

    /// Whom a token names to be followed, as far as it is known where they are, but for itself and
    /// for whom it moved.
    fn friends(&self, by: &Authority, moved: Option<&str>) -> Vec<Friend<'_>> {
        let Some(Grant {
            user,
            follow: Follow::Only(ids),
            ..
        }) = by.grant()
        else {
            return Vec::new();
        };
        let now = self.now;
        (ids.iter())
            .filter(|id| id != user && Some(*id) != moved)
            .filter_map(|id| {
                let runner = self.relay.visible(by, id)?;
                let known = self.relay.known(runner, now.monotonic)?;
                let received_unix_s = now.unix_ms / 1000.0 - known.age.as_secs_f64();
                Some(Friend {
                    id: known.user,
                    name: self.relay.called(runner).name,
                    fix: known.fix,
                    received_unix_s: received_unix_s.max(0.0) as u64,
                })
            })
            .take(FRIENDS_MAX)
            .collect()
    }
}

/// What is asked of the ids of a report where no token says who sends it.
fn check_ids(batch: &Batch) -> Result<(), Response> {
    let refuse = |refusal: Refusal| Err(Response::bad_request(&refusal.to_string()));
    let ids = || batch.reports.iter().map(|report| report.id.as_deref());
    match batch.reports.first() {
        None => match batch.id.as_deref() {
            None if batch.dialect == Dialect::Osmand => refuse(Refusal::ReportWithoutId),
            Some(id) if !is_id(id) => refuse(bad_id(id)),
            _ => Ok(()),
        },
        Some(_) if ids().all(|id| id.is_none()) => refuse(Refusal::ReportWithoutId),
        Some(report) => match report.id.as_deref() {
            Some(id) if !batch.is_batch && !is_id(id) => refuse(bad_id(id)),
            _ => Ok(()),
        },
    }
}

fn bad_id(id: &str) -> Refusal {
    Refusal::BadUser(quote(&Written::as_string(id).json(id)))
}
