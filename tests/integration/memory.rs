//! What a burst took of the memory is given back.

use std::time::Instant;

use crate::support::{Client, Server, WAIT, frame, program};

const PEERS: usize = 300;

/// What each of them begins to say, in KiB and as many pieces.
const BEGUN_KIB: usize = 57;

/// How much more than before it may be afterwards.
const LEFT_KIB_MAX: u64 = 6 * 1024;

/// The unit of the package.
const UNIT: &str = include_str!("../../src/package/spectate.service");

/// What it puts into the environment.
fn environment() -> Vec<(String, String)> {
    let lines = (UNIT.lines()).filter_map(|line| line.strip_prefix("Environment="));
    let pairs = lines.filter_map(|line| line.split_once('='));
    let pairs: Vec<_> = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert!(!pairs.is_empty(), "{UNIT}");
    pairs
}

/// Waits until the server's memory is as wanted, in KiB.
fn wait_for(server: &Server, witness: &mut Client, what: &str, is_wanted: impl Fn(u64) -> bool) {
    let begin = Instant::now();
    while !is_wanted(server.memory_kib()) {
        assert!(
            begin.elapsed() < WAIT,
            "{what}: {} KiB",
            server.memory_kib()
        );
        witness.barrier();
    }
}

#[test]
fn the_service_gives_back_what_a_burst_of_messages_in_pieces_took() {
    let mut command = program(&["serve", "--listen", "127.0.0.1:0"]);
    command.envs(environment());
    let server = Server::run(command);
    let (mut witness, _) = server.spectator("[1]");
    let before = server.memory_kib();
    let piece = [b'x'; 1024];
    let pieces = [
        frame(0x01, &piece),
        frame(0x00, &piece).repeat(BEGUN_KIB - 1),
    ]
    .concat();
    // One after the other, so that what is small and stays comes between what is large and goes.
    let peers: Vec<Client> = (0..PEERS)
        .map(|_| {
            let mut peer = server.connect();
            peer.send_raw(&pieces);
            peer
        })
        .collect();
    let all = before + (PEERS * BEGUN_KIB) as u64 * 3 / 4;
    wait_for(&server, &mut witness, "a burst", |kib| kib > all);
    drop(peers);
    wait_for(&server, &mut witness, "given back", |kib| {
        kib < before + LEFT_KIB_MAX
    });
}
