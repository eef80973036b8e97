//! The scenarios: who follows whom, who sends when, and which servers are set side by side.

use std::path::{Path, PathBuf};

use crate::app::App;
use crate::attack::Attack;
use crate::crowds::{Fitting, mesh, ring};
use crate::figures::Outcome;
use crate::flight::Graph;
use crate::floor::Floor;
use crate::follow::Runners;
use crate::machine::Cores;
use crate::nodes::Scene;
use crate::phones::Audience;
use crate::process::{Front, Program};
use crate::relay::{Length, Load};
use crate::state::Field;
use crate::{
    attack, bus, cluster, engine, follow, idle, nodes, phones, proxy, relay, slow, state, tls,
};

/// Followers of the largest crowds.
const CROWD: usize = 19_000;

/// What can be asked for by name.
pub(crate) const NAMES: [&str; 14] = [
    "ring",
    "star",
    "race",
    "field",
    "mesh",
    "idle",
    "follow",
    "slow",
    "bystander",
    "phones",
    "state",
    "tls",
    "nodes",
    "scale",
];

/// One group of rows.
pub(crate) struct Case {
    pub(crate) scenario: &'static str,
    /// What it is, in words.
    pub(crate) words: String,
    pub(crate) work: Work,
    pub(crate) rivals: Rivals,
    /// Flags with which the server runs it once more.
    pub(crate) variant: Option<&'static [&'static str]>,
}

/// What the servers are set against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rivals {
    Nobody,
    Floors,
    /// The server speaks TLS: it is set against itself without, and behind nginx.
    Plain,
    /// Nodes on a bus: they are set against one alone.
    Alone,
}

pub(crate) enum Work {
    Relay {
        graph: Graph,
        load: Load,
        length: Length,
    },
    Idle(usize),
    Follow(Runners),
    Leave(usize),
    Slow,
    Attack(Attack),
    State(Field),
    Nodes(Scene),
    Bus {
        per_second: f64,
        seconds: f64,
    },
    Phones {
        app: App,
        audience: Audience,
        seconds: f64,
    },
}

/// One row.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) program: Program,
    /// The word by which others are set against it, if they are.
    pub(crate) rival: Option<&'static str>,
}

/// What the command line says about all cases.
pub(crate) struct Setting {
    pub(crate) seconds: f64,
    pub(crate) rounds: usize,
    /// Rounds that may be made in place of disturbed ones.
    pub(crate) extra_rounds: usize,
    /// Connections that descriptors allow.
    pub(crate) connections_max: usize,
    pub(crate) server: PathBuf,
    /// Other binaries to set beside it.
    pub(crate) others: Vec<PathBuf>,
}

impl Case {
    pub(crate) fn run(&self, program: &Program, cores: Cores) -> Result<Outcome, String> {
        match &self.work {
            Work::Relay {
                graph,
                load,
                length,
            } => relay::run(program, cores, graph, *load, *length),
            Work::Idle(followers) => idle::run(program, cores, *followers),
            Work::Follow(runners) => follow::run(program, cores, *runners),
            Work::Leave(followers) => follow::leave(program, cores, *followers),
            Work::Slow => slow::run(program, cores),
            Work::Attack(attack) => attack::run(program, cores, *attack),
            Work::State(field) => state::run(program, cores, *field),
            Work::Nodes(scene) => nodes::run(program, cores, scene),
            Work::Bus {
                per_second,
                seconds,
            } => bus::run(program, cores, *per_second, *seconds),
            Work::Phones {
                app,
                audience,
                seconds,
            } => phones::run(program, cores, *app, *audience, *seconds),
        }
    }

