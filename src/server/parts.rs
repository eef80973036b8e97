//! The parts of the server, which the steps of the tick work with. Each part has one task, and knows
//! of the others no more than its functions are handed.

use std::io;
use std::process::ExitCode;
use std::rc::Rc;

use mio::{Interest, Poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use super::clocks::read_clocks;
use super::config::Config;
use super::connections::{ConnectionId, Connections};
use super::course::Course;
use super::door::Door;
use super::drain::Drain;
use super::http::frame_ancestors;
use super::memory::UNSENT_BYTES_MAX;
use super::metrics::Metrics;
use super::nodes::Nodes;
use super::nodes::access::Access;
use super::os::demo::{self, Demo};
use super::os::limits::Limits;
use super::os::listen::Listeners;
use super::os::parent::Parent;
use super::os::process::has_terminal;
use super::outgoing::Outgoing;
use super::pages::Pages;
use super::queues::Queues;
use super::roster::RosterFile;
use super::source::Source;
use super::state::{self, StateFile};
use super::sweep::Sweep;
use super::tls::Certificate;
use super::wire::ceiling::Ceiling;
use super::wire::reader::Reader;
use super::work::Work;
use crate::relay::{Now, Relay, Rules};

/// Events taken in one tick. A small batch caps what one write can carry.
pub(super) const EVENTS_MAX: usize = 4096;

/// The server, whose steps are in `tick`.
pub(super) struct Server {
    pub(super) config: Config,
    pub(super) poll: Poll,
    pub(super) signals: Signals,
    /// Whether some came that were not looked at yet, or the parent may be gone.
    pub(super) have_signals_come: bool,
    pub(super) listeners: Listeners,
    pub(super) door: Door,
    pub(super) connections: Connections,
    pub(super) relay: Relay,
    /// Where a restart finds it again, if it is to.
    pub(super) state: Option<StateFile>,
    pub(super) queues: Queues,
    pub(super) reader: Reader,
    pub(super) work: Work,
    pub(super) outgoing: Outgoing,
    pub(super) pages: Pages,
    /// The way that the runners take, if it is known.
    pub(super) course: Option<Course>,
    pub(super) roster: RosterFile,
    /// What TLS is spoken with, if it is.
    pub(super) certificate: Option<Certificate>,
    /// The other nodes, if this is one of several.
    pub(super) nodes: Option<Box<Nodes>>,
    /// Connections whose request waits for what other nodes know, and of whom.
    pub(super) asking: Vec<(ConnectionId, Vec<Rc<str>>)>,
    /// What all HTTP answers on their way out hold.
    pub(super) unsent: Ceiling,
    pub(super) metrics: Metrics,
    pub(super) now: Now,
    pub(super) sweep: Sweep,
    /// Whether the batch of events was full, so that others may have been left for the next.
    pub(super) is_batch_full: bool,
    pub(super) drain: Option<Drain>,
    /// Whoever this process is to end with, if with somebody.
    pub(super) parent: Option<Parent>,
    /// The simulated runners, if any are wanted.
    pub(super) demo: Option<Demo>,
    pub(super) stopped: Option<ExitCode>,
}

impl Server {
    /// A server that listens. An error is a line for the operator.
    pub(super) fn bind(config: Config, access: Access) -> Result<Server, String> {
        let limits = Limits::new(config.max_connections, config.max_http_connections)?;
        let door = Door::new(&config, limits)?;
        demo::check(&config, limits.websockets)?;
        let (roster, names) = RosterFile::load(config.roster.clone())?;
        let (state, mut relay) = restore(&config, config.rules(door.asks_for_tokens()))?;
        relay.set_roster(names);
        let poll = Poll::new().map_err(|error| format!("cannot set up epoll: {error}"))?;
        let certificate = Certificate::load(&config)?;
        let mut listeners =
            Listeners::bind(&config.entrances(), config.backlog, config.reuse_port)?;
        let course = (config.course.as_deref()).map(Course::load).transpose()?;
        let has_files = roster.is_given() || course.is_some() || certificate.is_some();
        let mut signals = if door.asks_for_tokens() || has_files || !has_terminal() {
            Signals::new([SIGHUP, SIGINT, SIGTERM])
        } else {
            // There is nothing to read again: one ends the process when its terminal is closed.
            Signals::new([SIGINT, SIGTERM])
        }
        .map_err(|error| format!("cannot set up signals: {error}"))?;
        register(&poll, &mut signals, &mut listeners)
            .map_err(|error| format!("cannot watch sockets: {error}"))?;
        let watch = || Parent::watch(poll.registry(), Source::Parent.token());
        let parent = (config.end_with_stdin.then(watch).transpose())
            .map_err(|error| format!("cannot watch stdin for --end-with-stdin: {error}"))?;
        let now = read_clocks();
        let mut nodes = Nodes::new(&config, access, now.monotonic)?.map(Box::new);
        if let Some(nodes) = &mut nodes {
            for (id, age) in relay.share(now.monotonic) {
                nodes.remember(&id, age, now);
            }
        }
        Ok(Server {
            poll,
            signals,
            have_signals_come: false,
            listeners,
            connections: Connections::default(),
            relay,
            state,
            door,
            queues: Queues::new(config.flush_interval, now.monotonic),
            reader: Reader::new(config.max_message_bytes as usize),
            work: Work::default(),
            outgoing: Outgoing::default(),
            pages: Pages::new(
                &config.tiles,
                course.is_some(),
                frame_ancestors(&config.allow_origin).as_deref(),
            ),
            course,
            roster,
            certificate,
            nodes,
            asking: Vec::new(),
            unsent: Ceiling::new(UNSENT_BYTES_MAX),
            metrics: Metrics::new(now.unix_ms),
            now,
            sweep: Sweep::new(now.monotonic),
            is_batch_full: false,
            drain: None,
            parent,
            demo: None,
            stopped: None,
            config,
        })
    }
}

/// A relay, with what was kept of it before a restart.
fn restore(config: &Config, rules: Rules) -> Result<(Option<StateFile>, Relay), String> {
    let Some(path) = &config.state else {
        return Ok((None, Relay::new(rules)));
    };
    let (state, relay) = state::restore(
        path,
        config.state_interval,
        rules,
        config.bounds(),
        read_clocks(),
    )?;
    Ok((Some(state), relay))
}

/// Has events of the signals and the listening sockets reported.
fn register(poll: &Poll, signals: &mut Signals, listeners: &mut Listeners) -> io::Result<()> {
    let registry = poll.registry();
    registry.register(signals, Source::Signals.token(), Interest::READABLE)?;
    for (index, listener) in listeners.sockets.iter_mut().enumerate() {
        let token = Source::Listener(index).token();
        registry.register(&mut listener.socket, token, Interest::READABLE)?;
    }
    Ok(())
}
