//! The addresses of a host, as the system's resolver has them. A server has them looked up by this
//! command in a process of its own, for the resolver may take its time.

use std::io::{self, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::process::ExitCode;

use clap::Args;

/// The flags of `lookup`.
#[derive(Args, Clone, Debug)]
pub struct LookupFlags {
    /// The name of a host, or an address
    #[arg(value_name = "HOST")]
    host: String,
}

/// Prints each address once, the preferred first. An error is a line for the operator.
pub fn run(flags: &LookupFlags) -> Result<ExitCode, String> {
    let host = &flags.host;
    // The port is of no interest.
    let found = (host.as_str(), 0).to_socket_addrs();
    let found = found.map_err(|error| format!("cannot look {host} up: {error}"))?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found.map(|found| found.ip()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    for address in addresses {
        writeln!(io::stdout(), "{address}").map_err(|error| error.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}
