//! Runners to followers, for a while or for a number of deliveries: what each delivery costs the
//! server, how long it takes, and whether all arrive.

use std::time::{Duration, Instant};

use crate::connection::Nobody;
use crate::crowd::{Crowd, PATIENCE, Receiving};
use crate::figures::{self, Outcome};
use crate::flight::{Flight, Graph};
use crate::machine::Cores;
use crate::process::{Process, Program};
use crate::span::{Mark, Span};
use crate::wire;

/// Time before the measured span.
pub(crate) const WARM_UP_SECONDS: f64 = 0.5;

/// Messages that a runner may have under way at a fixed rate, before it waits for the server.
pub(crate) const FIXED_RATE_WINDOW: usize = 256;

/// When a runner sends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// As soon as fewer than so many of its messages are under way.
    Closed { in_flight: usize },
    /// So many at once, when all that went before have arrived. The server stands still while they are
    /// sent: it finds them all waiting, as one that is too slow does, however fast the load is.
    Burst { of_each: usize },
    /// So many messages a second, all runners together, evenly spread.
    Rate { per_second: f64 },
}

/// How long a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    Seconds(f64),
    Deliveries(u64),
}

/// When messages are due.
pub(crate) struct Pace {
    load: Load,
    began_ns: u64,
    pub(crate) sent: u64,
}

impl Pace {
    pub(crate) fn new(load: Load, began_ns: u64) -> Pace {
        Pace {
            load,
            began_ns,
            sent: 0,
        }
    }

    /// Sends what is due and allowed. What is late counts from when it was due.
    pub(crate) fn publish(&mut self, crowd: &mut Crowd, flight: &mut Flight) {
        self.publish_by(crowd.now_ns(), flight, |runner, number, _| {
            crowd.send(runner as usize, &wire::position(runner, number));
        });
    }

    /// The same with another way to send: it takes the runner, the number, and when it was due.
    pub(crate) fn publish_by(
        &mut self,
        now_ns: u64,
        flight: &mut Flight,
        mut send: impl FnMut(u32, u64, u64),
    ) {
        loop {
            let due_ns = match self.load {
                Load::Closed { .. } | Load::Burst { .. } => now_ns,
                Load::Rate { per_second } => {
                    self.began_ns + (self.sent as f64 * 1e9 / per_second) as u64
                }
            };
            if due_ns > now_ns {
                return;
            }
            let Some((runner, number)) = flight.take(due_ns) else {
                return;
            };
            self.sent += 1;
            send(runner, number, due_ns);
        }
    }
}

/// How long the load waits for events while it also has to send.
pub(crate) fn turn(cores: Cores) -> Duration {
    match cores.may_spin() {
        true => Duration::ZERO,
        false => Duration::from_millis(1),
    }
}

/// Connects everybody, and returns when the server knows who follows whom.
pub(crate) fn gather(
    process: &Process,
    graph: &Graph,
    sockets: &[Receiving],
) -> Result<Crowd, String> {
    let mut crowd = process.connect(sockets)?;
    introduce(&mut crowd, graph)?;
    Ok(crowd)
}

/// Says who is who and follows whom, and returns when the server knows.
pub(crate) fn introduce(crowd: &mut Crowd, graph: &Graph) -> Result<(), String> {
    for (index, following) in graph.following.iter().enumerate() {
        let user = (index < graph.runners).then_some(index as u32);
        crowd.send(index, wire::hello(user, following).as_bytes());
    }
    crowd.barrier(&mut Nobody)
}

/// Waits until nothing is under way any more, or nothing arrives any more.
pub(crate) fn land(crowd: &mut Crowd, flight: &mut Flight) -> Result<(), String> {
    let mut progress = (flight.delivered, Instant::now());
    while flight.in_flight > 0 && progress.1.elapsed() < PATIENCE {
        crowd.pump(Duration::from_millis(1), flight)?;
        if flight.delivered > progress.0 {
            progress = (flight.delivered, Instant::now());
        }
    }
    // What should not come would come before this returns.
    crowd.barrier(flight)
}

/// What was wrong with a run, in words.
pub(crate) fn verdict(process: &mut Process, crowd: &Crowd, flight: &Flight) -> Vec<String> {
    let mut wrong = flight.verdict();
    wrong.extend(crowd.tally.unexpected.clone());
    if !process.is_running() {
        wrong.push("the server ended".to_owned());
    }
    wrong
}

/// Whom a run is about besides the load.
pub(crate) struct Watched<'a> {
    /// Processes whose CPU is counted together, in one or several groups.
    pub(crate) groups: &'a [Vec<u32>],
    /// The one that is held while a burst is sent.
    pub(crate) held: Option<&'a Process>,
    pub(crate) cores: Cores,
    /// How long the load waits for events while it also has to send.
    pub(crate) turn: Duration,
}

/// What happened from when everything was warm until the end.
pub(crate) struct Measured {
    /// Of each group.
    pub(crate) spans: Vec<Span>,
    pub(crate) deliveries: f64,
    pub(crate) positions: f64,
    /// Deliveries found in one read(2).
    pub(crate) per_read: f64,
    /// Deliveries sent in one write(2).
    pub(crate) per_write: f64,
}

/// How far things have come, and the clocks of each group then.
struct Stand {
    marks: Vec<Mark>,
    seconds: f64,
    delivered: u64,
    sent: u64,
    reads: u64,
    writes: u64,
}

