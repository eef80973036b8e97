//! `serve --processes`: a parent that starts as many servers, passes signals on to them, and starts
//! again what dies. Knows of its children no more than their command line.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use log::{info, warn};
use mio::{Events, Interest, Poll, Token};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::server::clocks::read_clocks;

/// How long a child that died is gone. Each time doubles it ...
const REST_MIN: Duration = Duration::from_millis(500);
/// ... up to this. Once it has run for as long as this, it begins anew.
const REST_MAX: Duration = Duration::from_secs(60);

/// A child that exits with an error before this is not started again if it is the first time: its
/// flags are wrong, or the port is taken.
const START_MAX: Duration = Duration::from_secs(2);

/// The servers.
#[derive(Debug)]
pub(in crate::server) struct Processes {
    children: Vec<Process>,
    /// Whether they are to end.
    is_over: bool,
    /// Whether one ended in another way than it should.
    has_failed: bool,
}

#[derive(Debug)]
struct Process {
    number: u16,
    /// Where its metrics are, if they have a door of their own.
    metrics: Option<SocketAddr>,
    stage: Stage,
    rest: Duration,
    is_first: bool,
}

#[derive(Debug)]
enum Stage {
    /// The child ends when the other end of its stdin is closed: when this is dropped, and when the
    /// process ends, also by a SIGKILL.
    Running {
        child: Child,
        since: Instant,
        _stdin: UnixStream,
    },
    Resting {
        until: Instant,
    },
    Ended,
}

/// Runs so many servers until all have ended. The metrics of the first are at this address, if there is
/// one, and those of the others at the ports behind it.
///
/// # Errors
/// A line for the operator.
pub(in crate::server) fn run(count: u16, metrics: Option<SocketAddr>) -> Result<ExitCode, String> {
    let watch = || {
        let (poll, mut signals) = (
            Poll::new()?,
            Signals::new([SIGCHLD, SIGHUP, SIGINT, SIGTERM])?,
        );
        let registry = poll.registry();
        registry.register(&mut signals, Token(0), Interest::READABLE)?;
        Ok((poll, signals))
    };
    let (mut poll, mut signals) =
        watch().map_err(|error: io::Error| format!("cannot set up signals: {error}"))?;
    let now = read_clocks().monotonic;
    let process = |number| Process {
        number,
        metrics: metrics.map(|first| SocketAddr::new(first.ip(), first.port() + number)),
        stage: Stage::Resting { until: now },
        rest: REST_MIN,
        is_first: true,
    };
    let mut processes = Processes {
        children: (0..count).map(process).collect(),
        is_over: false,
        has_failed: false,
    };
    let mut events = Events::with_capacity(16);
    loop {
        let now = read_clocks().monotonic;
        processes.look_after(now);
        if processes.have_ended() {
            return Ok(match processes.has_failed {
                true => ExitCode::FAILURE,
                false => ExitCode::SUCCESS,
            });
        }
        let wait = processes
            .next_start()
            .map(|at| at.saturating_duration_since(now));
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                return Err(format!("cannot wait for signals: {error}"));
            }
            _ => {}
        }
        for signal in signals.pending() {
            if signal != SIGCHLD {
                processes.pass_on(signal);
            }
        }
    }
}

impl Processes {
    /// Starts those whose time has come, and takes note of those that ended.
    fn look_after(&mut self, now: Instant) {
        for process in &mut self.children {
            if let Some(status) = process.ended() {
                // Who is killed by a signal may have started well.
                let is_exit = status.code().is_some_and(|code| code != 0);
                let could_not_start = is_exit && process.is_early(now);
                self.has_failed |= could_not_start || self.is_over && !status.success();
                self.is_over |= could_not_start;
                process.end(status, self.is_over, now);
            }
        }
        if self.is_over {
            self.end_all();
            return;
        }
        for process in &mut self.children {
            if matches!(process.stage, Stage::Resting { until } if now >= until) {
                process.start(now);
            }
        }
    }

    fn end_all(&mut self) {
        for process in &mut self.children {
            match &process.stage {
                Stage::Running { child, .. } if self.has_failed => signal(child, Signal::TERM),
                Stage::Resting { .. } => process.stage = Stage::Ended,
                _ => {}
            }
        }
    }

    fn pass_on(&mut self, number: i32) {
        let passed = match number {
            SIGHUP => Signal::HUP,
            SIGINT => Signal::INT,
            _ => Signal::TERM,
        };
        self.is_over |= number != SIGHUP;
        for process in &self.children {
            if let Stage::Running { child, .. } = &process.stage {
                signal(child, passed);
            }
        }
    }

