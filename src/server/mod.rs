//! The server: one loop that owns every socket, the poll and the clock.
//!
//! ```text
//! tick:  wait → accept → read → expire → flush → keep → reap
//! ```
//!
//! Whatever goes wrong with a connection comes back to the tick as a [`CloseReason`], and `reap`
//! alone ends connections: nothing that was freed is used again within one batch of events.
//!
//! [`CloseReason`]: wire::close::CloseReason
//! [protocol]: crate::protocol
//! [trails]: crate::protocol#trails
//! [everybody]: crate::protocol#everybody
//! [tokens]: crate::protocol#tokens
//! [errors]: crate::protocol#errors
//! [close codes]: crate::protocol#close-codes
#![doc = include_str!("README.md")]

mod answer;
mod apply;
mod asking;
mod bad_row;
mod clocks;
mod config;
mod connections;
mod course;
mod deliver;
mod door;
mod drain;
mod exposition;
mod gzip;
pub mod http;
mod memory;
mod metrics;
mod nodes;
mod os;
#[cfg(test)]
mod outbox_model;
mod outgoing;
pub mod pages;
mod parts;
mod postponed;
mod queues;
mod reporting;
mod roster;
mod sharing;
mod source;
mod state;
mod sweep;
mod tick;
mod tls;
mod trail;
mod waits;
pub mod wire;
mod work;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use log::{info, warn};
use mio::Events;

pub use config::Config;
use config::Entrance;
use memory::memory_max;
use nodes::access::Access;
use os::demo::Demo;
use os::invitation::Invitation;
use os::processes;
use parts::{EVENTS_MAX, Server};

/// Runs the server until it is told to stop. An error is a line for the operator.
pub fn serve(config: Config) -> Result<ExitCode, String> {
    crate::logger::init(config.log_level);
    let access = match Access::read(&config) {
        Ok(access) => access,
        Err(line) => {
            // A bad argument, though it took a look at the machine to know.
            let _ = writeln!(io::stderr(), "spectate: {line}");
            return Ok(ExitCode::from(2));
        }
    };
    if let Some(count) = config.processes {
        if let Some(line) = config.why_not_shared(count) {
            let _ = writeln!(io::stderr(), "spectate: {line}");
            return Ok(ExitCode::from(2));
        }
        return processes::run(count, config.metrics_listen);
    }
    let mut server = Server::bind(config, access)?;
    let listening = (server.listeners.addresses())
        .map_err(|error| format!("cannot tell the address: {error}"))?;
    let addresses: Vec<String> = listening.iter().map(shown).collect();
    let addresses = addresses.join(", ");
    // Nobody is left to tell when stdout is closed.
    let _ = writeln!(io::stdout(), "listening on {addresses}");
    info!(
        "start version={} listen=\"{addresses}\" max_connections={} memory_max={}",
        env!("CARGO_PKG_VERSION"),
        server.door.limits().websockets,
        memory_max(&server.config, server.door.limits())
    );
    server.warn_if_open(&listening);
    server.look_at_certificate();
    if server.config.demo {
        let demo = Demo::start(&server.config, &listening, server.now.monotonic)?;
        server.demo = Some(demo);
    }
    let invitation = Invitation {
        config: &server.config,
        entrances: &listening,
    };
    let _ = writeln!(io::stdout(), "{invitation}");
    let outcome = server
        .run()
        .map_err(|error| format!("the loop cannot go on: {error}"))?;
    if outcome == ExitCode::SUCCESS {
        server.keep_the_last();
    }
    info!(
        "stop accepted={} received={} delivered={}",
        server.metrics.accepted,
        server.metrics.positions_received(),
        server.metrics.positions_delivered
    );
    Ok(outcome)
}

/// An address, and what it is for if not for everything.
fn shown((entrance, address): &(Entrance, SocketAddr)) -> String {
    match entrance {
        Entrance::Plain => address.to_string(),
        Entrance::Tls => format!("{address} (TLS)"),
        Entrance::Metrics => format!("{address} (metrics)"),
    }
}

impl Server {
    fn run(&mut self) -> io::Result<ExitCode> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            self.wait(&mut events)?;
            self.accept();
            self.read();
            self.expire();
            self.flush();
            self.keep();
            self.reap();
            self.metrics.tick(self.now.monotonic.elapsed());
            if let Some(outcome) = self.stopped {
                self.leave_nodes();
                return Ok(outcome);
            }
        }
    }

    /// Tells the operator once if everybody on a network may do everything.
    fn warn_if_open(&self, listening: &[(Entrance, SocketAddr)]) {
        let open = (listening.iter())
            .filter(|(entrance, _)| *entrance != Entrance::Metrics)
            .find(|(_, address)| !address.ip().to_canonical().is_loopback());
        if let Some((_, address)) = open.filter(|_| !self.door.asks_for_tokens()) {
            warn!(
                "no authentication on {address}: whoever reaches it may send positions of anybody \
                 and follow everybody; see --jwt-hs256-secret-file and --jwt-public-key-file"
            );
        }
    }
}
