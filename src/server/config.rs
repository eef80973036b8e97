//! The flags of `serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use log::LevelFilter;

use super::http::AllowedOrigin;
use super::nodes::address::EngineAddress;
use super::pages::tiles::{OPENSTREETMAP, Tiles};
use super::wire::deadlines::Timeouts;
use crate::auth::KeyFlags;
use crate::bus::Names;
use crate::duration::{parse, parse_above_zero};
use crate::fix::Bounds;
use crate::relay::Rules;
use crate::size;

/// What a listening socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    /// Everything, without TLS.
    Plain,
    /// Everything, by TLS.
    Tls,
    /// What the operator asks, without TLS.
    Metrics,
}

impl Entrance {
    /// The flag that asks for it.
    pub(super) fn flag(self) -> &'static str {
        match self {
            Entrance::Plain => "--listen",
            Entrance::Tls => "--tls-listen",
            Entrance::Metrics => "--metrics-listen",
        }
    }
}

/// The flags of `serve`.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// Addresses to listen on; `[::]` takes IPv4 too
    #[arg(long, help = "Address to listen on; may be given several times ([::]:8080 takes IPv4 too) [default: 127.0.0.1:8080, or none with --tls-listen]", value_name = "ADDRESS", value_delimiter = ',', value_parser = address)]
    pub listen: Vec<SocketAddr>,

    /// Addresses to listen on for TLS
    #[arg(long, help = "Address to listen on for https:// and wss://; may be given several times", value_name = "ADDRESS", value_delimiter = ',', value_parser = address, requires_all = ["tls_cert_file", "tls_key_file"])]
    pub tls_listen: Vec<SocketAddr>,

    /// PEM file with the certificate and its chain, its own first; read again at a SIGHUP
    #[arg(long, value_name = "FILE", requires = "tls_listen")]
    pub tls_cert_file: Option<PathBuf>,

    /// PEM file with the certificate's private key: RSA, ECDSA or Ed25519
    #[arg(long, value_name = "FILE", requires = "tls_listen")]
    pub tls_key_file: Option<PathBuf>,

    /// Address to answer /metrics, /healthz and /readyz at; /metrics is then nowhere else
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub metrics_listen: Option<SocketAddr>,

    /// Most open WebSockets [default: what the descriptor limit allows]
    #[arg(long, value_name = "N", value_parser = count::<10000>)]
    pub max_connections: Option<u32>,

    /// Most connections of plain HTTP [default: a fifth of the descriptor limit]
    #[arg(long, value_name = "N", value_parser = count::<1000>)]
    pub max_http_connections: Option<u32>,

    /// Most open WebSockets from one IPv4 address or IPv6 network of 64 bits [default: no limit]
    #[arg(long, value_name = "N", value_parser = count::<100>)]
    pub max_connections_per_ip: Option<u32>,

    /// Most positions a second from one connection, or of one user over HTTP [default: no limit]
    #[arg(long, value_name = "N", value_parser = count::<10>)]
    pub max_rate: Option<u32>,

    /// Most users that one connection may follow
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = count::<1000>)]
    pub max_follows: u32,

    /// Most follows of all connections together
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = count::<2_000_000>)]
    pub max_follows_total: u32,

    /// Longest message, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 65_536, value_parser = message_bytes)]
    pub max_message_bytes: u32,

    /// Most last known positions to keep; the oldest are forgotten first
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = count::<1_000_000>)]
    pub max_runners: u32,

    /// Connections that the kernel queues until they are accepted
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = count::<4096>)]
    pub backlog: u32,

    /// Longest time from accept to a complete request head
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_above_zero)]
    pub handshake_timeout: Duration,

    /// Silence after which a connection is pinged
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = parse_above_zero)]
    pub ping_interval: Duration,

    /// Longest time from a ping to any byte from the peer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_above_zero)]
    pub pong_timeout: Duration,

    /// Longest time in which a peer may take nothing of what it is owed
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_above_zero)]
    pub stall_timeout: Duration,

    /// Longest time for saying goodbye to all clients at a SIGTERM or SIGINT
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse)]
    pub drain: Duration,

    /// Age at which a last known position counts as stale
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_above_zero)]
    pub stale_after: Duration,

    /// Age at which a last known position is forgotten
    #[arg(long, value_name = "TIME", default_value = "6h", value_parser = parse_above_zero)]
    pub forget_after: Duration,

    /// Most points of the way that each user came; 0 keeps none
    #[arg(long, value_name = "N", default_value_t = 240, value_parser = trail_points)]
    pub trail: u32,

    /// Most memory for the ways of all users; the longest unheard lose theirs first
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size::parse)]
    pub trail_memory: u64,

    /// Hold positions for up to this long, to send them in fewer writes
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = parse)]
    pub flush_interval: Duration,

    /// Refuse latitudes beyond 90 and longitudes beyond 180 degrees
    #[arg(long)]
    pub wgs84: bool,

    /// Which tokens are good; without any keys none are asked for.
    #[command(flatten)]
    pub keys: KeyFlags,

    /// CSV file of who runs: the columns id and name, and perhaps color
    #[arg(long, value_name = "FILE")]
    pub roster: Option<PathBuf>,

    /// Let everybody ask for everybody; where tokens are asked for, they alone say who may
    #[arg(long)]
    pub follow_all: bool,

    /// Origins of pages on other hosts that may connect
    #[arg(long, help = "Origin of pages on other hosts that may connect (https://app.example.com, https://*.example.com, '*'); may be given several times", value_name = "ORIGIN", value_delimiter = ',', value_parser = AllowedOrigin::parse)]
    pub allow_origin: Vec<AllowedOrigin>,

    /// GPX file with the way that the runners take, to draw on maps: its first track
    #[arg(long, value_name = "FILE")]
    pub course: Option<PathBuf>,

    /// File in which last known positions, trails and names survive a restart
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,

    /// How much of them at most is lost if the server is killed
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_above_zero)]
    pub state_interval: Duration,

    /// Show what there is to see: 25 simulated runners, as clients from a process of their own
    #[arg(long)]
    pub demo: bool,

    /// Tiles under the map, {z:17} if 17 is their last zoom, a credit may follow the URL; or none
    #[arg(long, value_name = "URL", default_value = OPENSTREETMAP, value_parser = Tiles::parse)]
    pub tiles: Tiles,

    /// Redis or Valkey through which several servers are one; may be given several times
    #[arg(long, help = "Redis or Valkey through which several servers are one (redis://[user@]host:6379, or rediss:// for TLS); may be given several times", value_name = "URL", value_delimiter = ',', value_parser = EngineAddress::parse)]
    pub bus: Vec<EngineAddress>,

    /// File with the password of the bus
    #[arg(long, value_name = "FILE", requires = "bus")]
    pub bus_password_file: Option<PathBuf>,

    /// PEM file with the CA that a rediss:// engine's certificate is by [default: those that the system trusts]
    #[arg(long, value_name = "FILE", requires = "bus")]
    pub bus_ca_file: Option<PathBuf>,

    /// What all names on the bus begin with
    #[arg(long, value_name = "PREFIX", default_value = "spectate", value_parser = bus_prefix)]
    pub bus_prefix: String,

    /// Most memory for what waits to be written to each engine of the bus
    #[arg(long, value_name = "SIZE", default_value = "256KiB", value_parser = bus_out_buffer)]
    pub bus_out_buffer: u64,

    /// Answer /readyz with 503 while the bus is away
    #[arg(long, requires = "bus")]
    pub bus_required: bool,

    /// How many servers to run on these ports under one parent; needs --bus
    #[arg(long, value_name = "N", requires = "bus", conflicts_with_all = ["demo", "state"], value_parser = processes)]
    pub processes: Option<u16>,

    /// Share the ports with other processes that do
    #[arg(long)]
    pub reuse_port: bool,

    /// End, as at a SIGTERM, when stdin is closed
    #[arg(long)]
    pub end_with_stdin: bool,

    /// What to log
    #[arg(long, value_name = "LEVEL", default_value = "info", ignore_case = true, value_parser = PossibleValuesParser::new(LEVELS).try_map(|level| level.parse::<LevelFilter>()))]
    pub log_level: LevelFilter,
}

