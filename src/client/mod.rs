//! One WebSocket client of the public protocol, and the commands that need no more: `watch`,
//! `record` and `replay`; `export` and `token` beside them. The room must never know the server, nor [`simulate`](crate::simulate), which
//! stands on it.
//!
//! | file | what it is for |
//! |---|---|
//! | `endpoint` | where a server is |
//! | `destination`, `transport` | whom to believe that it is there, and the bytes to it, by TLS or not |
//! | `connection`, `handshake`, `ended` | one connection from the connect to why it is over |
//! | `message` | message text to types, and types to the messages that clients send |
//! | `credentials` | tokens that clients make for themselves |
//! | `link` | a connection that comes back |
//! | `following` | whom a client follows |
//! | [`watch`] | follows users in a terminal |
//! | [`record`] | records positions in a file |
//! | [`replay`] | publishes a recording again |
//! | [`export`] | turns a recording into tracks |
//! | `recording` | what such a file is, for who writes it and who reads it |
//! | [`token`] | makes tokens at a command line, and explains them |
//! | `explain` | what a token says, in words |
//! | `cards` | a page of cards that set phones up, to print |
//! | `private_file` | files that hold secrets |
//!
//! Here stands what all of them say to people, and ask of the machine, in the same way.

mod cards;
pub(crate) mod connection;
pub(crate) mod credentials;
pub(crate) mod destination;
pub(crate) mod ended;
pub(crate) mod endpoint;
mod explain;
pub mod export;
mod following;
mod handshake;
mod link;
pub mod lookup;
pub(crate) mod message;
mod private_file;
pub mod record;
mod recording;
pub mod replay;
pub mod token;
mod transport;
pub mod watch;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Where the commands connect unless told otherwise: where `serve` listens by default.
pub(crate) const URL_DEFAULT: &str = "ws://127.0.0.1:8080";

/// An error without the number that the standard library appends to it.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Milliseconds since the start of 1970 UTC, by the system's clock.
pub(crate) fn unix_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.map_or(0, |since_1970| since_1970.as_millis() as u64)
}

/// Lines on stderr, if anybody reads them.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "spectate: {}", printable(line));
}

/// Whether the other end of a pipe or terminal is gone.
pub(crate) fn is_hung_up(end: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&end, PollFlags::empty())];
    let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1..))
        && fds[0].revents().intersects(gone)
}

/// A peer's own words, so that they can be shown on a terminal: control characters, and those
/// that turn the direction of the text around them, are written as escapes.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let turns_direction = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let ends_line = matches!(c, '\u{2028}' | '\u{2029}');
        if c.is_control() || turns_direction || ends_line {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_drive_a_terminal_is_escaped_and_the_rest_is_kept() {
        assert_eq!(printable("a\u{1b}[2Jb\r\n"), "a\\u{1b}[2Jb\\u{d}\\u{a}");
        assert_eq!(
            printable("\u{9b}31m\u{202e}x\u{7f}"),
            "\\u{9b}31m\\u{202e}x\\u{7f}"
        );
        assert_eq!(printable("Jörg 😀 5"), "Jörg 😀 5");
    }
}
