//! Phones that report over HTTP connections that stay: each sends its next report once the last is
//! answered. They know no WebSockets, and nobody who follows them.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use httparse::{EMPTY_HEADER, Status};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::app::App;
use crate::crowd::PATIENCE;

const READ_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 32;

pub(crate) struct Phones {
    poll: Poll,
    events: Events,
    phones: Vec<Phone>,
    buffer: Vec<u8>,
    app: App,
    /// The runner that the first phone is.
    first_runner: u32,
    /// When the clock began.
    began: Instant,
    /// Phones that have nothing under way.
    ready: VecDeque<usize>,
    /// Reports, those that wait for the answer to another one too.
    pub(crate) sent: u64,
    /// Reports that were answered with 200.
    pub(crate) answered: u64,
    /// From when a report was due to its answer.
    pub(crate) latency: Histogram<u64>,
    /// Latencies count for reports due from this time on.
    pub(crate) measured_from_ns: u64,
    /// The first thing that went wrong.
    pub(crate) wrong: Option<String>,
}

struct Phone {
    stream: TcpStream,
    /// When the report under way was due.
    under_way: Option<u64>,
    /// Numbers of the reports behind it, and when they are due.
    waiting: VecDeque<(u64, u64)>,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Phones {
    /// So many phones, with a clock that began at `began`.
    pub(crate) fn connect(
        server: SocketAddr,
        app: App,
        first_runner: u32,
        count: usize,
        began: Instant,
    ) -> Result<Phones, String> {
        let poll = Poll::new().map_err(|error| format!("epoll: {error}"))?;
        let phones = (0..count).map(|index| Phone::connect(&poll, index, server));
        let phones: std::io::Result<Vec<Phone>> = phones.collect();
        Ok(Phones {
            poll,
            events: Events::with_capacity(4096),
            phones: phones.map_err(|error| format!("a phone's connection: {error}"))?,
            buffer: vec![0; READ_BYTES_MAX],
            app,
            first_runner,
            began,
            ready: (0..count).collect(),
            sent: 0,
            answered: 0,
            latency: crate::flight::histogram()?,
            measured_from_ns: u64::MAX,
            wrong: None,
        })
    }

    fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Sends a report as soon as those before it are answered.
    pub(crate) fn send(&mut self, phone: usize, number: u64, due_ns: u64) {
        self.sent += 1;
        self.phones[phone].waiting.push_back((number, due_ns));
        self.send_next(phone);
    }

    /// Has all phones report that have nothing under way, with the numbers from `number` on; returns
    /// the one behind the last.
    pub(crate) fn send_all_ready(&mut self, mut number: u64) -> u64 {
        while let Some(phone) = self.ready.pop_front() {
            self.send(phone, number, self.now_ns());
            number += 1;
        }
        number
    }

    fn send_next(&mut self, index: usize) {
        let phone = &mut self.phones[index];
        if phone.under_way.is_none()
            && let Some((number, due_ns)) = phone.waiting.pop_front()
        {
            phone.under_way = Some(due_ns);
            let runner = self.first_runner + index as u32;
            (self.app).append_report(runner, number, &mut phone.output);
            phone.write();
        }
    }

    /// Handles what arrives within `timeout`.
    pub(crate) fn pump(&mut self, timeout: Duration) -> Result<(), String> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                return Err(format!("epoll: {error}"));
            }
            _ => {}
        }
        let indices: Vec<(usize, bool)> = (self.events.iter())
            .map(|event| (event.token().0, event.is_writable()))
            .collect();
        for (index, is_writable) in indices {
            if is_writable {
                self.phones[index].write();
            }
            match self.phones[index].read(&mut self.buffer) {
                Ok(None) => {}
                Ok(Some(due_ns)) => {
                    self.answered += 1;
                    if due_ns >= self.measured_from_ns {
                        let took_ns = self.now_ns().saturating_sub(due_ns);
                        self.latency.saturating_record(took_ns);
                    }
                    match self.phones[index].waiting.is_empty() {
                        true => self.ready.push_back(index),
                        false => self.send_next(index),
                    }
                }
                Err(what) => {
                    (self.wrong).get_or_insert_with(|| format!("phone {index}: {what}"));
                }
            }
        }
        Ok(())
    }

    /// Waits until all reports are answered, or no more answers come.
    pub(crate) fn land(&mut self) -> Result<(), String> {
        let mut progress = (self.answered, Instant::now());
        while self.answered < self.sent && progress.1.elapsed() < PATIENCE {
            self.pump(Duration::from_millis(1))?;
            if self.answered > progress.0 {
                progress = (self.answered, Instant::now());
            }
        }
        Ok(())
    }

    /// What is wrong, in words.
    pub(crate) fn verdict(&self) -> Vec<String> {
        let unanswered = self.sent - self.answered;
        let unanswered = (unanswered > 0).then(|| format!("{unanswered} reports not answered"));
        unanswered.into_iter().chain(self.wrong.clone()).collect()
    }
}

impl Drop for Phones {
    /// Ends with resets, so that no port waits for late segments.
    fn drop(&mut self) {
        for phone in &self.phones {
            let _ = socket2::SockRef::from(&phone.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl Phone {
    fn connect(poll: &Poll, index: usize, server: SocketAddr) -> std::io::Result<Phone> {
        let stream = std::net::TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        (poll.registry()).register(&mut stream, Token(index), interest)?;
        Ok(Phone {
            stream,
            under_way: None,
            waiting: VecDeque::new(),
            input: Vec::new(),
            output: Vec::new(),
        })
    }

    /// Writes what the kernel takes of the output.
    fn write(&mut self) {
        if self.output.is_empty() {
            return;
        }
        // A connection that is gone shows at a read; a full one comes back as an event.
        if let Ok(taken) = self.stream.write(&self.output) {
            self.output.drain(..taken);
        }
    }

    /// Reads what there is, and returns when the report was due that it answers, if it does.
    fn read(&mut self, buffer: &mut [u8]) -> Result<Option<u64>, String> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err("the server hung up".to_owned()),
                Ok(read) => {
                    self.input.extend_from_slice(&buffer[..read]);
                    // A short read has emptied the socket.
                    if read < buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        let Some(bytes) = good_answer(&self.input)? else {
            return Ok(None);
        };
        self.input.drain(..bytes);
        match self.under_way.take() {
            Some(due_ns) if self.input.is_empty() => Ok(Some(due_ns)),
            _ => Err("an answer to no report".to_owned()),
        }
    }
}

/// The length of an answer that is complete.
///
/// # Errors
/// It says something else than 200.
fn good_answer(input: &[u8]) -> Result<Option<usize>, String> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(input).map_err(|error| error.to_string())? {
        Status::Partial => return Ok(None),
        Status::Complete(head) => head,
    };
    if response.code != Some(200) {
        return Err(String::from_utf8_lossy(input).into_owned());
    }
    let length = (response.headers.iter())
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| str::from_utf8(header.value).ok()?.parse::<usize>().ok());
    let bytes = head + length.ok_or("an answer without a length")?;
    Ok((input.len() >= bytes).then_some(bytes))
}
