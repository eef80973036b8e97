//! A server that shows the page and then does what a test says, for what the real one does not do
//! when it is asked to.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};

use spectate::server::http::Response;
use spectate::server::http::{self, Head, Request, Route};
use spectate::server::pages::Pages;
use spectate::server::pages::tiles::Tiles;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

use crate::support::{WAIT, wait_until_readable};

pub(crate) struct Fake {
    listener: TcpListener,
    pages: Pages,
}

impl Fake {
    pub(crate) fn start() -> Fake {
        Fake {
            listener: TcpListener::bind("127.0.0.1:0").expect("a free port"),
            pages: Pages::new(&Tiles::None, false, None),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it listens")
    }

    /// The next WebSocket; the pages are served meanwhile to whoever asks for them.
    pub(crate) fn accept(&self) -> Visit {
        Visit(tungstenite::accept(self.leave_waiting()).expect("a handshake"))
    }

    /// The same, before it is answered.
    pub(crate) fn leave_waiting(&self) -> TcpStream {
        loop {
            assert!(wait_until_readable(&self.listener), "nobody comes");
            let (mut socket, _) = self.listener.accept().expect("a visitor");
            socket.set_read_timeout(Some(WAIT)).expect("above 0");
            let response = match request(&socket) {
                Some(Request::Upgrade { .. }) => return socket,
                Some(Request::Plain {
                    route: Route::Page(page),
                    conditions,
                    ..
                }) => Response::page(self.pages.get(page), &conditions),
                // Browsers look for an icon, and complain where there is none.
                None => Response::options(""),
                other => panic!("{other:?}"),
            };
            let body = response.body().map_or(&[][..], |body| body);
            let answer = [response.head(false).as_bytes(), body].concat();
            socket.write_all(&answer).expect("a reader");
        }
    }
}

/// The request that is waiting here; it is left where it is.
fn request(socket: &TcpStream) -> Option<Request> {
    let mut head = [0; 8192];
    loop {
        let length = socket.peek(&mut head).expect("a request");
        match http::parse(&head[..length]) {
            Head::Complete(head) => return Some(head.request),
            Head::Partial if length > 0 => {}
            _ => return None,
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

    /// Hears the page close it.
    pub(crate) fn hear_close(&mut self) {
        match self.0.read() {
            Ok(Message::Close(_)) => {}
            other => panic!("no goodbye: {other:?}"),
        }
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
