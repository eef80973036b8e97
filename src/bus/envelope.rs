//! How one node tells the others something, as text: who says it and when, what it is, and the JSON
//! as it is relayed, byte for byte. Must never know what is in the JSON.
//!
//! ```text
//! 1 Zk3v_0aQx-9 position 8812 1714470000123 1714470000050 {"userId":5,"lat":47.37,"lng":8.54}
//! | |           |        |    |             |             JSON, perhaps empty
//! | |           |        |    |             when the fix was made in ms, by its sender, or -
//! | |           |        |    when the node received it, unix time in ms
//! | |           |        the node's count of what it says
//! | |           what it is
//! | who says it
//! version of this format; a later one may say all that follows in another way
//! ```

use std::io::Write;
use std::ops::Range;

use super::stamp::{Node, Stamp};

/// The version that is written, and the only one that is read.
const VERSION: &str = "1";

/// Longest number in an envelope, in bytes.
const NUMBER_BYTES_MAX: usize = 32;

/// A time from here on is none.
const RECEIVED_MS_END: u64 = 10_000_000_000_000;

/// Numbers of these magnitudes are written without an exponent.
const PLAIN: Range<f64> = 1e-3..1e15;

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Where a user is.
    Position,
    /// Whether a connection is open on this node that declared a user.
    Connected,
    /// A user is gone, and what was known of it.
    Goodbye,
    /// A node is alive.
    Heartbeat,
    /// How many follow a user on this node.
    Audience,
    /// A user is new to the service.
    Newcomer,
}

impl Kind {
    const ALL: [Kind; 6] = [
        Kind::Position,
        Kind::Connected,
        Kind::Goodbye,
        Kind::Heartbeat,
        Kind::Audience,
        Kind::Newcomer,
    ];

    fn word(self) -> &'static str {
        match self {
            Kind::Position => "position",
            Kind::Connected => "connected",
            Kind::Goodbye => "goodbye",
            Kind::Heartbeat => "heartbeat",
            Kind::Audience => "audience",
            Kind::Newcomer => "newcomer",
        }
    }

    /// Whether the key of a user's newest position keeps it, so that the order counts in which an
    /// engine takes it: then a node hears its own too (see [`Newest`]).
    ///
    /// [`Newest`]: super::newest::Newest
    pub(crate) fn is_kept(self) -> bool {
        matches!(self, Kind::Position | Kind::Goodbye)
    }
}

/// A message between nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Envelope<'a> {
    /// What is told.
    pub(crate) kind: Kind,
    /// By whom and when.
    pub(crate) stamp: Stamp,
    /// When the fix was made, by its sender's clock: unix time in milliseconds.
    pub(crate) fix_ms: Option<f64>,
    /// What goes on to others as it is.
    pub(crate) json: &'a str,
}

/// Why a message says nothing to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    /// It is in a format of another version.
    Version,
    /// It is no message of a node.
    Malformed,
    /// The node itself said it.
    Own,
}

impl Ignored {
    /// All reasons.
    pub(crate) const ALL: [Ignored; 3] = [Ignored::Version, Ignored::Malformed, Ignored::Own];

    /// The word for it in metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Ignored::Version => "version",
            Ignored::Malformed => "malformed",
            Ignored::Own => "own",
        }
    }
}

