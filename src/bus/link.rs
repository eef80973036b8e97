//! One connection to one engine, from the first attempt on and for ever: greets it, checks that it
//! is what we need, asks when it is quiet, and says when to try again. Must never see a socket, a
//! clock or chance (bytes, times and a seed come in), nor know what is said through it.
//!
//! Whoever has the socket does this with it:
//!
//! 1. [`Link::is_due`]: connect, and say [`Link::connecting`], where hands are to be shaken
//!    [`Link::reached`], then [`Link::connected`], or [`Link::failed`] whenever the socket says so. A
//!    connection has an [`Incoming`] of its own.
//! 2. Read until the socket would block into [`Incoming::extend`], say [`Link::received`] for what
//!    came and [`Link::drained`] at the end, then hand each [`Incoming::next`] to [`Link::take`].
//! 3. Write [`Link::pending`] and say how much of it went with [`Link::wrote`], once a turn.
//! 4. When [`Link::deadline`] has passed, read as above, for nothing may have announced it, and then
//!    say [`Link::tick`].
//! 5. [`Link::news`] after all that: at [`News::Up`] nothing is subscribed; when [`Link::is_down`]
//!    the socket is to be dropped.
//!
//! [`Incoming`]: super::incoming::Incoming
//! [`Incoming::extend`]: super::incoming::Incoming::extend
//! [`Incoming::next`]: super::incoming::Incoming::next

use std::time::{Duration, Instant};

use super::greeting;
use super::incoming;
use super::names::Names;
use super::outgoing::{Due, Outgoing, Tag};
use super::resp::{Items, Value};
use super::retry::Retry;
use super::rights;
use super::silence::Silence;
use super::trouble::{self, Trouble};

pub(crate) use super::greeting::Login;

/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// The connection.
#[derive(Debug)]
pub(crate) struct Link {
    names: Names,
    state: State,
    pub(super) outgoing: Outgoing,
    retry: Retry,
    news: Option<News>,
    /// Why it is down, as it was told last; nothing once it was up since.
    told: Option<Trouble>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Down {
        retry_at: Instant,
    },
    Connecting {
        until: Instant,
        /// Whether somebody is there, who has to shake hands first.
        is_reached: bool,
    },
    /// Greeted; so many answers are to come until it is up.
    Greeting {
        answers: usize,
        silence: Silence,
    },
    Up {
        silence: Silence,
    },
}

/// What became of a link, once for each change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The engine takes commands. It has no subscriptions of ours.
    Up,
    /// It does not, and why; again when the reason is another.
    Down(Trouble),
}

