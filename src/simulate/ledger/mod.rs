//! What every simulated user sent, and whether each delivery is one that was due. Pure: knows no
//! sockets, and time only as an argument.
//!
//! Nothing of what was sent is stored: each position can be computed again for comparison. So the
//! check is exact, down to the digits, and takes the same memory however long the run.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use hdrhistogram::Histogram;

use super::course::motion::Motion;
use super::faults::{Fault, Faults};
use crate::client::message::{self, ServerMessage, Sighting};

/// Most positions of all users that are on their way: enough to keep a server busy, and few
/// enough that the latencies are its own and not those of a queue.
const IN_FLIGHT_MAX: usize = 1024;
/// Most gaps remembered for each follower and user, in case that what is missing comes late.
const GAPS_MAX: usize = 256;

/// Longest latency that is told apart from longer ones, in microseconds: an hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// Everything that a run sent and received.
#[derive(Debug)]
pub(crate) struct Ledger {
    motion: Motion,
    /// The id of the first user; the others have those behind it.
    first_id: usize,
    users: Vec<User>,
    in_flight: usize,
    sent: u64,
    expected: u64,
    arrived: u64,
    arrived_last: Option<Instant>,
    /// Deliveries that may still come.
    outstanding: u64,
    latency_us: Histogram<u64>,
    /// The lowest and the highest id of which positions came that we did not send.
    strangers: Option<(usize, usize)>,
    /// Whether some of these cannot be ours in other words: there were more of them than were
    /// missing of ours.
    is_shared: bool,
    /// Whether a latitude beyond a pole was refused.
    is_refused: bool,
    /// What was wrong so far.
    pub(crate) faults: Faults,
}

#[derive(Debug, Default)]
struct User {
    /// How many positions this user sent.
    sent: u64,
    /// When each of the last of them was due, as far as they are on their way.
    due: VecDeque<Instant>,
    /// What this user's connection saw of the user itself and of the next one.
    views: [View; 2],
    /// Whether the connection is over.
    gone: bool,
}

/// What one connection saw of one user.
#[derive(Debug, Default)]
struct View {
    /// The number of the position that should come next.
    next: u64,
    /// Numbers that were passed over, in ascending order.
    gaps: Vec<Range<u64>>,
    arrived: u64,
    /// Positions that we did not send, or not so.
    strange: u64,
    /// Whether a last known position came.
    last_known: bool,
}