    fn have_ended(&self) -> bool {
        let mut stages = self.children.iter().map(|process| &process.stage);
        stages.all(|stage| matches!(stage, Stage::Ended))
    }

    fn next_start(&self) -> Option<Instant> {
        let starts = self
            .children
            .iter()
            .filter_map(|process| match process.stage {
                Stage::Resting { until } => Some(until),
                _ => None,
            });
        starts.min()
    }
}

impl Process {
    fn start(&mut self, now: Instant) {
        match spawn(self.is_first && self.number == 0, self.metrics) {
            Ok((child, stdin)) => {
                info!("process number={} pid={}", self.number, child.id());
                self.stage = Stage::Running {
                    child,
                    since: now,
                    _stdin: stdin,
                };
            }
            Err(error) => {
                warn!("process number={} start error=\"{error}\"", self.number);
                self.rest(now);
            }
        }
    }

    /// How the child ended, if it has. It is waited for then, so that nothing stays of it.
    fn ended(&mut self) -> Option<ExitStatus> {
        match &mut self.stage {
            Stage::Running { child, .. } => child.try_wait().ok().flatten(),
            _ => None,
        }
    }

    fn is_early(&self, now: Instant) -> bool {
        matches!(self.stage, Stage::Running { since, .. }
            if self.is_first && now.saturating_duration_since(since) < START_MAX)
    }

    fn end(&mut self, status: ExitStatus, is_over: bool, now: Instant) {
        if is_over {
            self.stage = Stage::Ended;
            return;
        }
        let again_s = self.rest(now).as_secs_f64();
        let number = self.number;
        warn!("process number={number} ended reason=\"{status}\" again_s={again_s:.1}");
    }

    fn rest(&mut self, now: Instant) -> Duration {
        if let Stage::Running { since, .. } = self.stage
            && now.saturating_duration_since(since) >= REST_MAX
        {
            self.rest = REST_MIN;
        }
        let rest = self.rest;
        self.is_first = false;
        self.stage = Stage::Resting { until: now + rest };
        self.rest = (rest * 2).min(REST_MAX);
        rest
    }
}

/// A child of our own command line, and what keeps it alive. One of all says where they listen.
fn spawn(says_where: bool, metrics: Option<SocketAddr>) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let stdout = match says_where {
        true => Stdio::inherit(),
        false => Stdio::null(),
    };
    let child = Command::new(std::env::current_exe()?)
        .args(arguments(std::env::args_os().skip(1)))
        .args(["--reuse-port", "--end-with-stdin"])
        .args(metrics.map(|address| format!("--metrics-listen={address}")))
        .env_remove("SPECTATE_PROCESSES")
        .stdin(OwnedFd::from(theirs))
        .stdout(stdout)
        // What interrupts us on a terminal is for us to pass on.
        .process_group(0)
        .spawn()?;
    Ok((child, ours))
}

/// Flags that are not those of each child.
const OWN_FLAGS: [&str; 2] = ["--processes", "--metrics-listen"];

/// The arguments without those.
fn arguments(all: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let (mut kept, mut is_value) = (Vec::new(), false);
    for argument in all {
        let text = argument.to_string_lossy();
        let is_flag = OWN_FLAGS.iter().any(|flag| text == *flag);
        let is_whole = (text.split_once('=')).is_some_and(|(flag, _)| OWN_FLAGS.contains(&flag));
        if !is_flag && !is_whole && !is_value {
            kept.push(argument.clone());
        }
        is_value = is_flag;
    }
    kept
}

/// Sends a signal to a child, which may have ended.
fn signal(child: &Child, signal: Signal) {
    let _ = kill_process(Pid::from_child(child), signal);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_has_all_arguments_but_how_many_there_are() {
        let kept = |all: &[&str]| arguments(all.iter().map(OsString::from));
        let rest: Vec<OsString> = ["serve", "--bus", "b"].map(OsString::from).into();
        assert_eq!(kept(&["serve", "--processes", "4", "--bus", "b"]), rest);
        assert_eq!(kept(&["serve", "--processes=4", "--bus", "b"]), rest);
        assert_eq!(kept(&["serve", "--bus", "b", "--processes", "4"]), rest);
        let metrics = [
            "serve",
            "--metrics-listen",
            "[::1]:9090",
            "--bus",
            "b",
            "--metrics-listen=x",
        ];
        assert_eq!(kept(&metrics), rest);
    }
}
