//! Many HTTP requests that are complete at the same moment: all but the last byte of each is on
//! its way before. It knows no WebSockets.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::crowd::PATIENCE;

const READ_BYTES_MAX: usize = 256 * 1024;

const GOOD: &[u8] = b"HTTP/1.1 200 ";

pub(crate) struct Rush {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    buffer: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    sent: usize,
    /// The beginning of the answer.
    head: Vec<u8>,
    is_over: bool,
    is_served: bool,
}

impl Rush {
    /// A client for each target. Returns when all that may be sent before is sent.
    pub(crate) fn prepare(server: SocketAddr, targets: &[&str]) -> Result<Rush, String> {
        let poll = Poll::new().map_err(|error| format!("epoll: {error}"))?;
        let mut clients = Vec::with_capacity(targets.len());
        for target in targets {
            let client = Client::begin(&poll, clients.len(), server, target);
            clients.push(client.map_err(|error| format!("connect: {error}"))?);
        }
        let mut rush = Rush {
            poll,
            events: Events::with_capacity(4096),
            clients,
            buffer: vec![0; READ_BYTES_MAX],
        };
        rush.pump_until(|client| client.is_over || client.sent + 1 == client.request.len())?;
        Ok(rush)
    }

    /// Completes all requests, waits for their answers, and says how many were good and whole.
    pub(crate) fn complete(&mut self) -> Result<usize, String> {
        for client in &mut self.clients {
            client.write_to(client.request.len());
        }
        self.pump_until(|client| client.is_over)?;
        Ok(self.clients.iter().filter(|one| one.is_served).count())
    }

    fn pump_until(&mut self, is_done: impl Fn(&Client) -> bool) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let missing = self.clients.iter().filter(|one| !is_done(one)).count();
            if missing == 0 {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("{missing} of {} requests hang", self.clients.len()));
            }
            match (self.poll).poll(&mut self.events, Some(Duration::from_millis(10))) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    return Err(format!("epoll: {error}"));
                }
                _ => {}
            }
            for event in &self.events {
                let client = &mut self.clients[event.token().0];
                if event.is_writable() {
                    client.write_to(client.request.len() - 1);
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    client.read(&mut self.buffer);
                }
            }
        }
    }
}

impl Client {
    fn begin(
        poll: &Poll,
        index: usize,
        server: SocketAddr,
        target: &str,
    ) -> std::io::Result<Client> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        (poll.registry()).register(&mut stream, Token(index), interest)?;
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        Ok(Client {
            stream,
            request: request.into_bytes(),
            sent: 0,
            head: Vec::new(),
            is_over: false,
            is_served: false,
        })
    }

    fn write_to(&mut self, end: usize) {
        while self.sent < end {
            match self.stream.write(&self.request[self.sent..end]) {
                Ok(taken) => self.sent += taken,
                // A connection that is gone shows at a read; a full one comes back as an event.
                Err(_) => return,
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) {
        while !self.is_over {
            match self.stream.read(buffer) {
                Ok(0) => {
                    self.is_over = true;
                    self.is_served = self.head.starts_with(GOOD);
                }
                Ok(read) => {
                    let missing = GOOD.len().saturating_sub(self.head.len());
                    self.head.extend_from_slice(&buffer[..read.min(missing)]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.is_over = true,
            }
        }
    }
}
