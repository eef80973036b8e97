//! Runners by HTTP beside the same runners by WebSocket, on one server and with the same followers:
//! what a report costs, what a position costs, how long both take, and whether all arrive.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::app::App;
use crate::crowd::{Crowd, Receiving};
use crate::figures::{self, Figure, Outcome};
use crate::flight::{self, Flight, Graph};
use crate::machine::Cores;
use crate::phone::Phones;
use crate::process::{Process, Program};
use crate::relay::{self, FIXED_RATE_WINDOW, Load, Pace, WARM_UP_SECONDS};
use crate::scrape::Scrape;
use crate::span::{Mark, Span};

pub(crate) const RUNNERS: usize = 500;
pub(crate) const FOLLOWS_EACH: usize = 20;
pub(crate) const SENDERS: usize = 16;

/// Who follows, and when the runners send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// So many followers of twenty runners each, who send once a second.
    Followers(usize),
    /// Nobody: the next is sent once the last is acknowledged. What acknowledges a position is the
    /// same position, as its sender follows itself.
    Nobody,
}

/// By which way the positions of a span come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Positions,
    Reports,
}

/// Each way comes first once and last once, so that a machine that gets slower does not count.
const ORDER: [Way; 4] = [Way::Positions, Way::Reports, Way::Reports, Way::Positions];

/// What was measured of one way.
struct Sum {
    cpu_us: f64,
    seconds: f64,
    count: u64,
    others: f64,
    /// From when it was due until a follower has it.
    delivered: Histogram<u64>,
    /// From when it was due until its sender is told.
    answered: Histogram<u64>,
}

struct Scene {
    process: Process,
    cores: Cores,
    app: App,
    audience: Audience,
    crowd: Crowd,
    flight: Flight,
    wrong: Vec<String>,
    /// Reports so far.
    reports: u64,
}

pub(crate) fn run(
    program: &Program,
    cores: Cores,
    app: App,
    audience: Audience,
    seconds: f64,
) -> Result<Outcome, String> {
    let process = Process::start_for_http(program, cores)?;
    let graph = audience.graph();
    let sockets = vec![Receiving::Usual; graph.following.len()];
    let mut scene = Scene {
        crowd: relay::gather(&process, &graph, &sockets)?,
        flight: Flight::new(&graph, audience.window(), usize::MAX)?,
        process,
        cores,
        app,
        audience,
        wrong: Vec::new(),
        reports: 0,
    };
    let (mut positions, mut reports) = (Sum::new()?, Sum::new()?);
    for way in ORDER {
        match way {
            Way::Positions => scene.send_positions(&mut positions, seconds)?,
            Way::Reports => scene.send_reports(&mut reports, seconds)?,
        }
    }
    let taken = taken(scene.process.address, app)?;
    if taken != scene.reports {
        let line = format!("{taken} of {} reports taken", scene.reports);
        scene.wrong.push(line);
    }
    let mut wrong = relay::verdict(&mut scene.process, &scene.crowd, &scene.flight);
    wrong.extend(scene.wrong);
    let mut values = vec![
        (&figures::REPORTS, reports.count as f64 / reports.seconds),
        (&figures::REPORT, reports.cpu_us_each()),
        (&figures::POSITION, positions.cpu_us_each()),
        (
            &figures::TO_POSITION,
            reports.cpu_us_each() / positions.cpu_us_each(),
        ),
    ];
    append_times(&figures::ANSWERED, &reports.answered, &mut values);
    append_times(&figures::DELIVERED, &reports.delivered, &mut values);
    append_times(&figures::BY_WEBSOCKET, &positions.delivered, &mut values);
    Ok(Outcome {
        values,
        wrong,
        others: positions.others.max(reports.others),
    })
}

impl Audience {
    fn graph(self) -> Graph {
        match self {
            Audience::Followers(followers) => followed(followers),
            Audience::Nobody => Graph {
                runners: SENDERS,
                following: (0..SENDERS as u32).map(|runner| vec![runner]).collect(),
            },
        }
    }

    fn load(self) -> Load {
        match self {
            Audience::Followers(_) => Load::Rate {
                per_second: RUNNERS as f64,
            },
            Audience::Nobody => Load::Closed { in_flight: 1 },
        }
    }

    fn window(self) -> usize {
        match self {
            Audience::Followers(_) => FIXED_RATE_WINDOW,
            Audience::Nobody => 1,
        }
    }

    /// The runners that the phones are, from the first one on. Where a sender of positions follows
    /// itself, they are others.
    fn phones(self) -> (u32, usize) {
        match self {
            Audience::Followers(_) => (0, RUNNERS),
            Audience::Nobody => (SENDERS as u32, SENDERS),
        }
    }
}

/// Followers of some of the runners, the same each time.
fn followed(followers: usize) -> Graph {
    let mut random = StdRng::seed_from_u64(1);
    let mut following = vec![Vec::new(); RUNNERS];
    following.extend((0..followers).map(|_| {
        let mut some = Vec::with_capacity(FOLLOWS_EACH);
        while some.len() < FOLLOWS_EACH {
            let runner = random.random_range(0..RUNNERS as u32);
            if !some.contains(&runner) {
                some.push(runner);
            }
        }
        some
    }));
    Graph {
        runners: RUNNERS,
        following,
    }
}

