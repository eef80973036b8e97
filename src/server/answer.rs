//! What a request gets: a WebSocket, or an answer.

use std::collections::HashSet;

use log::{debug, info};

use super::config::Entrance;
use super::connections::ConnectionId;
use super::http::{
    Asked, Conditions, IdQuery, Origin, RefusedRequest, Request, Response, Route, Shown,
};
use super::metrics::Gauges;
use super::os::process::Process;
use super::parts::Server;
use super::state::{Figures, StateFile};
use super::tls::Certificate;
use super::trail::TRAIL_BYTES_MAX;
use super::wire::close::CloseReason;
use crate::auth::{Refused, Token};
use crate::protocol::{Feature, encode_features};
use crate::qr;
use crate::relay::{Authority, RunnerKey};

/// Longest answer with positions of users who were named, in bytes: as much as a connection may hold
/// that does not read it.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A code that a phone reads from a screen; every link of the greatest length fits into it.
const CODE_VERSION_MAX: u8 = 26;

/// More than a code takes as it is drawn.
const CODE_BYTES_MAX: usize = 128 * 1024;
/// Longest answer with the positions of everybody.
const EVERYBODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// More than the counters take.
const METRICS_BYTES_MAX: usize = 32 * 1024;

/// Room that answers with positions leave to the counters, which tell what is going on.
const METRICS_ROOM_BYTES: usize = 1024 * 1024;

impl Server {
    pub(super) fn answer(&mut self, id: ConnectionId, request: Request) -> Result<(), CloseReason> {
        if !self.is_at_right_entrance(id, &request) {
            let elsewhere = "/metrics is answered at --metrics-listen alone, and there besides it /healthz and /readyz";
            self.reply_to(id, &Response::not_found(elsewhere));
            return Ok(());
        }
        let Some(request) = self.ask_others(id, request) else {
            return Ok(());
        };
        let has_room = self.has_room_for(id, &request);
        match request {
            Request::Upgrade {
                accept,
                origin,
                token,
            } => return self.admit(id, &accept, &origin, token.as_ref()),
            Request::Report(_) if !has_room => self.refuse_report(id, &Response::full()),
            Request::Plain {
                route,
                origin,
                head_only,
                ..
            } if !has_room => {
                let response = Response::full().head_only(head_only);
                self.send_response(id, &route, &origin, response);
            }
            Request::Options { route, origin } if !has_room => {
                self.send_response(id, &route, &origin, Response::full());
            }
            Request::Report(report) => self.report(id, *report),
            Request::Plain {
                route,
                origin,
                token,
                conditions,
                head_only,
            } => {
                let response = self.response(&route, &origin, token.as_ref(), &conditions);
                self.send_response(id, &route, &origin, response.head_only(head_only));
            }
            Request::Options { route, origin } => {
                let response = match route.is_for_pages_elsewhere() {
                    true => Response::options_for_pages(route.allow()),
                    false => Response::options(route.allow()),
                };
                self.send_response(id, &route, &origin, response);
            }
        }
        Ok(())
    }

    /// Answers, and lets those pages read it that may.
    fn send_response(
        &mut self,
        id: ConnectionId,
        route: &Route,
        origin: &Origin,
        response: Response,
    ) {
        let response = match route.is_for_pages_elsewhere() {
            false => response,
            true if route.is_public() || !self.door.asks_for_tokens() => response.for_any_page(),
            true => response.for_page(origin.named().filter(|_| self.door.allows(origin))),
        };
        debug!("request id={} route={route:?}", id.serial());
        self.reply_to(id, &response);
    }

    /// Whether a request may be answered where it came in.
    fn is_at_right_entrance(&mut self, id: ConnectionId, request: &Request) -> bool {
        let entrance = self.connections.get_mut(id).map(|entry| entry.entrance);
        let is_for_operator = entrance == Some(Entrance::Metrics);
        let (Request::Plain { route, .. } | Request::Options { route, .. }) = request else {
            return !is_for_operator;
        };
        match route {
            Route::Healthz | Route::Readyz => true,
            Route::Metrics => is_for_operator || self.config.metrics_listen.is_none(),
            _ => !is_for_operator,
        }
    }

    /// Whether a request may be answered. Who wants to know how the server is may always.
    fn has_room_for(&mut self, id: ConnectionId, request: &Request) -> bool {
        let is_watchful = matches!(
            request,
            Request::Plain {
                route: Route::Healthz | Route::Readyz | Route::Metrics,
                ..
            }
        );
        match request {
            Request::Upgrade { .. } => true,
            // It takes nobody's place.
            _ if is_watchful => {
                if let Some(entry) = self.connections.get_mut(id) {
                    self.door.enter_http(entry);
                }
                true
            }
            _ => self.has_room_for_http(id),
        }
    }

