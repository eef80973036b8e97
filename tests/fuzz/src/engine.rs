//! Any bytes as what an engine says to a node: the same wherever they are cut, never more than was
//! asked, and an end of the link if they cannot be read.

use std::time::Duration;

use crate::bus::{Channel, Envelope, Event, Link, Names, News, Node, Tag};

use super::run::{Run, greeting};

/// The one question.
const ASKED: Tag = Tag(6);

/// Above this the newest of each user is all that is told of much at once.
const MUCH_BYTES: usize = 64 * 1024;

/// Tries one input: whether the engine is greeted and asked things first, in what pieces it speaks,
/// and what it says.
pub fn run(bytes: &[u8]) {
    let [kind, piece_bytes, said @ ..] = bytes else {
        return;
    };
    let whole = hear(*kind, said, usize::MAX);
    let pieces = hear(*kind, said, 1 + usize::from(*piece_bytes));
    if said.len() < MUCH_BYTES {
        assert_eq!(pieces.events, whole.events, "the same bytes, cut elsewhere");
        let states = [&whole, &pieces].map(|run| (run.link.is_up(), run.link.is_down()));
        assert_eq!(states[0], states[1], "the same bytes, cut elsewhere");
    }
    for run in [whole, pieces] {
        check_end(run);
    }
}

/// All that comes of an engine that says this in such pieces.
fn hear(kind: u8, said: &[u8], piece_bytes: usize) -> Run {
    let mut run = Run::new();
    run.check = check;
    run.connect();
    run.write();
    let (is_greeted, is_asked) = (kind & 3 > 0, kind & 2 > 0);
    if is_greeted {
        run.say(&greeting());
        assert_eq!(run.link.news(), Some(News::Up));
    }
    if is_asked {
        ask(&mut run.link);
        run.write();
    }
    for piece in said.chunks(piece_bytes) {
        run.hear(piece);
    }
    run
}

/// Asks one thing of each kind.
fn ask(link: &mut Link) {
    link.publish("spectate:l:5", "spectate:p:5", b"1 position", 60_000)
        .expect("room");
    link.subscribe(&["spectate:p:6", "spectate:p:7"])
        .expect("room");
    link.ask(&[b"GET", b"spectate:l:6"], ASKED).expect("room");
    link.unsubscribe(&["spectate:p:6"]).expect("room");
    link.command(&[b"HSET", b"spectate:c:5", b"node", b"1"])
        .expect("room");
}

/// An answer is to what was asked. A channel is taken for what it is called, and a message says the
/// same to whomever it is passed on to.
fn check(event: &Event) {
    let (channel, payload) = match event {
        Event::Message { channel, payload } => (*channel, *payload),
        Event::Answer(tag, _) => return assert_eq!(*tag, ASKED),
        Event::Refused(_) => return,
    };
    let names = Names::new("spectate").expect("a prefix");
    match names.channel(channel) {
        Some(Channel::Nodes) => assert_eq!(channel, names.nodes().as_bytes()),
        Some(Channel::User(of, id)) => assert_eq!(channel, names.user(of, id).as_bytes()),
        None => {}
    }
    let own = Node::new("me_________").expect("a name");
    if let Ok(envelope) = Envelope::read(payload, own, u64::MAX) {
        let mut written = Vec::new();
        envelope.write(&mut written);
        assert_eq!(Envelope::read(&written, own, u64::MAX), Ok(envelope));
    }
}

/// An engine that says nothing more is given up, and tried again.
fn check_end(mut run: Run) {
    run.write();
    for _ in 0..10 {
        if run.link.is_down() {
            break;
        }
        let deadline = run.link.deadline().expect("there is always one");
        let time = deadline.saturating_duration_since(run.now);
        run.pass(time.max(Duration::from_millis(1)));
        run.write();
    }
    assert!(run.link.is_down(), "it is believed for ever");
    run.now = run.link.deadline().expect("when to try again");
    assert!(run.link.is_due(run.now));
}
