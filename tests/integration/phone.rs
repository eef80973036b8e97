//! A phone: HTTP requests over one connection that is kept, and their answers.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::{Answer, Server, read_head};

pub(crate) struct Phone(pub(crate) TcpStream);

impl Phone {
    pub(crate) fn new(server: &Server) -> Phone {
        Phone(server.socket())
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0
            .write_all(bytes.as_ref())
            .expect("a server that reads");
    }

    /// The next answer, whose body has a length.
    pub(crate) fn receive(&mut self) -> Answer {
        let head = read_head(&mut self.0);
        let mut answer = Answer::of(&head, String::new());
        let length = answer.header("Content-Length").map(str::parse);
        let mut body = vec![0; length.unwrap_or(Ok(0)).expect("a number")];
        self.0.read_exact(&mut body).expect("so many bytes");
        answer.body = String::from_utf8(body).expect("UTF-8");
        answer
    }

    pub(crate) fn ask(&mut self, request: &str) -> Answer {
        self.send(request);
        self.receive()
    }

    /// Posts to the door, with these header lines.
    pub(crate) fn post(&mut self, target: &str, headers: &str, body: &str) -> Answer {
        self.ask(&post(target, headers, body))
    }

    /// Whether the server ends the connection without another byte.
    pub(crate) fn is_ended(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0))
    }
}

pub(crate) fn post(target: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

pub(crate) fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n")
}
