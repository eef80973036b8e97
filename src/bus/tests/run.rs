//! A link with all that belongs to it, and how an engine says things to it. The fuzzers have it too.

use std::time::{Duration, Instant};

use crate::bus::{Event, Incoming, Link, Login, Names, News, NotTaken, Tag, Trouble, Value};

const HELLO: &str = "%4\r\n+server\r\n+redis\r\n+version\r\n+7.0.15\r\n+mode\r\n+standalone\r\n\
                     +role\r\n+master\r\n";

/// A link, what its connection has brought, and what it said.
pub(crate) struct Run {
    pub(crate) link: Link,
    pub(crate) incoming: Incoming,
    pub(crate) now: Instant,
    pub(crate) events: Vec<String>,
    /// What an event must be.
    pub(crate) check: fn(&Event),
}

impl Run {
    pub(crate) fn new() -> Run {
        let now = Instant::now();
        let names = Names::new("spectate").expect("a prefix");
        Run {
            link: Link::new(names, 1000, 7, now),
            incoming: Incoming::default(),
            now,
            events: Vec::new(),
            check: |_| {},
        }
    }

    /// One that is up.
    pub(crate) fn up() -> Run {
        let mut run = Run::new();
        run.connect();
        run.greet();
        assert_eq!(run.link.news(), Some(News::Up));
        run
    }

    pub(crate) fn connect(&mut self) {
        assert!(self.link.is_due(self.now));
        self.link.connecting(self.now);
        let login = Login {
            user: None,
            password: Some("s3cret".to_owned()),
            client: "spectate-1".to_owned(),
        };
        self.link.connected(&login, self.now);
        self.incoming = Incoming::default();
    }

    /// The engine answers the greeting.
    pub(crate) fn greet(&mut self) {
        self.write();
        self.say(&greeting());
    }

    /// Lets the link write all that it has.
    pub(crate) fn write(&mut self) -> String {
        let written = String::from_utf8(self.link.pending().to_vec()).expect("text");
        self.link.wrote(written.len(), 0, self.now);
        written
    }

    /// The engine says this, and no more for now.
    pub(crate) fn say(&mut self, text: &str) {
        self.hear(text.as_bytes());
    }

    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        self.incoming.extend(bytes);
        if !bytes.is_empty() {
            self.link.received(self.now);
        }
        self.link.drained(self.now);
        loop {
            match self.incoming.next() {
                Ok(Some(value)) => {
                    let was_up = self.link.is_up();
                    if let Some(event) = self.link.take(value, self.now) {
                        assert!(was_up, "{event:?} before the greeting");
                        (self.check)(&event);
                        self.events.push(described(&event));
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    self.link.failed(Trouble::Malformed, self.now);
                    break;
                }
            }
        }
    }

    /// Time passes, in which the engine says nothing.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.hear(b"");
        self.link.tick(self.now);
    }
}

/// What an engine that is as it should be answers to the first write.
pub(crate) fn greeting() -> String {
    let probes = [
        "+PONG\r\n",
        "+OK\r\n",
        "$1\r\n1\r\n",
        ":999\r\n",
        ":1\r\n",
        &subscribed("subscribe", "spectate:probe:channel", 1),
        // Another node tries its rights too.
        &message("spectate:probe:channel", ""),
        &subscribed("unsubscribe", "spectate:probe:channel", 0),
        ":1\r\n",
        "%1\r\n$4\r\nnode\r\n$1\r\n1\r\n",
        ":1\r\n",
        ":1\r\n",
        "*1\r\n$1\r\n1\r\n",
        "+OK\r\n",
        ":1\r\n",
    ];
    format!("{HELLO}{}", probes.concat())
}

pub(crate) fn blob(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

pub(crate) fn subscribed(word: &str, channel: &str, count: usize) -> String {
    format!(">3\r\n{}{}:{count}\r\n", blob(word), blob(channel))
}

pub(crate) fn message(channel: &str, payload: &str) -> String {
    format!(
        ">3\r\n{}{}{}",
        blob("message"),
        blob(channel),
        blob(payload)
    )
}

fn described(event: &Event) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match event {
        Event::Message { channel, payload } => format!("{}: {}", text(channel), text(payload)),
        Event::Answer(Tag(tag), Value::Blob(bytes)) => format!("{tag}: {}", text(bytes)),
        Event::Answer(Tag(tag), Value::List(items)) => format!("{tag}: {} items", items.count()),
        Event::Answer(Tag(tag), value) => format!("{tag}: {value:?}"),
        Event::Refused(error) => format!("refused: {}", text(error)),
    }
}

pub(crate) fn get(link: &mut Link, key: &str, tag: u32) -> Result<(), NotTaken> {
    link.ask(&[b"GET", key.as_bytes()], Tag(tag))
}
