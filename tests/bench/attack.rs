//! What clients may do to a server all at once, one way at a time: what a bystander notices of it,
//! and how much memory the server takes.

use std::time::{Duration, Instant};

use crate::bystander::{Bystander, Hellos};
use crate::connection::Nobody;
use crate::crowd::{Crowd, Receiving};
use crate::figures::{self, Outcome};
use crate::machine::Cores;
use crate::peer::Peer;
use crate::process::{Process, Program};
use crate::rush::Rush;
use crate::span::Mark;
use crate::{badge, wire};

/// How long an attack lasts that has no end of its own.
const SPAN: Duration = Duration::from_secs(3);

const READERS: usize = 800;
const IDS_EACH: u32 = 1000;
const LISTERS: usize = 500;
const VISITORS_EACH: usize = 1000;

/// Followers of users that nobody is: with the bystander, as many follows as servers take.
pub(crate) const STRANGERS_FOLLOWERS: usize = 4999;
const STRANGERS_EACH: usize = 400;
const WATCHERS: usize = 3000;
const BADGES: u32 = 500;

/// Bytes of the longest message and of the longest id that servers take.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 - 1;
const ID_BYTES_MAX: usize = 64;

/// Bytes of the longest number in a position.
const NUMBER_BYTES_MAX: usize = 32;

/// Connections that send before arrivals are looked at.
const BATCH: usize = 64;

/// How long the positions are that everybody asks for.
#[derive(Clone, Copy)]
pub(crate) enum Positions {
    Short,
    Longest,
}

#[derive(Clone, Copy)]
pub(crate) enum Attack {
    /// None: what the bystander meets on this machine anyway.
    Calm,
    Read(Positions),
    List,
    Visit,
    /// So many connections, each with its share of the follows that there may be.
    FollowStrangers(usize),
    Flicker,
    ShowTokens,
}

impl Attack {
    /// One way after the other, with so many connections that follow users that nobody is.
    pub(crate) fn all(strangers_followers: usize) -> [Attack; 8] {
        [
            Attack::Calm,
            Attack::Read(Positions::Short),
            Attack::Read(Positions::Longest),
            Attack::List,
            Attack::Visit,
            Attack::FollowStrangers(strangers_followers),
            Attack::Flicker,
            Attack::ShowTokens,
        ]
    }

    pub(crate) fn words(self) -> String {
        let seconds = SPAN.as_secs();
        match self {
            Attack::Calm => format!("no attack, for {seconds} s"),
            Attack::Read(positions) => {
                let length = match positions {
                    Positions::Short => "short",
                    Positions::Longest => "the longest",
                };
                format!("{READERS} ask at once for {IDS_EACH} {length} positions")
            }
            Attack::List => format!("{LISTERS} send at once a list of 64 KB that repeats one id"),
            Attack::Visit => {
                format!(
                    "{VISITORS_EACH} ask at once for the page, {VISITORS_EACH} for the counters"
                )
            }
            Attack::FollowStrangers(connections) => {
                format!(
                    "{connections} connections follow {STRANGERS_EACH} users each that nobody is"
                )
            }
            Attack::Flicker => {
                format!("one user comes and goes for {seconds} s, {WATCHERS} watch its presence")
            }
            Attack::ShowTokens => format!("{BADGES} show at once a token of 6 KB"),
        }
    }
}

pub(crate) fn run(program: &Program, cores: Cores, attack: Attack) -> Result<Outcome, String> {
    let process = match attack {
        Attack::ShowTokens => Process::start(&program.with(badge::FLAGS), cores)?,
        Attack::Read(_) | Attack::Visit => Process::start_for_http(program, cores)?,
        _ => Process::start(program, cores)?,
    };
    match attack {
        Attack::Calm => calm(process),
        Attack::Read(positions) => read(process, positions),
        Attack::List => list(process),
        Attack::Visit => visit(process),
        Attack::FollowStrangers(connections) => follow_strangers(process, connections),
        Attack::Flicker => flicker(process),
        Attack::ShowTokens => show_tokens(process),
    }
}

/// A server with a bystander, from the moment when an attack begins.
struct Scene {
    process: Process,
    bystander: Bystander,
    first: Mark,
    began: Instant,
}

impl Scene {
    fn begin(process: Process, hellos: &Hellos) -> Result<Scene, String> {
        let bystander = Bystander::start(process.address, hellos)?;
        Ok(Scene {
            bystander,
            first: Mark::take(&process),
            began: Instant::now(),
            process,
        })
    }

    /// The attack is over, in which so much was carried out.
    fn end(mut self, done: usize) -> Result<Outcome, String> {
        let ended = Instant::now();
        let span = self.first.to(&Mark::take(&self.process));
        let met = self.bystander.stop(self.began, ended)?;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let mut wrong = Vec::new();
        if !self.process.is_running() {
            wrong.push("the server ended".to_owned());
        }
        Ok(Outcome {
            values: vec![
                (&figures::WORST, ms(met.worst)),
                (&figures::MEDIAN, ms(met.median)),
                (&figures::PEAK, self.process.peak_kib() as f64 / 1024.0),
                (&figures::DONE, done as f64),
                (&figures::TOOK, ms(ended - self.began)),
            ],
            wrong,
            others: span.others,
        })
    }
}