/// What an engine tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Event<'a> {
    /// A message of a channel.
    Message {
        /// The channel's name.
        channel: &'a [u8],
        /// What was published.
        payload: &'a [u8],
    },
    /// The answer to a question, which may be an error.
    Answer(Tag, Value<'a>),
    /// A command was not carried out, for this reason.
    Refused(&'a [u8]),
}

impl Link {
    /// A link to be connected at once. At most so many bytes wait in it to be written; the seed
    /// makes the pauses between attempts differ from those of other nodes.
    pub(crate) fn new(names: Names, out_bytes_max: usize, seed: u64, now: Instant) -> Link {
        Link {
            names,
            state: State::Down { retry_at: now },
            outgoing: Outgoing::new(out_bytes_max),
            retry: Retry::new(seed),
            news: None,
            told: None,
        }
    }

    /// Whether it is time to connect.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, State::Down { retry_at } if now >= retry_at)
    }

    /// A connection is being made.
    pub(crate) fn connecting(&mut self, now: Instant) {
        self.state = State::Connecting {
            until: now + CONNECT_MAX,
            is_reached: false,
        };
    }

    /// Somebody is there, who has to shake hands before anything is said.
    pub(crate) fn reached(&mut self, now: Instant) {
        if let State::Connecting {
            is_reached: false, ..
        } = self.state
        {
            self.state = State::Connecting {
                until: now + CONNECT_MAX,
                is_reached: true,
            };
        }
    }

    /// Whether nothing can be said yet to who is to be connected.
    pub(crate) fn is_connecting(&self) -> bool {
        matches!(self.state, State::Connecting { .. })
    }

    /// The connection is there.
    pub(crate) fn connected(&mut self, login: &Login, now: Instant) {
        self.outgoing.clear();
        let greet = |out: &mut Vec<u8>| greeting::write(login, out);
        self.outgoing.commands(greet, Due::Greeting, 1);
        // In the same write: an engine that refuses the greeting refuses these too.
        let probe = |out: &mut Vec<u8>| rights::probe(&self.names, out);
        self.outgoing.commands(probe, Due::Probe, rights::ANSWERS);
        self.state = State::Greeting {
            answers: 1 + rights::ANSWERS,
            silence: Silence::asking(now),
        };
    }

    /// There is no connection, or none any more.
    pub(crate) fn failed(&mut self, trouble: Trouble, now: Instant) {
        let retry_at = self.retry.after(&trouble, now);
        self.state = State::Down { retry_at };
        self.outgoing.clear();
        if self.told.as_ref() != Some(&trouble) {
            self.told = Some(trouble.clone());
            self.news = Some(News::Down(trouble));
        }
    }

    /// Bytes came.
    pub(crate) fn received(&mut self, now: Instant) {
        if let Some(silence) = self.silence() {
            silence.heard(now);
        }
    }

    /// Reading found nothing more.
    pub(crate) fn drained(&mut self, now: Instant) {
        if let Some(silence) = self.silence() {
            silence.drained(now);
        }
    }

    /// The next value that came, and what it says to others than the link.
    pub(crate) fn take<'a>(&mut self, value: Value<'a>, now: Instant) -> Option<Event<'a>> {
        if !self.is_open() {
            return None;
        }
        match value {
            Value::Push(items) => self.take_push(items, now),
            Value::TooLarge { is_push: true } => None,
            answer => self.take_answer(answer, now),
        }
    }

    fn take_push<'a>(&mut self, mut items: Items<'a>, now: Instant) -> Option<Event<'a>> {
        if let Some((channel, payload)) = incoming::message(Value::Push(items)) {
            // Before, it is another node's trial of its rights.
            return self.is_up().then_some(Event::Message { channel, payload });
        }
        let is_subscription = matches!(
            items.next().and_then(Value::bytes),
            Some(b"subscribe" | b"unsubscribe")
        );
        if is_subscription {
            match self.outgoing.answered() {
                Some(Due::Subscription) => {}
                Some(Due::Probe) => self.greeted(now),
                _ => self.failed(Trouble::Malformed, now),
            }
        }
        None
    }

    fn take_answer<'a>(&mut self, answer: Value<'a>, now: Instant) -> Option<Event<'a>> {
        let Some(due) = self.outgoing.answered() else {
            self.fail_unasked(answer, now);
            return None;
        };
        let rights = || rights::needed(&self.names);
        let trouble = match answer {
            Value::Error(error) if due == Due::Greeting => {
                Some(Trouble::of_refused_greeting(error, rights))
            }
            Value::Error(error) => Trouble::of_error(error, rights),
            answer if due == Due::Greeting => greeting::check(answer).err(),
            _ => None,
        };
        if let Some(trouble) = trouble {
            self.failed(trouble, now);
            return None;
        }
        match (due, answer) {
            (Due::Greeting | Due::Probe, _) => self.greeted(now),
            (Due::Asked(tag), answer) => return Some(Event::Answer(tag, answer)),
            (Due::Done, Value::Error(error)) => return Some(Event::Refused(error)),
            (Due::Done | Due::Ping, _) => {}
            // Of several channels nobody knows how many are left to be told.
            (Due::Subscription, Value::Error(error)) => {
                self.failed(Trouble::Busy(trouble::said(error)), now);
            }
            (Due::Subscription, _) => self.failed(Trouble::Malformed, now),
        }
        None
    }

    /// What an engine says before it closes a connection that it does not want.
    fn fail_unasked(&mut self, answer: Value, now: Instant) {
        let trouble = match answer {
            Value::Error(error) => Trouble::Busy(trouble::said(error)),
            _ => Trouble::Malformed,
        };
        self.failed(trouble, now);
    }

    /// One of the answers came that are needed before anything else.
    fn greeted(&mut self, now: Instant) {
        let State::Greeting { answers, silence } = &mut self.state else {
            return;
        };
        *answers -= 1;
        if *answers == 0 {
            self.state = State::Up { silence: *silence };
            self.retry.up(now);
            self.told = None;
            self.news = Some(News::Up);
        }
    }

    /// What is to be written.
    pub(crate) fn pending(&self) -> &[u8] {
        self.outgoing.pending()
    }

    /// How much that is.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.outgoing.pending_bytes()
    }

    /// So much of it was written, of all that was so much is on its way still, and the socket takes
    /// no more for now or there is no more.
    pub(crate) fn wrote(&mut self, count: usize, held: usize, now: Instant) {
        self.outgoing.wrote(count, held);
        if let Some(silence) = self.silence() {
            silence.wrote(now);
        }
    }

    /// When there is something to do if nothing happens until then.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Down { retry_at } => Some(*retry_at),
            State::Connecting { until, .. } => Some(*until),
            State::Greeting { silence, .. } | State::Up { silence } => silence.deadline(),
        }
    }

    /// Does what is due by now.
    pub(crate) fn tick(&mut self, now: Instant) {
        match &mut self.state {
            State::Connecting { until, is_reached } if now >= *until => {
                let trouble = match is_reached {
                    true => Trouble::NoHandshake,
                    false => Trouble::Lost("no connection within 5 s".to_owned()),
                };
                self.failed(trouble, now);
            }
            State::Greeting { silence, .. } | State::Up { silence } => {
                if silence.is_over() {
                    self.failed(Trouble::Silent, now);
                } else if silence.ask(now) {
                    self.outgoing.command(&[b"PING"], Due::Ping, 1);
                }
            }
            State::Down { .. } | State::Connecting { .. } => {}
        }
    }

    /// What changed since this was asked last.
    pub(crate) fn news(&mut self) -> Option<News> {
        self.news.take()
    }

    /// Whether there is to be no connection.
    pub(crate) fn is_down(&self) -> bool {
        matches!(self.state, State::Down { .. })
    }

    /// Whether the engine takes commands.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::Greeting { .. } | State::Up { .. })
    }

    fn silence(&mut self) -> Option<&mut Silence> {
        match &mut self.state {
            State::Greeting { silence, .. } | State::Up { silence } => Some(silence),
            State::Down { .. } | State::Connecting { .. } => None,
        }
    }
}
