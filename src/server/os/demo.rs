//! Runners to look at: a child process, which comes as ordinary clients and ends with this one,
//! however this one ends. One that ends before is started again. Knows of the child no more than
//! its command line; time is handed in.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use log::{info, warn};

use super::invitation::reachable;
use crate::server::config::Config;

/// How many runners there are; their ids are 1 to this.
const RUNNERS: u32 = 25;

/// Connections that there must be room for: the runners', and one of whoever wants to see them.
const CONNECTIONS_MIN: usize = RUNNERS as usize + 1;

/// Lowest `--max-rate`: of one position a second, the next is often a little early.
const RATE_MIN: u32 = 2;

/// How long the runners are gone when they end for the first time. Each time doubles it ...
const REST_MIN: Duration = Duration::from_secs(3);
/// ... up to this. Once they have run for as long as this, it begins anew.
const REST_MAX: Duration = Duration::from_secs(60);

/// Whether the limits, of which `max_connections` is the one in force, let the runners in, and
/// whether they can have the tokens that they need.
///
/// # Errors
/// A line for the operator.
pub(in crate::server) fn check(config: &Config, max_connections: usize) -> Result<(), String> {
    if !config.demo {
        return Ok(());
    }
    let keys = &config.keys;
    let has_public_key = !keys.jwt_public_key_file.is_empty();
    if has_public_key && keys.jwt_hs256_secret_file.is_empty() {
        return Err(
            "--demo makes tokens for its runners, and a public key makes none: \
             add --jwt-hs256-secret-file FILE, or leave --demo out"
                .to_owned(),
        );
    }
    let most = |limit: &str, most: usize| {
        Err(format!(
            "--demo takes {RUNNERS} connections and one to watch, and {limit} allows {most}: \
             make it {CONNECTIONS_MIN} or more, or leave --demo out"
        ))
    };
    if max_connections < CONNECTIONS_MIN {
        return match config.max_connections {
            Some(_) => most("--max-connections", max_connections),
            None => most("the descriptor limit (ulimit -n)", max_connections),
        };
    }
    match (config.max_connections_per_ip, config.max_rate) {
        (Some(per_ip), _) if (per_ip as usize) < CONNECTIONS_MIN => {
            most("--max-connections-per-ip", per_ip as usize)
        }
        (_, Some(rate)) if rate < RATE_MIN => Err(format!(
            "--demo sends a position a second of each runner, some a little early, \
             which --max-rate {rate} refuses: make it {RATE_MIN} or more, or leave --demo out"
        )),
        _ => Ok(()),
    }
}

/// The runners, while the server is there for them.
#[derive(Debug)]
pub(in crate::server) struct Demo {
    command: Command,
    stage: Stage,
    /// How long they are gone if they end now.
    rest: Duration,
}

#[derive(Debug)]
enum Stage {
    /// The child looks whether its stdin is closed, which happens when this is dropped and when
    /// the process ends, also by a SIGKILL.
    Running {
        child: Child,
        since: Instant,
    },
    Resting {
        until: Instant,
    },
}

impl Demo {
    /// Starts the runners, who connect to the first of these addresses that is as good as any.
    ///
    /// # Errors
    /// A line for the operator.
    pub(in crate::server) fn start(
        config: &Config,
        addresses: &[SocketAddr],
        now: Instant,
    ) -> Result<Demo, String> {
        let command = command(config, addresses);
        let mut demo = command
            .map(|command| Demo {
                command,
                stage: Stage::Resting { until: now },
                rest: REST_MIN,
            })
            .map_err(cannot_start)?;
        demo.run(now).map_err(cannot_start)?;
        Ok(demo)
    }

    fn run(&mut self, now: Instant) -> io::Result<()> {
        let child = self.command.spawn()?;
        info!("demo pid={} runners={RUNNERS}", child.id());
        self.stage = Stage::Running { child, since: now };
        Ok(())
    }

    /// Has them come back after a while, and says in how many seconds.
    fn rest(&mut self, now: Instant) -> u64 {
        if let Stage::Running { since, .. } = self.stage
            && now.saturating_duration_since(since) >= REST_MAX
        {
            self.rest = REST_MIN;
        }
        let rest = self.rest;
        self.stage = Stage::Resting { until: now + rest };
        self.rest = (rest * 2).min(REST_MAX);
        rest.as_secs()
    }

    /// Why the child ended, if it has. It is waited for then, so that nothing stays of it.
    fn ended(&mut self) -> Option<String> {
        let Stage::Running { child, .. } = &mut self.stage else {
            return None;
        };
        match child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Lets the runners go, before they are told goodbye like everybody else.
    pub(in crate::server) fn end(&mut self) {
        if let Stage::Running { child, .. } = &mut self.stage {
            drop(child.stdin.take());
        }
    }

    /// Says so if the runners are gone, and has them come back.
    pub(in crate::server) fn look_after(&mut self, now: Instant) {
        if let Some(reason) = self.ended() {
            let again_s = self.rest(now);
            warn!("demo ended reason=\"{reason}\" again_s={again_s}");
        }
        if let Stage::Resting { until } = self.stage
            && now >= until
            && let Err(error) = self.run(now)
        {
            let again_s = self.rest(now);
            warn!("demo start error=\"{error}\" again_s={again_s}");
        }
    }

    /// Says so if the runners are gone who were let go, and whether they are.
    pub(in crate::server) fn has_ended(&mut self) -> bool {
        let ended = self.ended();
        if let Some(reason) = &ended {
            info!("demo ended reason=\"{reason}\"");
        }
        ended.is_some()
    }
}

fn cannot_start(error: io::Error) -> String {
    format!("cannot start the runners of --demo: {error}")
}

/// What starts the child, as often as it is needed.
fn command(config: &Config, addresses: &[SocketAddr]) -> io::Result<Command> {
    let keys = &config.keys;
    let mut arguments: Vec<OsString> = vec![
        "simulate".into(),
        "--demo".into(),
        format!("--users={RUNNERS}").into(),
        format!("--url=ws://{}", reachable(addresses)).into(),
    ];
    if let Some(file) = keys.jwt_hs256_secret_file.first() {
        let mut argument = OsString::from("--jwt-hs256-secret-file=");
        argument.push(file);
        arguments.push(argument);
        for (flag, value) in [
            ("--jwt-audience", &keys.jwt_audience),
            ("--jwt-issuer", &keys.jwt_issuer),
        ] {
            arguments.extend(value.iter().map(|value| format!("{flag}={value}").into()));
        }
    }
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(arguments)
        // Settings of this process are none of the child's.
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        // What interrupts us on a terminal is for us to pass on, with a goodbye.
        .process_group(0);
    Ok(command)
}
