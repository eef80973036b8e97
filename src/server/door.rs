//! Who gets in, and who somebody is: origins, limits and tokens at the handshake and later. Knows
//! no sockets; the time is handed in.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use log::{error, info, warn};

use super::config::Config;
use super::connections::{ConnectionId, Entry};
use super::http::{AllowedOrigin, Origin, Shown};
use super::os::limits::{Limits, PerAddress};
use super::wire::close::CloseReason;
use crate::auth::{Grant, KeyFlags, Keys, Loaded, Refused, Token};
use crate::relay::Now;

/// How long an open connection may take to show a token.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);

/// The door, and how many are inside.
#[derive(Debug)]
pub(super) struct Door {
    key_flags: KeyFlags,
    /// What tokens are held against; `None` if none are asked for.
    keys: Option<Keys>,
    allow_origin: Vec<AllowedOrigin>,
    open: usize,
    /// Connections of plain HTTP.
    http: usize,
    limits: Limits,
    open_per_address: PerAddress,
    open_per_address_max: Option<u32>,
    expiries: Expiries,
}

impl Door {
    /// A door with the keys that the flags name.
    ///
    /// # Errors
    /// A line for the operator.
    pub(super) fn new(config: &Config, limits: Limits) -> Result<Door, String> {
        let Loaded { keys, warnings } = config.keys.load()?;
        warn_of(&warnings);
        Ok(Door {
            key_flags: config.keys.clone(),
            keys,
            allow_origin: config.allow_origin.clone(),
            open: 0,
            http: 0,
            limits,
            open_per_address: PerAddress::default(),
            open_per_address_max: config.max_connections_per_ip,
            expiries: Expiries::default(),
        })
    }

    /// Whether everybody must show a token.
    pub(super) fn asks_for_tokens(&self) -> bool {
        self.keys.is_some()
    }

    /// WebSockets open now.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Connections of plain HTTP now.
    pub(super) fn http(&self) -> usize {
        self.http
    }

    /// As many as there may be.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Counts a connection among those of plain HTTP, if there is room for it.
    pub(super) fn enter_http(&mut self, entry: &mut Entry) -> bool {
        if !entry.is_http && self.http < self.limits.http {
            entry.is_http = true;
            self.http += 1;
        }
        entry.is_http
    }

    /// Counts a connection among those of plain HTTP no longer.
    pub(super) fn leave_http(&mut self, entry: &mut Entry) {
        self.http -= usize::from(std::mem::take(&mut entry.is_http));
    }

    /// Whether pages of this origin may come in.
    pub(super) fn allows(&self, origin: &Origin) -> bool {
        origin.is_allowed(&self.allow_origin)
    }

    /// Whether there is room for somebody who may come in, and what their token grants.
    pub(super) fn check(
        &self,
        address: IpAddr,
        origin: &Origin,
        shown: Option<&Shown>,
        now: Now,
    ) -> Result<Option<Grant>, CloseReason> {
        // No page can have put it there, whatever a program says of its origin.
        let is_judged_by_token = self.asks_for_tokens() && matches!(shown, Some(Shown::Header(_)));
        if !is_judged_by_token && !self.allows(origin) {
            return Err(CloseReason::ForeignOrigin);
        }
        let is_full_for_peer = (self.open_per_address_max)
            .is_some_and(|max| self.open_per_address.open(address) >= max);
        if is_full_for_peer || self.open >= self.limits.websockets {
            return Err(CloseReason::Full);
        }
        match shown {
            Some(shown) if self.asks_for_tokens() => (self.verify(shown.token(), now))
                .map(Some)
                .map_err(CloseReason::Unauthorized),
            _ => Ok(None),
        }
    }

    /// What a token grants now.
    pub(super) fn verify(&self, token: &Token, now: Now) -> Result<Grant, Refused> {
        match &self.keys {
            Some(keys) => keys.grant(token.text(), (now.unix_ms / 1000.0) as u64),
            None => Err(Refused::NoKey(None)),
        }
    }

    /// Lets somebody in.
    pub(super) fn enter(&mut self, id: ConnectionId, entry: &Entry, now: Now) {
        self.open += 1;
        if self.open_per_address_max.is_some() {
            self.open_per_address.add(entry.peer.ip());
        }
        if self.asks_for_tokens() {
            self.expiries.add(id, entry.authority.grant(), now);
        }
    }

