//! What a message does: it is judged, and the relay changes. Nothing is written here.

use super::connections::{ConnectionId, Entry};
use super::door::Door;
use super::metrics::Metrics;
use super::wire::close::CloseReason;
use crate::auth::Token;
use crate::dialect::Dialect;
use crate::fix::Bounds;
use crate::protocol::{ClientMessage, Hello, Ids, Publication, decode, encode_pong};
use crate::refusal::{Code, Refusal};
use crate::relay::{Excess, Now, Published, Relay, RunnerKey};

/// A longer list of ids ends the turn of its sender, so that many short lists are not one long one.
const IDS_IN_TURN_MAX: usize = 16;

/// The errors of one message.
pub(super) type Refusals = Vec<Refusal>;

/// What became of a message.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// What its sender is to be told.
    pub(super) refusals: Refusals,
    /// Whether it neither counts among the bad messages in a row nor ends the row: a position that
    /// came too fast, or a heartbeat.
    pub(super) is_uncounted: bool,
    /// The answer to a ping, if it was one.
    pub(super) pong: Option<Vec<u8>>,
    /// The runner whose newest position it brought.
    pub(super) moved: Option<RunnerKey>,
    /// The user who said goodbye.
    pub(super) left: Option<RunnerKey>,
    /// Whether it was so much work that others have their turn now.
    pub(super) ends_turn: bool,
}

/// The parts of the server that one message may change, besides its sender's own.
pub(super) struct Effects<'a> {
    pub(super) relay: &'a mut Relay,
    pub(super) door: &'a mut Door,
    pub(super) metrics: &'a mut Metrics,
    pub(super) bounds: Bounds,
    pub(super) now: Now,
}

