//! The server: one loop that owns every socket, the poll and the clock.
//!
//! ```text
//! tick:  wait → grow stale → accept → read → expire → flush → reap
//! ```
//!
//! Whatever goes wrong with a connection comes back to the tick as a [`CloseReason`], and `reap`
//! alone ends connections: nothing that was freed is used again within one batch of events.
//!
//! [protocol]: crate::protocol
//! [tokens]: crate::protocol#tokens
//! [errors]: crate::protocol#errors
//! [close codes]: crate::protocol#close-codes
#![doc = include_str!("README.md")]

mod accept;
mod access;
mod apply;
pub mod close;
mod config;
pub mod connection;
mod connections;
mod demo;
mod drain;
mod ending;
pub mod frames;
pub mod http;
mod input;
mod limits;
mod listen;
pub mod map;
mod marks;
mod metrics;
pub mod origin;
pub mod outbox;
mod output;
mod positions;
mod presence;
mod process;
mod query;
mod rate;
pub mod reader;
pub mod response;

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log::info;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::auth::{Keys, Loaded};
use crate::hub::{Hub, Now};
use crate::position::Bounds;
use close::CloseReason;
pub use config::Config;
use connection::Timeouts;
use connections::{ConnectionId, Connections};
use demo::Demo;
use drain::Drain;
use frames::Frames;
use limits::PerAddress;
use map::Page;
use metrics::Metrics;
use outbox::Gather;
use reader::Reader;

/// Events taken in one tick. A small batch caps what one write can carry.
const EVENTS_MAX: usize = 4096;

/// Messages taken from one connection before others have their turn.
const MESSAGES_PER_TURN_MAX: usize = 64;

/// How often deadlines are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How soon the next look may come, where something is due before.
const SWEEP_INTERVAL_MIN: Duration = Duration::from_millis(20);

/// Frames that may pile up before they are flushed, whatever the flush interval.
const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Positions owed that may pile up before they are flushed, over all connections.
const PUSHES_MAX: usize = 256 * 1024;

const _: () = assert!(usize::BITS == 64, "tokens hold a slot and a serial number");

/// Last known positions forgotten in one tick, so that a million of them delay nobody.
const FORGET_PER_TICK_MAX: usize = 10_000;

/// Token of the signals; the listening sockets come behind it. Connections have no top bit.
const SIGNALS: usize = 1 << 63;

/// Runs the server until it is told to stop. An error is a line for the operator.
pub fn serve(config: Config) -> Result<ExitCode, String> {
    crate::logger::init(config.log_level);
    let mut server = Server::bind(config)?;
    let listening = server
        .addresses()
        .map_err(|error| format!("cannot tell the address: {error}"))?;
    let addresses: Vec<String> = listening.iter().map(SocketAddr::to_string).collect();
    let addresses = addresses.join(", ");
    // Nobody is left to tell when stdout is closed.
    let _ = writeln!(io::stdout(), "listening on {addresses}");
    info!(
        "start version={} listen=\"{addresses}\" max_connections={}",
        env!("CARGO_PKG_VERSION"),
        server.max_connections
    );
    server.warn_if_open();
    server.start_demo(&listening)?;
    let outcome = server
        .run()
        .map_err(|error| format!("the loop cannot go on: {error}"))?;
    info!(
        "stop accepted={} received={} delivered={}",
        server.metrics.accepted,
        server.metrics.positions_received,
        server.metrics.positions_delivered
    );
    Ok(outcome)
}

struct Server {
    poll: Poll,
    signals: Signals,
    listeners: Vec<TcpListener>,
    config: Config,
    /// What tokens are held against; `None` if none are asked for.
    keys: Option<Keys>,
    timeouts: Timeouts,
    bounds: Bounds,
    connections: Connections,
    max_connections: usize,
    /// WebSockets open now.
    open: usize,
    per_address: PerAddress,
    hub: Hub,
    reader: Reader,
    frames: Frames,
    /// Positions owed since the frames were last cleared.
    pushes: usize,
    gather: Gather,
    /// A message being written.
    message: Vec<u8>,
    page: Page,
    metrics: Metrics,
    now: Now,
    /// When the server started, in milliseconds since the start of 1970 UTC.
    started_unix_ms: f64,
    next_sweep: Instant,
    /// When held positions go out, if a flush interval is set.
    next_release: Instant,
    /// Whether the batch of events was full, so that others may have been left for the next.
    more_events: bool,
    /// Whether more last known positions are old than one tick forgets.
    forgetting: bool,
    /// Whether more of them turn stale than one tick takes.
    is_growing_stale: bool,
    /// Whether this turn's last message was so much work that others have their turn now.
    is_turn_over: bool,
    /// Whether connections may wait to be accepted.
    acceptable: bool,
    /// Whether that failed, and was told, since the last sweep.
    accept_failed: bool,
    readable: Vec<ConnectionId>,
    dirty: Vec<ConnectionId>,
    held: Vec<ConnectionId>,
    doomed: Vec<(ConnectionId, CloseReason)>,
    drain: Option<Drain>,
    /// The simulated runners, if any are wanted.
    demo: Option<Demo>,
    stopped: Option<ExitCode>,
}