impl<'a> Envelope<'a> {
    /// Reads what came to the node `own` at this unix time in ms, from others or, of what is kept,
    /// from itself.
    ///
    /// # Errors
    /// Why it is to be ignored.
    pub(crate) fn read(payload: &'a [u8], own: Node, now_ms: u64) -> Result<Envelope<'a>, Ignored> {
        let envelope = Envelope::read_any(payload)?;
        if envelope.stamp.is_too_far_ahead(now_ms) {
            return Err(Ignored::Malformed);
        }
        match envelope.stamp.node == own && !envelope.kind.is_kept() {
            true => Err(Ignored::Own),
            false => Ok(envelope),
        }
    }

    /// Whose heartbeat this is and when it was said; nothing if it is none.
    pub(crate) fn heartbeat(payload: &[u8]) -> Option<Stamp> {
        let envelope = Envelope::read_any(payload).ok()?;
        (envelope.kind == Kind::Heartbeat).then_some(envelope.stamp)
    }

    /// The same, whoever said it and when.
    pub(super) fn read_any(payload: &'a [u8]) -> Result<Envelope<'a>, Ignored> {
        let text = str::from_utf8(payload).map_err(|_| Ignored::Malformed)?;
        let (version, rest) = text.split_once(' ').ok_or(Ignored::Malformed)?;
        if version != VERSION {
            return Err(match is_digits(version) {
                true => Ignored::Version,
                false => Ignored::Malformed,
            });
        }
        Envelope::read_rest(rest).ok_or(Ignored::Malformed)
    }

    fn read_rest(rest: &'a str) -> Option<Envelope<'a>> {
        let mut pieces = rest.splitn(6, ' ');
        let node = Node::new(pieces.next()?)?;
        let word = pieces.next()?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word)?;
        let sequence = whole(pieces.next()?)?;
        let received_ms = whole(pieces.next()?).filter(|ms| *ms < RECEIVED_MS_END)?;
        let fix_ms = match pieces.next()? {
            "-" => None,
            number => Some(fraction(number)?),
        };
        Some(Envelope {
            kind,
            stamp: Stamp {
                received_ms,
                node,
                sequence,
            },
            fix_ms,
            json: pieces.next()?,
        })
    }

    /// Appends it as text.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let (kind, stamp) = (self.kind.word(), self.stamp);
        let (node, sequence, received_ms) = (stamp.node.name(), stamp.sequence, stamp.received_ms);
        let head = write!(out, "{VERSION} {node} {kind} {sequence} {received_ms} ");
        let fix = match self.fix_ms {
            Some(ms) if ms == 0.0 || PLAIN.contains(&ms.abs()) => write!(out, "{ms} "),
            Some(ms) => write!(out, "{ms:e} "),
            None => write!(out, "- "),
        };
        head.and(fix).expect("a vector takes all bytes");
        out.extend_from_slice(self.json.as_bytes());
    }
}

fn is_digits(text: &str) -> bool {
    (1..=NUMBER_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn whole(text: &str) -> Option<u64> {
    is_digits(text).then(|| text.parse().ok())?
}

fn fraction(text: &str) -> Option<f64> {
    let is_plain = |byte: u8| byte.is_ascii_digit() || b"+-.e".contains(&byte);
    let is_number = text.len() <= NUMBER_BYTES_MAX && text.bytes().all(is_plain);
    let number: Option<f64> = is_number.then(|| text.parse().ok())?;
    number.filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(name: &str) -> Node {
        Node::new(name).expect("a name")
    }

    const NOW_MS: u64 = 1_714_470_000_123;

    fn me() -> Node {
        node("me_________")
    }

    #[test]
    fn a_message_is_written_as_it_is_documented_and_every_byte_of_the_json_goes_through() {
        let json = r#"{"userId":"Anna B.","lat":1.50,"lng" : 2E0}"#;
        let by_other = "1 Zk3v_0aQx-9 position 8812 1714470000123 1714470000050.5 ";
        let text = format!("{by_other}{json}");
        let envelope = Envelope::read(text.as_bytes(), me(), NOW_MS).expect("a message");
        assert_eq!(
            envelope,
            Envelope {
                kind: Kind::Position,
                stamp: Stamp {
                    received_ms: 1_714_470_000_123,
                    node: node("Zk3v_0aQx-9"),
                    sequence: 8812,
                },
                fix_ms: Some(1_714_470_000_050.5),
                json,
            }
        );
        let mut written = Vec::new();
        envelope.write(&mut written);
        assert_eq!(written, text.as_bytes());
    }

    #[test]
    fn a_node_hears_of_its_own_only_what_the_engine_keeps() {
        for (word, is_heard) in [
            ("position", true),
            ("goodbye", true),
            ("connected", false),
            ("heartbeat", false),
            ("audience", false),
            ("newcomer", false),
        ] {
            let text = format!("1 me_________ {word} 1 2 - ");
            let own = Envelope::read(text.as_bytes(), me(), NOW_MS);
            assert_eq!(own.is_ok(), is_heard, "{word}");
            assert!(is_heard || own == Err(Ignored::Own));
            let others = Envelope::read(text.as_bytes(), node("other______"), NOW_MS);
            assert_eq!(others.expect(word).kind.word(), word);
        }
    }

    #[test]
    fn what_comes_from_more_than_a_minute_ahead_is_ignored() {
        for (ahead_ms, is_heard) in [(0, true), (60_000, true), (60_001, false)] {
            for name in ["other______", "me_________"] {
                let text = format!("1 {name} position 1 {} - {{}}", NOW_MS + ahead_ms);
                let read = Envelope::read(text.as_bytes(), me(), NOW_MS);
                assert_eq!(read.is_ok(), is_heard, "{text}");
                assert!(is_heard || read == Err(Ignored::Malformed));
            }
        }
    }

    #[test]
    fn what_is_no_message_of_a_known_version_is_ignored_for_a_reason() {
        for (text, reason) in [
            ("2 whatever", Ignored::Version),
            ("01 Zk3v_0aQx-9 position 1 2 - {}", Ignored::Version),
            ("999 ", Ignored::Version),
            ("", Ignored::Malformed),
            ("1", Ignored::Malformed),
            ("1 ", Ignored::Malformed),
            ("2", Ignored::Malformed),
            ("-1 Zk3v_0aQx-9 position 1 2 - {}", Ignored::Malformed),
            (" 1 Zk3v_0aQx-9 position 1 2 - {}", Ignored::Malformed),
            ("{\"userId\":5}", Ignored::Malformed),
            ("1 Zk3v_0aQx-9 position 1 2 -", Ignored::Malformed),
            ("1 Zk3v_0aQx- position 1 2 - {}", Ignored::Malformed),
            ("1 Zk3v_0aQx-9 Position 1 2 - {}", Ignored::Malformed),
            ("1 Zk3v_0aQx-9 position  2 - {}", Ignored::Malformed),
            ("1 Zk3v_0aQx-9 position -1 2 - {}", Ignored::Malformed),
            ("1 Zk3v_0aQx-9 position +1 2 - {}", Ignored::Malformed),
            ("1 Zk3v_0aQx-9 position 1 2.5 - {}", Ignored::Malformed),
            (
                "1 Zk3v_0aQx-9 position 1 10000000000000 - {}",
                Ignored::Malformed,
            ),
            (
                "1 Zk3v_0aQx-9 position 18446744073709551616 2 - {}",
                Ignored::Malformed,
            ),
            ("1 Zk3v_0aQx-9 position 1 2 inf {}", Ignored::Malformed),
            ("1 Zk3v_0aQx-9 position 1 2 1e999 {}", Ignored::Malformed),
            ("1 Zk3v_0aQx-9 position 1 2 NaN {}", Ignored::Malformed),
            ("1 Zk3v_0aQx-9 position 1 2  {}", Ignored::Malformed),
        ] {
            assert_eq!(
                Envelope::read(text.as_bytes(), me(), NOW_MS),
                Err(reason),
                "{text:?}"
            );
        }
        let no_text = b"1 Zk3v_0aQx-9 position 1 2 - \xff";
        assert_eq!(
            Envelope::read(no_text, me(), NOW_MS),
            Err(Ignored::Malformed)
        );
        assert_eq!(
            Ignored::ALL.map(Ignored::word),
            ["version", "malformed", "own"]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_one_node_writes_another_reads(
            kind in prop::sample::select(Kind::ALL.to_vec()),
            name in "[A-Za-z0-9_-]{11}",
            sequence: u64,
            received_ms in 0..RECEIVED_MS_END,
            fix_ms in prop::option::of(any::<f64>().prop_filter("finite", |ms| ms.is_finite())),
            json in "\\PC*",
        ) {
            let stamp = Stamp { received_ms, node: node(&name), sequence };
            let envelope = Envelope { kind, stamp, fix_ms, json: &json };
            let mut written = Vec::new();
            envelope.write(&mut written);
            prop_assert_eq!(Envelope::read(&written, me(), received_ms), Ok(envelope));
        }

        #[test]
        fn no_bytes_make_a_reader_panic(text in "1? ?[A-Za-z0-9_-]{9,12} ?(position|name)? ?[0-9 .-]{0,40}\\PC*") {
            let _ = Envelope::read(text.as_bytes(), me(), NOW_MS);
        }
    }
}
