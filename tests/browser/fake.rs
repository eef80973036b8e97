//! A server that shows the page and then does what a test says, for what the real one does not do
//! when it is asked to.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};

use spectate::server::pages::map::{Page, Tiles};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

use crate::support::{WAIT, wait_until_readable};

pub(crate) struct Fake {
    listener: TcpListener,
    page: Page,
}

impl Fake {
    pub(crate) fn start() -> Fake {
        Fake {
            listener: TcpListener::bind("127.0.0.1:0").expect("a free port"),
            page: Page::new(&Tiles::None),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it listens")
    }

    /// The next WebSocket; the page is served meanwhile to whoever asks for it.
    pub(crate) fn accept(&self) -> Visit {
        loop {
            assert!(wait_until_readable(&self.listener), "nobody comes");
            let (mut socket, _) = self.listener.accept().expect("a visitor");
            socket.set_read_timeout(Some(WAIT)).expect("above 0");
            if is_upgrade(&socket) {
                return Visit(tungstenite::accept(socket).expect("a handshake"));
            }
            let Page { html, headers } = &self.page;
            let length = html.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\
                 Content-Length: {length}\r\nConnection: close\r\n{headers}\r\n{html}"
            );
            socket.write_all(answer.as_bytes()).expect("a reader");
        }
    }
}

/// Whether the request that is waiting here asks for a WebSocket; it is left where it is.
fn is_upgrade(socket: &TcpStream) -> bool {
    let mut head = [0; 8192];
    loop {
        let length = socket.peek(&mut head).expect("a request");
        let text = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
        if length == 0 || text.contains("\r\n\r\n") {
            return text.contains("upgrade: websocket");
        }
    }
}

/// A WebSocket of the page's.
pub(crate) struct Visit(WebSocket<TcpStream>);

impl Visit {
    /// The next message.
    pub(crate) fn receive(&mut self) -> String {
        match self.0.read() {
            Ok(Message::Text(text)) => text.as_str().to_owned(),
            other => panic!("no text message: {other:?}"),
        }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).expect("a page that reads");
    }

    /// Closes with this code, and hears the page out.
    pub(crate) fn close(mut self, code: u16) {
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        self.0.close(Some(frame)).expect("a page that reads");
        while self.0.read().is_ok() {}
    }
}
