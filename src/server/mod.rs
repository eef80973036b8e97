//! The server: one loop that owns every socket, the poll and the clock.
//!
//! ```text
//! tick:  wait → accept → read → expire → flush → reap
//! ```
//!
//! Whatever goes wrong with a connection comes back to the tick as a [`CloseReason`], and `reap`
//! alone ends connections: nothing that was freed is used again within one batch of events.
//!
//! [`CloseReason`]: wire::close::CloseReason
//! [protocol]: crate::protocol
//! [tokens]: crate::protocol#tokens
//! [errors]: crate::protocol#errors
//! [close codes]: crate::protocol#close-codes
#![doc = include_str!("README.md")]

mod answer;
mod apply;
mod config;
mod connections;
mod deliver;
mod door;
mod drain;
pub mod http;
mod metrics;
mod os;
mod outgoing;
pub mod pages;
mod queues;
mod source;
mod tick;
pub mod wire;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use log::{info, warn};
use mio::{Events, Interest, Poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::relay::{Now, Relay};
pub use config::Config;
use connections::Connections;
use door::Door;
use drain::Drain;
use metrics::Metrics;
use os::demo::{self, Demo};
use os::limits;
use os::listen::Listeners;
use outgoing::Outgoing;
use pages::Pages;
use queues::Queues;
use source::Source;
use tick::read_clocks;
use wire::reader::Reader;

/// Events taken in one tick. A small batch caps what one write can carry.
const EVENTS_MAX: usize = 4096;

/// How often the deadlines of all connections are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the server until it is told to stop. An error is a line for the operator.
pub fn serve(config: Config) -> Result<ExitCode, String> {
    crate::logger::init(config.log_level);
    let mut server = Server::bind(config)?;
    let listening = (server.listeners.addresses())
        .map_err(|error| format!("cannot tell the address: {error}"))?;
    let addresses: Vec<String> = listening.iter().map(SocketAddr::to_string).collect();
    let addresses = addresses.join(", ");
    // Nobody is left to tell when stdout is closed.
    let _ = writeln!(io::stdout(), "listening on {addresses}");
    info!(
        "start version={} listen=\"{addresses}\" max_connections={}",
        env!("CARGO_PKG_VERSION"),
        server.door.open_max()
    );
    server.warn_if_open(&listening);
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
    config: Config,
    poll: Poll,
    signals: Signals,
    listeners: Listeners,
    door: Door,
    connections: Connections,
    relay: Relay,
    queues: Queues,
    reader: Reader,
    outgoing: Outgoing,
    pages: Pages,
    metrics: Metrics,
    now: Now,
    next_sweep: Instant,
    /// Whether the batch of events was full, so that others may have been left for the next.
    is_batch_full: bool,
    drain: Option<Drain>,
    /// The simulated runners, if any are wanted.
    demo: Option<Demo>,
    stopped: Option<ExitCode>,
}

impl Server {
    fn bind(config: Config) -> Result<Server, String> {
        let open_max = limits::max_connections(config.max_connections)?;
        let door = Door::new(&config, open_max)?;
        demo::check(&config, open_max)?;
        let poll = Poll::new().map_err(|error| format!("cannot set up epoll: {error}"))?;
        let mut listeners = Listeners::bind(&config.listen, config.backlog)?;
        let mut signals = if door.asks_for_tokens() {
            Signals::new([SIGHUP, SIGINT, SIGTERM])
        } else {
            // There is nothing to read again: one ends the process when its terminal is closed.
            Signals::new([SIGINT, SIGTERM])
        }
        .map_err(|error| format!("cannot set up signals: {error}"))?;
        register(&poll, &mut signals, &mut listeners)
            .map_err(|error| format!("cannot watch sockets: {error}"))?;
        let now = read_clocks();
        Ok(Server {
            poll,
            signals,
            listeners,
            connections: Connections::default(),
            relay: Relay::new(config.rules(door.asks_for_tokens())),
            door,
            queues: Queues::new(config.flush_interval, now.monotonic),
            reader: Reader::new(config.max_message_bytes as usize),
            outgoing: Outgoing::default(),
            pages: Pages::new(&config.tiles),
            metrics: Metrics::new(now.unix_ms),
            now,
            next_sweep: now.monotonic + SWEEP_INTERVAL,
            is_batch_full: false,
            drain: None,
            demo: None,
            stopped: None,
            config,
        })
    }

    fn run(&mut self) -> io::Result<ExitCode> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            self.wait(&mut events)?;
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

    /// Tells the operator once if everybody on a network may do everything.
    fn warn_if_open(&self, listening: &[SocketAddr]) {
        let open = (listening.iter()).find(|address| !address.ip().to_canonical().is_loopback());
        if let Some(address) = open.filter(|_| !self.door.asks_for_tokens()) {
            warn!(
                "no authentication on {address}: whoever reaches it may send positions of anybody \
                 and follow everybody; see --jwt-hs256-secret-file and --jwt-public-key-file"
            );
        }
    }
}

/// Has events of the signals and the listening sockets reported.
fn register(poll: &Poll, signals: &mut Signals, listeners: &mut Listeners) -> io::Result<()> {
    let registry = poll.registry();
    registry.register(signals, Source::Signals.token(), Interest::READABLE)?;
    for (index, socket) in listeners.sockets.iter_mut().enumerate() {
        let token = Source::Listener(index).token();
        registry.register(socket, token, Interest::READABLE)?;
    }
    Ok(())
}
