//! The server: one loop that owns every socket, the poll and the clock.
//!
//! ```text
//! tick:  wait → accept → read → expire → flush → reap
//! ```
//!
//! Whatever goes wrong with a connection comes back to the tick as a [`CloseReason`], and `reap`
//! alone ends connections: nothing that was freed is used again within one batch of events.

mod apply;
pub mod close;
mod config;
pub mod connection;
pub mod connections;
pub mod drain;
pub mod http;
pub mod listen;
pub mod metrics;
pub mod outbox;
pub mod reader;

use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log::{debug, info, warn};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::hub::{Hub, Now};
use crate::position::Bounds;
use close::CloseReason;
pub use config::Config;
use connection::{Due, Input, Timeouts};
use connections::{ConnectionId, Connections};
use drain::Drain;
use http::{Request, Response, Route};
use metrics::{Gauges, Metrics};
use outbox::{Frames, Gather};
use reader::Reader;

/// Events taken in one tick. A small batch caps what one write can carry.
const EVENTS_MAX: usize = 4096;

/// Connections accepted in one tick, so that a storm of them delays the others by little.
const ACCEPTS_PER_TICK_MAX: usize = 64;

/// Messages taken from one connection before others have their turn.
const MESSAGES_PER_TURN_MAX: usize = 64;

/// How often deadlines are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Frames that may pile up before they are flushed, whatever the flush interval.
const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Token of the signals; the listening sockets come behind it. Connections have no top bit.
const SIGNALS: usize = 1 << 63;

/// Runs the server until it is told to stop. An error is a line for the operator.
pub fn serve(config: Config) -> Result<ExitCode, String> {
    crate::logger::init(config.log_level);
    let mut server = Server::bind(config)?;
    let addresses = server.addresses().map_err(|error| format!("cannot tell the address: {error}"))?.join(", ");
    // Nobody is left to tell when stdout is closed.
    let _ = writeln!(io::stdout(), "listening on {addresses}");
    info!("start version={} listen=\"{addresses}\"", env!("CARGO_PKG_VERSION"));
    let outcome = server.run().map_err(|error| format!("the loop cannot go on: {error}"))?;
    info!(
        "stop accepted={} received={} delivered={}",
        server.metrics.accepted, server.metrics.positions_received, server.metrics.positions_delivered
    );
    Ok(outcome)
}

struct Server {
    poll: Poll,
    signals: Signals,
    listeners: Vec<TcpListener>,
    config: Config,
    timeouts: Timeouts,
    bounds: Bounds,
    connections: Connections,
    hub: Hub,
    reader: Reader,
    frames: Frames,
    gather: Gather,
    /// A message being written.
    message: Vec<u8>,
    metrics: Metrics,
    now: Now,
    next_sweep: Instant,
    /// When held positions go out, if a flush interval is set.
    next_release: Instant,
    /// Whether connections may wait to be accepted.
    acceptable: bool,
    readable: Vec<ConnectionId>,
    dirty: Vec<ConnectionId>,
    held: Vec<ConnectionId>,
    doomed: Vec<(ConnectionId, CloseReason)>,
    drain: Option<Drain>,
    stopped: Option<ExitCode>,
}

