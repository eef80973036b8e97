//! What came from an engine and was not looked at yet. Of much that came at once, as to a node that
//! was stopped for a while, only the newest position of each user is of interest to anybody. Must
//! never know what the positions are.

use std::collections::{HashMap, VecDeque};

use super::envelope::{Envelope, Kind};
use super::resp::{self, Malformed, Refused, Value};
use super::skip::Skip;
use super::stamp::Stamp;

/// More than this came at once: positions that newer ones follow are passed over.
const MUCH_BYTES: usize = 64 * 1024;

/// Room that is kept once all was looked at.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// The bytes of one connection.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    bytes: Vec<u8>,
    /// Of these, how many were looked at.
    taken: usize,
    /// How many of these have been searched for positions that are not the newest.
    searched: usize,
    /// Where those begin, in order.
    superseded: VecDeque<usize>,
    /// How many were passed over.
    conflated: u64,
    /// How far a value was passed over that is too large.
    skip: Option<Skip>,
}

impl Incoming {
    /// Adds what was read.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.searched = self.searched.saturating_sub(self.taken);
        for begin in &mut self.superseded {
            *begin -= self.taken;
        }
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes were not looked at yet.
    pub(crate) fn unread_bytes(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// How many positions were passed over so far, as newer ones had come with them.
    pub(crate) fn conflated(&self) -> u64 {
        self.conflated
    }

    /// The next value; nothing until more is read.
    ///
    /// # Errors
    /// Whatever comes now cannot be read either: the connection is to be closed.
    pub(crate) fn next(&mut self) -> Result<Option<Value<'_>>, Malformed> {
        let is_much = self.unread_bytes() > MUCH_BYTES && self.searched < self.bytes.len();
        if is_much && self.skip.is_none() {
            self.search();
        }
        while self.superseded.front() == Some(&self.taken) {
            self.superseded.pop_front();
            self.conflated += 1;
            if let Ok(Some((_, length))) = resp::decode(&self.bytes[self.taken..]) {
                self.taken += length;
            }
        }
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES_MAX);
            (self.taken, self.searched) = (0, 0);
        }
        let unread = &self.bytes[self.taken..];
        if self.skip.is_none() {
            match resp::decode(unread) {
                Ok(None) => return Ok(None),
                Ok(Some((value, length))) => {
                    self.taken += length;
                    return Ok(Some(value));
                }
                Err(Refused::Malformed) => return Err(Malformed),
                Err(Refused::TooLarge) => {}
            }
        }
        let skip = self.skip.get_or_insert_with(Skip::new);
        self.taken += skip.pass(unread)?;
        if !skip.is_over() {
            return Ok(None);
        }
        let is_push = skip.is_push();
        self.skip = None;
        // What comes behind it was not searched.
        self.searched = self.taken;
        Ok(Some(Value::TooLarge { is_push }))
    }

    /// Finds the positions behind which one at least as new comes in the same channel. Those that
    /// stay tell the newest, and the last that the engine took.
    fn search(&mut self) {
        let mut positions: Vec<(usize, &[u8], Stamp)> = Vec::new();
        let mut at = self.taken;
        while let Ok(Some((value, length))) = resp::decode(&self.bytes[at..]) {
            if let Some((channel, stamp)) = position(value) {
                positions.push((at, channel, stamp));
            }
            at += length;
        }
        let mut newest: HashMap<&[u8], Stamp> = HashMap::new();
        self.superseded.clear();
        for (at, channel, stamp) in positions.into_iter().rev() {
            match newest.get(channel) {
                // It is not known here what the time is, and so which of the two is not believed.
                Some(later) if *later >= stamp && !later.is_too_far_ahead(stamp.received_ms) => {
                    self.superseded.push_front(at);
                }
                _ => {
                    newest.insert(channel, stamp);
                }
            }
        }
        self.searched = self.bytes.len();
    }
}

/// The channel and the stamp, if this is a message with a position.
fn position(value: Value<'_>) -> Option<(&[u8], Stamp)> {
    let (channel, payload) = message(value)?;
    let envelope = Envelope::read_any(payload).ok()?;
    (envelope.kind == Kind::Position).then_some((channel, envelope.stamp))
}