    /// The rows of this group: ours first, those that they are set against last.
    pub(crate) fn contenders(&self, setting: &Setting) -> Vec<Contender> {
        if self.rivals == Rivals::Alone {
            return cluster::contenders(&self.work, setting);
        }
        let front = match self.rivals {
            Rivals::Plain => Front::Tls,
            _ => Front::Plain,
        };
        let mut contenders = Vec::new();
        for flags in [Some(&[][..]), self.variant].into_iter().flatten() {
            let name = ["spectate"].iter().chain(flags).copied();
            let name = name.collect::<Vec<_>>().join(" ");
            contenders.push(Contender::new(name, &setting.server, flags, front));
        }
        contenders.extend(setting.others.iter().map(|path| {
            let name = path.display().to_string();
            Contender::new(name, path, &[], front)
        }));
        match self.rivals {
            Rivals::Nobody | Rivals::Alone => {}
            Rivals::Floors => {
                contenders.extend([Floor::Plain, Floor::Coalesced].map(|floor| Contender {
                    name: format!("{} floor", floor.word()),
                    program: Program::Floor(floor),
                    rival: Some(floor.word()),
                }));
            }
            Rivals::Plain => contenders.extend(tls::rivals(&self.work, setting)),
        }
        contenders
    }

    pub(crate) fn relay(
        scenario: &'static str,
        words: String,
        graph: Graph,
        load: Load,
        length: Length,
    ) -> Case {
        Case::of(
            scenario,
            words,
            Work::Relay {
                graph,
                load,
                length,
            },
        )
    }

    pub(crate) fn of(scenario: &'static str, words: String, work: Work) -> Case {
        Case {
            scenario,
            words,
            work,
            rivals: Rivals::Floors,
            variant: None,
        }
    }

    /// The same against these.
    pub(crate) fn against(self, rivals: Rivals) -> Case {
        Case { rivals, ..self }
    }
}

impl Contender {
    /// A server binary.
    pub(crate) fn new(
        name: String,
        path: &Path,
        flags: &'static [&'static str],
        front: Front,
    ) -> Contender {
        Contender {
            name,
            program: Program::Spectate {
                path: path.to_owned(),
                flags,
                front,
            },
            rival: None,
        }
    }

    /// The same, for others to be set against by this word.
    pub(crate) fn rival(self, word: &'static str) -> Contender {
        Contender {
            rival: Some(word),
            ..self
        }
    }
}

/// A line about what is missing for a scenario, and where to get it.
pub(crate) fn missing(scenario: &str) -> Option<String> {
    match scenario {
        "tls" => proxy::program().err(),
        "nodes" => engine::missing(),
        _ => None,
    }
}

/// All cases of a scenario.
pub(crate) fn cases(scenario: &'static str, setting: &Setting) -> Vec<Case> {
    let span = Length::Seconds(setting.seconds);
    let closed = |in_flight| Load::Closed { in_flight };
    let crowd = |wanted: usize| Fitting::new(wanted, setting.connections_max);
    match scenario {
        "ring" => [1, 16]
            .map(|in_flight| {
                let words =
                    format!("100 users, each follows itself and the next, {in_flight} in flight");
                Case::relay(scenario, words, ring(100), closed(in_flight), span)
            })
            .into(),
        "star" => [1, 8]
            .map(|in_flight| {
                let followers = crowd(1000);
                let words = format!("1 runner, {followers} followers, {in_flight} in flight");
                let graph = Graph::all_follow_all(1, followers.count);
                Case::relay(scenario, words, graph, closed(in_flight), span)
            })
            .into(),
        "race" => [
            ("at 1 Hz", Load::Rate { per_second: 10.0 }),
            ("each 2 in flight", closed(2)),
        ]
        .map(|(pace, load)| {
            let followers = crowd(5000);
            let words = format!("10 runners {pace}, {followers} followers of all ten");
            let graph = Graph::all_follow_all(10, followers.count);
            Case::relay(scenario, words, graph, load, span)
        })
        .into(),
        "field" => {
            let words = "100 runners at 1 Hz, 500 followers of all hundred".to_owned();
            let load = Load::Rate { per_second: 100.0 };
            vec![Case {
                variant: Some(&["--flush-interval", "250ms"]),
                ..Case::relay(scenario, words, Graph::all_follow_all(100, 500), load, span)
            }]
        }
        "mesh" => [1, 4]
            .map(|in_flight| {
                let users = crowd(1000);
                let words =
                    format!("{users} users, each follows 20 random others, {in_flight} in flight");
                Case::relay(
                    scenario,
                    words,
                    mesh(users.count, 20),
                    closed(in_flight),
                    span,
                )
            })
            .into(),
        "idle" => {
            let followers = crowd(CROWD);
            let words = format!("{followers} connect and follow, then publish once");
            vec![Case::of(scenario, words, Work::Idle(followers.count))]
        }
        "follow" => {
            let mut cases: Vec<Case> = [
                (Runners::Shared, "the same 1000 runners"),
                (Runners::Distinct, "1000 runners each of its own"),
            ]
            .map(|(runners, whom)| Case {
                rivals: Rivals::Nobody,
                ..Case::of(
                    scenario,
                    format!("100 connections follow and unfollow {whom}"),
                    Work::Follow(runners),
                )
            })
            .into();
            cases.extend([CROWD / 10, CROWD].map(|wanted| {
                let followers = crowd(wanted);
                let words = format!("1 runner, {followers} followers that all leave");
                Case::of(scenario, words, Work::Leave(followers.count))
            }));
            cases
        }
        "slow" => vec![Case {
            rivals: Rivals::Nobody,
            ..Case::of(
                scenario,
                "50 runners, 10,000 messages/s in all, 10 readers, 10 that read nothing for 5 s"
                    .to_owned(),
                Work::Slow,
            )
        }],
        "bystander" => Attack::all(crowd(attack::STRANGERS_FOLLOWERS).count)
            .map(|attack| Case {
                rivals: Rivals::Nobody,
                ..Case::of(scenario, attack.words(), Work::Attack(attack))
            })
            .into(),
        "phones" => phones(scenario, setting),
        "state" => [10_000, 1_000_000]
            .map(|runners| {
                let trails = runners / 10;
                Case {
                    rivals: Rivals::Nobody,
                    ..Case::of(
                        scenario,
                        format!(
                            "{runners} last known positions and {trails} trails in a file, a bystander"
                        ),
                        Work::State(Field { runners, trails }),
                    )
                }
            })
            .into(),
        "tls" => tls::cases(scenario, setting),
        "nodes" if engine::missing().is_some() => Vec::new(),
        "nodes" => cluster::cases(scenario, setting),
        _ => scale(scenario, setting),
    }
}