/// Where is listened if nothing is said of it.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

impl Config {
    /// Where to listen, and for whom.
    pub(super) fn entrances(&self) -> Vec<(Entrance, SocketAddr)> {
        let is_default = self.listen.is_empty() && self.tls_listen.is_empty();
        let default = is_default.then_some(LISTEN_DEFAULT);
        let plain = self.listen.iter().copied().chain(default);
        let tls = self.tls_listen.iter().copied();
        let metrics = self.metrics_listen.iter().copied();
        (plain.map(|address| (Entrance::Plain, address)))
            .chain(tls.map(|address| (Entrance::Tls, address)))
            .chain(metrics.map(|address| (Entrance::Metrics, address)))
            .collect()
    }

    /// Why so many processes cannot share these ports: a line that says what to type.
    pub(super) fn why_not_shared(&self, count: u16) -> Option<&'static str> {
        if self
            .entrances()
            .iter()
            .any(|(_, address)| address.port() == 0)
        {
            return Some(
                "--processes shares ports, of which none can be 0: try --listen 127.0.0.1:8080",
            );
        }
        let metrics = self.metrics_listen?;
        let has_ports = metrics.port().checked_add(count - 1).is_some();
        (!has_ports).then_some(
            "--metrics-listen is the first of a port for each process: try --metrics-listen 127.0.0.1:8081",
        )
    }

    /// Which coordinates are taken.
    pub(super) fn bounds(&self) -> Bounds {
        if self.wgs84 {
            Bounds::Wgs84
        } else {
            Bounds::Finite
        }
    }

    /// How long a connection may take over things.
    pub(super) fn timeouts(&self) -> Timeouts {
        Timeouts {
            handshake: self.handshake_timeout,
            ping_interval: self.ping_interval,
            pong: self.pong_timeout,
            stall: self.stall_timeout,
        }
    }

    /// What holds for everybody whom the relay knows.
    pub(super) fn rules(&self, needs_grant: bool) -> Rules {
        Rules {
            needs_grant,
            follows_all: self.follow_all || self.demo,
            follows_max: self.max_follows as usize,
            follows_total_max: self.max_follows_total as usize,
            rate_max: self.max_rate,
            last_known_max: self.max_runners as usize,
            trail_points_max: self.trail as usize,
            trail_bytes_max: usize::try_from(self.trail_memory).unwrap_or(usize::MAX),
            stale_after: self.stale_after,
            forget_after: self.forget_after,
        }
    }
}

