//! Who gets in, and who somebody is: origins and limits at the handshake, tokens then and later.

use std::time::Duration;

use log::{debug, error, info, warn};

use super::close::CloseReason;
use super::connections::{ConnectionId, Entry};
use super::origin::Origin;
use super::response::Response;
use super::{SWEEP_INTERVAL_MIN, Server};
use crate::auth::{self, Grant, Keys, Token};
use crate::hub::Now;
use crate::protocol::{Refusal, quote};

/// How long an open connection may take to show a token.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);

impl Server {
    /// Opens a WebSocket for whom there is room and who may have one. Another is told why not:
    /// a browser by a close code, as it sees no answer to a handshake.
    pub(super) fn admit(
        &mut self,
        id: ConnectionId,
        accept: &[u8],
        origin: &Origin,
        token: Option<&Token>,
    ) -> Result<(), CloseReason> {
        let judged = self.judge(id, origin, token);
        let now = self.now.monotonic;
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(());
        };
        let peer = entry.peer;
        if let Err(reason) = judged {
            let reason_word = reason.word();
            debug!("refuse id={} peer={peer} reason={reason_word}", id.serial());
            *self
                .metrics
                .handshakes_rejected
                .entry(reason_word)
                .or_default() += 1;
            let response = match reason {
                CloseReason::Unauthorized(refused) => Some(Response::unauthorized(refused)),
                CloseReason::Full => Some(Response::full()),
                _ => None,
            };
            if let Some(response) = response.filter(|_| !origin.is_browser()) {
                entry.connection.reply(&response, now);
                return Ok(());
            }
        }
        debug!("open id={} peer={peer}", id.serial());
        entry.connection.upgrade(accept, now);
        self.open += 1;
        if self.config.max_connections_per_ip.is_some() {
            self.per_address.add(peer.ip());
        }
        if let Some(grant) = judged? {
            self.grant(id, grant);
        }
        if let Some(drain) = &mut self.drain {
            drain.add(id);
        }
        Ok(())
    }

    /// Whether there is room for somebody who may come in, and what their token grants.
    fn judge(
        &mut self,
        id: ConnectionId,
        origin: &Origin,
        token: Option<&Token>,
    ) -> Result<Option<Grant>, CloseReason> {
        if !origin.is_allowed(&self.config.allow_origin) {
            return Err(CloseReason::ForeignOrigin);
        }
        let is_full_for_peer = self.config.max_connections_per_ip.is_some_and(|max| {
            (self.connections.get_mut(id))
                .is_some_and(|entry| self.per_address.open(entry.peer.ip()) >= max)
        });
        if is_full_for_peer || self.open >= self.max_connections {
            return Err(CloseReason::Full);
        }
        match (token, &self.keys) {
            (Some(token), Some(keys)) => read(keys, token, self.now)
                .map(Some)
                .map_err(CloseReason::Unauthorized),
            _ => Ok(None),
        }
    }

    /// Takes the token of a message, if there is one, and says whether the message is to be
    /// carried out.
    pub(super) fn authenticate(
        &mut self,
        id: ConnectionId,
        token: Option<&Token>,
        refusals: &mut Vec<Refusal>,
    ) -> Result<bool, CloseReason> {
        let Some(keys) = &self.keys else {
            return Ok(true);
        };
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(false);
        };
        if let Some(refused) = lapse(entry, self.now) {
            return Err(CloseReason::Unauthorized(refused));
        }
        if let Some(token) = token {
            // To verify one takes longer than many messages do.
            self.is_turn_over = true;
            let grant = read(keys, token, self.now).map_err(CloseReason::Unauthorized)?;
            // Nothing was done yet in the name of one that came with the request.
            let is_first = entry.received == 1;
            let is_other = |before: &Grant| before.user != grant.user;
            if !is_first && entry.grant.as_deref().is_some_and(is_other) {
                return Err(CloseReason::OtherUser);
            }
            self.grant(id, grant);
            refusals.extend(self.unfollow_denied(id)?);
        }
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(false);
        };
        let Some(grant) = &entry.grant else {
            return Ok(false);
        };
        if entry.declared.is_none() && self.hub.declare(id.slot(), &grant.user) {
            entry.declared = Some(json(&grant.user).into());
        }
        Ok(true)
    }

    fn grant(&mut self, id: ConnectionId, grant: Grant) {
        let expiry = self.now.monotonic + until_expiry(&grant, self.now);
        self.next_sweep = self.next_sweep.min(expiry);
        if let Some(entry) = self.connections.get_mut(id) {
            entry.grant = Some(Box::new(grant));
        }
    }

    /// Ends the follows that the connection's token does not cover.
    fn unfollow_denied(&mut self, id: ConnectionId) -> Result<Option<Refusal>, CloseReason> {
        let entry = self.connections.get_mut(id);
        let Some(grant) = entry.and_then(|entry| entry.grant.as_ref()) else {
            return Ok(None);
        };
        let denied: Vec<String> = (self.hub.followed(id.slot()))
            .filter(|user| !grant.may_follow(user))
            .map(str::to_owned)
            .collect();
        let Some(first) = denied.first() else {
            return Ok(None);
        };
        let refusal = Refusal::MayNotFollow(denied.len(), quote(&json(first)));
        self.unfollow_users(id, denied.iter().map(String::as_str))?;
        Ok(Some(refusal))
    }

    /// Ends connections whose tokens are missing or expire, and has the next sweep come when the
    /// next one does.
    pub(super) fn expire_grants(&mut self) {
        if self.keys.is_none() {
            return;
        }
        let entries = self.connections.iter_mut();
        // One that is on its way out has nothing more to lose.
        for (id, entry) in entries.filter(|(_, entry)| entry.connection.is_open()) {
            if let Some(refused) = lapse(entry, self.now) {
                if !std::mem::replace(&mut entry.is_doomed, true) {
                    self.doomed.push((id, CloseReason::Unauthorized(refused)));
                }
            } else if let Some(grant) = &entry.grant {
                // Many that expire in one second must not each have a sweep of their own.
                let left = until_expiry(grant, self.now).max(SWEEP_INTERVAL_MIN);
                self.next_sweep = self.next_sweep.min(self.now.monotonic + left);
            }
        }
    }

    /// Tells the operator once if everybody on a network may do everything.
    pub(super) fn warn_if_open(&self) {
        let open = (self.listeners.iter())
            .filter_map(|listener| listener.local_addr().ok())
            .find(|address| !address.ip().to_canonical().is_loopback());
        if let (None, Some(address)) = (&self.keys, open) {
            warn!(
                "no authentication on {address}: whoever reaches it may send positions of anybody \
                 and follow everybody; see --jwt-hs256-secret-file and --jwt-public-key-file"
            );
        }
    }

    /// Reads the key files again. Those who are in stay until their tokens expire.
    pub(super) fn reload_keys(&mut self) {
        match self.config.keys.reload() {
            Ok(loaded) => {
                warn_of(&loaded.warnings);
                self.keys = loaded.keys;
                info!(
                    "reload keys={}",
                    self.keys.as_ref().map_or(0, auth::Keys::len)
                );
            }
            Err(line) => error!("reload error=\"{line}\" keys=unchanged"),
        }
    }
}

