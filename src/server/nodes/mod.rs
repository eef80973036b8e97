//! The bus as the server has it: the sockets of the engines, and what goes through them. Hands on
//! what other nodes tell as [`Told`], and must never know connections, nor what the relay makes of it.
//!
//! A position goes out at once, before its tick ends; what finds no room, or no engine, is owed: one
//! mark per user, and what is owed then is the newest.

pub(super) mod access;
pub(super) mod address;
mod answers;
mod attendance;
mod counts;
mod distrust;
mod engine;
mod everyone;
mod hearing;
mod lookup;
mod peers;
mod questions;
mod resync;
mod socket;
mod telling;
mod timed;
mod told;
mod topic;
mod topics;
mod turning;
mod words;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use mio::{Registry, Token};
use ring::rand::{SecureRandom, SystemRandom};

use crate::bus::{Names, Node, Stamp};
use crate::relay::Now;
use crate::server::config::Config;
use crate::server::memory::topics_max;
use crate::server::source::Source;
use access::Access;
pub(super) use counts::{Counts, Health};
use engine::{Changed, Engine};
use everyone::Seeking;
use peers::Peers;
pub(super) use told::Told;
pub(super) use topic::Word;
use topics::Topics;

/// Positions are kept for this long at least, so that a node of short memory does not empty the
/// engine for the others.
const KEPT_MIN: Duration = Duration::from_secs(1);

/// This node among others.
#[derive(Debug)]
pub(super) struct Nodes {
    node: Node,
    names: Names,
    engines: Vec<Engine>,
    topics: Topics,
    peers: Peers,
    access: Access,
    /// How long a position is kept.
    forget_after: Duration,
    sequence: u64,
    heartbeat_at: Instant,
    /// How many follow everyone here.
    everyone: i64,
    seeking: Seeking,
    /// Most points of a trail, if there are trails.
    trail_max: usize,
    told: VecDeque<Told>,
    pub(super) counts: Counts,
    /// Room to write in.
    scratch: Scratch,
}

/// Room for names and messages.
#[derive(Debug, Default)]
struct Scratch {
    key: String,
    channel: String,
    payload: Vec<u8>,
}

impl Nodes {
    /// The nodes that the flags name engines for; nothing if they name none.
    ///
    /// # Errors
    /// A line for the operator.
    pub(super) fn new(
        config: &Config,
        access: Access,
        now: Instant,
    ) -> Result<Option<Nodes>, String> {
        if config.bus.is_empty() {
            return Ok(None);
        }
        let names = Names::new(&config.bus_prefix).ok_or("--bus-prefix: this is no prefix")?;
        let mut chance = [0; 8];
        SystemRandom::new()
            .fill(&mut chance)
            .map_err(|_| "the system has no random numbers".to_owned())?;
        let node = Node::new(&BASE64URL_NOPAD.encode(&chance));
        let seed = u64::from_be_bytes(chance);
        let out_bytes_max = usize::try_from(config.bus_out_buffer).unwrap_or(usize::MAX);
        let engines = config
            .bus
            .iter()
            .map(|address| Engine::new(address.clone(), names.clone(), out_bytes_max, seed, now));
        let engines: Vec<Engine> = engines.collect();
        Ok(Some(Nodes {
            node: node.expect("8 bytes are 11 characters that are safe in a URL"),
            names,
            topics: Topics::new(engines.len(), topics_max(config) as usize),
            seeking: Seeking::new(engines.len(), now),
            trail_max: config.trail as usize,
            engines,
            peers: Peers::default(),
            access,
            forget_after: config.forget_after.max(KEPT_MIN),
            sequence: 0,
            heartbeat_at: now,
            everyone: 0,
            told: VecDeque::new(),
            counts: Counts::default(),
            scratch: Scratch::default(),
        }))
    }

