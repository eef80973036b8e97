//! Followers that stop reading while the runners go on: how much the server grows, whether it
//! cuts them off, and whether they get the newest position of every runner when they read again.

use std::time::{Duration, Instant};

use crate::crowd::{Crowd, Receiving};
use crate::figures::{self, Outcome};
use crate::flight::{Flight, Graph};
use crate::machine::Cores;
use crate::process::{Process, Program};
use crate::relay::{self, Load, Pace};
use crate::span::Mark;

const RUNNERS: usize = 50;
const READERS: usize = 10;
const SLOW: usize = 10;
const MESSAGES_PER_SECOND: f64 = 10_000.0;
const WARM_UP: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(5);

/// How often the server's memory is looked at.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

/// Silence after which nothing more is expected.
const QUIET: Duration = Duration::from_millis(500);

/// Messages that a runner may have under way.
const WINDOW: usize = 256;

pub(crate) fn run(program: &Program, cores: Cores) -> Result<Outcome, String> {
    let graph = Graph::all_follow_all(RUNNERS, READERS + SLOW);
    let first_slow = RUNNERS + READERS;
    let slow = first_slow..first_slow + SLOW;
    let mut sockets = vec![Receiving::Usual; first_slow];
    sockets.resize(slow.end, Receiving::Narrow);
    let mut process = Process::start(program, cores)?;
    let mut crowd = relay::gather(&process, &graph, &sockets)?;
    let mut flight = Flight::new(&graph, WINDOW, first_slow)?;

    // With everyone reading first, so that what grows later is what waits for the slow ones.
    publish(&process, &mut crowd, &mut flight, WARM_UP)?;
    let rss_before_kib = process.rss_kib();
    let (warm, unpaced_warm) = (flight.delivered, flight.unpaced);
    slow.clone().for_each(|index| crowd.pause(index));
    flight.measured_from_ns = crowd.now_ns();
    let before = Mark::take(&process);
    let rss_most_kib = publish(&process, &mut crowd, &mut flight, PAUSE)?;
    let span = before.to(&Mark::take(&process));
    let to_readers = (flight.delivered - warm) as f64;

    slow.clone()
        .for_each(|index| crowd.resume(index, &mut flight));
    let mut progress = (flight.unpaced, Instant::now());
    while progress.1.elapsed() < QUIET {
        crowd.pump(Duration::from_millis(10), &mut flight)?;
        if flight.unpaced > progress.0 {
            progress = (flight.unpaced, Instant::now());
        }
    }
    relay::land(&mut crowd, &mut flight)?;
    let newest: usize = slow.map(|index| flight.newest(index)).sum();
    let missed = to_readers / READERS as f64 * SLOW as f64;
    Ok(Outcome {
        values: vec![
            (&figures::DELIVERIES, to_readers / span.seconds),
            (
                &figures::P99,
                flight.latency.value_at_percentile(99.0) as f64 / 1e6,
            ),
            (
                &figures::GROWTH,
                rss_most_kib.saturating_sub(rss_before_kib) as f64 / 1024.0,
            ),
            (
                &figures::NEWEST,
                newest as f64 / (RUNNERS * SLOW) as f64 * 100.0,
            ),
            (
                &figures::ARRIVED,
                (flight.unpaced - unpaced_warm) as f64 / missed * 100.0,
            ),
            (&figures::CUT_OFF, crowd.tally.closed as f64),
        ],
        wrong: relay::verdict(&mut process, &crowd, &flight),
        others: span.others,
    })
}

/// Publishes for a while, waits for the readers, and says how much memory the server had at most.
fn publish(
    process: &Process,
    crowd: &mut Crowd,
    flight: &mut Flight,
    time: Duration,
) -> Result<u64, String> {
    let load = Load::Rate {
        per_second: MESSAGES_PER_SECOND,
    };
    let began = Instant::now();
    let mut pace = Pace::new(load, crowd.now_ns());
    let mut most = process.rss_kib();
    let mut next_sample = began + SAMPLE_INTERVAL;
    while began.elapsed() < time {
        pace.publish(crowd, flight);
        crowd.pump(relay::turn(process.cores), flight)?;
        if Instant::now() >= next_sample {
            next_sample += SAMPLE_INTERVAL;
            most = most.max(process.rss_kib());
        }
    }
    while flight.in_flight > 0 && began.elapsed() < time + crate::crowd::PATIENCE {
        crowd.pump(Duration::from_millis(1), flight)?;
    }
    Ok(most.max(process.rss_kib()))
}
