//! Nodes on a bus beside one alone: what a delivery costs a node of several, and what the same runners
//! and watchers cost on one, two and three.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::connection::Nobody;
use crate::crowd::{Crowd, PATIENCE, Receiving};
use crate::engine::Engine;
use crate::figures::{self, Outcome};
use crate::flight::{Flight, Graph};
use crate::machine::Cores;
use crate::process::{Process, Program};
use crate::relay::{self, FIXED_RATE_WINDOW, Length, Load, Watched};
use crate::scrape::Scrape;
use crate::wire;

/// Whom each watcher follows: far enough apart in the order in which runners send.
const FOLLOWS: usize = 20;

/// The load's core is the engine's too: the load must not keep it busy while it waits.
pub(crate) const TURN: Duration = Duration::from_millis(1);

/// So long it takes at most until what a node said has reached the others.
pub(crate) const SETTLING: Duration = Duration::from_millis(300);

/// Who is where.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    /// The runners are shared out among the nodes; all who follow them are on the first, which has a core
    /// of its own, and is the one that is measured. Each position reaches so many.
    OneOf { followers_each: usize },
    /// Runners and watchers are shared out, all nodes have one core together, and all are measured.
    Shared { followers_each: usize },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) layout: Layout,
    pub(crate) runners: usize,
    /// Positions, of all together.
    pub(crate) per_second: f64,
    pub(crate) seconds: f64,
}

pub(crate) fn run(program: &Program, cores: Cores, scene: &Scene) -> Result<Outcome, String> {
    let Program::Nodes { path, count } = program else {
        return Err("this is no node".to_owned());
    };
    // One alone is one without a bus.
    let engine = (*count > 0).then(|| Engine::start(cores)).transpose()?;
    let count = (*count).max(1);
    let is_measured = |index| index == 0 || matches!(scene.layout, Layout::Shared { .. });
    let mut nodes = Vec::new();
    for index in 0..count {
        let core = match is_measured(index) {
            true => cores,
            false => cores.swapped(),
        };
        nodes.push(start(path, core, engine.as_ref())?);
    }
    cores.pin_to_load();

    let graph = scene.graph();
    let homes = scene.homes(&graph, count);
    let servers: Vec<_> = homes.iter().map(|home| nodes[*home].address).collect();
    let sockets = vec![Receiving::Usual; servers.len()];
    let mut crowd = Crowd::connect_by(None, &servers, &sockets)?;
    relay::introduce(&mut crowd, &graph)?;
    if engine.is_some() {
        for (index, node) in nodes.iter().enumerate() {
            wait_until_heard(node, scene.heard(&graph, &homes, index))?;
        }
    }
    crowd.rest_for(SETTLING, &mut Nobody)?;

    let pids = |wanted| {
        let nodes = nodes.iter().enumerate();
        let nodes = nodes.filter(move |(index, _)| is_measured(*index) == wanted);
        nodes.flat_map(|(_, node)| node.pids()).collect()
    };
    let engine_pids = engine.iter().map(Engine::pid).collect();
    let groups = [pids(true), engine_pids, pids(false)];
    let mut flight = Flight::new(&graph, FIXED_RATE_WINDOW, usize::MAX)?;
    let watched = Watched {
        groups: &groups,
        held: None,
        cores,
        turn: TURN,
    };
    let load = Load::Rate {
        per_second: scene.per_second,
    };
    let length = Length::Seconds(scene.seconds);
    let measured = relay::measure(&watched, &mut crowd, &mut flight, load, length)?;
    land(&mut crowd, &mut flight)?;
    let mut outcome = Outcome {
        wrong: relay::verdict(&mut nodes[0], &crowd, &flight),
        ..Outcome::default()
    };
    if !nodes[1..].iter_mut().all(Process::is_running) {
        outcome.wrong.push("a node ended".to_owned());
    }
    let Some(measured) = measured else {
        outcome.wrong.push("nothing arrives".to_owned());
        return Ok(outcome);
    };
    let [span, of_engine, of_others] = &measured.spans[..] else {
        return Err("three groups have three spans".to_owned());
    };
    let deliveries = measured.deliveries;
    let ours = (of_engine.cpu_us + of_others.cpu_us) / (span.seconds * 1e6);
    outcome.others = (span.others - ours / cores.count() as f64).max(0.0);
    outcome.values = vec![
        (&figures::DELIVERIES, deliveries / span.seconds),
        (&figures::CPU, span.cpu_us / deliveries),
        (&figures::USER, span.user_us / deliveries),
        (&figures::SYSTEM, (span.cpu_us - span.user_us) / deliveries),
        (&figures::BY_ENGINE, of_engine.cpu_us / measured.positions),
        (
            &figures::WITH_ENGINE,
            (span.cpu_us + of_engine.cpu_us) / deliveries,
        ),
    ];
    relay::append_latencies(&flight, &mut outcome);
    let rss_kib: u64 = nodes.iter().map(Process::rss_kib).sum();
    outcome.values.extend([
        (&figures::RSS, rss_kib as f64 / 1024.0),
        (&figures::BUSY, span.cpu_us / (span.seconds * 1e6) * 100.0),
        (&figures::PER_READ, measured.per_read),
    ]);
    Ok(outcome)
}

