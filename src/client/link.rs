//! A connection that comes back: the one rule by which commands connect, notice that a server is
//! gone, wait, and try again. Must never know what the messages mean.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use tungstenite::{Bytes, Message, Utf8Bytes};

use super::connection::{Connection, Input, connect_to_any};
use super::destination::{Destination, ServerFlags};
use super::ended::{Ended, NO_CODE};
use super::message::quoted;
use super::{plain, tell};
use crate::auth::{self, load_token};

/// Longest random delay before the first attempt to connect again. It doubles with each.
const DELAY_MAX_FIRST: Duration = Duration::from_millis(500);
/// Longest random delay before any attempt. It is also how long a connection must have lasted
/// for the next one to begin with short delays again.
const DELAY_MAX: Duration = Duration::from_secs(5);
/// Longest wait for the answer to the upgrade request, and for that to a goodbye of ours.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Longest silence before we ping: longer than a server's own ping interval of 25 s.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Longest wait for a sign of life after that ping.
const PONG_WAIT: Duration = Duration::from_secs(10);
/// The only connection's token.
const CONNECTION: Token = Token(0);

/// Flags of every command that stays connected.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct LinkFlags {
    #[command(flatten)]
    server: ServerFlags,

    /// File with the token for a server that asks for one; read again for each connection, and when the token is no longer good
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// What happens on a link.
#[derive(Debug)]
pub(crate) enum Event {
    /// There is a new connection, to which nothing was said yet.
    Opened {
        /// The field of a hello that shows the token, with a comma before it; empty without one.
        token: String,
    },
    /// The server sent a text message.
    Text(Utf8Bytes),
    /// The connection is lost, as stderr was told, and another will come.
    Lost,
    /// The server answered our goodbye: it has taken all that was sent. Nothing comes any more.
    Closed,
}

/// A connection, or the wait for the next one.
pub(crate) struct Link<'a> {
    destination: Destination,
    token_file: Option<&'a Path>,
    poll: Poll,
    events: Events,
    stage: Stage,
    delay_max: Duration,
    /// What was told last; `None` before anything was.
    told_connected: Option<bool>,
    /// Whether it was told what is wrong with the token file.
    warned: bool,
    /// The token that this connection showed.
    shown: Option<auth::Token<'static>>,
    /// Whether we said goodbye.
    is_leaving: bool,
    /// Why a message could not be sent.
    broken: Option<Ended>,
}

enum Stage {
    Waiting {
        until: Instant,
    },
    Connected {
        connection: Box<Connection>,
        begun_at: Instant,
        heard_at: Instant,
        pinged: bool,
    },
}

/// What a step brought.
enum Step {
    Event(Event),
    /// There may be more to do at once.
    Again,
    /// Nothing can be done without waiting.
    Idle,
}

