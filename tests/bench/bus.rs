//! What a position costs on the bus: a node that publishes it, a node that receives it, and the engine
//! for either. Nobody follows: nothing else is in the figures.

use std::path::Path;
use std::time::Instant;

use crate::connection::Nobody;
use crate::crowd::{Crowd, Receiving};
use crate::engine::Engine;
use crate::figures::{self, Outcome};
use crate::machine::Cores;
use crate::nodes::{self, TURN};
use crate::process::{Process, Program};
use crate::relay::WARM_UP_SECONDS;
use crate::scrape::Scrape;
use crate::span::{Mark, Span};
use crate::wire;

const RUNNERS: usize = 500;

/// From one position of a runner to the next, in steps of some 8 cm: 3 m, as of one who runs and reports
/// once a second, so that a fourth of the positions goes on trails.
const STRIDE: u64 = 40;

/// Sent at once at most: a load that was kept from its core must not flood the bus.
const AT_ONCE_MAX: u64 = 100;

/// Where the runners are, and who hears of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// On a node without a bus.
    Alone,
    /// On a node with a bus, which hears of itself.
    One,
    /// The same, and two other nodes hear of them.
    Three,
}

/// Each comes first once and last once, so that a machine that gets slower does not count.
const ORDER: [Reach; 6] = [
    Reach::Alone,
    Reach::One,
    Reach::Three,
    Reach::Three,
    Reach::One,
    Reach::Alone,
];

/// CPU for each position, in µs.
#[derive(Clone, Copy, Debug, Default)]
struct Costs {
    sender: f64,
    /// Of the two other nodes together.
    receivers: f64,
    engine: f64,
}

pub(crate) fn run(
    program: &Program,
    cores: Cores,
    per_second: f64,
    seconds: f64,
) -> Result<Outcome, String> {
    let Program::Nodes { path, .. } = program else {
        return Err("this is no node".to_owned());
    };
    let bench = Bench::start(path, cores, per_second, seconds)?;
    let mut outcome = Outcome::default();
    let mut sums = [Costs::default(); 3];
    for (turn, reach) in ORDER.into_iter().enumerate() {
        let costs = bench.span(reach, (turn * RUNNERS) as u32, &mut outcome)?;
        let sum = &mut sums[reach as usize];
        sum.sender += costs.sender / 2.0;
        sum.receivers += costs.receivers / 2.0;
        sum.engine += costs.engine / 2.0;
    }
    let [alone, one, three] = sums;
    let engine_receive = (three.engine - one.engine) / 2.0;
    outcome.values = vec![
        (&figures::TAKE, alone.sender),
        (&figures::PUBLISH, one.sender - alone.sender),
        (&figures::RECEIVE, three.receivers / 2.0),
        (&figures::ENGINE_PUBLISH, one.engine - engine_receive),
        (&figures::ENGINE_RECEIVE, engine_receive),
    ];
    Ok(outcome)
}

struct Bench {
    alone: Process,
    nodes: Vec<Process>,
    engine: Engine,
    cores: Cores,
    per_second: f64,
    seconds: f64,
}

impl Bench {
    fn start(path: &Path, cores: Cores, per_second: f64, seconds: f64) -> Result<Bench, String> {
        let engine = Engine::start(cores)?;
        let nodes = (0..3).map(|_| nodes::start(path, cores, Some(&engine)));
        Ok(Bench {
            alone: nodes::start(path, cores, None)?,
            nodes: nodes.collect::<Result<_, _>>()?,
            engine,
            cores,
            per_second,
            seconds,
        })
    }

