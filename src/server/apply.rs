//! What a message does: to the hub, to the followers' outboxes, to the sender's own.

use super::Server;
use super::close::CloseReason;
use super::connections::ConnectionId;
use super::outbox::Pushed;
use super::rate::{Bucket, Verdict};
use crate::hub::RunnerKey;
use crate::position::{Position, UserId};
use crate::protocol::{
    ClientMessage, Hello, Ids, Publication, Refusal, decode, encode_error, encode_position, quote,
};

/// So many messages in a row that each brought an error end the connection.
const BAD_IN_ROW_MAX: u8 = 100;

/// The errors of one message.
type Refusals = Vec<Refusal>;

impl Server {
    /// Carries out one message as far as it goes, and answers what was wrong with it.
    pub(super) fn apply(&mut self, id: ConnectionId, text: &str) -> Result<(), CloseReason> {
        let mut refusals = Refusals::new();
        let decoded = decode(text, self.bounds);
        // What was understood and not the text, which may hold a token.
        if let Ok(message) = &decoded {
            log::trace!("message id={} {message:?}", id.serial());
        }
        let token = decoded.as_ref().ok().and_then(ClientMessage::token);
        let is_known = self.authenticate(id, token, &mut refusals)?;
        match decoded {
            Ok(ClientMessage::Position(publication)) => {
                match self.publisher(id, &publication, is_known) {
                    Ok(runner) => return self.publish(id, runner, &publication.position),
                    Err(refusal) => {
                        self.count_rejected(refusal.code());
                        refusals.push(refusal);
                    }
                }
            }
            Ok(_) if !is_known => refusals.push(Refusal::Unauthorized),
            Ok(ClientMessage::Hello(hello)) => self.hello(id, hello, &mut refusals)?,
            Ok(ClientMessage::Change(change)) => {
                self.follow(id, change.follow, &mut refusals)?;
                self.unfollow(id, change.unfollow, &mut refusals)?;
            }
            Err(refusal) => {
                // Other refusals are not about a position.
                if matches!(refusal, Refusal::BadPosition(_) | Refusal::BadUser(_)) {
                    self.count_rejected(refusal.code());
                }
                refusals.push(refusal);
            }
        }
        self.answer_refusals(id, &refusals)
    }

