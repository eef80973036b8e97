//! TLS beside the same without, and beside nginx that speaks it for the same server: which cases, and
//! who is in them.

use crate::crowds::{Fitting, mesh, ring};
use crate::flight::Graph;
use crate::process::Front;
use crate::proxy;
use crate::relay::{Length, Load};
use crate::scenario::{Case, Contender, Rivals, Setting, Work};

/// Followers that do nothing but connect: a handshake costs the load as much as the server.
const IDLE: usize = 4000;

/// Loads of other scenarios: at a pace that leaves the server time, as fast as it goes, and in bursts, so
/// that each write carries as much with TLS as without.
pub(crate) fn cases(scenario: &'static str, setting: &Setting) -> Vec<Case> {
    let span = Length::Seconds(setting.seconds);
    let crowd = |wanted: usize| Fitting::new(wanted, setting.connections_max / 3);
    let case = |words: String, graph: Graph, load: Load| {
        Case::relay(scenario, words, graph, load, span).against(Rivals::Plain)
    };
    let burst = |of_each| Load::Burst { of_each };
    let (star, race, users) = (crowd(1000), crowd(5000), crowd(1000));
    let race_of = |pace: &str| format!("race: 10 runners {pace}, {race} followers of all ten");
    let idle = crowd(IDLE);
    vec![
        Case {
            variant: Some(&["--flush-interval", "1s"]),
            ..case(
                race_of("at 1 Hz"),
                Graph::all_follow_all(10, race.count),
                Load::Rate { per_second: 10.0 },
            )
        },
        case(
            "ring: 100 users, each follows itself and the next, 10,000 positions/s in all"
                .to_owned(),
            ring(100),
            Load::Rate {
                per_second: 10_000.0,
            },
        ),
        case(
            "ring: 100 users, each follows itself and the next, 16 in flight".to_owned(),
            ring(100),
            Load::Closed { in_flight: 16 },
        ),
        case(
            "ring: 100 users, each follows itself and the next, bursts of 16 of each".to_owned(),
            ring(100),
            burst(16),
        ),
        case(
            format!("star: 1 runner, {star} followers, bursts of 8"),
            Graph::all_follow_all(1, star.count),
            burst(8),
        ),
        case(
            race_of("in bursts of 2 of each"),
            Graph::all_follow_all(10, race.count),
            burst(2),
        ),
        case(
            format!("mesh: {users} users, each follows 20 random others, bursts of 4 of each"),
            mesh(users.count, 20),
            burst(4),
        ),
        Case::of(
            scenario,
            format!("{idle} connect and follow, then publish once, and come back"),
            Work::Idle(idle.count),
        )
        .against(Rivals::Plain),
    ]
}

/// What the server by TLS is set against.
pub(crate) fn rivals(work: &Work, setting: &Setting) -> Vec<Contender> {
    let row = |name: &str, front| Contender::new(name.to_owned(), &setting.server, &[], front);
    let mut rows = Vec::new();
    if matches!(work, Work::Idle(_)) {
        rows.push(row("spectate, RSA", Front::TlsRsa));
    }
    rows.push(row("spectate, cleartext", Front::Plain).rival("cleartext"));
    if proxy::program().is_ok() {
        rows.push(row("spectate behind nginx", Front::Nginx).rival("nginx"));
    }
    rows
}
