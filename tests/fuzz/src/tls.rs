//! One connection by TLS through any plan, with somebody between it and its peer; and any bytes as
//! what a peer says who speaks no TLS.

use spectate::server::wire::close::CloseReason;
use spectate::server::wire::reader::Reader;

use super::connection::check;
use super::meddler::Meddler;
use super::plan::{self, Tape};
use super::script::{MESSAGE_BYTES_MAX, Step};
use super::transport::{Cut, TLS, Transport};
use super::wire;
use super::world::World;

/// Tries one input.
pub fn run(bytes: &[u8]) {
    outcome(bytes);
}

/// The same, and why the connection ended.
pub fn outcome(bytes: &[u8]) -> Option<CloseReason> {
    let mut tape = Tape(bytes);
    let kind = tape.byte();
    let cut = match tape.byte() {
        0 => Cut::Nowhere,
        piece_bytes => Cut::Every(piece_bytes.into()),
    };
    let transport = TLS[usize::from(kind % 2)].cut(cut);
    match kind / 2 % 8 {
        0 => check_garbage(transport, tape.0),
        1..4 => check(&plan::read(tape.0), transport, Meddler::default()),
        _ => {
            let meddler = Meddler::read(&mut tape);
            check(&plan::read(tape.0), transport, meddler)
        }
    }
}

/// Of what is no TLS nothing is heard, and it is answered by an alert, or in plain if it is HTTP.
fn check_garbage(transport: Transport, bytes: &[u8]) -> Option<CloseReason> {
    let mut world = World::new(
        Reader::new(MESSAGE_BYTES_MAX),
        transport,
        Meddler::default(),
    );
    let script = world.talk.script();
    script.peer = None;
    if !bytes.is_empty() {
        script.steps.push_back(Step::Bytes(bytes.to_vec()));
    }
    world.read_all();
    world.check_room();
    let written = world.talk.written();
    match written.first() {
        Some(b'H') => assert_eq!(wire::check_answer(written), 400),
        first => assert!(matches!(first, None | Some(21 | 22)), "{written:?}"),
    }
    assert!(world.talk.heard.is_empty() || world.talk.heard == ["refused"]);
    world.check_end();
    world.talk.connection.ending()
}
