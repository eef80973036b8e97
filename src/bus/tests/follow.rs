//! Two nodes and their engines, in which every command can wait for any other: whoever follows
//! misses nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::bus::resp;

const ID: &str = "Anna *:B.";

/// As much of Redis as it takes, that executes one command at a time.
#[derive(Default)]
struct Engine {
    keys: BTreeMap<Vec<u8>, Vec<u8>>,
    clients: [Client; 2],
}

#[derive(Default)]
struct Client {
    commands: VecDeque<Vec<Vec<u8>>>,
    subscribed: BTreeSet<Vec<u8>>,
    says: Vec<u8>,
}

impl Engine {
    /// Takes all that the link has to say.
    fn read(&mut self, client: usize, run: &mut Run) {
        let mut rest = run.link.pending();
        while let Some((Value::List(arguments), length)) = resp::decode(rest).expect("commands") {
            let arguments = arguments.map(|argument| argument.bytes().expect("a blob").to_vec());
            self.clients[client].commands.push_back(arguments.collect());
            rest = &rest[length..];
        }
        assert!(rest.is_empty(), "commands are whole");
        run.write();
    }

    /// Executes the next command of a client, if there is one.
    fn execute(&mut self, client: usize) {
        let Some(command) = self.clients[client].commands.pop_front() else {
            return;
        };
        let arguments: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let answer = match arguments[..] {
            [b"SET", key, value, ..] => {
                self.keys.insert(key.to_vec(), value.to_vec());
                "+OK\r\n".to_owned()
            }
            [b"GET", key] => match self.keys.get(key) {
                Some(value) => blob(&text(value)),
                None => "_\r\n".to_owned(),
            },
            [b"SUBSCRIBE", channel] => {
                self.clients[client].subscribed.insert(channel.to_vec());
                subscribed("subscribe", &text(channel), 1)
            }
            [b"PUBLISH", channel, payload] => {
                let push = message(&text(channel), &text(payload));
                let clients = self.clients.iter_mut();
                for client in clients.filter(|client| client.subscribed.contains(channel)) {
                    client.says.extend_from_slice(push.as_bytes());
                }
                ":1\r\n".to_owned()
            }
            _ => panic!("{command:?}"),
        };
        self.clients[client]
            .says
            .extend_from_slice(answer.as_bytes());
    }
}

/// A node, and what it knows of one user.
struct Knowing {
    node: Node,
    run: Run,
    sequence: u64,
    newest: Option<Newest>,
    heard: Vec<String>,
    ignored: Vec<Ignored>,
}

const NOW_MS: u64 = 1_714_470_000_000;

impl Knowing {
    fn new(name: &str) -> Knowing {
        Knowing {
            node: Node::new(name).expect("a name"),
            run: Run::up(),
            sequence: 0,
            newest: None,
            heard: Vec::new(),
            ignored: Vec::new(),
        }
    }

    /// The user is at the place of this number, or the node says that it lives.
    fn tell(&mut self, names: &Names, number: Option<u64>) {
        self.sequence += 1;
        let stamp = Stamp {
            received_ms: NOW_MS,
            node: self.node,
            sequence: self.sequence,
        };
        let json = number.map(|number| number.to_string());
        let (kind, fix_ms) = match number {
            Some(number) => (Kind::Position, Some(number as f64)),
            None => (Kind::Heartbeat, None),
        };
        let envelope = Envelope {
            kind,
            stamp: stamp.after(self.newest.map(|newest| newest.stamp())),
            fix_ms,
            json: json.as_deref().unwrap_or("{}"),
        };
        let mut payload = Vec::new();
        envelope.write(&mut payload);
        let (key, channel) = (names.user(Of::LastKnown, ID), names.user(Of::Positions, ID));
        let link = &mut self.run.link;
        match number {
            Some(_) => {
                self.newest = Some(Newest::published(envelope.stamp));
                link.publish(&key, &channel, &payload, 60_000)
                    .expect("room");
            }
            None => {
                let nodes = names.nodes();
                let publish = [b"PUBLISH", nodes.as_bytes(), &payload];
                link.command(&publish).expect("room");
            }
        }
    }

