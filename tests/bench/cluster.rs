//! Several nodes on a bus, beside one alone: which cases, and who is in them.

use crate::nodes::{Layout, Scene};
use crate::process::Program;
use crate::scenario::{Case, Contender, Rivals, Setting, Work};

/// Runners, who send in turn.
const RUNNERS: usize = 1000;

pub(crate) fn cases(scenario: &'static str, setting: &Setting) -> Vec<Case> {
    let seconds = setting.seconds;
    let one_of = [1000, 5000].map(|per_second| {
        (
            format!(
                "a node of several: {per_second} positions/s in all, of which it gets its share, and 10 followers \
                 of each with it"
            ),
            Layout::OneOf { followers_each: 10 },
            per_second,
        )
    });
    let shared = (
        "all nodes together: 1000 positions/s in all, and 30 followers of each, shared out"
            .to_owned(),
        Layout::Shared { followers_each: 30 },
        1000,
    );
    let scenes = one_of.into_iter().chain([shared]);
    let scenes = scenes.map(|(words, layout, per_second)| {
        let scene = Scene {
            layout,
            runners: RUNNERS,
            per_second: f64::from(per_second),
            seconds,
        };
        (words, Work::Nodes(scene))
    });
    let costs = [1000, 20_000].map(|per_second| {
        let words = format!("CPU µs for a position on the bus, {per_second} positions/s");
        let per_second = f64::from(per_second);
        let work = Work::Bus {
            per_second,
            seconds: seconds / 2.0,
        };
        (words, work)
    });
    let cases = scenes.chain(costs);
    cases
        .map(|(words, work)| Case::of(scenario, words, work).against(Rivals::Alone))
        .collect()
}

/// Ours on as many nodes, and what they are set against; other binaries on three.
pub(crate) fn contenders(work: &Work, setting: &Setting) -> Vec<Contender> {
    let row = |name: String, path: &std::path::Path, count| Contender {
        name,
        program: Program::Nodes {
            path: path.to_owned(),
            count,
        },
        rival: None,
    };
    let others = (setting.others.iter()).map(|path| row(path.display().to_string(), path, 3));
    if matches!(work, Work::Bus { .. }) {
        let ours = row("spectate".to_owned(), &setting.server, 3);
        return std::iter::once(ours).chain(others).collect();
    }
    let ours = [("1 node", 1), ("2 nodes", 2), ("3 nodes", 3)]
        .map(|(name, count)| row(name.to_owned(), &setting.server, count));
    let alone = row("1 without a bus".to_owned(), &setting.server, 0).rival("alone");
    ours.into_iter().chain(others).chain([alone]).collect()
}
