//! The load's connections: one thread, one poll, and as little work for each delivery as goes, so
//! that the server and not the load is what a run measures.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::connection::{Brought, Connection, Nobody, Sink, State};
use crate::line::Line;
use crate::secure::Secrecy;
use crate::wire::{PING, TEXT};

/// Handshakes under way at the same time.
const HANDSHAKES_MAX: usize = 64;

/// Silence of the server after which a run is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Longer than a server takes from its last write to its next wait.
const REST: Duration = Duration::from_millis(20);

const READ_BYTES_MAX: usize = 256 * 1024;

/// The first port that connections come from.
const FIRST_PORT: u16 = 20_000;

/// Runs so far: each comes from an address of its own.
static RUNS: AtomicU8 = AtomicU8::new(0);

/// How much the kernel takes in for a connection that is not read from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receiving {
    Usual,
    /// A small receive buffer and segments of a real network, so that the kernel holds little.
    Narrow,
}

/// What the connections saw so far.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) reads: u64,
    pongs: usize,
    open: usize,
    /// Of these, TLS sessions that an earlier one made cheaper.
    pub(crate) resumed: usize,
    pub(crate) closed: usize,
    /// The first message that is no position, or the first close.
    pub(crate) unexpected: Option<String>,
}

pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    source: Ipv4Addr,
    next_port: u16,
    /// When its clock began.
    pub(crate) began: Instant,
    /// How long it took until all were open.
    pub(crate) handshaking: Duration,
    pub(crate) tally: Tally,
}

impl Crowd {
    /// Opens one WebSocket for each of `sockets`.
    pub(crate) fn connect(server: SocketAddr, sockets: &[Receiving]) -> Result<Crowd, String> {
        Crowd::connect_by(None, &vec![server; sockets.len()], sockets)
    }

    /// The same to a server each, by TLS if it is said how.
    pub(crate) fn connect_by(
        secrecy: Option<&Secrecy>,
        servers: &[SocketAddr],
        sockets: &[Receiving],
    ) -> Result<Crowd, String> {
        let mut crowd = Crowd {
            poll: Poll::new().map_err(|error| format!("epoll: {error}"))?,
            events: Events::with_capacity(4096),
            connections: Vec::with_capacity(sockets.len()),
            buffer: vec![0; READ_BYTES_MAX],
            source: Ipv4Addr::new(
                127,
                64,
                std::process::id() as u8,
                RUNS.fetch_add(1, Ordering::Relaxed),
            ),
            next_port: FIRST_PORT,
            began: Instant::now(),
            handshaking: Duration::ZERO,
            tally: Tally::default(),
        };
        let mut progress = (0, Instant::now());
        while crowd.tally.open < sockets.len() {
            let begun = crowd.connections.len();
            let to = sockets.len().min(crowd.tally.open + HANDSHAKES_MAX);
            for (&server, &receiving) in servers.iter().zip(sockets).take(to).skip(begun) {
                let socket = crowd.begin(server, receiving);
                let socket = socket.map_err(|error| format!("connect: {error}"))?;
                let line = Line::new(socket, secrecy)?;
                crowd.connections.push(Connection::new(line));
            }
            crowd.pump(Duration::from_millis(1), &mut Nobody)?;
            if crowd.tally.open > progress.0 {
                progress = (crowd.tally.open, Instant::now());
            }
            if crowd.tally.closed > 0 || progress.1.elapsed() > PATIENCE {
                return Err(format!(
                    "{} of {} handshakes done, then {}",
                    crowd.tally.open,
                    sockets.len(),
                    crowd.tally.unexpected.as_deref().unwrap_or("silence")
                ));
            }
        }
        crowd.handshaking = crowd.began.elapsed();
        Ok(crowd)
    }

    fn begin(&mut self, server: SocketAddr, receiving: Receiving) -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if receiving == Receiving::Narrow {
            socket.set_recv_buffer_size(8 * 1024)?;
            socket.set_tcp_mss(1400)?;
        }
        // With thousands open, the kernel's own search for a free port costs more than the rest.
        socket.set_reuse_address(true)?;
        loop {
            let from = SocketAddr::from((self.source, self.next_port));
            self.next_port = self.next_port.checked_add(1).ok_or(ErrorKind::AddrInUse)?;
            match socket.bind(&from.into()) {
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                bound => break bound?,
            }
        }
        // EINPROGRESS; a refusal shows as an event.
        let _ = socket.connect(&server.into());
        let mut stream = TcpStream::from_std(socket.into());
        self.poll.registry().register(
            &mut stream,
            Token(self.connections.len()),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        Ok(stream)
    }

    /// How often the kernel took something from any of them.
    pub(crate) fn writes(&self) -> u64 {
        let connections = self.connections.iter();
        connections.map(|connection| connection.line.writes).sum()
    }

