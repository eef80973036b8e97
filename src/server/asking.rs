//! Requests about users of whom other nodes may know more: each waits for the engine, for a moment.

use std::rc::Rc;

use super::connections::ConnectionId;
use super::http::{Asked, Request, Route};
use super::parts::Server;
use super::postponed::Postponed;
use super::wire::connection::Input;
use crate::user::is_id;

/// Of whom a request asks that other nodes may know more of.
enum About {
    Everyone,
    Users(Vec<Rc<str>>),
}

impl Server {
    /// Gives a request back that can be answered now; another waits.
    pub(super) fn ask_others(&mut self, id: ConnectionId, request: Request) -> Option<Request> {
        if self.nodes.is_none() {
            return Some(request);
        }
        let Some(about) = self.about(&request) else {
            return Some(request);
        };
        let (Some(nodes), Some(entry)) = (&mut self.nodes, self.connections.get_mut(id)) else {
            return Some(request);
        };
        let (waits, users) = match about {
            About::Everyone => (nodes.ask_everyone(self.now), Vec::new()),
            About::Users(users) => (nodes.ask(users.iter(), self.now), users),
        };
        if !waits {
            return Some(request);
        }
        entry.postponed = Some(Box::new(Postponed::Input(Input::Request(request))));
        self.asking.push((id, users));
        None
    }

    /// Of whom a request asks, as far as it may; `None` of nobody.
    fn about(&self, request: &Request) -> Option<About> {
        let Request::Plain { route, token, .. } = request else {
            return None;
        };
        let ids = match route {
            Route::Positions(query) if query.is_for_everybody() => None,
            Route::Positions(query) => match query.asked() {
                Asked::These(ids) => Some(ids),
                _ => return None,
            },
            Route::Trail(query) => Some(query.only().into_iter().collect()),
            _ => return None,
        };
        let by = self.authority_of_request(token.as_ref()).ok()?;
        let Some(ids) = ids else {
            let may_ask = self.relay.may_follow_everybody(&by);
            return may_ask.then_some(About::Everyone);
        };
        let allowed = (ids.iter()).filter(|id| is_id(id) && self.relay.may_follow(&by, id));
        let users: Vec<Rc<str>> = allowed.map(|id| Rc::from(&**id)).collect();
        let follows_max = self.config.max_follows as usize;
        (1..=follows_max)
            .contains(&users.len())
            .then_some(About::Users(users))
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