/// Sends, and counts what arrives, for so long; nothing if nothing arrives.
pub(crate) fn measure(
    watched: &Watched,
    crowd: &mut Crowd,
    flight: &mut Flight,
    load: Load,
    length: Length,
) -> Result<Option<Measured>, String> {
    let began = Instant::now();
    let mut pace = Pace::new(load, crowd.now_ns());
    let mut first: Option<Stand> = None;
    let mut progress = (0, began);
    let stand = |crowd: &Crowd, flight: &Flight, pace: &Pace| Stand {
        marks: (watched.groups.iter())
            .map(|pids| Mark::of(pids, watched.cores))
            .collect(),
        seconds: began.elapsed().as_secs_f64(),
        delivered: flight.delivered,
        sent: pace.sent,
        reads: crowd.tally.reads,
        writes: crowd.writes(),
    };
    loop {
        let (delivered, seconds) = (flight.delivered, began.elapsed().as_secs_f64());
        let is_warm = match length {
            Length::Seconds(_) => seconds >= WARM_UP_SECONDS,
            Length::Deliveries(wanted) => delivered >= wanted / 10,
        };
        if first.is_none() && is_warm {
            flight.measured_from_ns = crowd.now_ns();
            first = Some(stand(crowd, flight, &pace));
        }
        let is_over = first.as_ref().is_some_and(|first| match length {
            // On a machine that others keep busy, not even a burst may have arrived by then.
            Length::Seconds(wanted) => {
                seconds - first.seconds >= wanted && delivered > first.delivered
            }
            Length::Deliveries(wanted) => delivered - first.delivered >= wanted,
        });
        if delivered > progress.0 {
            progress = (delivered, Instant::now());
        }
        if is_over || progress.1.elapsed() > PATIENCE {
            break;
        }
        match (load, watched.held) {
            (Load::Burst { .. }, _) if flight.in_flight > 0 => {}
            (Load::Burst { .. }, Some(process)) => {
                process.hold()?;
                pace.publish(crowd, flight);
                process.let_go()?;
            }
            _ => pace.publish(crowd, flight),
        }
        crowd.pump(watched.turn, flight)?;
    }
    let last = stand(crowd, flight, &pace);
    Ok(first.map(|first| first.to(&last)))
}

impl Stand {
    fn to(&self, last: &Stand) -> Measured {
        let marks = self.marks.iter().zip(&last.marks);
        let spans: Vec<Span> = marks.map(|(first, last)| first.to(last)).collect();
        let deliveries = (last.delivered - self.delivered) as f64;
        let sent_by_load = last.writes - self.writes;
        let segments = spans.first().map_or(0, |span| span.segments);
        Measured {
            deliveries,
            positions: (last.sent - self.sent) as f64,
            per_read: deliveries / ((last.reads - self.reads) as f64).max(1.0),
            per_write: deliveries / (segments.saturating_sub(sent_by_load) as f64).max(1.0),
            spans,
        }
    }
}

pub(crate) fn run(
    program: &Program,
    cores: Cores,
    graph: &Graph,
    load: Load,
    length: Length,
) -> Result<Outcome, String> {
    let mut process = Process::start(program, cores)?;
    let mut crowd = gather(
        &process,
        graph,
        &vec![Receiving::Usual; graph.following.len()],
    )?;
    let window = match load {
        Load::Closed { in_flight: window } | Load::Burst { of_each: window } => window,
        Load::Rate { .. } => FIXED_RATE_WINDOW,
    };
    let mut flight = Flight::new(graph, window, usize::MAX)?;
    let watched = Watched {
        groups: &[process.pids()],
        held: Some(&process),
        cores,
        turn: turn(cores),
    };
    let measured = measure(&watched, &mut crowd, &mut flight, load, length)?;
    let rss_kib = process.rss_kib();
    land(&mut crowd, &mut flight)?;

    let mut outcome = Outcome {
        wrong: verdict(&mut process, &crowd, &flight),
        ..Outcome::default()
    };
    let Some(measured) = measured else {
        outcome.wrong.push("nothing arrives".to_owned());
        return Ok(outcome);
    };
    let (span, deliveries) = (&measured.spans[0], measured.deliveries);
    outcome.others = span.others;
    outcome.values = vec![
        (&figures::DELIVERIES, deliveries / span.seconds),
        (&figures::CPU, span.cpu_us / deliveries),
        (&figures::USER, span.user_us / deliveries),
        (&figures::SYSTEM, (span.cpu_us - span.user_us) / deliveries),
    ];
    append_latencies(&flight, &mut outcome);
    outcome.values.extend([
        (&figures::RSS, rss_kib as f64 / 1024.0),
        (&figures::BUSY, span.cpu_us / (span.seconds * 1e6) * 100.0),
        (&figures::PER_READ, measured.per_read),
        (&figures::PER_WRITE, measured.per_write),
    ]);
    Ok(outcome)
}

/// How long deliveries took.
pub(crate) fn append_latencies(flight: &Flight, outcome: &mut Outcome) {
    let percentile = |percent| flight.latency.value_at_percentile(percent) as f64 / 1e6;
    outcome.values.extend([
        (&figures::P50, percentile(50.0)),
        (&figures::P99, percentile(99.0)),
        (&figures::P999, percentile(99.9)),
    ]);
}
