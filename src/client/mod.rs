//! The clients: the test client and the terminal's view, both on the public protocol alone.
//! They share one WebSocket connection as a state machine; the server's rooms are never looked at.

pub mod connection;
pub mod course;
pub mod crowd;
pub mod ended;
pub mod endpoint;
pub mod faults;
pub mod handshake;
pub mod ledger;
pub mod message;
pub mod report;
pub mod simulate;
pub mod token;
pub mod track;
pub mod wander;
pub mod watch;

/// Where the commands connect unless told otherwise: where `serve` listens by default.
const URL_DEFAULT: &str = "ws://127.0.0.1:8080";

/// An error without the number that the standard library appends to it.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// A peer's own words, so that they can be shown on a terminal: control characters, and those
/// that turn the direction of the text around them, are written as escapes.
fn printable(text: &str) -> String {
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