    /// Says that somebody has another token than the one that ended with `before_s`.
    pub(super) fn renew(
        &mut self,
        id: ConnectionId,
        entry: &Entry,
        before_s: Option<u64>,
        now: Now,
    ) {
        self.expiries.remove(id, before_s);
        self.expiries.add(id, entry.authority.grant(), now);
    }

    /// Says that somebody who was let in has gone.
    pub(super) fn leave(&mut self, id: ConnectionId, entry: &Entry) {
        self.open -= 1;
        self.open_per_address.remove(entry.peer.ip());
        let grant = entry.authority.grant();
        self.expiries
            .remove(id, grant.map(|grant| grant.expires_at_s));
    }

    /// Why an open connection may not stay, where tokens are asked for. The clock that `exp` is
    /// meant by decides, though it may jump.
    pub(super) fn why_not_stay(&self, entry: &Entry, now: Now) -> Option<CloseReason> {
        if !self.asks_for_tokens() {
            return None;
        }
        let open_for = entry.connection.open_for(now.monotonic)?;
        let refused = match entry.authority.grant() {
            None if open_for >= TOKEN_TIMEOUT => Refused::Missing,
            Some(grant) if until_expiry(grant.expires_at_s, now).is_zero() => Refused::Expired {
                expired_at_s: grant.expires_at_s,
            },
            _ => return None,
        };
        Some(CloseReason::Unauthorized(refused))
    }

    /// Connections that may have to go now, for want of a token.
    pub(super) fn take_expired(&mut self, now: Now) -> Vec<ConnectionId> {
        self.expiries.take_due(now)
    }

    /// When [`Door::take_expired`] next names somebody.
    pub(super) fn next_deadline(&self, now: Now) -> Option<Instant> {
        self.expiries.next_deadline(now)
    }

    /// Reads the key files again. Those who are in stay until their tokens expire.
    pub(super) fn reload_keys(&mut self) {
        match self.key_flags.reload() {
            Ok(loaded) => {
                warn_of(&loaded.warnings);
                self.keys = loaded.keys;
                info!("reload keys={}", self.keys.as_ref().map_or(0, Keys::len));
            }
            Err(line) => error!("reload error=\"{line}\" keys=unchanged"),
        }
    }
}

/// Tells the operator of key files that should be different.
fn warn_of(warnings: &[String]) {
    for warning in warnings {
        warn!("{warning}");
    }
}

fn until_expiry(expires_at_s: u64, now: Now) -> Duration {
    let left_ms = expires_at_s as f64 * 1000.0 - now.unix_ms;
    Duration::from_secs_f64(left_ms.max(0.0) / 1000.0)
}

/// Until when each connection must have shown a token, or a newer one.
#[derive(Debug, Default)]
struct Expiries {
    /// By the second in which their tokens end.
    with_token: BTreeSet<(u64, ConnectionId)>,
    /// In the order in which they were opened.
    without_token: VecDeque<(Instant, ConnectionId)>,
}

impl Expiries {
    fn add(&mut self, id: ConnectionId, grant: Option<&Grant>, now: Now) {
        match grant {
            Some(grant) => {
                self.with_token.insert((grant.expires_at_s, id));
            }
            None => self
                .without_token
                .push_back((now.monotonic + TOKEN_TIMEOUT, id)),
        }
    }

    /// Forgets a token. Who has shown none is forgotten after the time to show one.
    fn remove(&mut self, id: ConnectionId, expires_at_s: Option<u64>) {
        if let Some(expires_at_s) = expires_at_s {
            self.with_token.remove(&(expires_at_s, id));
        }
    }

    fn take_due(&mut self, now: Now) -> Vec<ConnectionId> {
        let mut due = Vec::new();
        while let Some((expires_at_s, id)) = self.with_token.first().copied()
            && until_expiry(expires_at_s, now).is_zero()
        {
            self.with_token.pop_first();
            due.push(id);
        }
        while let Some((at, id)) = self.without_token.front().copied()
            && at <= now.monotonic
        {
            self.without_token.pop_front();
            due.push(id);
        }
        due
    }

    fn next_deadline(&self, now: Now) -> Option<Instant> {
        let with_token = (self.with_token.first())
            .map(|(expires_at_s, _)| now.monotonic + until_expiry(*expires_at_s, now));
        let without_token = self.without_token.front().map(|(at, _)| *at);
        with_token.into_iter().chain(without_token).min()
    }
}
