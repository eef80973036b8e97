//! An HTTP answer on its way out, sent from where it is, however little the socket takes at a time.
//! Knows no clock.

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;

use super::stream::Stream;
use crate::server::http::Response;

/// Most bytes that all unsent answers together may hold.
pub const UNSENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many bytes all unsent answers hold, without what is kept for others too.
#[derive(Clone, Debug, Default)]
pub struct Unsent(Rc<Cell<usize>>);

impl Unsent {
    /// Whether there is room for an answer of so many bytes more.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.0.get().saturating_add(bytes) <= UNSENT_BYTES_MAX
    }

    fn hold(&self, bytes: usize) -> Held {
        self.0.set(self.0.get() + bytes);
        Held {
            bytes,
            total: self.clone(),
        }
    }
}

/// Bytes that count as unsent until this is dropped, however that comes.
#[derive(Debug)]
struct Held {
    bytes: usize,
    total: Unsent,
}

impl Drop for Held {
    fn drop(&mut self) {
        let Unsent(total) = &self.total;
        total.set(total.get() - self.bytes);
    }
}

/// An answer, and how much of it has gone out.
#[derive(Debug)]
pub(super) struct Reply {
    head: String,
    body: Option<Rc<[u8]>>,
    sent: usize,
    held: Held,
}

impl Reply {
    pub(super) fn new(response: &Response, unsent: &Unsent) -> Reply {
        let head = response.head();
        Reply {
            held: unsent.hold(head.len() + response.own_bytes()),
            head,
            body: response.body().cloned(),
            sent: 0,
        }
    }

    /// Bytes that are held for it.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.bytes
    }

    /// Writes until all is sent, and says so, or until the socket takes no more; counts the bytes.
    pub(super) fn flush(
        &mut self,
        to: &mut Stream<impl Write>,
        taken: &mut usize,
    ) -> io::Result<bool> {
        loop {
            let [head, body] = self.rest();
            let offered = head.len() + body.len();
            if offered == 0 {
                return Ok(true);
            }
            let took = to.write_both(head, body)?;
            // Some streams take one piece at a time.
            let is_blocked = took == 0 || took < offered && took != head.len();
            self.sent += took;
            *taken += took;
            if is_blocked {
                return Ok(false);
            }
        }
    }

    /// What is still to be sent, of the head and of the body.
    fn rest(&self) -> [&[u8]; 2] {
        let (head, body) = (self.head.as_bytes(), self.body.as_deref());
        let body = body.unwrap_or_default();
        [
            head.get(self.sent..).unwrap_or_default(),
            &body[self.sent.saturating_sub(head.len())..],
        ]
    }
}
