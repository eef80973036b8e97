//! The clients as they are run: against a relay that keeps the protocol, and against one that
//! breaks it in one place each time.

mod course;
mod export;
#[path = "../needs.rs"]
#[expect(dead_code, reason = "other tests need Python")]
mod needs;
mod record;
mod recorder;
mod relay;
mod replay;
mod simulate;
#[path = "../integration/support.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod support;
mod watch;

use std::process::Command;
use std::time::Duration;

/// Longest wait for anything: long enough for a busy machine, and a failure after that.
const WAIT: Duration = Duration::from_secs(30);

/// The program, without settings from outside.
fn spectate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spectate"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SPECTATE_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}