fn calm(process: Process) -> Result<Outcome, String> {
    let mut nobody = Crowd::connect(process.address, &[])?;
    let scene = Scene::begin(process, &Hellos::plain())?;
    while let Some(left) = SPAN.checked_sub(scene.began.elapsed()) {
        nobody.pump(left, &mut Nobody)?;
    }
    scene.end(0)
}

fn read(process: Process, positions: Positions) -> Result<Outcome, String> {
    publish(&process, positions).map_err(|error| format!("positions: {error}"))?;
    let ids: Vec<String> = (0..IDS_EACH).map(wire::id).collect();
    let target = format!("/positions?ids={}", ids.join(","));
    let mut rush = Rush::prepare(process.address, &[&*target; READERS])?;
    let scene = Scene::begin(process, &Hellos::plain())?;
    let served = rush.complete()?;
    scene.end(served)
}

/// A last known position of everybody who is asked for.
fn publish(process: &Process, positions: Positions) -> std::io::Result<()> {
    let mut gateway = Peer::open(process.address)?;
    for runner in 0..IDS_EACH {
        let message = match positions {
            Positions::Short => wire::position(runner, 0).to_vec(),
            Positions::Longest => longest_position(runner).into_bytes(),
        };
        gateway.send(&message)?;
    }
    gateway.settle()
}

fn longest_position(runner: u32) -> String {
    let numbers = [
        ("lat", "45."),
        ("lng", "12."),
        ("accuracy", "3."),
        ("altitude", "200."),
        ("altitudeAccuracy", "5."),
        ("heading", "90."),
        ("speed", "3."),
        ("timestamp", "1700000000000."),
        ("battery", "0."),
    ];
    let numbers = numbers.map(|(name, digits)| format!(",\"{name}\":{digits:0<NUMBER_BYTES_MAX$}"));
    format!("{{\"userId\":{}{}}}", wire::id(runner), numbers.concat())
}

fn list(process: Process) -> Result<Outcome, String> {
    let room = MESSAGE_BYTES_MAX - r#"{"follow":[1]}"#.len();
    let message = format!("{{\"follow\":[{}1]}}", "1,".repeat(room / 2));
    let mut crowd = Crowd::connect(process.address, &[Receiving::Usual; LISTERS])?;
    for connection in 0..LISTERS {
        crowd.send_all_but_the_end(connection, message.as_bytes())?;
    }
    let scene = Scene::begin(process, &Hellos::plain())?;
    complete(scene, crowd)
}

/// Sends the ends of messages that are on their way, and waits until all are carried out.
fn complete(scene: Scene, mut crowd: Crowd) -> Result<Outcome, String> {
    let done = crowd.send_ends();
    crowd.barrier(&mut Nobody)?;
    scene.end(done)
}

fn visit(process: Process) -> Result<Outcome, String> {
    let targets = ["/", "/metrics"].repeat(VISITORS_EACH);
    let mut rush = Rush::prepare(process.address, &targets)?;
    let scene = Scene::begin(process, &Hellos::plain())?;
    let served = rush.complete()?;
    scene.end(served)
}

fn follow_strangers(process: Process, connections: usize) -> Result<Outcome, String> {
    let mut crowd = Crowd::connect(process.address, &vec![Receiving::Usual; connections])?;
    let scene = Scene::begin(process, &Hellos::plain())?;
    for connection in 0..connections {
        let first = connection * STRANGERS_EACH;
        let ids: Vec<String> = (first..first + STRANGERS_EACH)
            .map(|id| format!("\"{id:0>ID_BYTES_MAX$}\""))
            .collect();
        let message = format!("{{\"follow\":[{}]}}", ids.join(","));
        crowd.send(connection, message.as_bytes());
        if connection % BATCH == 0 {
            crowd.pump(Duration::ZERO, &mut Nobody)?;
        }
    }
    crowd.barrier(&mut Nobody)?;
    scene.end(connections)
}

fn flicker(process: Process) -> Result<Outcome, String> {
    const USER: u32 = 7;
    let address = process.address;
    let mut crowd = Crowd::connect(address, &[Receiving::Usual; WATCHERS])?;
    let hello = wire::hello(None, &[USER]).replacen('{', r#"{"presence":true,"#, 1);
    for watcher in 0..WATCHERS {
        crowd.send(watcher, hello.as_bytes());
    }
    crowd.barrier(&mut Nobody)?;
    let come_and_go = || {
        let mut peer = Peer::open(address)?;
        peer.send(wire::hello(Some(USER), &[]).as_bytes())?;
        peer.settle()
    };
    let scene = Scene::begin(process, &Hellos::plain())?;
    let mut times = 0;
    while scene.began.elapsed() < SPAN {
        come_and_go().map_err(|error| format!("coming and going: {error}"))?;
        crowd.pump(Duration::ZERO, &mut Nobody)?;
        times += 1;
    }
    crowd.barrier(&mut Nobody)?;
    scene.end(times)
}

fn show_tokens(process: Process) -> Result<Outcome, String> {
    let badges = badge::Badges::new()?;
    let sockets = [Receiving::Usual; BADGES as usize];
    let mut crowd = Crowd::connect(process.address, &sockets)?;
    for user in 0..BADGES {
        let hello = badges.hello(user, &[])?;
        crowd.send_all_but_the_end(user as usize, hello.as_bytes())?;
    }
    let scene = Scene::begin(process, &badges.bystanders()?)?;
    complete(scene, crowd)
}
