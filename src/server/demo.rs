//! Runners to look at: a child process, which comes as ordinary clients and ends with this one,
//! however this one ends. Knows of the child no more than its command line.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use log::{info, warn};

use super::{Config, Server};

/// How many runners there are; their ids are 1 to this.
const RUNNERS: u32 = 25;

/// Whether the runners can have the tokens that they need.
///
/// # Errors
/// A line for the operator.
pub fn check(config: &Config) -> Result<(), String> {
    let keys = &config.keys;
    let asks_for_tokens = !keys.jwt_public_key_file.is_empty();
    match config.demo && asks_for_tokens && keys.jwt_hs256_secret_file.is_empty() {
        true => Err(
            "--demo makes tokens for its runners, and a public key makes none: \
             add --jwt-hs256-secret-file FILE, or leave --demo out"
                .to_owned(),
        ),
        false => Ok(()),
    }
}

/// The child. It looks whether its stdin is closed, which happens when this is dropped and when
/// the process ends, also by a SIGKILL.
#[derive(Debug)]
pub struct Demo {
    child: Child,
}

impl Demo {
    /// Starts the runners, who connect to the first of these addresses that is as good as any.
    ///
    /// # Errors
    /// A line for the operator.
    fn start(config: &Config, addresses: &[SocketAddr]) -> Result<Demo, String> {
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
        let program = std::env::current_exe();
        let child = program.and_then(|program| {
            Command::new(program)
                .args(arguments)
                // Settings of this process are none of the child's.
                .env_clear()
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                // What interrupts us on a terminal is for us to pass on, with a goodbye.
                .process_group(0)
                .spawn()
        });
        child
            .map(|child| Demo { child })
            .map_err(|error| format!("cannot start the runners of --demo: {error}"))
    }

    /// Why the child ended, once it has. It is waited for then, so that nothing stays of it.
    fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }
}

impl Server {
    /// Starts the runners, if `--demo` asks for them, and says on stdout what to open to see them.
    ///
    /// # Errors
    /// A line for the operator.
    pub(super) fn start_demo(&mut self, addresses: &[SocketAddr]) -> Result<(), String> {
        if self.config.demo {
            let demo = Demo::start(&self.config, addresses)?;
            let config = &self.config;
            // Nobody is left to tell when stdout is closed.
            let _ = writeln!(io::stdout(), "{}", Invitation { config, addresses });
            info!("demo pid={} runners={RUNNERS}", demo.child.id());
            self.demo = Some(demo);
        }
        Ok(())
    }

    /// Lets the runners go, before they are told goodbye like everybody else.
    pub(super) fn end_demo(&mut self) {
        if let Some(demo) = &mut self.demo {
            drop(demo.child.stdin.take());
        }
    }

    /// Says so if the runners are gone.
    pub(super) fn look_after_demo(&mut self) {
        if let Some(reason) = self.demo.as_mut().and_then(Demo::ended) {
            self.demo = None;
            match self.drain {
                None => warn!("demo ended reason=\"{reason}\""),
                Some(_) => info!("demo ended reason=\"{reason}\""),
            }
        }
    }
}

/// What to open to see the runners, for people.
struct Invitation<'a> {
    config: &'a Config,
    addresses: &'a [SocketAddr],
}

impl fmt::Display for Invitation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ids: Vec<String> = (1..=RUNNERS).map(|runner| runner.to_string()).collect();
        let (address, ids) = (reachable(self.addresses), ids.join(","));
        write!(f, "see it move: http://{address}/?follow={ids}")?;
        let keys = &self.config.keys;
        let Some(secret) = keys.jwt_hs256_secret_file.first() else {
            return Ok(());
        };
        write!(
            f,
            "#token=TOKEN with a token from: spectate token --sub me --follow {ids} --jwt-hs256-secret-file {}",
            secret.display()
        )?;
        for (flag, value) in [
            ("audience", &keys.jwt_audience),
            ("issuer", &keys.jwt_issuer),
        ] {
            if let Some(value) = value {
                write!(f, " --jwt-{flag} {value}")?;
            }
        }
        Ok(())
    }
}

/// An address at which this machine reaches itself: a loopback one if there is one.
fn reachable(addresses: &[SocketAddr]) -> SocketAddr {
    let own = addresses.iter().map(|address| {
        let ip = match address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        SocketAddr::new(ip, address.port())
    });
    let own: Vec<SocketAddr> = own.collect();
    let loopback = own.iter().find(|address| address.ip().is_loopback());
    *loopback.unwrap_or(&own[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runners_go_to_an_address_that_is_listened_on() {
        for (addresses, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("192.0.2.1:80 [::1]:81", "[::1]:81"),
        ] {
            let addresses: Vec<SocketAddr> = addresses
                .split(' ')
                .map(|address| address.parse().expect("an address"))
                .collect();
            assert_eq!(reachable(&addresses).to_string(), expected);
        }
    }
}