impl<'a> Link<'a> {
    /// Connects at the first call of [`next`](Self::next).
    ///
    /// # Errors
    /// A line, if the machine has nothing to wait with.
    pub(crate) fn new(flags: &'a LinkFlags) -> Result<Link<'a>, String> {
        let poll = Poll::new().map_err(|error| format!("cannot poll: {}", plain(&error)))?;
        Ok(Link {
            destination: Destination::new(&flags.server.url, flags.server.ca_file.as_deref())?,
            token_file: flags.token_file.as_deref(),
            poll,
            events: Events::with_capacity(4),
            stage: Stage::Waiting {
                until: Instant::now(),
            },
            delay_max: DELAY_MAX_FIRST,
            told_connected: None,
            warned: false,
            shown: None,
            is_leaving: false,
            broken: None,
        })
    }

    /// What happens next. `None` when nothing did until then, or something else ended the wait: a
    /// signal, or room in the socket for more.
    ///
    /// # Errors
    /// A line, when the server says that connecting again will not help.
    pub(crate) fn next(&mut self, until: Instant) -> Result<Option<Event>, String> {
        let mut is_woken = false;
        loop {
            let step = self.step()?;
            if let Step::Event(event) = step {
                return Ok(Some(event));
            }
            let now = Instant::now();
            if now >= until || (is_woken && matches!(step, Step::Idle)) {
                return Ok(None);
            }
            if matches!(step, Step::Again) {
                continue;
            }
            let wait = until.min(self.deadline()).saturating_duration_since(now);
            match self.poll.poll(&mut self.events, Some(wait)) {
                Ok(()) => is_woken = !self.events.is_empty(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
                Err(error) => return Err(format!("cannot poll: {}", plain(&error))),
            }
        }
    }

    /// Whether messages can be sent.
    pub(crate) fn is_open(&self) -> bool {
        matches!(&self.stage, Stage::Connected { connection, .. } if connection.is_open())
    }

    /// Queues a message for the next [`flush`](Self::flush); without a connection it is dropped.
    /// Of a connection that is broken [`next`](Self::next) tells.
    pub(crate) fn send(&mut self, message: Message) {
        if let Stage::Connected { connection, .. } = &mut self.stage
            && let Err(ended) = connection.send(message)
        {
            self.broken = Some(ended);
        }
    }

    /// Writes what is queued; whether the socket took all of it.
    pub(crate) fn flush(&mut self) -> bool {
        match &mut self.stage {
            Stage::Connected { connection, .. } => connection.flush(),
            Stage::Waiting { .. } => true,
        }
    }

    /// Says goodbye. What the server still sends comes by [`next`](Self::next), and at last
    /// [`Event::Closed`].
    pub(crate) fn leave(&mut self) {
        self.is_leaving = true;
        if let Stage::Connected {
            connection,
            heard_at,
            pinged,
            ..
        } = &mut self.stage
        {
            connection.close();
            connection.flush();
            (*heard_at, *pinged) = (Instant::now(), true);
        }
    }

    /// Brings the connection on by one step, without waiting.
    fn step(&mut self) -> Result<Step, String> {
        if let Some(ended) = self.broken.take() {
            return self.lose(&ended);
        }
        let taken = match &mut self.stage {
            Stage::Waiting { until } if Instant::now() < *until => return Ok(Step::Idle),
            Stage::Waiting { .. } => match self.connect() {
                Ok(()) => return Ok(Step::Again),
                Err(ended) => Err(ended),
            },
            Stage::Connected {
                connection,
                heard_at,
                pinged,
                ..
            } => {
                connection.flush();
                let taken = connection.read();
                if !matches!(taken, Ok(Input::Blocked)) && !self.is_leaving {
                    (*heard_at, *pinged) = (Instant::now(), false);
                }
                taken
            }
        };
        match taken {
            Ok(Input::Opened) => self.opened().map(Step::Event),
            Ok(Input::Text(text)) => Ok(Step::Event(Event::Text(text))),
            Ok(Input::Binary | Input::Ping | Input::Pong(_)) => Ok(Step::Again),
            Ok(Input::Blocked) => self.judge_silence(),
            Err(ended) => self.lose(&ended),
        }
    }

    fn connect(&mut self) -> Result<(), Ended> {
        self.shown = None;
        let begun_at = Instant::now();
        // Until it is there, a failure is one of an attempt that begins now.
        self.stage = Stage::Waiting { until: begun_at };
        let addresses = self.destination.addresses().map_err(Ended::Lost)?;
        let (stream, _) = connect_to_any(&addresses)?;
        let registry = self.poll.registry();
        let connection = Connection::new(stream, &self.destination, registry, CONNECTION)
            .map_err(Ended::Unreachable)?;
        self.stage = Stage::Connected {
            connection: Box::new(connection),
            begun_at,
            heard_at: Instant::now(),
            pinged: false,
        };
        Ok(())
    }

    fn opened(&mut self) -> Result<Event, String> {
        if self.told_connected != Some(true) {
            tell(&format!("connected to {}", self.destination));
            self.told_connected = Some(true);
        }
        let token = self.token()?;
        Ok(Event::Opened { token })
    }

    /// The field of a hello that shows the token, if there is a file with one.
    fn token(&mut self) -> Result<String, String> {
        let Some(file) = self.token_file else {
            return Ok(String::new());
        };
        let mut warnings = Vec::new();
        let token = load_token(file, &mut warnings)?;
        if !std::mem::replace(&mut self.warned, true) {
            warnings.iter().for_each(|line| tell(line));
        }
        let field = format!(r#","token":{}"#, quoted(token.text()));
        self.shown = Some(token);
        Ok(field)
    }

    /// Whether the file has another token by now than the one that was of no use.
    fn has_another_token(&self) -> bool {
        let (Some(file), Some(shown)) = (self.token_file, &self.shown) else {
            return false;
        };
        let now = load_token(file, &mut Vec::new());
        now.is_ok_and(|now| now != *shown)
    }

    /// When something must be done although nothing happens.
    fn deadline(&self) -> Instant {
        match &self.stage {
            Stage::Waiting { until } => *until,
            Stage::Connected {
                connection,
                heard_at,
                pinged,
                ..
            } => match (connection.is_open() && !self.is_leaving, pinged) {
                (false, _) => *heard_at + ANSWER_WAIT,
                (true, false) => *heard_at + SILENCE_MAX,
                (true, true) => *heard_at + SILENCE_MAX + PONG_WAIT,
            },
        }
    }

    fn judge_silence(&mut self) -> Result<Step, String> {
        if Instant::now() < self.deadline() {
            return Ok(Step::Idle);
        }
        if let Stage::Connected {
            connection, pinged, ..
        } = &mut self.stage
            && connection.is_open()
            && !std::mem::replace(pinged, true)
        {
            self.send(Message::Ping(Bytes::new()));
            self.flush();
            return Ok(Step::Again);
        }
        self.lose(&Ended::Lost("the server does not answer".to_owned()))
    }

    /// # Errors
    /// A line, if connecting again is no use.
    fn lose(&mut self, ended: &Ended) -> Result<Step, String> {
        let is_answer = matches!(
            ended,
            Ended::Closed {
                code: 1000 | NO_CODE,
                ..
            }
        );
        if self.is_leaving && is_answer {
            return Ok(Step::Event(Event::Closed));
        }
        if let Some(advice) = ended.advice()
            && !(ended.wants_token() && self.has_another_token())
        {
            let try_this = match ended.wants_token() {
                true => " (try --token-file FILE; spectate token makes them)",
                false => "",
            };
            return Err(format!("{}: {ended}; {advice}{try_this}", self.destination));
        }
        if self.is_leaving {
            return Err(format!("{}: {ended}", self.destination));
        }
        self.tell_lost(ended);
        let has_lasted = matches!(&self.stage, Stage::Connected { begun_at, .. } if begun_at.elapsed() > DELAY_MAX);
        if ended.wants_backoff() {
            self.delay_max = DELAY_MAX;
        } else if has_lasted {
            self.delay_max = DELAY_MAX_FIRST;
        }
        self.stage = Stage::Waiting {
            until: Instant::now() + self.delay_max.mul_f64(rand::random()),
        };
        self.delay_max = (self.delay_max * 2).min(DELAY_MAX);
        Ok(Step::Event(Event::Lost))
    }

    fn tell_lost(&mut self, ended: &Ended) {
        let first = match self.told_connected {
            Some(false) => return,
            Some(true) => "lost",
            None => "cannot connect to",
        };
        tell(&format!(
            "{first} {}: {ended} (trying again)",
            self.destination
        ));
        self.told_connected = Some(false);
    }
}
