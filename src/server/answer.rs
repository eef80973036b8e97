//! What a request gets: a WebSocket, or an answer.

use std::collections::HashSet;

use log::debug;

use super::connections::ConnectionId;
use super::http::{Conditions, Origin, RefusedRequest, Request, Response, Route};
use super::metrics::Gauges;
use super::os::process::Process;
use super::parts::Server;
use super::wire::close::CloseReason;
use crate::auth::{Grant, Refused, Token};
use crate::protocol::{Feature, encode_features};
use crate::relay::Authority;

/// Longest answer with positions, in bytes: as much as a connection may hold that does not read it.
const BODY_BYTES_MAX: usize = 1024 * 1024;

impl Server {
    pub(super) fn answer(&mut self, id: ConnectionId, request: Request) -> Result<(), CloseReason> {
        match request {
            Request::Upgrade {
                accept,
                origin,
                token,
            } => self.admit(id, &accept, &origin, token.as_ref()),
            Request::Plain {
                route,
                token,
                conditions,
                head_only,
            } => {
                let response = self
                    .respond(&route, token.as_ref(), &conditions)
                    .head_only(head_only);
                if let Some(entry) = self.connections.get_mut(id) {
                    let peer = entry.peer;
                    debug!("request id={} peer={peer} route={route:?}", id.serial());
                    entry.connection.reply(&response, self.now.monotonic);
                }
                Ok(())
            }
        }
    }

    pub(super) fn refuse(&mut self, id: ConnectionId, refused: &RefusedRequest) {
        let Some(entry) = self.connections.get_mut(id) else {
            return;
        };
        let (status, peer) = (refused.response.status(), entry.peer);
        debug!("refuse id={} peer={peer} status={status}", id.serial());
        if refused.is_handshake {
            self.metrics.reject_handshake(status);
        }
        let now = self.now.monotonic;
        entry.connection.reply(&refused.response, now);
    }

    /// Opens a WebSocket for whom there is room and who may have one. Another is told why not:
    /// a browser by a close code, as it sees no answer to a handshake.
    fn admit(
        &mut self,
        id: ConnectionId,
        accept: &[u8],
        origin: &Origin,
        token: Option<&Token>,
    ) -> Result<(), CloseReason> {
        let now = self.now;
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(());
        };
        let peer = entry.peer;
        let checked = self.door.check(peer.ip(), origin, token, now);
        if let Err(reason) = checked {
            let word = reason.word();
            debug!("refuse id={} peer={peer} reason={word}", id.serial());
            self.metrics.reject_handshake(word);
            let response = match reason {
                CloseReason::Unauthorized(refused) => Some(Response::unauthorized(refused)),
                CloseReason::Full => Some(Response::full()),
                _ => None,
            };
            if let Some(response) = response.filter(|_| !origin.is_browser()) {
                entry.connection.reply(&response, now.monotonic);
                return Ok(());
            }
        }
        debug!("open id={} peer={peer}", id.serial());
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

    fn respond(&self, route: &Route, token: Option<&Token>, conditions: &Conditions) -> Response {
        match route {
            Route::Page(page) => Response::page(self.pages.get(*page), conditions),
            Route::Healthz => Response::text("200 OK", "ok"),
            Route::Readyz if self.drain.is_some() => {
                Response::text("503 Service Unavailable", "draining")
            }
            Route::Readyz => Response::text("200 OK", "ready"),
            Route::Metrics => Response::metrics(self.metrics.render(Gauges {
                connections: self.door.open(),
                follows: self.relay.follows_total(),
                runners: self.relay.runners_by_freshness(),
                process: Process::measure(),
            })),
            Route::Positions(ids) if self.door.asks_for_tokens() => {
                match self.grant_of_request(token) {
                    Ok(grant) => {
                        self.positions(ids.as_deref(), &Authority::of_request(Some(grant)))
                    }
                    Err(refused) => Response::unauthorized(refused),
                }
            }
            Route::Positions(ids) => {
                (self.positions(ids.as_deref(), &Authority::of_request(None))).for_any_page()
            }
        }
    }

    fn grant_of_request(&self, token: Option<&Token>) -> Result<Grant, Refused> {
        self.door.verify(token.ok_or(Refused::Missing)?, self.now)
    }

    /// The last known positions of these users as GeoJSON. Users without one are left out, and so
    /// are those whom the authority may not follow.
    fn positions(&self, ids: Option<&[String]>, by: &Authority) -> Response {
        let Some(ids) = ids else {
            return Response::bad_request("say whose positions: /positions?ids=5,6");
        };
        let ids_max = self.config.max_follows as usize;
        if ids.len() > ids_max {
            let line = format!("ask for at most {ids_max} ids at once");
            return Response::bad_request(&line);
        }
        let mut named = HashSet::new();
        let features = (ids.iter())
            .filter(|id| named.insert(*id))
            .filter_map(|id| self.feature(id, by));
        match encode_features(features, BODY_BYTES_MAX) {
            Some(body) => Response::geo_json(body),
            None => Response::bad_request("this is over 1 MiB: ask for fewer ids at once"),
        }
    }

    fn feature(&self, id: &str, by: &Authority) -> Option<Feature<'_>> {
        let runner = self.relay.visible(by, id)?;
        Some(Feature {
            known: self.relay.known(runner, self.now.monotonic)?,
            freshness: self.relay.freshness(runner),
            is_connected: self.relay.is_connected(runner),
        })
    }
}