/// Starts a node, and returns when it is on the bus, if there is one.
pub(crate) fn start(path: &Path, cores: Cores, engine: Option<&Engine>) -> Result<Process, String> {
    let url = engine.map(Engine::url);
    let node = Process::start_node(path, cores, url.as_deref())?;
    if let Some(url) = url {
        let is_up = format!("spectate_bus_up{{server=\"{url}\"}}");
        wait_for(&node, |scrape| scrape.value(&is_up) == 1.0)?;
    }
    Ok(node)
}

/// Returns when a node hears of so many users, and has told the engine all that it has to tell.
pub(crate) fn wait_until_heard(node: &Process, users: usize) -> Result<(), String> {
    wait_for(node, |scrape| {
        scrape.value("spectate_bus_subscriptions") == users as f64
            && scrape.value("spectate_bus_pending_bytes") == 0.0
    })
}

fn wait_for(node: &Process, is_so: impl Fn(&Scrape) -> bool) -> Result<(), String> {
    let began = Instant::now();
    while !is_so(&Scrape::read(node.address)?) {
        if began.elapsed() > PATIENCE {
            return Err("a node does not get on the bus".to_owned());
        }
        // Each look is a request that the node answers: more of them would be measured with it.
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Waits until nothing is under way. A pong says what a node has handled, and not what is still to come
/// from another: what should not come has a moment to do so.
fn land(crowd: &mut Crowd, flight: &mut Flight) -> Result<(), String> {
    relay::land(crowd, flight)?;
    crowd.rest_for(SETTLING, flight)
}

impl Scene {
    /// Each runner has as many followers, and each of them follows as many.
    fn graph(&self) -> Graph {
        let (Layout::OneOf { followers_each } | Layout::Shared { followers_each }) = self.layout;
        let runners = self.runners as u32;
        let watchers = (self.runners * followers_each / FOLLOWS) as u32;
        let apart = runners / FOLLOWS as u32;
        let mut following = vec![Vec::new(); self.runners];
        following.extend((0..watchers).map(|watcher| {
            let follows = 0..FOLLOWS as u32;
            follows.map(|at| (watcher + at * apart) % runners).collect()
        }));
        Graph {
            runners: self.runners,
            following,
        }
    }

    /// The node of each connection.
    fn homes(&self, graph: &Graph, nodes: usize) -> Vec<usize> {
        let watchers = graph.following.len() - graph.runners;
        let of_runners = (0..graph.runners).map(|runner| runner % nodes);
        let of_watchers = (0..watchers).map(|watcher| match self.layout {
            Layout::OneOf { .. } => 0,
            Layout::Shared { .. } => watcher * nodes / watchers,
        });
        of_runners.chain(of_watchers).collect()
    }

    /// How many users a node hears of: those who are there, and those who are followed there.
    fn heard(&self, graph: &Graph, homes: &[usize], node: usize) -> usize {
        let here = homes.iter().enumerate().filter(|(_, home)| **home == node);
        let users: HashSet<u32> = here
            .flat_map(|(connection, _)| {
                let itself = (connection < graph.runners).then_some(connection as u32);
                graph.following[connection].iter().copied().chain(itself)
            })
            .collect();
        users.len()
    }
}

/// A hello with which one declares itself and follows nobody.
pub(crate) fn declare(runner: u32) -> String {
    wire::hello(Some(runner), &[])
}