    /// A span with runners that nobody has heard of before, from `first` on.
    fn span(&self, reach: Reach, first: u32, outcome: &mut Outcome) -> Result<Costs, String> {
        let sender = match reach {
            Reach::Alone => &self.alone,
            Reach::One | Reach::Three => &self.nodes[0],
        };
        let others = match reach {
            Reach::Three => &self.nodes[1..],
            Reach::Alone | Reach::One => &[],
        };
        let homes = std::iter::once(sender).chain(others);
        let servers: Vec<_> = homes.flat_map(|node| [node.address; RUNNERS]).collect();
        let mut crowd = Crowd::connect_by(None, &servers, &vec![Receiving::Usual; servers.len()])?;
        for connection in 0..servers.len() {
            let runner = first + (connection % RUNNERS) as u32;
            crowd.send(connection, nodes::declare(runner).as_bytes());
        }
        crowd.barrier(&mut Nobody)?;
        crowd.rest_for(nodes::SETTLING, &mut Nobody)?;
        let before = self.counts()?;
        let (spans, measured, sent) = self.publish(&mut crowd, first, sender, others)?;
        crowd.barrier(&mut Nobody)?;
        let (published, received) = match reach {
            Reach::Alone => (0, 0),
            Reach::One => (sent, 0),
            Reach::Three => (sent, sent * 2),
        };
        let expected = [before[0] + published, before[1] + received, before[2]];
        let began = Instant::now();
        while self.counts()? != expected {
            if began.elapsed() > nodes::SETTLING * 10 {
                let counts = self.counts()?;
                let line = format!(
                    "{reach:?}: {counts:?} published, received and conflated, not {expected:?}"
                );
                outcome.wrong.push(line);
                break;
            }
            crowd.rest(&mut Nobody)?;
        }
        let [of_sender, of_receivers, of_engine] = &spans[..] else {
            return Err("three groups have three spans".to_owned());
        };
        let all_us = of_receivers.cpu_us + of_engine.cpu_us;
        let share = all_us / (of_sender.seconds * 1e6 * self.cores.count() as f64);
        outcome.others = outcome.others.max(of_sender.others - share);
        let each = |span: &Span| span.cpu_us / measured as f64;
        Ok(Costs {
            sender: each(of_sender),
            receivers: each(of_receivers),
            engine: each(of_engine),
        })
    }

    /// Positions at the pace, and how many of them were sent while it was measured, and in all.
    fn publish(
        &self,
        crowd: &mut Crowd,
        first: u32,
        sender: &Process,
        others: &[Process],
    ) -> Result<(Vec<Span>, u64, u64), String> {
        let groups = [
            sender.pids(),
            others.iter().flat_map(Process::pids).collect(),
            vec![self.engine.pid()],
        ];
        let marks = || groups.iter().map(|pids| Mark::of(pids, self.cores));
        let began = Instant::now();
        let mut begin: Option<(Vec<Mark>, u64)> = None;
        let mut sent = 0;
        loop {
            let elapsed = began.elapsed().as_secs_f64();
            if begin.is_none() && elapsed >= WARM_UP_SECONDS {
                begin = Some((marks().collect(), sent));
            }
            if elapsed >= WARM_UP_SECONDS + self.seconds {
                break;
            }
            let due = (elapsed * self.per_second) as u64;
            for sent in sent..due.min(sent + AT_ONCE_MAX) {
                let (connection, number) = (sent as usize % RUNNERS, sent / RUNNERS as u64);
                let position = wire::position(first + connection as u32, number * STRIDE);
                crowd.send(connection, &position);
            }
            sent = due.min(sent + AT_ONCE_MAX);
            crowd.pump(TURN, &mut Nobody)?;
        }
        let (first, before) = begin.ok_or("nothing was measured")?;
        let spans = first
            .iter()
            .zip(marks())
            .map(|(first, last)| first.to(&last));
        Ok((spans.collect(), sent - before, sent))
    }

    /// Positions that nodes gave to the bus, that they took from it, and that others took the place of.
    fn counts(&self) -> Result<[u64; 3], String> {
        let names = ["published", "received", "conflated"];
        let mut counts = [0; 3];
        for node in &self.nodes {
            let scrape = Scrape::read(node.address)?;
            for (count, name) in counts.iter_mut().zip(names) {
                *count += scrape.value(&format!("spectate_bus_{name}_total")) as u64;
            }
        }
        Ok(counts)
    }
}
