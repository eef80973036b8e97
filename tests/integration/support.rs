//! Starts the real program and speaks to it as its clients do. Whatever does not happen within
//! [`WAIT`] fails the test.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, getrlimit, kill_process, pidfd_open, setrlimit,
};
use socket2::{Domain, Socket, Type};
use tungstenite::protocol::Role;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use crate::needs;

/// Longest wait for anything.
pub(crate) const WAIT: Duration = Duration::from_secs(20);

/// The program with these arguments, and nothing of this process's environment.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spectate"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// Waits until there is something to read; `false` if there is nothing in time.
pub(crate) fn wait_until_readable(descriptor: impl AsFd) -> bool {
    let limit = Timespec {
        tv_sec: WAIT.as_secs() as i64,
        tv_nsec: 0,
    };
    loop {
        let mut fds = [PollFd::new(&descriptor, PollFlags::IN)];
        match poll(&mut fds, Some(&limit)) {
            Err(Errno::INTR) => {}
            ready => return ready == Ok(1),
        }
    }
}

/// Waits for the end of a process; one that does not end is killed, and fails the test.
pub(crate) fn wait_for_exit(child: &mut Child) -> ExitStatus {
    let end = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).expect("a child of ours");
    if !wait_until_readable(end) {
        child.kill().expect("a child of ours");
        panic!("the program does not end");
    }
    child.wait().expect("a child of ours")
}

/// What promtool says about its standard input, which must not be a failure.
pub(crate) fn promtool(arguments: &[&str], input: &[u8]) -> Option<String> {
    let child = Command::new(needs::program(&["promtool"], "prometheus")?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("UTF-8");
    assert!(output.status.success(), "{said}");
    Some(said)
}

/// A running server, killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    first_line: String,
    addresses: Vec<SocketAddr>,
    log: PathBuf,
}

impl Server {
    /// `spectate serve` with these flags, on a free port of 127.0.0.1.
    pub(crate) fn start(flags: &[&str]) -> Server {
        let mut arguments = vec!["serve", "--listen", "127.0.0.1:0"];
        arguments.extend_from_slice(flags);
        Server::run(program(&arguments))
    }

    /// Any command that starts a server; its stderr goes to a file.
    pub(crate) fn run(mut command: Command) -> Server {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("stderr-{}-{number}", std::process::id());
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        command.stderr(File::create(&log).expect("room for a log file"));
        Server::spawn(command, log)
    }

    /// Any command that starts a server, with its stderr as it is.
    pub(crate) fn spawn(mut command: Command, log: PathBuf) -> Server {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program is built");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut first_line = String::new();
        stdout.read_line(&mut first_line).expect("UTF-8");
        let addresses = first_line
            .trim_end()
            .strip_prefix("listening on ")
            .unwrap_or_else(|| {
                panic!(
                    "no start line: {first_line:?} {:?}",
                    fs::read_to_string(&log)
                )
            })
            .split(", ")
            // What it is for may stand behind it.
            .filter_map(|address| address.split(' ').next())
            .map(|address| address.parse().expect("an address"))
            .collect();
        Server {
            child,
            stdout,
            first_line,
            addresses,
            log,
        }
    }

    /// The address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// All addresses that it listens on.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A new WebSocket connection.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// A new WebSocket connection that said hello: both arguments are JSON.
    pub(crate) fn join(&self, user: &str, following: &str) -> Client {
        let mut client = self.connect();
        client.hello(user, following);
        client
    }

    /// A new WebSocket connection that follows users (a JSON list) and is nobody, once the server
    /// knows that, and the last known positions that it got.
    pub(crate) fn spectator(&self, following: &str) -> (Client, Vec<String>) {
        let mut client = self.connect();
        client.send(&format!(
            r#"{{"initialRequest":true,"following":{following}}}"#
        ));
        let last_known = client.barrier();
        (client, last_known)
    }

    /// A new TCP connection.
    pub(crate) fn socket(&self) -> TcpStream {
        socket(self.address())
    }

    /// The answer to a GET request.
    pub(crate) fn get(&self, path: &str) -> Answer {
        let head = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        Answer::to(self.socket(), head.as_bytes())
    }

