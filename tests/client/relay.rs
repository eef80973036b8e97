//! A relay for positions with a thread for each connection, which can be told to break one
//! promise. It is slow and simple, so that what it does is beyond doubt.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Message, WebSocket};

/// The delivery with which a relay breaks its promise: neither the first nor the last.
const LIE_AT: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relaying {
    Right,
    /// Right as well: each follower's newest delivery waits until its next ping is answered.
    PongsFirst,
    Drops,
    DropsLast,
    Doubles,
    Swaps,
    ChangesDigits,
    ChangesSpeed,
    AddsFields,
    RepeatsAsLastKnown,
    ToStrangers,
    SendsError,
    SendsBinary,
    Closes,
    HangsUp,
    IgnoresPings,
    ClosesHellos(u16),
}

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    /// One message for each hello that was carried out or, by some relays, answered with a close.
    pub(crate) hellos: Receiver<()>,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    relaying: Relaying,
    hellos: Sender<()>,
    connections: Vec<Half>,
    followers: HashMap<String, Vec<usize>>,
    deliveries: usize,
    held: HashMap<(usize, String), String>,
    stopped: bool,
}

/// A stream whose writes are never mixed with those of others.
#[derive(Clone)]
struct Half(Arc<Mutex<TcpStream>>);

struct Whole {
    read: TcpStream,
    write: Half,
}

impl Read for Whole {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.read.read(bytes)
    }
}

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Half {
    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().expect("no writer panics").write_all(bytes)
    }

    fn send(&self, frame: Frame) {
        let mut bytes = Vec::new();
        frame.format(&mut bytes).expect("memory");
        // A client that is gone is no mistake of the relay.
        let _ = self.write_all(&bytes);
    }

    fn text(&self, text: &str) {
        self.send(Frame::message(
            text.to_owned(),
            OpCode::Data(Data::Text),
            true,
        ));
    }

    fn hang_up(&self) {
        let _ = self
            .0
            .lock()
            .expect("no writer panics")
            .shutdown(Shutdown::Both);
    }
}

impl Relay {
    pub(crate) fn start(relaying: Relaying) -> Relay {
        Relay::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), relaying)
    }

    pub(crate) fn start_at(address: SocketAddr, relaying: Relaying) -> Relay {
        let listener = TcpListener::bind(address).expect("an address");
        let address = listener.local_addr().expect("an address");
        let (sender, hellos) = channel();
        let shared = Arc::new(Mutex::new(Shared {
            relaying,
            hellos: sender,
            connections: Vec::new(),
            followers: HashMap::new(),
            deliveries: 0,
            held: HashMap::new(),
            stopped: false,
        }));
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&accepting);
                if shared.lock().expect("no panic").stopped {
                    return;
                }
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Relay {
            address,
            hellos,
            shared,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Ends all connections without a goodbye; the address is free again once this returns.
    pub(crate) fn stop(self) {
        {
            let mut shared = self.shared.lock().expect("no panic");
            shared.stopped = true;
            shared.connections.iter().for_each(Half::hang_up);
        }
        // Wakes the listener, which sees that it is to stop. When it is gone, nobody answers.
        while TcpStream::connect(self.address).is_ok() {
            thread::yield_now();
        }
    }
}

fn serve(stream: TcpStream, shared: &Mutex<Shared>) {
    stream.set_nodelay(true).expect("a socket");
    let half = Half(Arc::new(Mutex::new(
        stream.try_clone().expect("a descriptor"),
    )));
    let Ok(mut socket) = tungstenite::accept(Whole {
        read: stream,
        write: half.clone(),
    }) else {
        return;
    };
    let me = {
        let mut shared = shared.lock().expect("no panic");
        shared.connections.push(half.clone());
        shared.connections.len() - 1
    };
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => {
                shared
                    .lock()
                    .expect("no panic")
                    .take(me, &text, &mut socket)
            }
            Ok(Message::Ping(_)) => {
                let mut shared = shared.lock().expect("no panic");
                if shared.relaying == Relaying::IgnoresPings && shared.deliveries > 0 {
                    continue_without_pong(&mut socket);
                }
                let _ = socket.flush();
                shared.release(me);
            }
            Ok(_) => {}
            Err(_) => return half.hang_up(),
        }
    }
}

/// The queued pong is replaced by one that answers nothing.
fn continue_without_pong(socket: &mut WebSocket<Whole>) {
    let _ = socket.write(Message::Pong("nothing".into()));
}

impl Shared {
    fn take(&mut self, me: usize, text: &str, socket: &mut WebSocket<Whole>) {
        let message: Value = serde_json::from_str(text).expect("JSON");
        if message["initialRequest"] != true {
            return self.relay(&message["userId"].to_string(), text);
        }
        if let Relaying::ClosesHellos(code) = self.relaying {
            let _ = socket.close(Some(CloseFrame {
                code: code.into(),
                reason: "go \u{7}away".into(),
            }));
            let _ = self.hellos.send(());
            return;
        }
        for user in message["following"].as_array().expect("a list") {
            let last_known = format!(r#"{{"userId":{user},"lat":1.0,"lng":2.0,"age":3.5}}"#);
            self.connections[me].text(&last_known);
            self.followers.entry(user.to_string()).or_default().push(me);
        }
        let _ = self.hellos.send(());
    }

    fn relay(&mut self, user: &str, text: &str) {
        for follower in self.followers.get(user).cloned().unwrap_or_default() {
            self.deliveries += 1;
            self.deliver(follower, user, text);
        }
    }

    fn deliver(&mut self, follower: usize, user: &str, text: &str) {
        let lie = self.deliveries == LIE_AT;
        let connection = self.connections[follower].clone();
        match self.relaying {
            Relaying::PongsFirst => {
                self.release(follower);
                self.held.insert((follower, String::new()), text.to_owned());
                return;
            }
            Relaying::Swaps => {
                let key = (follower, user.to_owned());
                if let Some(held) = self.held.remove(&key) {
                    connection.text(text);
                    return connection.text(&held);
                }
                if lie {
                    self.held.insert(key, text.to_owned());
                    return;
                }
            }
            Relaying::Drops if lie => return,
            Relaying::DropsLast if self.deliveries > LIE_AT => return,
            Relaying::Doubles if lie => connection.text(text),
            Relaying::ChangesDigits if lie => {
                return connection.text(&text.replace("\"lat\":", "\"lat\":1"));
            }
            Relaying::ChangesSpeed if lie => {
                return connection.text(&text.replace("\"speed\":", "\"speed\":1"));
            }
            Relaying::AddsFields if lie => {
                return connection.text(&text.replace('}', ",\"speed\":3}"));
            }
            Relaying::RepeatsAsLastKnown if lie => {
                connection.text(text);
                return connection.text(&text.replace('}', ",\"age\":0.1}"));
            }
            Relaying::ToStrangers if lie => self.connections.iter().for_each(|all| all.text(text)),
            Relaying::SendsError if lie => {
                connection.text(r#"{"error":{"code":"too_fast","message":"slow down"}}"#);
            }
            Relaying::SendsBinary if lie => {
                connection.send(Frame::message("x", OpCode::Data(Data::Binary), true));
            }
            Relaying::Closes if lie => {
                return connection.send(Frame::close(Some(CloseFrame {
                    code: 1008.into(),
                    reason: "enough".into(),
                })));
            }
            Relaying::HangsUp if lie => return connection.hang_up(),
            _ => {}
        }
        connection.text(text);
    }

    fn release(&mut self, follower: usize) {
        if let Some(held) = self.held.remove(&(follower, String::new())) {
            self.connections[follower].text(&held);
        }
    }
}
