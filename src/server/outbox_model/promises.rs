//! What a follower may and must see, and a judge of what it does see.

use std::collections::{BTreeMap, BTreeSet};

use crate::server::wire::frames::append_text_frame;

/// What must arrive about a followed user.
#[derive(Default)]
pub(super) struct Awaited {
    /// The first number that may arrive.
    pub(super) first: u32,
    /// The newest that must, if any.
    pub(super) newest: Option<u32>,
    /// Whether a last known position must come before all others.
    pub(super) last_known_due: bool,
    /// Whether presence must come before that.
    pub(super) presence_due: bool,
    /// Whether a trail must come before that, and from which time on at least.
    pub(super) trail_due: Option<u64>,
    /// Whether that may be earlier, as it was owed before.
    pub(super) is_trail_vague: bool,
    /// Whether one may come that is not due.
    pub(super) trail_may_come: bool,
}

struct Certain {
    message: String,
    /// Whether its user was unfollowed since.
    is_leftover: bool,
}

#[derive(Default)]
pub(super) struct Promises {
    /// Positions pushed while the socket took everything, and not flushed since, in that order.
    certain: Vec<Certain>,
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
    /// Users whose trail was owed anew since then.
    owed_anew: BTreeSet<String>,
}

impl Promises {
    /// A user is followed; after an unfollow, the same may come again.
    pub(super) fn follow(&mut self, user: &str, awaited: Awaited) {
        self.seen.remove(user);
        self.seen_presence.remove(user);
        self.awaited.insert(user.to_owned(), awaited);
    }

    /// A trail is owed from a time on, and whole if it was so already.
    pub(super) fn owe_trail(&mut self, user: &str, from_ms: u64, is_half_sent: bool) {
        let Some(awaited) = self.awaited.get_mut(user) else {
            return;
        };
        let before_ms = awaited.trail_due.unwrap_or(from_ms);
        if is_half_sent {
            // The one that was due may be the one that was begun.
            self.owed_anew.insert(user.to_owned());
            awaited.trail_due = Some(before_ms.max(from_ms));
            awaited.is_trail_vague = true;
        } else {
            awaited.trail_due = Some(before_ms.min(from_ms));
        }
    }

    /// The trail that is owed may be whole.
    pub(super) fn loosen_trail(&mut self, user: &str) {
        if let Some(awaited) = self.awaited.get_mut(user) {
            awaited.is_trail_vague = true;
        }
    }

    /// Trails are asked for from now on, or no longer. What was begun still arrives.
    pub(super) fn ask_trails(&mut self, asks: bool, is_half_sent: bool) {
        for awaited in self.awaited.values_mut() {
            awaited.trail_may_come = asks || is_half_sent;
            if !asks {
                // Asked for again before anything went, it is still owed as it was.
                awaited.is_trail_vague |= awaited.trail_due.take().is_some();
            }
        }
    }

    /// Whether something is to come about a user.
    pub(super) fn awaits(&self, user: &str) -> bool {
        self.awaited.contains_key(user)
    }

    /// Users are followed no longer. What was accepted before still arrives.
    pub(super) fn unfollow(&mut self, users: &[&str], is_half_sent: bool) {
        if is_half_sent {
            self.half_sent
                .extend(users.iter().map(|&user| user.to_owned()));
        }
        let was_awaited = |user: &&&str| self.awaited.remove(**user).is_some();
        let ended: Vec<&str> = users.iter().filter(was_awaited).copied().collect();
        for certain in &mut self.certain {
            let user = certain.message.split(' ').nth(1);
            certain.is_leftover |= user.is_some_and(|user| ended.contains(&user));
        }
    }

    /// A position was pushed while the socket takes everything.
    pub(super) fn push(&mut self, message: String) {
        self.certain.push(Certain {
            message,
            is_leftover: false,
        });
    }

    /// A user's position with this number came in.
    pub(super) fn publish(&mut self, user: &str, number: u32) {
        if let Some(awaited) = self.awaited.get_mut(user) {
            awaited.newest = Some(number);
        }
    }

    /// The socket took no more, after these bytes of a frame.
    pub(super) fn block(&mut self, begun: &[u8]) {
        let first = std::mem::take(&mut self.certain).into_iter().next();
        let is_begun = |first: &Certain| {
            first.is_leftover && !begun.is_empty() && text_frame(&first.message).starts_with(begun)
        };
        let first = first.filter(is_begun).map(|first| first.message);
        self.begun = self.begun.take().or(first);
    }

    /// The socket took all that was not held back.
    pub(super) fn check_flushed(&self) {
        assert!(
            self.certain.is_empty(),
            "lost while the socket took everything: {:?}",
            self.certain[0].message
        );
    }

    /// A whole message arrived.
    pub(super) fn judge(&mut self, text: &str) {
        let unfollowed = std::mem::take(&mut self.half_sent);
        let owed_anew = std::mem::take(&mut self.owed_anew);
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
            ["t", user, from_ms, last] => {
                let from_ms: u64 = from_ms.parse().expect("a number");
                let last: u32 = last.parse().expect("a number");
                if unfollowed.contains(user) || owed_anew.contains(user) {
                    return;
                }
                let awaited = self.awaited.get_mut(user);
                let awaited = awaited.unwrap_or_else(|| panic!("{text}: nobody follows it"));
                match awaited.trail_due.take() {
                    Some(due_ms) => assert!(
                        from_ms <= due_ms
                            && (awaited.is_trail_vague || (from_ms == 0) == (due_ms == 0)),
                        "{text}: from {due_ms} on"
                    ),
                    None => assert!(awaited.trail_may_come, "{text}: it was not asked for"),
                }
                (awaited.trail_may_come, awaited.is_trail_vague) = (false, false);
                let seen = self.seen.get(user);
                assert!(seen <= Some(&last), "{text} after {seen:?}");
            }
            [kind, user, number] => {
                let number: u32 = number.parse().expect("a number");
                let is_leftover =
                    |certain: &Certain| certain.is_leftover && certain.message == text;
                (self.certain).retain(|certain| certain.is_leftover || certain.message != text);
                if let Some(at) = self.certain.iter().position(is_leftover) {
                    self.certain.remove(at);
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
                // It may have been begun before that was owed.
                let is_due = awaited.trail_due.is_some() && !owed_anew.contains(user);
                assert!(kind != "k" || !is_due, "{text}: the trail comes first");
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
        for (user, awaited) in &self.awaited {
            let (newest, trail_due) = (&awaited.newest, awaited.trail_due);
            assert_eq!(trail_due, None, "the trail of {user}");
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
