//! What it costs to begin and end follows, and what it costs when the followers of one runner all
//! leave.

use std::time::{Duration, Instant};

use crate::connection::Nobody;
use crate::crowd::{PATIENCE, Receiving};
use crate::figures::{self, Outcome};
use crate::flight::Graph;
use crate::machine::Cores;
use crate::process::{Process, Program};
use crate::relay;
use crate::span::Mark;
use crate::wire;

const CONNECTIONS: usize = 100;
const FOLLOWS_EACH: usize = 1000;
const REPETITIONS: usize = 5;

/// Whom the connections follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runners {
    /// All of them the same.
    Shared,
    /// Each its own.
    Distinct,
}

/// Follows made and dropped, several times over.
pub(crate) fn run(program: &Program, cores: Cores, runners: Runners) -> Result<Outcome, String> {
    let mut process = Process::start(program, cores)?;
    let nobody_follows = Graph {
        runners: 0,
        following: vec![Vec::new(); CONNECTIONS],
    };
    let mut crowd = relay::gather(&process, &nobody_follows, &[Receiving::Usual; CONNECTIONS])?;
    let rss_before_kib = process.rss_kib();
    let mut rss_following_kib = rss_before_kib;
    let (mut follow_us, mut unfollow_us) = (0.0, 0.0);
    let began = Mark::take(&process);
    for repetition in 0..REPETITIONS {
        for is_follow in [true, false] {
            crowd.rest(&mut Nobody)?;
            let before = Mark::take(&process);
            for connection in 0..CONNECTIONS {
                let first = match runners {
                    Runners::Shared => 0,
                    Runners::Distinct => connection * FOLLOWS_EACH,
                } as u32;
                let ids: Vec<u32> = (first..first + FOLLOWS_EACH as u32).collect();
                let message = match is_follow {
                    true => wire::hello(None, &ids),
                    false => wire::unfollow(&ids),
                };
                crowd.send(connection, message.as_bytes());
            }
            crowd.barrier(&mut Nobody)?;
            crowd.rest(&mut Nobody)?;
            let span = before.to(&Mark::take(&process));
            match is_follow {
                true => follow_us += span.cpu_us,
                false => unfollow_us += span.cpu_us,
            }
            if is_follow && repetition == 0 {
                rss_following_kib = process.rss_kib();
            }
        }
    }
    let follows = (CONNECTIONS * FOLLOWS_EACH) as f64;
    let mut wrong = Vec::from_iter(crowd.tally.unexpected.clone());
    if !process.is_running() {
        wrong.push("the server ended".to_owned());
    }
    Ok(Outcome {
        values: vec![
            (&figures::FOLLOW, follow_us / follows / REPETITIONS as f64),
            (
                &figures::UNFOLLOW,
                unfollow_us / follows / REPETITIONS as f64,
            ),
            (
                &figures::FOLLOW_RSS,
                (rss_following_kib as f64 - rss_before_kib as f64) * 1024.0 / follows,
            ),
        ],
        wrong,
        others: began.to(&Mark::take(&process)).others,
    })
}

/// All followers of one runner hang up.
pub(crate) fn leave(program: &Program, cores: Cores, followers: usize) -> Result<Outcome, String> {
    let mut process = Process::start(program, cores)?;
    let graph = Graph::all_follow_all(1, followers);
    let sockets = vec![Receiving::Usual; graph.following.len()];
    let mut crowd = relay::gather(&process, &graph, &sockets)?;
    crowd.rest(&mut Nobody)?;
    let open_files = process.open_files();
    let before = Mark::take(&process);
    for follower in graph.runners..graph.following.len() {
        crowd.hang_up(follower);
    }
    let began = Instant::now();
    let mut wrong = Vec::new();
    while process.open_files() + followers > open_files {
        if began.elapsed() > PATIENCE {
            wrong.push("connections stay open".to_owned());
            break;
        }
        crowd.pump(Duration::from_millis(5), &mut Nobody)?;
    }
    crowd.rest(&mut Nobody)?;
    let span = before.to(&Mark::take(&process));
    if !process.is_running() {
        wrong.push("the server ended".to_owned());
    }
    Ok(Outcome {
        values: vec![
            (&figures::LEAVE, span.cpu_us / followers as f64),
            (&figures::RSS, process.rss_kib() as f64 / 1024.0),
        ],
        wrong,
        others: span.others,
    })
}
