//! The fuzzer's body for engines, on what is nearly right.

use proptest::prelude::*;

use super::engine;
use super::resp::{Tree, tree};
use super::{blob, message, subscribed};

/// What an engine may say, mostly in its place.
fn said() -> impl Strategy<Value = Vec<u8>> {
    let channel = "spectate:(p:6|p:7|a:6|nodes|x:6|p:)";
    let payload = "1 [A-Za-z0-9_-]{11} (position|goodbye|heartbeat|newcomer|x) [0-9]{1,21} [0-9]{1,14} (-|[0-9.e]{1,9}) \\PC{0,9}";
    let told = (channel, payload).prop_map(|(channel, payload)| message(&channel, &payload));
    let answers = [
        "+OK\r\n:1\r\n".to_owned(),
        subscribed("subscribe", "spectate:p:6", 1) + &subscribed("subscribe", "spectate:p:7", 2),
        blob("1 Zk3v_0aQx-9 position 8812 1714470000123 - {}"),
        subscribed("unsubscribe", "spectate:p:6", 1),
        "-OOM command not allowed when used memory > 'maxmemory'.\r\n".to_owned(),
    ];
    let in_order = (0..=answers.len()).prop_map(move |count| answers[..count].concat());
    let others = prop_oneof![
        2 => told.prop_map(String::into_bytes),
        1 => tree().prop_map(|tree: Tree| tree.written()),
    ];
    (in_order, prop::collection::vec(others, 0..6))
        .prop_map(|(answers, others)| [answers.into_bytes(), others.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_engine_keeps_the_promises(
        kind: u8,
        piece_bytes: u8,
        mut said in said(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        for (at, value) in changes {
            if !said.is_empty() {
                let at = at.index(said.len());
                said[at] = value;
            }
        }
        engine::run(&[&[kind, piece_bytes], &said[..]].concat());
    }
}