impl Server {
    fn bind(config: Config) -> Result<Server, String> {
        let poll = Poll::new().map_err(|error| format!("cannot set up epoll: {error}"))?;
        let mut listeners = listen::listen(&config.listen, config.backlog)?;
        let mut signals =
            Signals::new([SIGINT, SIGTERM]).map_err(|error| format!("cannot set up signals: {error}"))?;
        let registry = poll.registry();
        registry
            .register(&mut signals, Token(SIGNALS), Interest::READABLE)
            .and_then(|()| {
                listeners.iter_mut().enumerate().try_for_each(|(index, listener)| {
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
            timeouts,
            bounds: if config.wgs84 { Bounds::Wgs84 } else { Bounds::Finite },
            connections: Connections::default(),
            hub: Hub::new(config.max_runners as usize),
            reader: Reader::new(config.max_message_bytes as usize),
            frames: Frames::default(),
            gather: Gather::default(),
            message: Vec::new(),
            metrics: Metrics::default(),
            now,
            next_sweep: now.monotonic + SWEEP_INTERVAL,
            next_release: now.monotonic + config.flush_interval,
            acceptable: false,
            readable: Vec::new(),
            dirty: Vec::new(),
            held: Vec::new(),
            doomed: Vec::new(),
            drain: None,
            stopped: None,
            config,
        })
    }

    fn addresses(&self) -> io::Result<Vec<String>> {
        self.listeners.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect()
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

    /// Waits for events, and turns them into connections to read from and to write to.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = self.until_next_step();
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => self.now = read_clocks(),
        }
        for event in events.iter() {
            match event.token().0 {
                SIGNALS => self.take_signals(),
                token if token > SIGNALS => self.acceptable = true,
                _ => {
                    let id = ConnectionId::from_token(event.token());
                    let Some(entry) = self.connections.get_mut(id) else { continue };
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
        if !self.readable.is_empty() || self.acceptable {
            return Duration::ZERO;
        }
        let mut next = self.next_sweep;
        if !self.held.is_empty() {
            next = next.min(self.next_release);
        }
        if let Some(drain) = &self.drain {
            next = next.min(drain.next_step());
        }
        next.saturating_duration_since(Instant::now())
    }

    fn take_signals(&mut self) {
        for signal in self.signals.pending() {
            if self.drain.is_some() {
                warn!("second signal={signal} open={}", self.metrics.open);
                self.stopped = Some(ExitCode::FAILURE);
                continue;
            }
            info!("drain signal={signal} open={} longest_s={}", self.metrics.open, self.config.drain.as_secs());
            self.listeners.clear();
            self.acceptable = false;
            let open = self.connections.iter_mut().filter(|(_, entry)| entry.connection.is_open());
            let ids = open.map(|(id, _)| id).collect();
            self.drain = Some(Drain::new(ids, self.now.monotonic, self.config.drain));
        }
    }

    /// Accepts what waits, within this tick's budget.
    fn accept(&mut self) {
        let mut budget = ACCEPTS_PER_TICK_MAX;
        let mut more = self.acceptable;
        while more && budget > 0 {
            more = false;
            for listener in &self.listeners {
                match listener.accept() {
                    Ok((stream, peer)) => {
                        more = true;
                        budget = budget.saturating_sub(1);
                        self.metrics.accepted += 1;
                        let registry = self.poll.registry();
                        let interests = Interest::READABLE | Interest::WRITABLE;
                        let registered = self.connections.insert(stream, peer, self.now.monotonic, |stream, token| {
                            registry.register(stream, token, interests)
                        });
                        if let Err(error) = registered {
                            warn!("accept peer={peer} error=\"{error}\"");
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) if error.kind() == ErrorKind::ConnectionAborted => more = true,
                    // Out of descriptors or memory: the next sweep tries again.
                    Err(error) => warn!("accept error=\"{error}\""),
                }
            }
        }
        self.acceptable = more;
    }

    /// Gives each connection with input one turn.
    fn read(&mut self) {
        for id in std::mem::take(&mut self.readable) {
            let Some(entry) = self.connections.get_mut(id) else { continue };
            entry.is_readable = false;
            entry.connection.begin_turn(&mut self.reader);
            let outcome = self.read_turn(id);
            self.metrics.bytes_received += self.reader.turn_bytes();
            let Some(entry) = self.connections.get_mut(id) else { continue };
            entry.connection.end_turn(&mut self.reader);
            // Answers of the connection itself: pongs, refused requests.
            let owes = !entry.connection.outbox.is_empty() && !entry.connection.outbox.is_behind();
            match outcome {
                Ok(Input::TurnOver) => self.mark_readable(id, false),
                Ok(_) => {}
                Err(reason) => self.doom(id, reason),
            }
            if owes {
                self.mark_dirty(id);
            }
            if self.frames.bytes_len() > FRAME_BYTES_MAX {
                self.release();
                self.flush();
            }
        }
    }

    fn read_turn(&mut self, id: ConnectionId) -> Result<Input, CloseReason> {
        for _ in 0..MESSAGES_PER_TURN_MAX {
            let Some(entry) = self.connections.get_mut(id) else { return Ok(Input::Blocked) };
            match entry.connection.read(&mut self.reader, entry.is_hung_up, self.now.monotonic)? {
                Input::Text(text) => {
                    entry.received += 1;
                    self.apply(id, &text)?;
                }
                Input::Request(request) => self.answer(id, request),
                input => return Ok(input),
            }
        }
        Ok(Input::TurnOver)
    }

    fn answer(&mut self, id: ConnectionId, request: Request) {
        let Some(entry) = self.connections.get_mut(id) else { return };
        let now = self.now.monotonic;
        match request {
            Request::Upgrade { accept } => {
                debug!("open id={} peer={}", id.serial(), entry.peer);
                entry.connection.upgrade(&accept, now);
                self.metrics.open += 1;
                if let Some(drain) = &mut self.drain {
                    drain.add(id);
                }
            }
            Request::Plain { route, head_only } => {
                debug!("request id={} peer={} route={route:?}", id.serial(), entry.peer);
                let response = match route {
                    Route::Healthz => Response::text("200 OK", "ok"),
                    Route::Readyz if self.drain.is_some() => Response::text("503 Service Unavailable", "draining"),
                    Route::Readyz => Response::text("200 OK", "ready"),
                    Route::Metrics => {
                        Response::metrics(self.metrics.render(Gauges { follows: self.hub.follows_total() }))
                    }
                };
                entry.connection.reply(&response.head_only(head_only), now);
            }
        }
    }

    /// Does what is due by time: deadlines, forgetting, the steps of a drain.
    fn expire(&mut self) {
        let now = self.now.monotonic;
        if let Some(drain) = &mut self.drain {
            for id in drain.due(now) {
                if let Some(entry) = self.connections.get_mut(id) {
                    entry.connection.leave(CloseReason::Restarting, now);
                    self.mark_dirty(id);
                }
            }
        }
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now + SWEEP_INTERVAL;
        // A connection that could not be accepted may be by now.
        self.acceptable = !self.listeners.is_empty();
        for (id, entry) in self.connections.iter_mut() {
            match entry.connection.expire(&self.timeouts, now) {
                Ok(Due::Nothing) => {}
                Ok(Due::Flush) if entry.is_dirty => {}
                Ok(Due::Flush) => {
                    entry.is_dirty = true;
                    self.dirty.push(id);
                }
                Err(_) if entry.is_doomed => {}
                Err(reason) => {
                    entry.is_doomed = true;
                    self.doomed.push((id, reason));
                }
            }
        }
        self.connections.shrink();
        if let Some(time) = now.checked_sub(self.config.forget_after) {
            self.hub.forget_before(time);
        }
    }

    /// Sends what is owed: one write for each connection that is owed something.
    fn flush(&mut self) {
        if self.now.monotonic >= self.next_release {
            self.release();
        }
        for id in std::mem::take(&mut self.dirty) {
            let Some(entry) = self.connections.get_mut(id) else { continue };
            entry.is_dirty = false;
            if let Err(reason) = self.flush_connection(id) {
                self.doom(id, reason);
            }
        }
        if self.held.is_empty() {
            self.frames.clear();
        }
    }

    /// Lets held positions go with the next flush.
    fn release(&mut self) {
        self.next_release = self.now.monotonic + self.config.flush_interval;
        for id in std::mem::take(&mut self.held) {
            if let Some(entry) = self.connections.get_mut(id) {
                entry.is_held = false;
            }
            self.mark_dirty(id);
        }
    }

    fn flush_connection(&mut self, id: ConnectionId) -> Result<(), CloseReason> {
        let Some(entry) = self.connections.get_mut(id) else { return Ok(()) };
        let (hub, now) = (&self.hub, self.now.monotonic);
        let message = &mut self.message;
        let newest = |slot: u32, with_age: bool, out: &mut Vec<u8>| match hub.newest(id.slot(), slot, now) {
            None => false,
            Some((position, age)) => {
                apply::append_newest(position, with_age.then_some(age), message, out);
                true
            }
        };
        let flushed = entry.connection.flush(&self.frames, entry.is_held, &mut self.gather, newest, now)?;
        entry.sent += flushed.positions as u64;
        self.metrics.bytes_sent += flushed.bytes as u64;
        self.metrics.positions_delivered += flushed.positions as u64;
        self.metrics.positions_conflated += flushed.conflated as u64;
        let left = entry.connection.has_left();
        if entry.connection.is_finished(now) {
            // The peer's reset would be found by the next read.
            let _ = entry.connection.stream_mut().shutdown(Shutdown::Write);
            self.mark_readable(id, true);
        }
        if let Some(reason) = left {
            self.doom(id, reason);
        }
        Ok(())
    }

    /// Ends connections. Nothing else does.
    fn reap(&mut self) {
        for (id, reason) in std::mem::take(&mut self.doomed) {
            let Some(entry) = self.connections.get_mut(id) else { continue };
            entry.is_doomed = false;
            if entry.connection.is_open() {
                self.hub.leave(id.slot());
                self.metrics.open -= 1;
            }
            if entry.connection.close(reason, self.now.monotonic) && self.flush_connection(id).is_ok() {
                continue;
            }
            self.remove(id, reason);
        }
        if let Some(drain) = &self.drain {
            let over = drain.is_over(self.now.monotonic);
            if over || self.connections.iter_mut().all(|(_, entry)| entry.connection.is_handshaking()) {
                self.stopped = self.stopped.or(Some(ExitCode::SUCCESS));
            }
        }
    }

    fn remove(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(mut entry) = self.connections.remove(id) else { return };
        // A descriptor leaves epoll when it is closed; deregistering tells mio so.
        let _ = self.poll.registry().deregister(entry.connection.stream_mut());
        let reason = entry.connection.ending().unwrap_or(reason);
        *self.metrics.closed.entry(reason.word()).or_default() += 1;
        info!(
            "close id={} peer={} reason={} open_s={:.1} received={} sent={}",
            id.serial(),
            entry.peer,
            reason.word(),
            self.now.monotonic.saturating_duration_since(entry.accepted_at).as_secs_f64(),
            entry.received,
            entry.sent
        );
    }

    /// Ends the connection with this tick; the first reason counts.
    fn doom(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(entry) = self.connections.get_mut(id) else { return };
        if !std::mem::replace(&mut entry.is_doomed, true) {
            self.doomed.push((id, reason));
        }
    }

    fn mark_readable(&mut self, id: ConnectionId, hung_up: bool) {
        let Some(entry) = self.connections.get_mut(id) else { return };
        entry.is_hung_up |= hung_up;
        if !std::mem::replace(&mut entry.is_readable, true) {
            self.readable.push(id);
        }
    }

    fn mark_dirty(&mut self, id: ConnectionId) {
        let Some(entry) = self.connections.get_mut(id) else { return };
        if !std::mem::replace(&mut entry.is_dirty, true) {
            self.dirty.push(id);
        }
    }
}

fn read_clocks() -> Now {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { monotonic: Instant::now(), unix_ms: since_1970.as_secs_f64() * 1000.0 }
}