    /// Counts a connection among those of plain HTTP, or says that there is no room for it. Who has
    /// rested longest makes room.
    pub(super) fn has_room_for_http(&mut self, id: ConnectionId) -> bool {
        let Some(entry) = self.connections.get_mut(id) else {
            return false;
        };
        if self.door.enter_http(entry) {
            return true;
        }
        while let Some(slot) = self.queues.next_resting() {
            if let Some((resting, entry)) = self.connections.in_slot(slot)
                && entry.connection.is_resting()
                && entry.is_http
            {
                self.door.leave_http(entry);
                self.queues.add_end(resting, entry, CloseReason::Answered);
                break;
            }
        }
        (self.connections.get_mut(id)).is_some_and(|entry| self.door.enter_http(entry))
    }

    /// Answers; the connection stays if it is counted and the server is not about to go.
    pub(super) fn reply_to(&mut self, id: ConnectionId, response: &Response) {
        let Some(entry) = self.connections.get_mut(id) else {
            return;
        };
        let (peer, status) = (entry.peer, response.status());
        debug!("answer id={} peer={peer} status={status}", id.serial());
        let may_stay = entry.is_http && self.drain.is_none();
        (entry.connection).reply(response, may_stay, &self.unsent, self.now.monotonic);
    }

    pub(super) fn refuse(&mut self, id: ConnectionId, refused: &RefusedRequest) {
        if refused.is_handshake {
            self.metrics.reject_handshake(refused.response.status());
        }
        self.reply_to(id, &refused.response);
    }