    /// Nanoseconds since the first connection.
    pub(crate) fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Handles what arrives within `timeout`.
    pub(crate) fn pump(&mut self, timeout: Duration, sink: &mut impl Sink) -> Result<(), String> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                return Err(format!("epoll: {error}"));
            }
            _ => {}
        }
        for event in &self.events {
            let index = event.token().0;
            let connection = &mut self.connections[index];
            if event.is_writable() {
                if connection.state == State::Connecting && !event.is_error() {
                    connection.begin();
                }
                connection.write();
            }
            let hung_up = event.is_read_closed() || event.is_error();
            if (event.is_readable() || hung_up) && !connection.is_paused {
                let brought = connection.read(index, hung_up, &mut self.buffer, self.began, sink);
                self.tally.add(index, brought);
            }
        }
        Ok(())
    }

    /// Sends a text message, in a write(2) of its own as a phone would.
    pub(crate) fn send(&mut self, connection: usize, message: &[u8]) {
        self.connections[connection].send(TEXT, message);
    }

    /// Sends a text message but for its last byte, and returns when the kernel has taken that.
    pub(crate) fn send_all_but_the_end(
        &mut self,
        connection: usize,
        message: &[u8],
    ) -> Result<(), String> {
        self.connections[connection].send_all_but_the_end(message);
        let began = Instant::now();
        while !self.connections[connection].is_written() {
            if began.elapsed() > PATIENCE {
                return Err(format!("connection {connection}: the server does not read"));
            }
            self.pump(Duration::from_millis(1), &mut Nobody)?;
        }
        Ok(())
    }

    /// Sends all the bytes that were kept back, and says how many.
    pub(crate) fn send_ends(&mut self) -> usize {
        let connections = self.connections.iter_mut();
        connections
            .map(Connection::send_end)
            .filter(|&sent| sent)
            .count()
    }

    /// Returns when the server has handled all that was sent: a pong for a ping on every
    /// connection says so.
    pub(crate) fn barrier(&mut self, sink: &mut impl Sink) -> Result<(), String> {
        let wanted = self.tally.pongs + self.connections.len();
        for connection in &mut self.connections {
            connection.send(PING, b"");
        }
        let mut progress = (self.tally.pongs, Instant::now());
        while self.tally.pongs < wanted {
            self.pump(Duration::from_millis(1), sink)?;
            if self.tally.pongs > progress.0 {
                progress = (self.tally.pongs, Instant::now());
            }
            if self.tally.closed > 0 || progress.1.elapsed() > PATIENCE {
                let missing = wanted - self.tally.pongs;
                return Err(format!(
                    "{missing} connections do not answer a ping; first oddity: {}",
                    self.tally.unexpected.as_deref().unwrap_or("none")
                ));
            }
        }
        Ok(())
    }

    /// Lets a moment pass in which the server goes to sleep: its time on the CPU is exact then.
    pub(crate) fn rest(&mut self, sink: &mut impl Sink) -> Result<(), String> {
        self.rest_for(REST, sink)
    }

    /// Lets so much time pass.
    pub(crate) fn rest_for(&mut self, time: Duration, sink: &mut impl Sink) -> Result<(), String> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.pump(left, sink)?;
        }
        Ok(())
    }

    /// Stops reading from a connection.
    pub(crate) fn pause(&mut self, index: usize) {
        self.connections[index].is_paused = true;
    }

    /// Reads again.
    pub(crate) fn resume(&mut self, index: usize, sink: &mut impl Sink) {
        let connection = &mut self.connections[index];
        connection.is_paused = false;
        let brought = connection.read(index, true, &mut self.buffer, self.began, sink);
        self.tally.add(index, brought);
    }

    /// Closes a connection without a word.
    pub(crate) fn hang_up(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        connection.state = State::Closed;
        let _ = connection.line.socket.shutdown(std::net::Shutdown::Both);
    }
}

impl Drop for Crowd {
    /// Ends with resets, so that no port waits for late segments while the next run needs it.
    fn drop(&mut self) {
        for connection in &self.connections {
            let _ =
                socket2::SockRef::from(&connection.line.socket).set_linger(Some(Duration::ZERO));
        }
    }
}

impl Tally {
    fn add(&mut self, index: usize, brought: Brought) {
        self.reads += brought.reads;
        self.pongs += brought.pongs;
        self.open += usize::from(brought.opened);
        self.resumed += usize::from(brought.resumed);
        self.closed += usize::from(brought.closed.is_some());
        if let Some(what) = brought.unexpected.or(brought.closed) {
            self.unexpected
                .get_or_insert_with(|| format!("connection {index}: {what}"));
        }
    }
}
