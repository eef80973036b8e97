//! Who gets in, and who somebody is: origins and limits at the handshake, tokens then and later.

use std::time::{Duration, Instant};

use log::{debug, error, info, warn};

use super::Server;
use super::close::CloseReason;
use super::connections::ConnectionId;
use super::http::Response;
use super::origin::Origin;
use crate::auth::{self, Grant, Token};
use crate::protocol::{Refusal, quote};

/// How long an open connection may take to show a token.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);

/// What a token lets a connection do.
#[derive(Debug)]
pub struct Pass {
    /// What the token says.
    pub grant: Grant,
    /// When the token expires, by the clock that never jumps.
    expires_at: Instant,
}

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
        let now = self.now.monotonic;
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(());
        };
        let peer = entry.peer.ip();
        let is_full = self.open >= self.max_connections
            || (self.config.max_connections_per_ip)
                .is_some_and(|max| self.per_address.open(peer) >= max);
        let admitted = if !origin.is_allowed(&self.config.allow_origin) {
            Err(CloseReason::ForeignOrigin)
        } else if is_full {
            Err(CloseReason::Full)
        } else {
            token.map(|token| self.pass(token)).transpose()
        };
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(());
        };
        if let Err(reason) = &admitted {
            debug!(
                "refuse id={} peer={} reason={}",
                id.serial(),
                entry.peer,
                reason.word()
            );
            *self
                .metrics
                .handshakes_rejected
                .entry(reason.word())
                .or_default() += 1;
            if !origin.is_browser() {
                let response = match *reason {
                    CloseReason::Unauthorized(refused) => Response::unauthorized(refused),
                    _ => Response::full(),
                };
                entry.connection.reply(&response, now);
                return Ok(());
            }
        }
        debug!("open id={} peer={}", id.serial(), entry.peer);
        entry.connection.upgrade(accept, now);
        self.open += 1;
        if self.config.max_connections_per_ip.is_some() {
            self.per_address.add(peer);
        }
        if self.keys.is_some() {
            self.lapse_at(id, now + TOKEN_TIMEOUT);
        }
        if let Some(pass) = admitted?.flatten() {
            self.let_pass(id, pass);
        }
        if let Some(drain) = &mut self.drain {
            drain.add(id);
        }
        Ok(())
    }

    /// Takes the token of a message, if there is one, and says whether the message is to be
    /// carried out.
    pub(super) fn authenticate(
        &mut self,
        id: ConnectionId,
        token: Option<&Token>,
        refusals: &mut Vec<Refusal>,
    ) -> Result<bool, CloseReason> {
        if self.keys.is_none() {
            return Ok(true);
        }
        let now = self.now.monotonic;
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(false);
        };
        let is_first = entry.received == 1;
        if let Some(pass) = &entry.pass
            && pass.expires_at <= now
        {
            return Err(lapse_reason(Some(pass)));
        }
        if let Some(token) = token
            && let Some(pass) = self.pass(token)?
        {
            // Nothing was done yet in the name of one that came with the request.
            if !is_first && self.is_other_user(id, &pass) {
                return Err(CloseReason::OtherUser);
            }
            self.let_pass(id, pass);
            refusals.extend(self.unfollow_denied(id)?);
        }
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(false);
        };
        let Some(pass) = &entry.pass else {
            return Ok(false);
        };
        if entry.declared.is_none() && self.hub.declare(id.slot(), &pass.grant.user) {
            let json = serde_json::Value::from(pass.grant.user.as_str());
            entry.declared = Some(json.to_string().into());
        }
        Ok(true)
    }

    /// What a token lets its bearer do; `None` where no tokens are asked for.
    pub(super) fn pass(&self, token: &Token) -> Result<Option<Pass>, CloseReason> {
        let Some(keys) = &self.keys else {
            return Ok(None);
        };
        let unix = Duration::from_secs_f64(self.now.unix_ms / 1000.0);
        let grant = keys
            .grant(token.text(), unix.as_secs())
            .map_err(CloseReason::Unauthorized)?;
        let left = Duration::from_secs(grant.expires_at_s).saturating_sub(unix);
        Ok(Some(Pass {
            grant,
            expires_at: self.now.monotonic + left,
        }))
    }

    fn is_other_user(&mut self, id: ConnectionId, pass: &Pass) -> bool {
        (self.connections.get_mut(id))
            .and_then(|entry| entry.pass.as_ref())
            .is_some_and(|before| before.grant.user != pass.grant.user)
    }

    fn let_pass(&mut self, id: ConnectionId, pass: Pass) {
        self.lapse_at(id, pass.expires_at);
        if let Some(entry) = self.connections.get_mut(id) {
            entry.pass = Some(Box::new(pass));
        }
    }

    fn lapse_at(&mut self, id: ConnectionId, time: Instant) {
        self.next_sweep = self.next_sweep.min(time);
        if let Some(entry) = self.connections.get_mut(id) {
            entry.connection.lapse_at(time);
        }
    }

    /// Ends the follows that the connection's token does not cover.
    fn unfollow_denied(&mut self, id: ConnectionId) -> Result<Option<Refusal>, CloseReason> {
        let Some(pass) = (self.connections.get_mut(id)).and_then(|entry| entry.pass.as_ref())
        else {
            return Ok(None);
        };
        let denied: Vec<String> = (self.hub.followed(id.slot()))
            .filter(|user| !pass.grant.may_follow(user))
            .map(str::to_owned)
            .collect();
        let Some(first) = denied.first() else {
            return Ok(None);
        };
        let first = serde_json::Value::from(first.as_str()).to_string();
        self.unfollow_users(id, denied.iter().map(String::as_str))?;
        Ok(Some(Refusal::MayNotFollow(denied.len(), quote(&first))))
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
        match self.config.keys.load() {
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

/// Why an open connection lapses.
pub(super) fn lapse_reason(pass: Option<&Pass>) -> CloseReason {
    CloseReason::Unauthorized(match pass {
        Some(pass) => auth::Refused::Expired {
            expired_at_s: pass.grant.expires_at_s,
        },
        None => auth::Refused::Missing,
    })
}
