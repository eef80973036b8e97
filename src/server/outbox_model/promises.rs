//! What a follower may and must see, and a judge of what it does see.

use std::collections::{BTreeMap, BTreeSet};

use crate::server::wire::frames::append_text_frame;

/// What must arrive about a followed user.
pub(super) struct Awaited {
    /// The first number that may arrive.
    pub(super) first: u32,
    /// The newest that must, if any.
    pub(super) newest: Option<u32>,
    /// Whether a last known position must come before all others.
    pub(super) last_known_due: bool,
    /// Whether presence must come before that.
    pub(super) presence_due: bool,
}

#[derive(Default)]
pub(super) struct Promises {
    /// Positions pushed while the socket took everything, and not flushed since.
    pub(super) certain: Vec<String>,
    /// Those of them that are about a user who was unfollowed since.
    leftover: Vec<String>,
    /// The one of those that was begun when the socket took no more, perhaps: what comes next.
    begun: Option<String>,
    pub(super) errors: Vec<String>,
    pub(super) pongs: Vec<String>,
    awaited: BTreeMap<String, Awaited>,
    /// The newest number received per user.
    seen: BTreeMap<String, u32>,
    /// The number of each user's presence now, and the newest received.
    pub(super) presence: BTreeMap<String, u32>,
    seen_presence: BTreeMap<String, u32>,
    pub(super) audience: u32,
    seen_audience: u32,
    /// Users that were unfollowed after the frame that comes next was begun.
    half_sent: BTreeSet<String>,
}

impl Promises {
    /// A user is followed; after an unfollow, the same may come again.
    pub(super) fn follow(&mut self, user: &str, awaited: Awaited) {
        self.seen.remove(user);
        self.seen_presence.remove(user);
        self.awaited.insert(user.to_owned(), awaited);
    }

    /// A user is followed no longer. What was accepted before still arrives.
    pub(super) fn unfollow(&mut self, user: &str, is_half_sent: bool) {
        if is_half_sent {
            self.half_sent.insert(user.to_owned());
        }
        if self.awaited.remove(user).is_some() {
            let is_about = |message: &mut String| message.split(' ').nth(1) == Some(user);
            self.leftover.extend(self.certain.extract_if(.., is_about));
        }
    }

    /// A user's position with this number came in.
    pub(super) fn publish(&mut self, user: &str, number: u32) {
        if let Some(awaited) = self.awaited.get_mut(user) {
            awaited.newest = Some(number);
        }
    }

    /// The socket took no more, after these bytes of a frame.
    pub(super) fn block(&mut self, begun: &[u8]) {
        let is_begun =
            |message: &String| !begun.is_empty() && text_frame(message).starts_with(begun);
        let first = std::mem::take(&mut self.leftover)
            .into_iter()
            .find(is_begun);
        self.begun = self.begun.take().or(first);
        self.certain.clear();
    }

    /// The socket took all that was not held back.
    pub(super) fn check_flushed(&self) {
        assert!(
            self.certain.is_empty() && self.leftover.is_empty(),
            "lost while the socket took everything: {:?} {:?}",
            self.certain,
            self.leftover
        );
    }

    /// A whole message arrived.
    pub(super) fn judge(&mut self, text: &str) {
        let unfollowed = std::mem::take(&mut self.half_sent);
        if self.begun.take().as_deref() == Some(text) {
            return;
        }
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["e", _] => assert_eq!(self.errors.remove(0), text, "errors come in order"),
            ["o", _] => {
                let at = self
                    .pongs
                    .iter()
                    .position(|pong| pong == text)
                    .expect("answers a ping, once, in order");
                self.pongs.drain(..=at);
            }
            ["a", number] => {
                let number: u32 = number.parse().expect("a number");
                assert!(number > self.seen_audience, "{text}: older, or twice");
                self.seen_audience = number;
            }
            ["h", user, number] => {
                let number: u32 = number.parse().expect("a number");
                let Some(awaited) = self.awaited.get_mut(user) else {
                    return;
                };
                if unfollowed.contains(user) {
                    return;
                }
                awaited.presence_due = false;
                let seen = self.seen_presence.insert(user.to_owned(), number);
                assert!(seen <= Some(number), "{text} after {seen:?}");
            }
            [kind, user, number] => {
                let number: u32 = number.parse().expect("a number");
                self.certain.retain(|message| message != text);
                if let Some(at) = self.leftover.iter().position(|message| message == text) {
                    self.leftover.remove(at);
                    return;
                }
                let Some(awaited) = self.awaited.get_mut(user) else {
                    return;
                };
                if number < awaited.first || unfollowed.contains(user) {
                    // From before the user was unfollowed and followed again.
                    return;
                }
                assert_eq!(
                    kind == "k",
                    awaited.last_known_due,
                    "{text}: last known ones come first, once"
                );
                awaited.last_known_due = false;
                assert!(!awaited.presence_due, "{text}: presence comes first");
                let seen = self.seen.insert(user.to_owned(), number);
                assert!(
                    seen < Some(number),
                    "{text} after {seen:?}: older after newer, or twice"
                );
            }
            _ => panic!("{text:?} was never sent"),
        }
    }

    /// That everybody's newest has arrived.
    pub(super) fn check_end(&self) {
        assert!(self.errors.is_empty() && self.pongs.is_empty());
        for (user, Awaited { newest, .. }) in &self.awaited {
            assert_eq!(self.seen.get(user), newest.as_ref(), "the newest of {user}");
            let presence = self.presence.get(user).copied().unwrap_or_default();
            let seen = self.seen_presence.get(user);
            assert_eq!(seen, Some(&presence), "the presence of {user}");
        }
        assert_eq!(self.seen_audience, self.audience);
    }
}

/// The frame of a message.
fn text_frame(message: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    append_text_frame(message.as_bytes(), &mut frame);
    frame
}