    fn follow(&mut self, names: &Names) {
        let link = &mut self.run.link;
        link.subscribe(&[&names.user(Of::Positions, ID)])
            .expect("room");
        link.subscribe(&[&names.nodes()]).expect("room");
        let key = names.user(Of::LastKnown, ID);
        link.ask(&[b"GET", key.as_bytes()], Tag(0)).expect("room");
    }

    /// Looks at all that the engine said.
    fn hear(&mut self, names: &Names, said: &[u8]) {
        let run = &mut self.run;
        run.incoming.extend(said);
        while let Some(value) = run.incoming.next().expect("well-formed") {
            let payload = match run.link.take(value, run.now) {
                None | Some(Event::Answer(_, Value::Null)) => continue,
                Some(Event::Answer(Tag(0), Value::Blob(payload))) => payload,
                Some(Event::Message { channel, payload }) => {
                    let expected = [Channel::Nodes, Channel::User(Of::Positions, ID)];
                    let channel = names.channel(channel).expect("one of ours");
                    assert!(expected.contains(&channel), "{channel:?}");
                    payload
                }
                Some(event) => panic!("{event:?}"),
            };
            match Envelope::read(payload, self.node, NOW_MS) {
                Ok(envelope) if envelope.kind == Kind::Position => {
                    let heard = match &mut self.newest {
                        Some(newest) => newest.hear(envelope.stamp),
                        none => {
                            *none = Some(Newest::heard_first(envelope.stamp));
                            Heard::Newer
                        }
                    };
                    if heard == Heard::Newer {
                        self.heard.push(envelope.json.to_owned());
                    }
                }
                Ok(envelope) => assert_eq!(envelope.kind, Kind::Heartbeat),
                Err(reason) => self.ignored.push(reason),
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Tell,
    Execute(usize),
    Hear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Tell),
        5 => (0..2usize).prop_map(Step::Execute),
        2 => Just(Step::Hear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_subscribes_and_then_reads_hears_each_position_from_then_on_once_and_in_order(
        before in prop::collection::vec(step(), 0..40),
        after in prop::collection::vec(step(), 0..40),
    ) {
        let names = Names::new("spectate").expect("a prefix");
        let mut engines = [Engine::default(), Engine::default(), Engine::default()];
        let engine = &mut engines[bucket_of(ID, 3)];
        let (mut runner, mut watcher) = (Knowing::new("runner_____"), Knowing::new("watcher____"));
        let mut told = 0;
        for (at, step) in before.iter().chain(&after).enumerate() {
            if at == before.len() {
                watcher.follow(&names);
                engine.read(1, &mut watcher.run);
            }
            match step {
                Step::Tell => {
                    told += 1;
                    runner.tell(&names, Some(told));
                    engine.read(0, &mut runner.run);
                }
                Step::Execute(client) => engine.execute(*client),
                Step::Hear => watcher.hear(&names, &std::mem::take(&mut engine.clients[1].says)),
            }
        }
        if after.is_empty() {
            watcher.follow(&names);
            engine.read(1, &mut watcher.run);
        }
        for _ in 0..200 {
            engine.execute(0);
            engine.execute(1);
        }
        watcher.hear(&names, &engine.clients[1].says);
        runner.hear(&names, &engine.clients[0].says);
        let expected: Vec<String> = (1..=told).map(|number| number.to_string()).collect();
        prop_assert!(expected.ends_with(&watcher.heard), "{:?} of {}", watcher.heard, told);
        prop_assert_eq!(watcher.heard.is_empty(), told == 0);
    }
}

#[test]
fn a_node_does_not_hear_itself_being_alive() {
    let names = Names::new("spectate").expect("a prefix");
    let mut engine = Engine::default();
    let mut alone = Knowing::new("alone______");
    alone.follow(&names);
    alone.tell(&names, None);
    engine.read(0, &mut alone.run);
    for _ in 0..4 {
        engine.execute(0);
    }
    let garbage = message("spectate:nodes", "garbage") + &message("spectate:nodes", "2 later");
    engine.clients[0].says.extend_from_slice(garbage.as_bytes());
    alone.hear(&names, &engine.clients[0].says);
    assert_eq!(
        alone.ignored,
        [Ignored::Own, Ignored::Malformed, Ignored::Version]
    );
    assert!((0..INDEX_PARTS).any(|part| names.index(part) == names.index_of(ID)));
}