/// The channel and the payload of a message.
pub(super) fn message(value: Value<'_>) -> Option<(&[u8], &[u8])> {
    let Value::Push(mut items) = value else {
        return None;
    };
    let (kind, channel, payload) = (items.next()?, items.next()?, items.next()?);
    match kind.bytes()? {
        b"message" => Some((channel.bytes()?, payload.bytes()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bus::resp::VALUE_BYTES_MAX;
    use crate::bus::stamp::Node;

    /// A message in the channel of a user.
    #[derive(Clone, Debug, PartialEq)]
    struct Told {
        user: u8,
        kind: Kind,
        stamp: Stamp,
    }

    impl Told {
        fn written(&self) -> Vec<u8> {
            let json = format!("{{\"user\":{}}}", self.user);
            let envelope = Envelope {
                kind: self.kind,
                stamp: self.stamp,
                fix_ms: None,
                json: &json,
            };
            let mut payload = Vec::new();
            envelope.write(&mut payload);
            let channel = format!("spectate:p:{}", self.user);
            let mut push = b">3\r\n".to_vec();
            for part in [b"message", channel.as_bytes(), &payload] {
                push.extend(format!("${}\r\n", part.len()).bytes());
                push.extend(part);
                push.extend(b"\r\n");
            }
            push
        }

        fn of(value: Value) -> Told {
            let (channel, payload) = message(value).expect("a message");
            let envelope = Envelope::read_any(payload).expect("an envelope");
            Told {
                user: channel[channel.len() - 1] - b'0',
                kind: envelope.kind,
                stamp: envelope.stamp,
            }
        }
    }

    fn told() -> impl Strategy<Value = Told> {
        let kind = prop_oneof![9 => Just(Kind::Position), 1 => Just(Kind::Connected)];
        (0..5u8, kind, 0..1000u64).prop_map(|(user, kind, received_ms)| {
            let node = Node::new("Zk3v_0aQx-9").expect("a name");
            let stamp = Stamp {
                received_ms,
                node,
                sequence: 7,
            };
            Told { user, kind, stamp }
        })
    }

    /// What comes out when all is looked at after each piece that was read.
    fn read(bytes: &[u8], piece_bytes: usize) -> (Vec<Told>, u64) {
        let mut incoming = Incoming::default();
        let mut read = Vec::new();
        for piece in bytes.chunks(piece_bytes) {
            incoming.extend(piece);
            while let Some(value) = incoming.next().expect("well-formed") {
                read.push(Told::of(value));
            }
        }
        assert_eq!(incoming.unread_bytes(), 0);
        (read, incoming.conflated())
    }

    #[test]
    fn what_is_too_large_is_passed_over_in_its_place_and_not_kept() {
        let blob = |length: usize| [b"$2000000\r\n", &vec![b'x'; length][..], b"\r\n"].concat();
        let small = "$1000\r\n".to_owned() + &"y".repeat(1000) + "\r\n";
        let long_list = "*2000\r\n".to_owned() + &small.repeat(2000);
        let many = "%262145\r\n".to_owned() + &"_\r\n".repeat(2 * 262_145);
        for (large, is_push) in [
            (blob(2_000_000), false),
            (
                [b">3\r\n+message\r\n+c\r\n", &blob(2_000_000)[..]].concat(),
                true,
            ),
            (long_list.into_bytes(), false),
            (many.into_bytes(), false),
        ] {
            let bytes = [b":1\r\n", &large[..], b":2\r\n", &large, b":3\r\n"].concat();
            for piece_bytes in [64 * 1024 - 1, 1_000_000, bytes.len()] {
                let mut incoming = Incoming::default();
                let mut read = Vec::new();
                for piece in bytes.chunks(piece_bytes) {
                    incoming.extend(piece);
                    while let Some(value) = incoming.next().expect("well-formed") {
                        read.push(format!("{value:?}"));
                    }
                    assert!(incoming.unread_bytes() <= VALUE_BYTES_MAX + piece_bytes);
                }
                let passed = format!("{:?}", Value::TooLarge { is_push });
                let number = |n: i64| format!("{:?}", Value::Integer(n));
                let expected = [number(1), passed.clone(), number(2), passed, number(3)];
                assert_eq!(read, expected, "{piece_bytes}");
            }
        }
    }

    #[test]
    fn what_is_no_value_ends_the_reading_even_inside_what_is_too_large() {
        for nonsense in ["x", "$x\r\n", ":1.5\r\n", "+a\rb\r\n"] {
            let mut incoming = Incoming::default();
            incoming.extend(b"%262145\r\n_\r\n");
            assert_eq!(incoming.next(), Ok(None));
            incoming.extend(nonsense.as_bytes());
            assert_eq!(incoming.next(), Err(Malformed), "{nonsense}");
        }
    }

    #[test]
    fn what_nobody_believes_takes_the_place_of_nothing() {
        let node = Node::new("Zk3v_0aQx-9").expect("a name");
        let position = |received_ms, sequence| Told {
            user: 5,
            kind: Kind::Position,
            stamp: Stamp {
                received_ms,
                node,
                sequence,
            },
        };
        let mut all: Vec<Told> = (0..1000).map(|n| position(1_000_000 + n, n)).collect();
        all.push(position(9_999_999_999_999, 7));
        let bytes: Vec<u8> = all.iter().flat_map(Told::written).collect();
        let (read, conflated) = read(&bytes, bytes.len());
        assert_eq!((&read[..], conflated), (&all[999..], 999));
    }

    #[test]
    fn positions_behind_what_is_too_large_are_searched_for_the_newest() {
        let positions = |from: u64| {
            let node = Node::new("Zk3v_0aQx-9").expect("a name");
            (from..from + 1000).flat_map(move |received_ms| {
                let stamp = Stamp {
                    received_ms,
                    node,
                    sequence: 7,
                };
                Told {
                    user: 5,
                    kind: Kind::Position,
                    stamp,
                }
                .written()
            })
        };
        let mut incoming = Incoming::default();
        incoming.extend(&positions(0).collect::<Vec<_>>());
        incoming.extend(b"$2000000\r\n");
        let mut count = 0;
        while incoming.next().expect("well-formed").is_some() {
            count += 1;
        }
        incoming.extend(&[b'x'; 2_000_000]);
        assert_eq!(incoming.next(), Ok(None));
        incoming.extend(b"\r\n");
        incoming.extend(&positions(1000).collect::<Vec<_>>());
        assert_eq!(
            incoming.next(),
            Ok(Some(Value::TooLarge { is_push: false }))
        );
        while incoming.next().expect("well-formed").is_some() {
            count += 1;
        }
        assert_eq!((count, incoming.conflated()), (2, 1998));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 30, ..ProptestConfig::default() })]

        #[test]
        fn of_much_at_once_the_newest_position_of_each_and_the_last_and_all_else_stay(
            all in prop::collection::vec(told(), 900..1200),
        ) {
            let bytes: Vec<u8> = all.iter().flat_map(Told::written).collect();
            prop_assert!(bytes.len() > MUCH_BYTES);
            let (read, conflated) = read(&bytes, bytes.len());
            prop_assert_eq!(read.len() as u64 + conflated, all.len() as u64);
            let expected: Vec<Told> = all.iter().enumerate().filter(|(at, told)| {
                let is_later = |later: &&Told| later.user == told.user && later.kind == Kind::Position;
                told.kind != Kind::Position
                    || all[at + 1..].iter().filter(is_later).all(|later| later.stamp < told.stamp)
            }).map(|(_, told)| told.clone()).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn of_what_comes_bit_by_bit_nothing_is_passed_over(
            all in prop::collection::vec(told(), 900..1200), piece_bytes in 1..5000usize,
        ) {
            let bytes: Vec<u8> = all.iter().flat_map(Told::written).collect();
            prop_assert_eq!(read(&bytes, piece_bytes), (all, 0));
        }
    }

    #[test]
    fn what_comes_while_much_is_being_looked_at_is_in_its_place() {
        let node = Node::new("Zk3v_0aQx-9").expect("a name");
        let position = |sequence| Told {
            user: (sequence % 3) as u8,
            kind: Kind::Position,
            stamp: Stamp {
                received_ms: 7,
                node,
                sequence,
            },
        };
        let bytes: Vec<u8> = (0..3000).flat_map(|n| position(n).written()).collect();
        let (first, rest) = bytes.split_at(bytes.len() / 2 + 10);
        let mut incoming = Incoming::default();
        incoming.extend(first);
        let begun = Told::of(incoming.next().expect("well-formed").expect("one"));
        incoming.extend(rest);
        let mut last = [begun.stamp.sequence; 3];
        let mut count = 1;
        while let Some(value) = incoming.next().expect("well-formed") {
            let told = Told::of(value);
            last[usize::from(told.user)] = told.stamp.sequence;
            count += 1;
        }
        assert_eq!(last, [2997, 2998, 2999]);
        assert_eq!(count + incoming.conflated(), 3000);
        assert!(count < 10, "{count}");
    }
}
