//! What makes a shell complete subcommands and flags, for the shells that Debian has a place for.

use clap::{Command, ValueEnum};
use clap_complete::aot;

/// A shell that can complete.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The script that the shell reads.
pub(super) fn script(shell: Shell, mut command: Command) -> String {
    let mut script = Vec::new();
    let (command, out) = (&mut command, &mut script);
    match shell {
        Shell::Bash => aot::generate(aot::Bash, command, "spectate", out),
        Shell::Zsh => aot::generate(aot::Zsh, command, "spectate", out),
        Shell::Fish => aot::generate(aot::Fish, command, "spectate", out),
    }
    String::from_utf8_lossy(&script).into_owned()
}