/// Reports of each app beside the same positions by WebSocket.
fn phones(scenario: &'static str, setting: &Setting) -> Vec<Case> {
    let apps = [App::Traccar, App::OsmAnd];
    // Each runner has a WebSocket and a phone.
    let taken = 2 * phones::RUNNERS;
    let followers = Fitting::new(1000, setting.connections_max.saturating_sub(taken));
    let followed = apps.map(|app| {
        let words = format!(
            "{} runners at 1 Hz, {}, {followers} followers of {} each",
            phones::RUNNERS,
            app.words(),
            phones::FOLLOWS_EACH
        );
        (app, Audience::Followers(followers.count), words)
    });
    let alone = apps.map(|app| {
        let words = format!(
            "{} runners, {}, 1 in flight, nobody follows",
            phones::SENDERS,
            app.words()
        );
        (app, Audience::Nobody, words)
    });
    let cases = followed.into_iter().chain(alone);
    cases
        .map(|(app, audience, words)| Case {
            rivals: Rivals::Nobody,
            ..Case::of(
                scenario,
                words,
                Work::Phones {
                    app,
                    audience,
                    seconds: setting.seconds,
                },
            )
        })
        .collect()
}

/// Ten times the followers or runners, all else equal.
fn scale(scenario: &'static str, setting: &Setting) -> Vec<Case> {
    let deliveries = (CROWD as f64 * (setting.seconds * 5.0).ceil()) as u64;
    let stars = [CROWD / 1000, CROWD / 100, CROWD / 10, CROWD].map(|wanted| {
        let followers = Fitting::new(wanted, setting.connections_max);
        Case::relay(
            scenario,
            format!("1 runner, {followers} followers, {deliveries} deliveries, 1 in flight"),
            Graph::all_follow_all(1, followers.count),
            Load::Closed { in_flight: 1 },
            Length::Deliveries(deliveries),
        )
    });
    let fields = [1, 10, 100, 1000].map(|runners| {
        Case::relay(
            scenario,
            format!("runners: {runners}, 500 messages/s in all, 100 followers of all"),
            Graph::all_follow_all(runners, 100),
            Load::Rate { per_second: 500.0 },
            Length::Seconds(setting.seconds),
        )
    });
    stars.into_iter().chain(fields).collect()
}