    /// Notes an event of an engine's socket.
    pub(super) fn note_event(&mut self, engine: usize, is_hung_up: bool) {
        if let Some(engine) = self.engines.get_mut(engine) {
            engine.note_event(is_hung_up);
        }
    }

    /// Reads what came from all engines, and does what is due by now.
    pub(super) fn read(&mut self, registry: &Registry, now: Now) {
        for index in 0..self.engines.len() {
            let token = token(index);
            let engine = &mut self.engines[index];
            if !engine.is_due(now.monotonic) {
                continue;
            }
            let access = &mut self.access;
            engine.read(self.node, access, registry, token, now.monotonic);
            self.hear(index, now);
            self.look_after(index, now);
            let engine = &mut self.engines[index];
            if engine.resync.take_due(now.monotonic) {
                self.topics.lose(index);
            }
            if engine.is_to_connect(now.monotonic) {
                engine.connect(registry, token, now.monotonic);
            }
        }
        self.look_after_everyone(now);
        self.topics.end_pauses(now.monotonic);
        while let Some(topic) = self.topics.next_left(now.monotonic) {
            self.leave(&topic);
        }
        while let Some(id) = self.topics.next_late(now.monotonic) {
            self.told.push_back(Told::Read(id));
        }
    }

    /// Takes note of what became of an engine.
    fn look_after(&mut self, index: usize, now: Now) {
        match self.engines[index].tick(now.monotonic) {
            None => {}
            Some(Changed::Down) => {
                self.topics.lose(index);
                self.seeking.asked = 0;
            }
            Some(Changed::Up) => {
                self.topics.lose(index);
                self.peers.listen_again();
                if self.topics.have_everyone() {
                    self.seeking.begin(index);
                }
                self.begin(index, now);
            }
        }
    }

    /// What was told next.
    pub(super) fn next_told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    /// Whether all engines are there.
    pub(super) fn are_well(&self) -> bool {
        self.engines.iter().all(|engine| engine.link.is_up())
    }

    /// What there is to measure now.
    pub(super) fn health(&self) -> Health {
        Health {
            engines: (self.engines.iter())
                .map(|engine| (engine.address().to_string(), engine.link.is_up()))
                .collect(),
            subscriptions: self.topics.len(),
            pending_bytes: (self.engines.iter())
                .map(|engine| engine.link.pending_bytes())
                .sum(),
            nodes: self.peers.count() + 1,
            reconnects: self.engines.iter().map(|engine| engine.reconnects).sum(),
            passed_over: (self.engines.iter()).map(Engine::passed_over).sum(),
        }
    }

    /// Ends the connections to all engines.
    pub(super) fn hang_up(&mut self) {
        self.engines.iter_mut().for_each(Engine::hang_up);
    }

    /// When there is something to do if nothing happens until then.
    pub(super) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let engines = self.engines.iter().enumerate();
        let engines = engines.filter_map(|(index, engine)| {
            let is_to_be_read =
                self.topics.is_unread(index) || !self.seeking.parts[index].is_empty();
            let may_read = is_to_be_read && engine.may_be_asked();
            // With more in it, the socket takes no more and will say when it does.
            let is_ready = engine.link.is_up() && engine.link.pending_bytes() == 0;
            match is_ready && (may_read || self.topics.is_owing(index)) || engine.has_events() {
                true => Some(now),
                false => engine.deadline(),
            }
        });
        let told = (!self.told.is_empty()).then_some(now);
        engines
            .chain(told)
            .chain(self.topics.next_deadline())
            .chain([self.heartbeat_at, self.everyone_deadline(now)])
            .min()
    }

    /// The stamp of what is said now.
    fn next_stamp(&mut self, now: Now) -> Stamp {
        self.sequence += 1;
        Stamp {
            received_ms: now.unix_ms as u64,
            node: self.node,
            sequence: self.sequence,
        }
    }
}

fn token(engine: usize) -> Token {
    Source::Bus(engine).token()
}