    fn answer_refusals(
        &mut self,
        id: ConnectionId,
        refusals: &[Refusal],
    ) -> Result<(), CloseReason> {
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(());
        };
        if refusals.is_empty() {
            entry.bad_in_row = 0;
            return Ok(());
        }
        entry.bad_in_row += 1;
        let ends = entry.bad_in_row == BAD_IN_ROW_MAX;
        for refusal in refusals {
            self.answer_refusal(id, refusal)?;
        }
        if ends {
            Err(CloseReason::BadMessages)
        } else {
            Ok(())
        }
    }

    fn answer_refusal(&mut self, id: ConnectionId, refusal: &Refusal) -> Result<(), CloseReason> {
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(());
        };
        log::debug!("refuse id={} code={}", id.serial(), refusal.code());
        self.message.clear();
        encode_error(refusal, &mut self.message);
        match entry.connection.outbox.push_error(&self.message) {
            true => Ok(()),
            false => Err(CloseReason::ErrorsUnread),
        }
    }

    fn count_rejected(&mut self, code: &'static str) {
        *self.metrics.positions_rejected.entry(code).or_default() += 1;
    }

    fn hello(
        &mut self,
        id: ConnectionId,
        hello: Hello,
        refusals: &mut Refusals,
    ) -> Result<(), CloseReason> {
        match hello.user {
            None => {}
            Some(Err(refusal)) => refusals.push(refusal),
            Some(Ok(user)) => {
                if let Err(refusal) = self.declare(id, &user) {
                    refusals.push(refusal);
                }
            }
        }
        // Whom it follows already comes before whom it follows from now on.
        match hello.presence {
            None => {}
            Some(Err(refusal)) => refusals.push(refusal),
            Some(Ok(asks)) => self.ask_presence(id, asks),
        }
        match hello.audience {
            None => {}
            Some(Err(refusal)) => refusals.push(refusal),
            Some(Ok(wants)) => {
                if let Err(refusal) = self.ask_audience(id, wants) {
                    refusals.push(refusal);
                }
            }
        }
        self.follow(id, hello.following, refusals)
    }

    fn declare(&mut self, id: ConnectionId, user: &UserId) -> Result<(), Refusal> {
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(());
        };
        if !self.hub.declare(id.slot(), user.text()) {
            let declared = entry.declared.as_deref().unwrap_or_default();
            return Err(Refusal::WrongUser(declared.to_owned()));
        }
        entry.declared = Some(user.json().into());
        Ok(())
    }

    /// Whose position this is; writes the message that followers get into `self.message`.
    fn publisher(
        &mut self,
        id: ConnectionId,
        publication: &Publication,
        is_known: bool,
    ) -> Result<RunnerKey, Refusal> {
        if !is_known {
            return Err(Refusal::Unauthorized);
        }
        let Some(entry) = self.connections.get_mut(id) else {
            return Err(Refusal::MissingUser);
        };
        let declared = self.hub.declared(id.slot()).zip(entry.declared.as_deref());
        let (runner, json) = match (&publication.user, declared) {
            (None, None) => return Err(Refusal::MissingUser),
            (None, Some((runner, json))) => (runner, json),
            (Some(user), None) => (self.hub.runner_or_new(user.text()), user.json()),
            (Some(user), Some((runner, _))) if user.text() == self.hub.id(runner) => {
                (runner, user.json())
            }
            // Where there are tokens, they decide.
            (Some(user), Some(_)) if entry.grant.is_some() => {
                (self.hub.runner_or_new(user.text()), user.json())
            }
            (Some(_), Some((_, json))) => return Err(Refusal::WrongUser(json.to_owned())),
        };
        if let Some(grant) = &entry.grant
            && !grant.may_publish(self.hub.id(runner))
        {
            let refusal = Refusal::MayNotPublish(quote(json));
            self.hub.forget_if_unused(runner);
            return Err(refusal);
        }
        self.message.clear();
        encode_position(json, &publication.position, &mut self.message);
        Ok(runner)
    }

    /// Keeps and relays the position in `self.message`, if the connection is within its rate.
    fn publish(
        &mut self,
        id: ConnectionId,
        runner: RunnerKey,
        position: &Position,
    ) -> Result<(), CloseReason> {
        let verdict = self.take_from_bucket(id);
        if verdict != Verdict::Take {
            self.hub.forget_if_unused(runner);
            return self.refuse_pace(id, verdict);
        }
        if self
            .hub
            .publish(runner, &self.message, position.timestamp_ms(), self.now)
        {
            self.metrics.positions_received += 1;
            self.deliver(runner);
        } else {
            self.metrics.positions_late += 1;
        }
        self.answer_refusals(id, &[])
    }

    /// Answers a position that came too fast. Such an error neither counts among those in a row
    /// nor ends the row.
    fn refuse_pace(&mut self, id: ConnectionId, verdict: Verdict) -> Result<(), CloseReason> {
        self.count_rejected("too_fast");
        match (verdict, self.config.max_rate) {
            (Verdict::Close, _) => Err(CloseReason::TooFast),
            (Verdict::Tell, Some(rate)) => self.answer_refusal(id, &Refusal::TooFast(rate)),
            _ => Ok(()),
        }
    }

    fn take_from_bucket(&mut self, id: ConnectionId) -> Verdict {
        let (Some(rate), Some(entry)) = (self.config.max_rate, self.connections.get_mut(id)) else {
            return Verdict::Take;
        };
        let now = self.now.monotonic;
        entry
            .bucket
            .get_or_insert_with(|| Box::new(Bucket::new(rate, now)))
            .take(rate, now)
    }

    /// Owes the position in `self.message` to all who follow the runner.
    fn deliver(&mut self, runner: RunnerKey) {
        let followers = self.hub.followers(runner);
        if followers.is_empty() {
            return;
        }
        let frame = self.frames.push(&self.message);
        let is_draining = self.drain.is_some();
        let hold = !self.config.flush_interval.is_zero() && !is_draining;
        self.pushes += followers.len();
        for follower in followers {
            let Some((id, entry)) = self.connections.by_slot(follower.connection) else {
                continue;
            };
            if is_draining && entry.connection.ending().is_some() {
                continue;
            }
            match entry.connection.outbox.push(frame, follower.slot) {
                Pushed::Due | Pushed::Marked => {}
                Pushed::Conflated => self.metrics.positions_conflated += 1,
                Pushed::First if hold => {
                    entry.is_held = true;
                    self.held.push(id);
                }
                Pushed::First if entry.is_dirty => {}
                Pushed::First => {
                    entry.is_dirty = true;
                    self.dirty.push(id);
                }
            }
        }
    }

    fn follow(
        &mut self,
        id: ConnectionId,
        ids: Ids,
        refusals: &mut Refusals,
    ) -> Result<(), CloseReason> {
        refusals.extend(ids.refusal);
        // What changed until now is told to those who follow already.
        self.tell();
        let follows_max = self.config.max_follows as usize;
        let mut over: Option<(usize, &str)> = None;
        let mut denied: Option<(usize, &str)> = None;
        let mut owes_some = false;
        let asks_presence = self.hub.asks_presence(id.slot());
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(());
        };
        for user in &ids.valid {
            if let Some(grant) = &entry.grant
                && !grant.may_follow(user.text())
            {
                denied.get_or_insert((0, user.json())).0 += 1;
                continue;
            }
            if self.hub.following(id.slot()) >= follows_max {
                if self.hub.slot(id.slot(), user.text()).is_none() {
                    over.get_or_insert((0, user.json())).0 += 1;
                }
                continue;
            }
            let Some(slot) = (self.hub).follow(id.slot(), user.text(), user.spelling()) else {
                continue;
            };
            if asks_presence {
                entry.connection.outbox.push_presence(slot);
                owes_some = true;
            }
            if self
                .hub
                .newest(id.slot(), slot, self.now.monotonic)
                .is_some()
            {
                entry.connection.outbox.push_last_known(slot);
                owes_some = true;
            }
        }
        log::debug!(
            "follow id={} following={}",
            id.serial(),
            self.hub.following(id.slot())
        );
        if let Some((count, first)) = denied {
            refusals.push(Refusal::MayNotFollow(count, quote(first)));
        }
        if let Some((count, first)) = over {
            refusals.push(Refusal::TooManyFollows(count, follows_max, quote(first)));
        }
        // Positions that come from now on must find their last known ones gone out before them.
        if owes_some {
            self.is_turn_over = true;
            self.flush_connection(id)
        } else {
            Ok(())
        }
    }

    fn unfollow(
        &mut self,
        id: ConnectionId,
        ids: Ids,
        refusals: &mut Refusals,
    ) -> Result<(), CloseReason> {
        refusals.extend(ids.refusal);
        self.unfollow_users(id, ids.valid.iter().map(UserId::text))
    }

    pub(super) fn unfollow_users<'u>(
        &mut self,
        id: ConnectionId,
        users: impl ExactSizeIterator<Item = &'u str>,
    ) -> Result<(), CloseReason> {
        if users.len() == 0 {
            return Ok(());
        }
        self.tell();
        // What was accepted before still goes out, and its slots are as they were.
        if let Some(entry) = self.connections.get_mut(id) {
            entry.is_held = false;
        }
        self.flush_connection(id)?;
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(());
        };
        for user in users {
            if let Some(unfollowed) = self.hub.unfollow(id.slot(), user) {
                entry
                    .connection
                    .outbox
                    .unfollow(unfollowed.slot, unfollowed.renumbered);
            }
        }
        log::debug!(
            "unfollow id={} following={}",
            id.serial(),
            self.hub.following(id.slot())
        );
        Ok(())
    }
}