impl Effects<'_> {
    /// Carries out one message as far as it goes.
    pub(super) fn apply(
        &mut self,
        id: ConnectionId,
        entry: &mut Entry,
        text: &str,
    ) -> Result<Applied, CloseReason> {
        let mut applied = Applied::default();
        let refusals = &mut applied.refusals;
        let decoded = decode(text, self.bounds);
        // What was understood and not the text, which may hold a token.
        if let Ok(message) = &decoded {
            log::trace!("message id={} {message:?}", id.serial());
        }
        if let Some(reason) = self.door.why_not_stay(entry, self.now) {
            return Err(reason);
        }
        let token = decoded.as_ref().ok().and_then(ClientMessage::token);
        if let Some(token) = token.filter(|_| self.door.asks_for_tokens()) {
            // To verify one takes longer than many messages do.
            applied.ends_turn = true;
            refusals.extend(self.authenticate(id, entry, token)?);
        }
        let admitted = self.relay.admit(&entry.authority);
        match decoded {
            Ok(ClientMessage::Position(publication)) => match self.publish(entry, publication) {
                Ok(Published::Live(runner)) => applied.moved = Some(runner),
                Ok(Published::Late | Published::Again) => {}
                Ok(Published::TooFast(Excess::Close)) => return Err(CloseReason::TooFast),
                Ok(Published::TooFast(excess)) => {
                    applied.is_uncounted = true;
                    if let Excess::Tell(rate) = excess {
                        refusals.push(Refusal::TooFast(rate));
                    }
                }
                Err(refusal) => refusals.push(refusal),
            },
            Ok(ClientMessage::Heartbeat) => applied.is_uncounted = true,
            Ok(_) if admitted.is_err() => refusals.extend(admitted.err()),
            Ok(ClientMessage::Ping(number)) => {
                let mut pong = Vec::new();
                encode_pong(number, &mut pong);
                applied.pong = Some(pong);
            }
            Ok(ClientMessage::Hello(hello)) => {
                applied.ends_turn |= hello.following.valid.len() > IDS_IN_TURN_MAX;
                self.greet(entry, hello, refusals);
            }
            Ok(ClientMessage::Change(change)) => {
                let ids = change.follow.valid.len() + change.unfollow.valid.len();
                applied.ends_turn |= ids > IDS_IN_TURN_MAX;
                self.follow(entry, change.follow, 0, refusals);
                refusals.extend(change.unfollow.refusal);
                let unfollowed = &change.unfollow.valid;
                self.relay.unfollow(&entry.authority, unfollowed, refusals);
                if change.unfollow.everyone {
                    self.relay.unfollow_everyone(&entry.authority);
                }
                let left = (change.goodbye)
                    .map(|said| said.and_then(|()| self.relay.leaving(&entry.authority)));
                applied.ends_turn |= left.is_some();
                match left.transpose() {
                    Ok(left) => applied.left = left,
                    Err(refusal) => refusals.push(refusal),
                }
            }
            Err(refusal) => {
                // Other refusals are not about a position.
                if matches!(refusal, Refusal::BadPosition(_) | Refusal::BadUser(_)) {
                    self.metrics.reject_position(refusal.code());
                }
                refusals.push(refusal);
            }
        }
        if self.relay.has_debts()
            && let Some(member) = entry.authority.member()
        {
            applied.ends_turn = true;
            let following = self.relay.follows_of(member);
            log::debug!("follow id={} following={following}", id.serial());
        }
        Ok(applied)
    }

    /// Takes the token of a message, and says which follows it ends.
    fn authenticate(
        &mut self,
        id: ConnectionId,
        entry: &mut Entry,
        token: &Token,
    ) -> Result<Option<Refusal>, CloseReason> {
        let grant = (self.door.verify(token, self.now)).map_err(CloseReason::Unauthorized)?;
        let before_s = entry.authority.grant().map(|grant| grant.expires_at_s);
        // Nothing was done yet in the name of one that came with the request.
        let is_first = entry.received == 1;
        let refusal = (self.relay)
            .renew(&mut entry.authority, grant, is_first)
            .map_err(|_| CloseReason::OtherUser)?;
        self.door.renew(id, entry, before_s, self.now);
        Ok(refusal)
    }

    fn greet(&mut self, entry: &Entry, hello: Hello, refusals: &mut Refusals) {
        let by = &entry.authority;
        match hello.user {
            None => {}
            Some(Err(refusal)) => refusals.push(refusal),
            Some(Ok(user)) => refusals.extend(self.relay.declare(by, &user).err()),
        }
        match hello.name {
            None => {}
            Some(Err(refusal)) => refusals.push(refusal),
            Some(Ok(name)) => refusals.extend(self.relay.call(by, &name).err()),
        }
        // Whom it follows already comes before whom it follows from now on.
        match hello.presence {
            None => {}
            Some(Err(refusal)) => refusals.push(refusal),
            Some(Ok(asks)) => refusals.extend(self.relay.ask_presence(by, asks).err()),
        }
        match hello.audience {
            None => {}
            Some(Err(refusal)) => refusals.push(refusal),
            Some(Ok(wants)) => refusals.extend(self.relay.ask_audience(by, wants).err()),
        }
        let from_ms = match hello.since.transpose() {
            Ok(since) if hello.trail.is_some() => since.unwrap_or_default(),
            Ok(_) => 0,
            Err(refusal) => {
                refusals.push(refusal);
                0
            }
        };
        match hello.trail {
            None => {}
            Some(Err(refusal)) => refusals.push(refusal),
            Some(Ok(points)) => {
                refusals.extend(self.relay.ask_trails(by, points, from_ms).err());
            }
        }
        self.follow(entry, hello.following, from_ms, refusals);
    }

    /// Follows these; of trails that come with it, what is from this time on.
    fn follow(&mut self, entry: &Entry, ids: Ids, from_ms: u64, refusals: &mut Refusals) {
        refusals.extend(ids.refusal);
        if ids.everyone {
            (self.relay).follow_everyone(&entry.authority, from_ms, refusals);
        } else {
            (self.relay).follow(&entry.authority, &ids.valid, from_ms, refusals);
        }
    }

    fn publish(
        &mut self,
        entry: &mut Entry,
        publication: Publication,
    ) -> Result<Published, Refusal> {
        let Publication { user, fix } = publication;
        let published = (self.relay).publish(&mut entry.authority, user.as_ref(), fix, self.now);
        match &published {
            Ok(Published::Live(_) | Published::Again) => {
                self.metrics.receive_position(Dialect::WebSocket);
            }
            Ok(Published::Late) => self.metrics.positions_late += 1,
            Ok(Published::TooFast(_)) => self.metrics.reject_position(Code::TooFast),
            Err(refusal) => self.metrics.reject_position(refusal.code()),
        }
        published
    }
}