impl Ledger {
    /// A ledger for so many users with ids from `first_id` on, of which each follows itself and the
    /// next.
    pub(crate) fn new(first_id: usize, users: usize, motion: Motion) -> Ledger {
        let latency_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3);
        Ledger {
            motion,
            first_id,
            users: (0..users).map(|_| User::default()).collect(),
            in_flight: 0,
            sent: 0,
            expected: 0,
            arrived: 0,
            arrived_last: None,
            outstanding: 0,
            latency_us: latency_us.expect("the bounds are in order and 3 digits are possible"),
            strangers: None,
            is_shared: false,
            is_refused: false,
            faults: Faults::default(),
        }
    }

    /// The id of a user, who is counted from 0.
    pub(crate) fn id(&self, user: usize) -> usize {
        self.first_id + user
    }

    /// The lowest and the highest id that somebody else was seen to publish, if it is sure that
    /// somebody does: a server that changes positions of ours lets as many of them go missing.
    pub(crate) fn in_use(&self) -> Option<(usize, usize)> {
        self.strangers.filter(|_| self.is_shared)
    }

    /// Whether the server takes latitudes on Earth alone, and was sent others.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Says when the run begins, in milliseconds since 1970 UTC; before the first position.
    pub(crate) fn begin(&mut self, unix_ms: u64) {
        self.motion.begin(unix_ms);
    }

    /// Whose turn it is to send a position; `None` if it is anybody's.
    pub(crate) fn next_user(&self) -> Option<usize> {
        self.motion.next_user(self.sent)
    }

    /// Whether this user may send a position now; false until more deliveries have come.
    pub(crate) fn has_room(&self, user: usize) -> bool {
        self.in_flight < IN_FLIGHT_MAX
            && self.users[user].due.len() < self.motion.in_flight_per_user_max()
    }

    /// Enters one more position of this user, due at that time; the message to send.
    pub(crate) fn publish(&mut self, user: usize, due: Instant) -> String {
        let number = self.users[user].sent;
        self.users[user].sent += 1;
        self.users[user].due.push_back(due);
        self.sent += 1;
        self.in_flight += 1;
        for follower in followers(user) {
            self.expected += 1;
            self.outstanding += u64::from(!self.users[follower].gone);
        }
        self.motion.text(user, self.id(user), number)
    }

    /// Enters what a user's connection received.
    pub(crate) fn receive(&mut self, follower: usize, text: &str, now: Instant) {
        match message::decode(text) {
            ServerMessage::Position(seen) => match self.view(follower, &seen) {
                Err(fault) => self.note(fault, follower, text),
                Ok(user) => match seen.age {
                    Some(age) => self.last_known(follower, user, age, text),
                    None => self.deliver(follower, user, &seen, text, now),
                },
            },
            ServerMessage::Error { code, .. }
                if code == "bad_position" && !self.motion.is_on_earth() =>
            {
                self.is_refused = true;
            }
            ServerMessage::Error { code, message } => {
                let id = self.id(follower);
                (self.faults).note(Fault::Error, || format!("to user {id}: {code}: {message}"));
            }
            ServerMessage::Other => self.note(Fault::Unexpected, follower, text),
        }
    }

    fn note(&mut self, fault: Fault, follower: usize, text: &str) {
        let id = self.id(follower);
        let told = || format!("user {id} got {}", crate::refusal::quote(text));
        self.faults.note(fault, told);
    }

    /// Whose position a follower saw, if it follows that user.
    fn view(&self, follower: usize, seen: &Sighting) -> Result<usize, Fault> {
        match seen.user.parse::<usize>() {
            Ok(id) if id.to_string() != seen.user => Err(Fault::WrongContent),
            Ok(id) => {
                let user = id.checked_sub(self.first_id);
                let user = user.filter(|user| (follower..=follower + 1).contains(user));
                user.ok_or(Fault::Foreign)
            }
            // Somebody's id, but no number, though all were sent as numbers.
            Err(_) => Err(Fault::WrongContent),
        }
    }

    /// A last known position answers a follow and is no delivery: it comes once, if ever, and
    /// before all that is live.
    fn last_known(&mut self, follower: usize, user: usize, age: &str, text: &str) {
        let view = &mut self.users[follower].views[user - follower];
        if !age
            .parse::<f64>()
            .is_ok_and(|age| age >= 0.0 && age.is_finite())
        {
            self.note(Fault::WrongContent, follower, text);
        } else if view.next > 0 || std::mem::replace(&mut view.last_known, true) {
            self.note(Fault::Unexpected, follower, text);
        }
    }

    fn deliver(&mut self, follower: usize, user: usize, seen: &Sighting, text: &str, now: Instant) {
        let sent = self.users.get(user).map_or(0, |user| user.sent);
        let number = self
            .motion
            .number(user, seen)
            .filter(|number| *number < sent);
        // The keys that were compared, and no others may have come with them.
        let keys = 3 + seen.extras().count();
        let Some(number) = number.filter(|_| message::key_count(text) == Some(keys)) else {
            self.stranger(follower, user);
            return self.note(Fault::WrongContent, follower, text);
        };
        let view = user - follower;
        let view = &mut self.users[follower].views[view];
        if number >= view.next {
            let passed_over = view.next..number;
            view.next = number + 1;
            if !passed_over.is_empty() {
                view.gaps.push(passed_over);
                self.bound_gaps(follower, user);
            }
            self.record_latency(user, number, now);
        } else if take_from_gaps(&mut view.gaps, number) {
            self.note(Fault::OutOfOrder, follower, text);
        } else {
            return self.note(Fault::Doubled, follower, text);
        }
        self.users[follower].views[user - follower].arrived += 1;
        self.arrived += 1;
        self.arrived_last = Some(now);
        self.outstanding -= 1;
        self.forget_arrived(user);
        self.judge_strangers(follower, user);
    }

    /// Enters a position of a user that we did not send.
    fn stranger(&mut self, follower: usize, user: usize) {
        let id = self.id(user);
        let (lowest, highest) = self.strangers.unwrap_or((id, id));
        self.strangers = Some((lowest.min(id), highest.max(id)));
        self.users[follower].views[user - follower].strange += 1;
        self.judge_strangers(follower, user);
    }

    fn judge_strangers(&mut self, follower: usize, user: usize) {
        let sent = self.users.get(user).map_or(0, |user| user.sent);
        let view = &self.users[follower].views[user - follower];
        self.is_shared |= view.strange > sent - view.arrived;
    }

    /// Gives up on the oldest gap when there are too many to remember.
    fn bound_gaps(&mut self, follower: usize, user: usize) {
        let gaps = &mut self.users[follower].views[user - follower].gaps;
        if gaps.len() > GAPS_MAX {
            let oldest = gaps.remove(0);
            self.note_missing(follower, user, oldest);
        }
    }

    fn note_missing(&mut self, follower: usize, user: usize, numbers: Range<u64>) {
        let (id, follower) = (self.id(user), self.id(follower));
        for number in numbers {
            self.faults.note(Fault::Missing, || {
                let text = self.motion.text(user, id, number);
                format!("user {follower} did not get {text}")
            });
        }
    }

    fn record_latency(&mut self, user: usize, number: u64, now: Instant) {
        let user = &self.users[user];
        let first_in_flight = user.sent - user.due.len() as u64;
        if let Some(due) = user.due.get((number - first_in_flight) as usize) {
            let latency_us = now.saturating_duration_since(*due).as_micros();
            self.latency_us
                .saturating_record(u64::try_from(latency_us).unwrap_or(u64::MAX));
        }
    }

    /// Positions that all their followers have seen, or have passed over, are on their way no more.
    fn forget_arrived(&mut self, user: usize) {
        let passed = followers(user)
            .map(|follower| self.users[follower].views[user - follower].next)
            .min();
        let user = &mut self.users[user];
        let first_in_flight = user.sent - user.due.len() as u64;
        let arrived = passed.unwrap_or_default().saturating_sub(first_in_flight) as usize;
        user.due.drain(..arrived);
        self.in_flight -= arrived;
    }

    /// Enters that a user's connection is over: nothing more will come to it.
    pub(crate) fn disconnect(&mut self, follower: usize) {
        if !self.users[follower].gone {
            self.users[follower].gone = true;
            self.outstanding -= self.missing_of(follower);
        }
    }

    fn missing_of(&self, follower: usize) -> u64 {
        let user = &self.users[follower];
        let next_sent = self.users.get(follower + 1).map_or(0, |next| next.sent);
        user.sent + next_sent - user.views[0].arrived - user.views[1].arrived
    }

    /// Enters as missing what has not come. Nothing may be received after this.
    pub(crate) fn close(&mut self) {
        for follower in 0..self.users.len() {
            for user in (follower..self.users.len()).take(2) {
                let behind = self.users[user].sent;
                let view = &mut self.users[follower].views[user - follower];
                let mut missing = std::mem::take(&mut view.gaps);
                missing.push(view.next..behind);
                for numbers in missing {
                    self.note_missing(follower, user, numbers);
                }
            }
        }
    }

    /// How many users there are.
    pub(crate) fn users(&self) -> usize {
        self.users.len()
    }

    /// How many positions are sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// How many deliveries follow from what was sent.
    pub(crate) fn expected(&self) -> u64 {
        self.expected
    }

    /// How many of them came.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived
    }

    /// When the last of them came.
    pub(crate) fn arrived_last(&self) -> Option<Instant> {
        self.arrived_last
    }

    /// How many of them may still come: all others but those to connections that are over.
    pub(crate) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// From when a position was due to when a delivery of it was read, in microseconds.
    pub(crate) fn latency_us(&self) -> &Histogram<u64> {
        &self.latency_us
    }
}

/// Who follows a user: itself, and the one before.
fn followers(user: usize) -> impl Iterator<Item = usize> {
    user.saturating_sub(1)..=user
}

/// Whether the number was in a gap; it is no more.
fn take_from_gaps(gaps: &mut Vec<Range<u64>>, number: u64) -> bool {
    let Some(index) = gaps.iter().position(|gap| gap.contains(&number)) else {
        return false;
    };
    let gap = gaps.remove(index);
    let rest = [gap.start..number, number + 1..gap.end];
    gaps.splice(
        index..index,
        rest.into_iter().filter(|part| !part.is_empty()),
    );
    true
}

#[cfg(test)]
mod tests;