    /// Opens a WebSocket for whom there is room and who may have one. Another is told why not:
    /// a browser by a close code, as it sees no answer to a handshake.
    fn admit(
        &mut self,
        id: ConnectionId,
        accept: &[u8],
        origin: &Origin,
        shown: Option<&Shown>,
    ) -> Result<(), CloseReason> {
        let now = self.now;
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(());
        };
        let peer = entry.peer;
        let checked = self.door.check(peer.ip(), origin, shown, now);
        if let Err(reason) = checked {
            let word = reason.word();
            let line = format!("refuse id={} peer={peer} reason={word}", id.serial());
            match reason {
                // What to allow, or whom to ask about it.
                CloseReason::ForeignOrigin => info!("{line} {origin}"),
                _ => debug!("{line}"),
            }
            self.metrics.reject_handshake(word);
            let response = match reason {
                CloseReason::Unauthorized(refused) => Some(Response::unauthorized(refused)),
                CloseReason::Full => Some(Response::full()),
                _ => None,
            };
            if let Some(response) = response.filter(|_| !origin.is_named()) {
                self.reply_to(id, &response);
                return Ok(());
            }
        }
        debug!("open id={} peer={peer}", id.serial());
        self.door.leave_http(entry);
        entry.connection.upgrade(accept, now.monotonic);
        let member = self.relay.join();
        entry.authority = Authority::of_member(member, checked.clone().ok().flatten());
        self.door.enter(id, entry, now);
        self.connections.join(id, member);
        if let Some(drain) = &mut self.drain {
            drain.add(id);
        }
        checked.map(|_| ())
    }

    fn response(
        &self,
        route: &Route,
        origin: &Origin,
        token: Option<&Token>,
        conditions: &Conditions,
    ) -> Response {
        match route {
            // What HEAD asks about, and moves nobody.
            Route::Report => Response::of_report(None, Vec::new()),
            Route::Page(page) => Response::page(self.pages.get(*page), conditions),
            Route::Qr(_) if !self.unsent.has_room(CODE_BYTES_MAX + METRICS_ROOM_BYTES) => {
                Response::busy()
            }
            Route::Qr(query) => match query.link(origin) {
                Ok(link) => match qr::svg(&link, CODE_VERSION_MAX) {
                    Some(drawing) => Response::svg(drawing, conditions),
                    None => Response::bad_request("this link is too long for a code"),
                },
                Err(cause) => Response::bad_request(cause),
            },
            Route::Course => match &self.course {
                Some(course) => Response::page(course.page(), conditions),
                None => Response::not_found("there is no course: see serve --course"),
            },
            Route::Healthz => Response::text("200 OK", "ok"),
            Route::Readyz if self.drain.is_some() => {
                Response::text("503 Service Unavailable", "draining")
            }
            Route::Readyz if self.lacks_bus() => {
                Response::text("503 Service Unavailable", "bus away")
            }
            Route::Readyz => Response::text("200 OK", "ready"),
            Route::Metrics if !self.unsent.has_room(METRICS_BYTES_MAX) => Response::busy(),
            Route::Metrics => {
                let gauges = Gauges {
                    connections: self.door.open(),
                    http_connections: self.door.http(),
                    follows: self.relay.follows_total(),
                    runners: self.relay.runners_by_freshness(),
                    state: (self.state.as_ref()).map_or_else(Figures::default, StateFile::figures),
                    trails: self.relay.trails_total(),
                    certificate_ends_at_s: (self.certificate.as_ref()).map(Certificate::ends_at_s),
                    process: Process::measure(),
                };
                let mut text = self.metrics.render(gauges);
                if let Some(nodes) = &self.nodes {
                    // A write into a String cannot fail.
                    let _ = nodes.counts.write(&nodes.health(), &mut text);
                }
                Response::metrics(text, conditions)
            }
            Route::Positions(query) => match self.authority_of_request(token) {
                Ok(by) => self.positions(query, &by, conditions),
                Err(response) => response,
            },
            Route::Trail(_) if !self.unsent.has_room(TRAIL_BYTES_MAX + METRICS_ROOM_BYTES) => {
                Response::busy()
            }
            Route::Trail(query) => match self.authority_of_request(token) {
                Ok(by) => self.trail(query, &by, conditions),
                Err(response) => response,
            },
            Route::Roster => match self.authority_of_request(token) {
                Ok(by) if self.relay.may_follow_everybody(&by) => {
                    Response::page(self.roster.answer(), conditions)
                }
                Ok(by) => not_for(&by),
                Err(response) => response,
            },
        }
    }

    /// Who asks, unless nothing good is shown where that is asked for.
    pub(super) fn authority_of_request(
        &self,
        token: Option<&Token>,
    ) -> Result<Authority, Response> {
        let grant = match (self.door.asks_for_tokens(), token) {
            (false, _) => Ok(None),
            (true, None) => Err(Refused::Missing),
            (true, Some(token)) => self.door.verify(token, self.now).map(Some),
        };
        grant
            .map(Authority::of_request)
            .map_err(Response::unauthorized)
    }

    /// The last known positions of those who are asked for.
    fn positions(&self, query: &IdQuery, by: &Authority, conditions: &Conditions) -> Response {
        let bytes_max = match query.is_for_everybody() {
            true => EVERYBODY_BYTES_MAX,
            false => BODY_BYTES_MAX,
        };
        if !self.unsent.has_room(bytes_max + METRICS_ROOM_BYTES) {
            return Response::busy();
        }
        match query.asked() {
            Asked::Nobody => Response::bad_request("say whose positions: /positions?ids=5,6"),
            Asked::EverybodyAndOthers => Response::bad_request(
                "* is everybody: leave the others out, or write the user of that name as %2A",
            ),
            Asked::Everybody if !self.relay.may_follow_everybody(by) => not_for(by),
            Asked::Everybody => {
                let everybody = self.relay.everybody_known();
                let features = everybody.filter_map(|runner| self.feature(runner));
                match encode_features(features, bytes_max) {
                    Some(body) => Response::geo_json(body, conditions),
                    None => Response::bad_request("this is over 4 MiB: ask for some, by their ids"),
                }
            }
            Asked::These(ids) => self.positions_of(&ids, by, conditions),
        }
    }

    /// The last known positions of these users as GeoJSON. Users without one are left out, and so
    /// are those whom the authority may not follow.
    fn positions_of(&self, ids: &[String], by: &Authority, conditions: &Conditions) -> Response {
        let ids_max = self.config.max_follows as usize;
        if ids.len() > ids_max {
            let line = format!("ask for at most {ids_max} ids at once");
            return Response::bad_request(&line);
        }
        let mut named = HashSet::new();
        let features = (ids.iter())
            .filter(|id| named.insert(*id))
            .filter_map(|id| self.feature(self.relay.visible(by, id)?));
        match encode_features(features, BODY_BYTES_MAX) {
            Some(body) => Response::geo_json(body, conditions),
            None => Response::bad_request("this is over 1 MiB: ask for fewer ids at once"),
        }
    }

    fn feature(&self, runner: RunnerKey) -> Option<Feature<'_>> {
        Some(Feature {
            known: self.relay.known(runner, self.now.monotonic)?,
            name: self.relay.called(runner).name,
            freshness: self.relay.freshness(runner),
            is_connected: self.relay.is_connected(runner),
        })
    }
}

/// What those hear who may not see everybody.
fn not_for(by: &Authority) -> Response {
    Response::forbidden(match by.grant() {
        Some(_) => "your token does not let you follow everybody",
        None => "nobody sees everybody here, unless the server has --follow-all",
    })
}
