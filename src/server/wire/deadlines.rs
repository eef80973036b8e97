//! When a connection has taken too long over something, and what is done then. No timer of its own:
//! a deadline follows from its state.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::close::CloseReason;
use super::connection::{Connection, Phase};
use super::receiving::Receiving;

/// How long the peer of an HTTP answer may take none of it.
const REPLY_STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection is kept between two requests.
const REST_TIMEOUT: Duration = Duration::from_secs(60);

/// How long it may leave the connection open once it is sent.
const REPLY_LINGER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a closing handshake may take: from our close frame to the peer's end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Empty ping frame (RFC 6455, 5.5.2).
const PING: [u8; 2] = [0x89, 0x00];

/// How long a connection may take over things.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From accept to the end of the request head.
    pub handshake: Duration,
    /// Longest silence before a ping. Below the minute or so after which proxies drop a quiet
    /// connection.
    pub ping_interval: Duration,
    /// From a ping to the next byte from the peer.
    pub pong: Duration,
    /// Longest time in which a peer takes nothing of what it is owed.
    pub stall: Duration,
}

impl<S: Read + Write> Connection<S> {
    /// When something is to happen if nothing else does before.
    pub fn deadline(&self, timeouts: &Timeouts) -> Instant {
        match self.phase {
            // One whose request waits for us has all the time that we need.
            Phase::Asking => self.since + timeouts.handshake.max(REST_TIMEOUT),
            Phase::Handshaking => self.since + timeouts.handshake,
            Phase::Receiving => {
                let earned =
                    (self.receiving.as_deref()).map_or(Duration::ZERO, Receiving::earned_time);
                self.since + timeouts.handshake + earned
            }
            Phase::Resting => self.since + REST_TIMEOUT,
            Phase::Answering | Phase::Finishing(CloseReason::Answered) => {
                self.since + REPLY_STALL_TIMEOUT
            }
            Phase::Lingering(CloseReason::Answered) => self.since + REPLY_LINGER_TIMEOUT,
            Phase::Finishing(_) | Phase::Lingering(_) => self.since + CLOSE_TIMEOUT,
            // A ping would wait behind what the socket does not take.
            Phase::Open | Phase::Leaving(_) => match (self.blocked_since, self.pinged_at) {
                (Some(blocked_since), _) => blocked_since + timeouts.stall,
                (None, Some(pinged_at)) => pinged_at + timeouts.pong,
                (None, None) => self.heard_at + timeouts.ping_interval,
            },
        }
    }

    /// Does what is due by now, and says whether something is to be flushed for that. Gives back
    /// unused room.
    pub fn expire(&mut self, timeouts: &Timeouts, now: Instant) -> Result<bool, CloseReason> {
        self.outbox.shrink();
        if now < self.deadline(timeouts) {
            return Ok(false);
        }
        match self.phase {
            Phase::Asking => Ok(false),
            Phase::Handshaking => Err(CloseReason::HandshakeTimeout),
            Phase::Receiving => Err(CloseReason::BodyTimeout),
            Phase::Resting | Phase::Answering => Err(CloseReason::Answered),
            Phase::Finishing(reason) | Phase::Lingering(reason) => Err(reason),
            Phase::Open | Phase::Leaving(_) => {
                if self.blocked_since.is_some() {
                    return Err(CloseReason::Stalled);
                }
                if self.pinged_at.is_some() {
                    return Err(CloseReason::NoPong);
                }
                self.outbox.push_wire(&PING);
                self.pinged_at = Some(now);
                Ok(true)
            }
        }
    }
}