    /// The value of a metric, with its labels; 0 if it has none.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
            .unwrap_or(0.0)
    }

    /// Asks until a metric has this value.
    pub(crate) fn wait_for_metric(&self, name: &str, value: f64) {
        let begin = Instant::now();
        loop {
            let now = self.metric(name);
            if now == value {
                return;
            }
            assert!(begin.elapsed() < WAIT, "{name} is {now}, not {value}");
        }
    }

    /// How many connections ended for this reason.
    pub(crate) fn closed(&self, reason: &str) -> f64 {
        self.metric(&closed_metric(reason))
    }

    /// Waits until so many connections have ended for this reason.
    pub(crate) fn wait_for_closed(&self, reason: &str, count: f64) {
        self.wait_for_metric(&closed_metric(reason), count);
    }

    /// The processor time that it used, in clock ticks: a hundredth of a second each (proc(5)).
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = fs::read_to_string(path).expect("the server runs");
        let fields = stat.rsplit_once(") ").expect("proc(5)").1;
        let ticks = |field: Option<&str>| field.and_then(|field| field.parse::<u64>().ok());
        let mut fields = fields.split(' ').skip(11);
        let (user, system) = (ticks(fields.next()), ticks(fields.next()));
        user.zip(system)
            .map(|(user, system)| user + system)
            .expect("proc(5)")
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many descriptors the process has.
    pub(crate) fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(path).expect("the server runs").count()
    }

    /// Looks until the process has so many descriptors; `witness` is a connection of it.
    pub(crate) fn wait_for_descriptors(&self, count: usize, witness: &mut Client) {
        let begin = Instant::now();
        while self.descriptors() != count {
            assert!(
                begin.elapsed() < WAIT,
                "{} descriptors, not {count}",
                self.descriptors()
            );
            witness.barrier();
        }
    }

    /// The process's memory, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("the server runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("proc(5)");
        let number = line.split_whitespace().next().expect("proc(5)");
        number.parse().expect("proc(5)")
    }

    /// What was logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("its log file")
    }

    /// Waits until something was logged, and returns all that was.
    pub(crate) fn wait_for_log(&self, words: &str) -> String {
        let begin = Instant::now();
        loop {
            let log = self.log();
            if log.contains(words) {
                return log;
            }
            assert!(begin.elapsed() < WAIT, "no {words:?} in {log}");
            // It serves all the while.
            assert_eq!(self.get("/healthz").status, 200);
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the server runs");
    }

    /// Waits for its end, and says all that it printed on stdout.
    pub(crate) fn wait(mut self) -> (ExitStatus, String, String) {
        let status = wait_for_exit(&mut self.child);
        let mut stdout = std::mem::take(&mut self.first_line);
        self.stdout.read_to_string(&mut stdout).expect("UTF-8");
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        (status, stdout, log)
    }

    /// Stops it as an operator does.
    pub(crate) fn stop(self) -> (ExitStatus, String, String) {
        self.signal(Signal::TERM);
        self.wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
    }
}

/// A TCP connection whose reads and writes end in time.
pub(crate) fn socket(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&address, WAIT).expect("the server listens");
    socket.set_read_timeout(Some(WAIT)).expect("above 0");
    socket.set_write_timeout(Some(WAIT)).expect("above 0");
    socket.set_nodelay(true).expect("a TCP socket");
    socket
}

/// A TCP connection from a loopback address of one's own.
pub(crate) fn socket_from(source: Ipv4Addr, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
    let source = SocketAddr::new(IpAddr::V4(source), 0);
    socket.bind(&source.into()).expect("a loopback address");
    connected(socket, address)
}

/// A TCP connection that the kernel receives only a few KiB for, unless they are read.
pub(crate) fn narrow_socket(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
    socket.set_recv_buffer_size(4096).expect("a TCP socket");
    connected(socket, address)
}

fn connected(socket: Socket, address: SocketAddr) -> TcpStream {
    socket
        .connect_timeout(&address.into(), WAIT)
        .expect("the server listens");
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(WAIT)).expect("above 0");
    socket.set_write_timeout(Some(WAIT)).expect("above 0");
    socket.set_nodelay(true).expect("a TCP socket");
    socket
}

/// Raises this process's soft descriptor limit to the hard one, and says it. Programs started
/// from here inherit it.
pub(crate) fn raise_descriptor_limit() -> usize {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )
    .expect("the hard limit allows it");
    maximum.map_or(1 << 20, |maximum| maximum.min(1 << 20) as usize)
}

/// The counter of connections that ended for this reason.
fn closed_metric(reason: &str) -> String {
    format!("spectate_connections_closed_total{{reason=\"{reason}\"}}")
}