/// What `--log-level` takes.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Most processes of `--processes`: more than any machine has cores.
const PROCESSES_MAX: u16 = 1024;

/// Bounds of `--max-message-bytes`: the prototype's messages fit below, the read buffer above.
const MESSAGE_BYTES_MIN: u32 = 256;
const MESSAGE_BYTES_MAX: u32 = 1024 * 1024;

/// Bound of `--trail`: with all their digits so many points are less than any answer may have.
pub(super) const TRAIL_POINTS_MAX: u32 = 10_000;

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is not an address with a port (try 127.0.0.1:8080 or [::]:8080)")
    })
}

/// A whole number above 0; a refusal shows `EXAMPLE`.
fn count<const EXAMPLE: u32>(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(count @ 1..) => Ok(count),
        _ => Err(format!(
            "{text:?} is not a whole number from 1 to {} (try {EXAMPLE})",
            u32::MAX
        )),
    }
}

fn processes(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(count @ 1..=PROCESSES_MAX) => Ok(count),
        _ => Err(format!(
            "{text:?} is not a whole number from 1 to {PROCESSES_MAX} (try 4)"
        )),
    }
}

fn message_bytes(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(bytes @ MESSAGE_BYTES_MIN..=MESSAGE_BYTES_MAX) => Ok(bytes),
        _ => Err(format!(
            "{text:?} is not a size from {MESSAGE_BYTES_MIN} to {MESSAGE_BYTES_MAX} bytes (try 65536)"
        )),
    }
}

/// Least of `--bus-out-buffer`: a position at its longest, and more.
const BUS_OUT_BYTES_MIN: u64 = 16 * 1024;

fn bus_prefix(text: &str) -> Result<String, String> {
    match Names::new(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!(
            "{text:?} is not 1 to 64 letters, digits and -_.: (try spectate)"
        )),
    }
}

fn bus_out_buffer(text: &str) -> Result<u64, String> {
    match size::parse(text)? {
        bytes @ BUS_OUT_BYTES_MIN.. => Ok(bytes),
        _ => Err(format!("{text:?} is less than 16KiB (try 256KiB)")),
    }
}

fn trail_points(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(points @ ..=TRAIL_POINTS_MAX) => Ok(points),
        _ => Err(format!(
            "{text:?} is not a whole number from 0 to {TRAIL_POINTS_MAX} (try 240)"
        )),
    }
}