/// Tells the operator of key files that should be different.
pub(super) fn warn_of(warnings: &[String]) {
    for warning in warnings {
        warn!("{warning}");
    }
}

/// What a token grants now.
pub(super) fn read(keys: &Keys, token: &Token, now: Now) -> Result<Grant, auth::Refused> {
    keys.grant(token.text(), (now.unix_ms / 1000.0) as u64)
}

/// Why an open connection may not stay, where tokens are asked for. The clock that `exp` is meant
/// by decides, though it may jump.
fn lapse(entry: &Entry, now: Now) -> Option<auth::Refused> {
    let open_for = entry.connection.open_for(now.monotonic)?;
    match &entry.grant {
        None if open_for >= TOKEN_TIMEOUT => Some(auth::Refused::Missing),
        Some(grant) if until_expiry(grant, now).is_zero() => Some(auth::Refused::Expired {
            expired_at_s: grant.expires_at_s,
        }),
        _ => None,
    }
}

fn until_expiry(grant: &Grant, now: Now) -> Duration {
    let left_ms = grant.expires_at_s as f64 * 1000.0 - now.unix_ms;
    Duration::from_secs_f64(left_ms.max(0.0) / 1000.0)
}

/// A user id as a string in JSON.
fn json(user: &str) -> String {
    serde_json::Value::from(user).to_string()
}
