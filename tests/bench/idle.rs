//! Many followers that have nothing to do: what a handshake costs, and how much memory each takes
//! before and after the one position that it gets.

use crate::connection::Nobody;
use crate::crowd::Receiving;
use crate::figures::{self, Outcome};
use crate::flight::{Flight, Graph};
use crate::machine::Cores;
use crate::process::{Process, Program};
use crate::relay;
use crate::span::Mark;
use crate::wire;

/// Positions sent before arrivals are looked at.
const BATCH: usize = 256;

pub(crate) fn run(program: &Program, cores: Cores, followers: usize) -> Result<Outcome, String> {
    // Everyone follows itself, so that the position of each goes to one connection.
    let graph = Graph {
        runners: followers,
        following: (0..followers as u32).map(|id| vec![id]).collect(),
    };
    let mut process = Process::start(program, cores)?;
    let rss_empty_kib = process.rss_kib();
    let first = Mark::take(&process);
    let sockets = vec![Receiving::Usual; followers];
    let mut crowd = process.connect(&sockets)?;
    crowd.rest(&mut Nobody)?;
    let connected = Mark::take(&process);
    let handshaking_seconds = crowd.handshaking.as_secs_f64();
    for (index, following) in graph.following.iter().enumerate() {
        crowd.send(index, wire::hello(Some(index as u32), following).as_bytes());
    }
    crowd.barrier(&mut Nobody)?;
    let rss_idle_kib = process.rss_kib();

    let mut flight = Flight::new(&graph, 1, usize::MAX)?;
    for sent in 0..followers {
        let now_ns = crowd.now_ns();
        let Some((runner, number)) = flight.take(now_ns) else {
            break;
        };
        crowd.send(runner as usize, &wire::position(runner, number));
        if sent % BATCH == 0 {
            crowd.pump(relay::turn(cores), &mut flight)?;
        }
    }
    relay::land(&mut crowd, &mut flight)?;
    let rss_used_kib = process.rss_kib();

    let mut wrong = relay::verdict(&mut process, &crowd, &flight);
    drop(crowd);
    let resumed_us = match &process.secrecy {
        None => None,
        Some(secrecy) => {
            secrecy.resume();
            Some(come_back(&process, &sockets, &mut wrong)?)
        }
    };
    let handshakes = first.to(&connected);
    let each = |rss_kib: u64| (rss_kib as f64 - rss_empty_kib as f64) / followers as f64;
    let mut values = vec![
        (&figures::HANDSHAKES, followers as f64 / handshaking_seconds),
        (&figures::HANDSHAKE, handshakes.cpu_us / followers as f64),
        (&figures::RSS_IDLE, each(rss_idle_kib)),
        (&figures::RSS_USED, each(rss_used_kib)),
        (&figures::RSS, rss_used_kib as f64 / 1024.0),
    ];
    values.extend(resumed_us.map(|us| (&figures::RESUMED, us)));
    Ok(Outcome {
        values,
        wrong,
        others: first.to(&Mark::take(&process)).others,
    })
}

/// Connects everybody once more, now that they have tickets, and says what each handshake costs.
fn come_back(
    process: &Process,
    sockets: &[Receiving],
    wrong: &mut Vec<String>,
) -> Result<f64, String> {
    process.wait_for_the_end_of_all()?;
    let first = Mark::take(process);
    let mut crowd = process.connect(sockets)?;
    crowd.rest(&mut Nobody)?;
    let span = first.to(&Mark::take(process));
    if crowd.tally.resumed < sockets.len() {
        let (resumed, all) = (crowd.tally.resumed, sockets.len());
        wrong.push(format!("{resumed} of {all} resumed"));
    }
    Ok(span.cpu_us / sockets.len() as f64)
}