/// Ends a connection by a reset.
pub(crate) fn reset(socket: &TcpStream) {
    let socket = socket2::SockRef::from(socket);
    socket
        .set_linger(Some(Duration::ZERO))
        .expect("a TCP socket");
}

/// The head of a WebSocket handshake with further header lines, each with its CRLF.
pub(crate) fn upgrade(headers: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// Reads up to the end of an HTTP head, and not a byte more.
pub(crate) fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("a whole head");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("ASCII")
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Sends a request, the last on its connection, and reads until the server ends that.
    pub(crate) fn to(mut socket: TcpStream, request: &[u8]) -> Answer {
        socket.write_all(request).expect("a server that reads");
        Answer::read(&mut socket)
    }

    /// Says that there is no other request, and reads until the server ends the connection.
    pub(crate) fn read(socket: &mut TcpStream) -> Answer {
        Answer::read_after(b"", socket)
    }

    /// The same where these bytes of it are read already.
    pub(crate) fn read_after(begin: &[u8], socket: &mut TcpStream) -> Answer {
        // The server may have gone already.
        let _ = socket.shutdown(Shutdown::Write);
        let mut bytes = begin.to_vec();
        socket
            .read_to_end(&mut bytes)
            .expect("an answer and a regular end");
        let text = String::from_utf8(bytes).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
        Answer::of(head, body.to_owned())
    }

    /// An answer in its parts.
    pub(crate) fn of(head: &str, body: String) -> Answer {
        let status = head
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest[..3].parse().ok());
        Answer {
            status: status.expect("a status line"),
            head: head.to_owned(),
            body,
        }
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// A frame as a client sends it: the first byte (FIN, RSV, opcode), and the payload to mask.
pub(crate) fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = frame_header(first_byte, payload.len() as u64);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// The mask of all frames that [`frame`] makes.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The beginning of a frame, up to its mask.
pub(crate) fn frame_header(first_byte: u8, payload_bytes: u64) -> Vec<u8> {
    let mut header = vec![first_byte];
    match payload_bytes {
        0..=125 => header.push(0x80 | payload_bytes as u8),
        126..=65_535 => {
            header.push(0x80 | 126);
            header.extend_from_slice(&(payload_bytes as u16).to_be_bytes());
        }
        _ => {
            header.push(0x80 | 127);
            header.extend_from_slice(&payload_bytes.to_be_bytes());
        }
    }
    header.extend_from_slice(&MASK);
    header
}

/// A whole text message in one frame.
pub(crate) fn text_frame(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// A socket whose reads and writes begin again when a signal interrupts them.
struct Patient(TcpStream);

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A WebSocket connection, seen from the client.
pub(crate) struct Client {
    socket: WebSocket<Patient>,
    pings: u32,
}

impl Client {
    /// Opens a connection.
    pub(crate) fn connect(address: SocketAddr) -> Client {
        Client::over(socket(address))
    }

    /// Opens a connection over this socket.
    pub(crate) fn over(socket: TcpStream) -> Client {
        let url = format!("ws://{}/", socket.peer_addr().expect("connected"));
        let (socket, _) = tungstenite::client(url, Patient(socket)).expect("an upgrade");
        Client { socket, pings: 0 }
    }

    /// The connection of a socket whose handshake is over.
    pub(crate) fn after_handshake(socket: TcpStream) -> Client {
        let socket = WebSocket::from_raw_socket(Patient(socket), Role::Client, None);
        Client { socket, pings: 0 }
    }

    /// The socket below.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.socket.get_mut().0
    }

    /// Sends a text message.
    pub(crate) fn send(&mut self, text: &str) {
        self.socket
            .send(Message::text(text))
            .expect("a server that reads");
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream().write_all(bytes).expect("a server that reads");
    }

    /// Says hello: both arguments are JSON.
    pub(crate) fn hello(&mut self, user: &str, following: &str) {
        self.send(&format!(
            r#"{{"initialRequest":true,"userId":{user},"following":{following}}}"#
        ));
    }

    /// The next text message.
    pub(crate) fn receive(&mut self) -> String {
        match self.read() {
            Ok(Message::Text(text)) => text.as_str().to_owned(),
            other => panic!("no text message: {other:?}"),
        }
    }

    /// The next text message, which is an error: its code and its sentence.
    pub(crate) fn receive_error(&mut self) -> (String, String) {
        error(&self.receive())
    }

    /// The close frame that comes next, and then the end of the connection. A frame without a
    /// code counts as 1005 (RFC 6455, 7.4.1).
    pub(crate) fn receive_close(&mut self) -> (u16, String) {
        let frame = match self.read() {
            Ok(Message::Close(frame)) => frame,
            other => panic!("no close frame: {other:?}"),
        };
        match self.read() {
            Err(Error::ConnectionClosed) => {}
            other => panic!("not the end: {other:?}"),
        }
        match frame {
            None => (u16::from(CloseCode::Status), String::new()),
            Some(frame) => (frame.code.into(), frame.reason.as_str().to_owned()),
        }
    }

    /// All texts up to a close frame, and the frame's code; then the connection has ended.
    pub(crate) fn receive_until_close(&mut self) -> (Vec<String>, u16) {
        let mut texts = Vec::new();
        let code = loop {
            match self.read() {
                Ok(Message::Text(text)) => texts.push(text.as_str().to_owned()),
                Ok(Message::Pong(_)) => {}
                Ok(Message::Close(frame)) => {
                    break frame.map_or(CloseCode::Status, |frame| frame.code);
                }
                other => panic!("no close frame: {other:?}"),
            }
        };
        match self.read() {
            Err(Error::ConnectionClosed) => (texts, code.into()),
            other => panic!("not the end: {other:?}"),
        }
    }

    /// Waits until the server has carried out all that was sent here, and has sent all that it
    /// owed here by then; says which texts came. The first pong tells that it has read so far, the
    /// second that the tick in which it did is over.
    pub(crate) fn barrier(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        for _ in 0..2 {
            self.pings += 1;
            let token = self.pings.to_be_bytes();
            self.socket
                .send(Message::Ping(token.to_vec().into()))
                .expect("a server that reads");
            loop {
                match self.read() {
                    Ok(Message::Text(text)) => texts.push(text.as_str().to_owned()),
                    Ok(Message::Pong(payload)) if payload[..] == token => break,
                    other => panic!("no pong: {other:?}"),
                }
            }
        }
        texts
    }

    /// Ends the stream without a close frame.
    pub(crate) fn finish(&mut self) {
        self.stream()
            .shutdown(Shutdown::Write)
            .expect("a connection");
    }

    /// Waits for the server's own ping, while no text comes, and answers it.
    pub(crate) fn wait_for_ping(&mut self) {
        match self.socket.read() {
            Ok(Message::Ping(_)) => self.socket.flush().expect("a server that reads"),
            other => panic!("no ping: {other:?}"),
        }
    }

    /// Waits for bytes that must not come within this time.
    pub(crate) fn hear_nothing_for(&mut self, time: Duration) {
        let stream = self.stream();
        stream.set_read_timeout(Some(time)).expect("above 0");
        let nothing = stream.peek(&mut [0]).expect_err("nothing was sent here");
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
        stream.set_read_timeout(Some(WAIT)).expect("above 0");
    }

    /// Any message, or an error when none comes in time.
    pub(crate) fn try_read(&mut self) -> Result<Message, Error> {
        self.socket.read()
    }

    /// Any message but the server's own pings.
    pub(crate) fn read(&mut self) -> Result<Message, Error> {
        loop {
            match self.socket.read() {
                Ok(Message::Ping(_)) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    panic!("nothing came")
                }
                other => return other,
            }
        }
    }
}

/// The code and the sentence of an error message; that it has the form of one.
pub(crate) fn error(text: &str) -> (String, String) {
    let json: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let code = json["error"]["code"].as_str();
    let message = json["error"]["message"].as_str();
    match (code, message) {
        (Some(code), Some(message)) => {
            let again = serde_json::json!({"error": {"code": code, "message": message}});
            assert_eq!(json, again, "nothing else is in an error");
            (code.to_owned(), message.to_owned())
        }
        _ => panic!("no error: {text}"),
    }
}

/// Asserts that this is the last known position `position`, with an age as its last field, and
/// says the age.
pub(crate) fn assert_last_known(text: &str, position: &str) -> f64 {
    let open = position.strip_suffix('}').expect("an object");
    let age = text
        .strip_prefix(open)
        .and_then(|rest| rest.strip_prefix(r#","age":"#)?.strip_suffix('}'));
    let age: f64 = age
        .and_then(|age| age.parse().ok())
        .unwrap_or_else(|| panic!("{text} is not {position} with an age"));
    assert!((0.0..WAIT.as_secs_f64()).contains(&age), "{text}");
    age
}
