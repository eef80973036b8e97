//! Requests about users of whom other nodes may know more: each waits for the engine, for a moment.

use std::rc::Rc;

use super::connections::ConnectionId;
use super::http::{Asked, IdQuery, Request, Route};
use super::parts::Server;
use super::postponed::Postponed;
use super::wire::connection::Input;
use crate::user::is_id;

impl Server {
    /// Gives a request back that can be answered now; another waits.
    pub(super) fn ask_others(&mut self, id: ConnectionId, request: Request) -> Option<Request> {
        if self.nodes.is_none() {
            return Some(request);
        }
        let users = match &request {
            Request::Plain { route, token, .. } => {
                match self.authority_of_request(token.as_ref()) {
                    Ok(by) => {
                        let mut users = self.users_of(route);
                        users.retain(|user| self.relay.may_follow(&by, user));
                        users
                    }
                    Err(_) => Vec::new(),
                }
            }
            _ => Vec::new(),
        };
        if self.is_for_everybody(&request) {
            return self.ask_for_everyone(id, request);
        }
        if users.is_empty() || users.len() > self.config.max_follows as usize {
            return Some(request);
        }
        let nodes = self.nodes.as_mut();
        let waits = nodes.is_some_and(|nodes| nodes.ask(users.iter(), self.now));
        self.wait_for_others(id, request, waits, users)
    }

    /// Has a request wait, if there is something to wait for. Of nobody in particular is of everyone.
    fn wait_for_others(
        &mut self,
        id: ConnectionId,
        request: Request,
        waits: bool,
        users: Vec<Rc<str>>,
    ) -> Option<Request> {
        let entry = self.connections.get_mut(id);
        let Some(entry) = entry.filter(|_| waits) else {
            return Some(request);
        };
        entry.postponed = Some(Box::new(Postponed::Input(Input::Request(request))));
        self.asking.push((id, users));
        None
    }

    fn is_for_everybody(&self, request: &Request) -> bool {
        let Request::Plain { route, token, .. } = request else {
            return false;
        };
        let Route::Positions(query) = route else {
            return false;
        };
        let by = self.authority_of_request(token.as_ref());
        query.is_for_everybody() && by.is_ok_and(|by| self.relay.may_follow_everybody(&by))
    }

    fn ask_for_everyone(&mut self, id: ConnectionId, request: Request) -> Option<Request> {
        let nodes = self.nodes.as_mut();
        let waits = nodes.is_some_and(|nodes| nodes.ask_everyone(self.now));
        self.wait_for_others(id, request, waits, Vec::new())
    }

    fn users_of(&self, route: &Route) -> Vec<Rc<str>> {
        let named = |query: &IdQuery| match query.asked() {
            Asked::These(ids) => ids,
            _ => Vec::new(),
        };
        let ids = match route {
            Route::Positions(query) => named(query),
            Route::Trail(query) => query.only().into_iter().collect(),
            _ => Vec::new(),
        };
        let ids = ids.iter().filter(|id| is_id(id));
        ids.map(|id| Rc::from(&**id)).collect()
    }

    /// Has requests be answered whose answers came, or took too long.
    pub(super) fn end_asking(&mut self) {
        let Some(nodes) = &mut self.nodes else {
            return;
        };
        let (connections, queues, now) = (&mut self.connections, &mut self.queues, self.now);
        self.asking.retain(|(id, users)| {
            let waits = match users.is_empty() {
                true => nodes.is_seeking(now),
                false => nodes.ask(users.iter(), now),
            };
            if waits {
                return true;
            }
            if let Some(entry) = connections.get_mut(*id)
                && let Some(postponed) = entry.postponed.take()
            {
                queues.postpone(*id, entry, *postponed);
            }
            false
        });
    }
}
