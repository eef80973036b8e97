//! A runner and a follower who have no part in what else goes on: how long a position takes from
//! one to the other, one at a time, without a pause. They know nothing of any attack.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::peer::Peer;
use crate::wire;

/// The runner: nobody else is this one.
pub(crate) const RUNNER: u32 = 899_999;

/// The first messages of both.
pub(crate) struct Hellos {
    pub(crate) runner: String,
    pub(crate) follower: String,
}

impl Hellos {
    /// Where no tokens are asked for.
    pub(crate) fn plain() -> Hellos {
        Hellos {
            runner: wire::hello(Some(RUNNER), &[]),
            follower: wire::hello(None, &[RUNNER]),
        }
    }
}

struct RoundTrip {
    began: Instant,
    took: Duration,
}

/// What the bystander met while something lasted.
#[derive(Default)]
pub(crate) struct Met {
    pub(crate) worst: Duration,
    /// For half of the time, a round trip took longer than this. A plain median would count a
    /// thousand quick ones for each that took as long as all of them.
    pub(crate) median: Duration,
}

/// Has a thread of its own, so that it waits for nobody else's work.
pub(crate) struct Bystander {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<RoundTrip>, String>>,
}

impl Bystander {
    pub(crate) fn start(server: SocketAddr, hellos: &Hellos) -> Result<Bystander, String> {
        let join = |hello: &str| {
            let mut peer = Peer::open(server)?;
            peer.send(hello.as_bytes())?;
            peer.settle()?;
            Ok(peer)
        };
        let pair = join(&hellos.runner)
            .and_then(|runner| Ok((runner, join(&hellos.follower)?)))
            .map_err(words)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = thread::spawn(move || go_round(pair, &ends).map_err(words));
        Ok(Bystander { is_over, thread })
    }

    /// What it met from `began` to `ended`.
    pub(crate) fn stop(self, began: Instant, ended: Instant) -> Result<Met, String> {
        self.is_over.store(true, Ordering::Relaxed);
        let round_trips = self.thread.join().map_err(|_| "the bystander panicked")??;
        let within = round_trips.iter().filter(|round_trip| {
            round_trip.began < ended && round_trip.began + round_trip.took > began
        });
        let mut times: Vec<Duration> = within.map(|round_trip| round_trip.took).collect();
        times.sort_unstable();
        let half = times.iter().sum::<Duration>() / 2;
        let mut passed = Duration::ZERO;
        let median = times.iter().copied().find(|&took| {
            passed += took;
            passed >= half
        });
        Ok(Met {
            worst: times.last().copied().unwrap_or_default(),
            median: median.unwrap_or_default(),
        })
    }
}

fn go_round(
    (mut runner, mut follower): (Peer, Peer),
    is_over: &AtomicBool,
) -> std::io::Result<Vec<RoundTrip>> {
    let mut round_trips = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let number = round_trips.len() as u64;
        let began = Instant::now();
        runner.send(&wire::position(RUNNER, number))?;
        while wire::read_position(&follower.next()?) != Some((RUNNER, number)) {}
        round_trips.push(RoundTrip {
            began,
            took: began.elapsed(),
        });
    }
    Ok(round_trips)
}

fn words(error: std::io::Error) -> String {
    format!("the bystander: {error}")
}
