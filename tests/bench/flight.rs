//! Messages under way: who may send the next, how long each took, and an exact account of what
//! arrived. Every pair of follower and followed runner must see 0, 1, 2, … once each.

use std::collections::{HashSet, VecDeque};

use hdrhistogram::Histogram;

use crate::connection::Sink;

/// Which runners each connection follows; the first connections are the runners themselves.
pub(crate) struct Graph {
    pub(crate) runners: usize,
    pub(crate) following: Vec<Vec<u32>>,
}

impl Graph {
    /// Runners that nobody else is, and followers of all of them.
    pub(crate) fn all_follow_all(runners: usize, followers: usize) -> Graph {
        let mut following = vec![Vec::new(); runners];
        following.resize(runners + followers, (0..runners as u32).collect());
        Graph { runners, following }
    }

    /// Followers of each runner, those from connection `unpaced_from` on not counted.
    fn audiences(&self, unpaced_from: usize) -> Vec<u32> {
        let mut audiences = vec![0; self.runners];
        for &runner in self.following[..unpaced_from].iter().flatten() {
            audiences[runner as usize] += 1;
        }
        audiences
    }
}

/// What one follower saw of one runner.
#[derive(Clone, Copy)]
struct Edge {
    runner: u32,
    /// The number that comes next.
    next: u64,
}

#[derive(Clone, Copy, Default)]
struct Message {
    sent_ns: u64,
    /// Followers that do not have it yet.
    missing: u32,
}

/// What was wrong with the deliveries.
#[derive(Default)]
pub(crate) struct Faults {
    pub(crate) doubled: u64,
    pub(crate) foreign: u64,
    pub(crate) reordered: u64,
    /// Numbers never sent.
    pub(crate) invented: u64,
}

/// For times in nanoseconds.
pub(crate) fn histogram() -> Result<Histogram<u64>, String> {
    Histogram::new_with_bounds(1_000, 600_000_000_000, 3).map_err(|error| error.to_string())
}

pub(crate) struct Flight {
    edges: Vec<Edge>,
    /// Where each connection's edges begin; they are sorted by runner.
    starts: Vec<usize>,
    /// Edges and numbers that were jumped over.
    skipped: HashSet<(usize, u64)>,
    pub(crate) faults: Faults,
    /// Arrived, at connections that the runners wait for.
    pub(crate) delivered: u64,
    /// Arrived at the others.
    pub(crate) unpaced: u64,
    /// Owed to the connections that the runners wait for.
    pub(crate) expected: u64,
    pub(crate) in_flight: usize,
    pub(crate) latency: Histogram<u64>,
    /// Latencies count for messages sent from this time on.
    pub(crate) measured_from_ns: u64,
    /// Runners that may send, once for each message they may.
    ready: VecDeque<u32>,
    audiences: Vec<u32>,
    numbers: Vec<u64>,
    /// A ring of messages for each runner.
    messages: Vec<Message>,
    window: usize,
    /// Connections from here on are not waited for, and may miss messages.
    unpaced_from: usize,
}

impl Flight {
    /// `window`: messages that each runner may have under way.
    pub(crate) fn new(graph: &Graph, window: usize, unpaced_from: usize) -> Result<Flight, String> {
        let (mut edges, mut starts) = (Vec::new(), vec![0]);
        for following in &graph.following {
            let mut sorted = following.clone();
            sorted.sort_unstable();
            edges.extend(sorted.into_iter().map(|runner| Edge { runner, next: 0 }));
            starts.push(edges.len());
        }
        let audiences = graph.audiences(unpaced_from.min(graph.following.len()));
        let window = window.next_power_of_two();
        Ok(Flight {
            edges,
            starts,
            skipped: HashSet::new(),
            faults: Faults::default(),
            delivered: 0,
            unpaced: 0,
            expected: 0,
            in_flight: 0,
            latency: histogram()?,
            measured_from_ns: u64::MAX,
            ready: (0..window)
                .flat_map(|_| 0..graph.runners as u32)
                .filter(|&runner| audiences[runner as usize] > 0)
                .collect(),
            audiences,
            numbers: vec![0; graph.runners],
            messages: vec![Message::default(); graph.runners * window],
            window,
            unpaced_from,
        })
    }

    /// The next message to send, which counts as sent at `sent_ns`.
    pub(crate) fn take(&mut self, sent_ns: u64) -> Option<(u32, u64)> {
        let runner = self.ready.pop_front()?;
        let index = runner as usize;
        let number = self.numbers[index];
        self.numbers[index] += 1;
        let missing = self.audiences[index];
        *self.message(index, number) = Message { sent_ns, missing };
        self.expected += u64::from(missing);
        self.in_flight += 1;
        Some((runner, number))
    }

    fn message(&mut self, runner: usize, number: u64) -> &mut Message {
        &mut self.messages[runner * self.window + (number as usize & (self.window - 1))]
    }

    fn edge(&self, connection: usize, runner: u32) -> Option<usize> {
        let start = self.starts[connection];
        let edges = &self.edges[start..self.starts[connection + 1]];
        // Right at once where all runners are followed.
        let guess = runner.wrapping_sub(edges.first()?.runner) as usize;
        if edges.get(guess).is_some_and(|edge| edge.runner == runner) {
            return Some(start + guess);
        }
        let found = edges.binary_search_by_key(&runner, |edge| edge.runner);
        found.ok().map(|index| start + index)
    }

    /// Accounts for an arrival. False: it should not have come.
    fn arrive(&mut self, connection: usize, runner: u32, number: u64) -> bool {
        let Some(index) = self.edge(connection, runner) else {
            self.faults.foreign += 1;
            return false;
        };
        if number >= self.numbers[runner as usize] {
            self.faults.invented += 1;
            return false;
        }
        let edge = &mut self.edges[index];
        if number == edge.next {
            edge.next += 1;
        } else if number > edge.next {
            if connection < self.unpaced_from {
                self.skipped
                    .extend((edge.next..number).map(|skipped| (index, skipped)));
            }
            edge.next = number + 1;
        } else if self.skipped.remove(&(index, number)) {
            self.faults.reordered += 1;
        } else {
            self.faults.doubled += 1;
            return false;
        }
        true
    }

    /// Of how many of the runners a connection has the newest position.
    pub(crate) fn newest(&self, connection: usize) -> usize {
        self.edges[self.starts[connection]..self.starts[connection + 1]]
            .iter()
            .filter(|edge| edge.next == self.numbers[edge.runner as usize])
            .count()
    }

    /// What is wrong, in words.
    pub(crate) fn verdict(&self) -> Vec<String> {
        let faults = &self.faults;
        [
            (self.expected.saturating_sub(self.delivered), "lost"),
            (faults.doubled, "doubled"),
            (faults.foreign, "foreign"),
            (faults.reordered, "reordered"),
            (faults.invented, "never sent"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect()
    }
}

impl Sink for Flight {
    fn delivery(&mut self, connection: usize, runner: u32, number: u64, now_ns: u64) {
        if !self.arrive(connection, runner, number) {
            return;
        }
        if connection >= self.unpaced_from {
            self.unpaced += 1;
            return;
        }
        self.delivered += 1;
        let measured_from_ns = self.measured_from_ns;
        let message = self.message(runner as usize, number);
        message.missing = message.missing.saturating_sub(1);
        let (sent_ns, is_everywhere) = (message.sent_ns, message.missing == 0);
        if sent_ns >= measured_from_ns {
            self.latency
                .saturating_record(now_ns.saturating_sub(sent_ns));
        }
        if is_everywhere {
            self.in_flight -= 1;
            self.ready.push_back(runner);
        }
    }
}
