//! An HTTP answer on its way out, sent from where it is, however little the socket takes at a time.
//! Knows no clock.

use std::io::{self, Write};
use std::rc::Rc;

use super::ceiling::{Ceiling, Held};
use super::stream::Stream;
use crate::server::http::Response;

/// An answer, and how much of it has gone out.
#[derive(Debug)]
pub(super) struct Reply {
    head: Vec<u8>,
    body: Option<Rc<[u8]>>,
    sent: usize,
    held: Held,
}

impl Reply {
    /// An answer behind some bytes that are owed already. `stays` says whether the connection does.
    pub(super) fn new(
        mut owed: Vec<u8>,
        response: &Response,
        stays: bool,
        unsent: &Ceiling,
    ) -> Reply {
        owed.extend_from_slice(response.head(stays).as_bytes());
        let head = owed;
        Reply {
            held: unsent.hold(head.len() + response.own_bytes()),
            head,
            body: response.body().cloned(),
            sent: 0,
        }
    }

    /// Bytes that are held for it.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.bytes()
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
        let (head, body) = (&self.head, self.body.as_deref());
        let body = body.unwrap_or_default();
        [
            head.get(self.sent..).unwrap_or_default(),
            &body[self.sent.saturating_sub(head.len())..],
        ]
    }
}