/// The clocks at both ends of what counts, and what was done by then.
struct Measured {
    first: Option<(Mark, u64)>,
    began: Instant,
    seconds: f64,
}

impl Measured {
    fn begin(seconds: f64) -> Measured {
        Measured {
            first: None,
            began: Instant::now(),
            seconds,
        }
    }

    /// Whether what counts begins now.
    fn begins(&mut self, process: &Process, done: u64) -> bool {
        let begins = self.first.is_none() && self.began.elapsed().as_secs_f64() >= WARM_UP_SECONDS;
        if begins {
            self.first = Some((Mark::take(process), done));
        }
        begins
    }

    fn is_over(&self) -> bool {
        self.began.elapsed().as_secs_f64() >= WARM_UP_SECONDS + self.seconds
    }

    fn end(self, process: &Process, done: u64) -> Option<(Span, u64)> {
        let (first, before) = self.first?;
        Some((first.to(&Mark::take(process)), done - before))
    }
}

impl Scene {
    fn send_positions(&mut self, sum: &mut Sum, seconds: f64) -> Result<(), String> {
        let Scene { crowd, flight, .. } = self;
        std::mem::swap(&mut flight.latency, &mut sum.delivered);
        flight.measured_from_ns = u64::MAX;
        let mut pace = Pace::new(self.audience.load(), crowd.now_ns());
        let mut measured = Measured::begin(seconds);
        while !measured.is_over() {
            if measured.begins(&self.process, pace.sent) {
                flight.measured_from_ns = crowd.now_ns();
            }
            let app = self.app;
            pace.publish_by(crowd.now_ns(), flight, |runner, number, _| {
                let message = app.position(runner, number);
                crowd.send(runner as usize, message.as_bytes());
            });
            crowd.pump(relay::turn(self.cores), flight)?;
        }
        sum.add(measured.end(&self.process, pace.sent));
        relay::land(crowd, flight)?;
        std::mem::swap(&mut flight.latency, &mut sum.delivered);
        Ok(())
    }

    /// With connections of their own: one on which nothing comes for long would be closed.
    fn send_reports(&mut self, sum: &mut Sum, seconds: f64) -> Result<(), String> {
        let Scene { crowd, flight, .. } = self;
        let ((first, count), server) = (self.audience.phones(), self.process.address);
        let mut phones = Phones::connect(server, self.app, first, count, crowd.began)?;
        std::mem::swap(&mut flight.latency, &mut sum.delivered);
        std::mem::swap(&mut phones.latency, &mut sum.answered);
        flight.measured_from_ns = u64::MAX;
        let mut pace = Pace::new(self.audience.load(), crowd.now_ns());
        let mut measured = Measured::begin(seconds);
        while !measured.is_over() {
            if measured.begins(&self.process, phones.answered) {
                flight.measured_from_ns = crowd.now_ns();
                phones.measured_from_ns = flight.measured_from_ns;
            }
            match self.audience {
                Audience::Followers(_) => {
                    pace.publish_by(crowd.now_ns(), flight, |runner, number, due_ns| {
                        phones.send(runner as usize, number, due_ns);
                    });
                }
                Audience::Nobody => {
                    phones.send_all_ready(self.reports + phones.sent);
                }
            }
            phones.pump(relay::turn(self.cores))?;
            crowd.pump(Duration::ZERO, flight)?;
        }
        sum.add(measured.end(&self.process, phones.answered));
        phones.land()?;
        relay::land(crowd, flight)?;
        std::mem::swap(&mut flight.latency, &mut sum.delivered);
        std::mem::swap(&mut phones.latency, &mut sum.answered);
        self.reports += phones.sent;
        self.wrong.extend(phones.verdict());
        Ok(())
    }
}

impl Sum {
    fn new() -> Result<Sum, String> {
        Ok(Sum {
            cpu_us: 0.0,
            seconds: 0.0,
            count: 0,
            others: 0.0,
            delivered: flight::histogram()?,
            answered: flight::histogram()?,
        })
    }

    fn add(&mut self, measured: Option<(Span, u64)>) {
        if let Some((span, count)) = measured {
            self.cpu_us += span.cpu_us;
            self.seconds += span.seconds;
            self.count += count;
            self.others = self.others.max(span.others);
        }
    }

    fn cpu_us_each(&self) -> f64 {
        self.cpu_us / (self.count as f64).max(1.0)
    }
}

/// Median, 99th percentile and maximum, if there was anything.
fn append_times(
    to: &'static [Figure; 3],
    times: &Histogram<u64>,
    values: &mut Vec<(&'static Figure, f64)>,
) {
    if !times.is_empty() {
        let [p50, p99, max] = to;
        values.extend([
            (p50, times.value_at_percentile(50.0) as f64 / 1e6),
            (p99, times.value_at_percentile(99.0) as f64 / 1e6),
            (max, times.max() as f64 / 1e6),
        ]);
    }
}

/// How many positions the server says that it took from phones.
fn taken(server: SocketAddr, app: App) -> Result<u64, String> {
    let source = app.source();
    let series = format!("spectate_positions_received_total{{source=\"{source}\"}}");
    Ok(Scrape::read(server)?.value(&series) as u64)
}