impl Server {
    fn bind(config: Config) -> Result<Server, String> {
        let Loaded { keys, warnings } = config.keys.load()?;
        access::warn_of(&warnings);
        let max_connections = limits::max_connections(config.max_connections)?;
        demo::check(&config, max_connections)?;
        let poll = Poll::new().map_err(|error| format!("cannot set up epoll: {error}"))?;
        let mut listeners = listen::listen(&config.listen, config.backlog)?;
        let signals = match &keys {
            Some(_) => Signals::new([SIGHUP, SIGINT, SIGTERM]),
            // There is nothing to read again: one ends the process when its terminal is closed.
            None => Signals::new([SIGINT, SIGTERM]),
        };
        let mut signals = signals.map_err(|error| format!("cannot set up signals: {error}"))?;
        let registry = poll.registry();
        registry
            .register(&mut signals, Token(SIGNALS), Interest::READABLE)
            .and_then(|()| {
                listeners
                    .iter_mut()
                    .enumerate()
                    .try_for_each(|(index, listener)| {
                        registry.register(listener, Token(SIGNALS + 1 + index), Interest::READABLE)
                    })
            })
            .map_err(|error| format!("cannot watch sockets: {error}"))?;
        let timeouts = Timeouts {
            handshake: config.handshake_timeout,
            ping_interval: config.ping_interval,
            pong: config.pong_timeout,
            stall: config.stall_timeout,
        };
        let now = read_clocks();
        Ok(Server {
            poll,
            signals,
            listeners,
            keys,
            timeouts,
            bounds: if config.wgs84 {
                Bounds::Wgs84
            } else {
                Bounds::Finite
            },
            connections: Connections::default(),
            max_connections,
            open: 0,
            per_address: PerAddress::default(),
            hub: Hub::new(config.max_runners as usize),
            reader: Reader::new(config.max_message_bytes as usize),
            frames: Frames::default(),
            pushes: 0,
            gather: Gather::default(),
            message: Vec::new(),
            page: Page::new(&config.tiles),
            metrics: Metrics::new(),
            now,
            started_unix_ms: now.unix_ms,
            next_sweep: now.monotonic + SWEEP_INTERVAL,
            next_release: now.monotonic + config.flush_interval,
            more_events: false,
            forgetting: false,
            is_growing_stale: false,
            is_turn_over: false,
            acceptable: false,
            accept_failed: false,
            readable: Vec::new(),
            dirty: Vec::new(),
            held: Vec::new(),
            doomed: Vec::new(),
            drain: None,
            demo: None,
            stopped: None,
            config,
        })
    }

    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    fn run(&mut self) -> io::Result<ExitCode> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            self.wait(&mut events)?;
            self.grow_stale();
            self.accept();
            self.read();
            self.expire();
            self.flush();
            self.reap();
            self.metrics.tick(self.now.monotonic.elapsed());
            if let Some(outcome) = self.stopped {
                return Ok(outcome);
            }
        }
    }

    /// Waits for events, and turns them into connections to read from and to write to.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = self.until_next_step();
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => self.now = read_clocks(),
        }
        self.more_events = events.iter().count() == EVENTS_MAX;
        for event in events.iter() {
            match event.token().0 {
                SIGNALS => self.take_signals(),
                token if token > SIGNALS => self.acceptable = true,
                _ => {
                    let id = ConnectionId::from_token(event.token());
                    let Some(entry) = self.connections.get_mut(id) else {
                        continue;
                    };
                    // With both interests registered, each event about reading says writable too.
                    if event.is_writable() && !entry.connection.outbox.is_empty() {
                        self.mark_dirty(id);
                    }
                    if event.is_readable() || event.is_read_closed() || event.is_error() {
                        self.mark_readable(id, event.is_read_closed() || event.is_error());
                    }
                }
            }
        }
        Ok(())
    }

    fn until_next_step(&self) -> Duration {
        if !self.readable.is_empty()
            || self.acceptable
            || self.forgetting
            || self.is_growing_stale
            || self.hub.has_changes()
        {
            return Duration::ZERO;
        }
        let mut next = self.next_sweep;
        if let Some(deadline) = self.hub.audience_deadline() {
            next = next.min(deadline);
        }
        if !self.held.is_empty() {
            next = next.min(self.next_release);
        }
        if let Some(drain) = &self.drain {
            next = next.min(drain.next_step());
        }
        next.saturating_duration_since(Instant::now())
    }

    fn mark_readable(&mut self, id: ConnectionId, hung_up: bool) {
        let Some(entry) = self.connections.get_mut(id) else {
            return;
        };
        entry.is_hung_up |= hung_up;
        if !std::mem::replace(&mut entry.is_readable, true) {
            self.readable.push(id);
        }
    }

    fn mark_dirty(&mut self, id: ConnectionId) {
        let Some(entry) = self.connections.get_mut(id) else {
            return;
        };
        if !std::mem::replace(&mut entry.is_dirty, true) {
            self.dirty.push(id);
        }
    }
}

fn read_clocks() -> Now {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Now {
        monotonic: Instant::now(),
        unix_ms: since_1970.as_secs_f64() * 1000.0,
    }
}
