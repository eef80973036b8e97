//! The address of a host, found without waiting for it: a child process asks the system's resolver,
//! which may take its time, and the poll says when it has answered. Knows no engine.

use std::io::{ErrorKind, Read};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::process::{Child, Command, Stdio};

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};

/// More than the addresses of any host take.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A question on its way. The child is ended when it is dropped.
#[derive(Debug)]
pub(super) struct Lookup {
    child: Child,
    answer: UnixStream,
    text: Vec<u8>,
    host: String,
}

impl Lookup {
    /// Asks for a host's addresses. The program that asks is this one.
    ///
    /// # Errors
    /// A line that says why it cannot.
    pub(super) fn begin(host: &str, registry: &Registry, token: Token) -> Result<Lookup, String> {
        let begun = || {
            let (ours, theirs) = Pair::pair()?;
            ours.set_nonblocking(true)?;
            let mut answer = UnixStream::from_std(ours);
            registry.register(&mut answer, token, Interest::READABLE)?;
            let child = Command::new(std::env::current_exe()?)
                .args(["lookup", host])
                .env_clear()
                .stdin(Stdio::null())
                .stdout(OwnedFd::from(theirs))
                .stderr(Stdio::null())
                .spawn()?;
            Ok::<_, std::io::Error>((child, answer))
        };
        let (child, answer) = begun().map_err(|error| format!("cannot look {host} up: {error}"))?;
        Ok(Lookup {
            child,
            answer,
            text: Vec::new(),
            host: host.to_owned(),
        })
    }

    /// The first address, or why there is none; nothing until all was said.
    pub(super) fn answer(&mut self) -> Option<Result<IpAddr, String>> {
        let mut piece = [0; 4096];
        loop {
            match self.answer.read(&mut piece) {
                Ok(0) => break,
                Ok(count) if self.text.len() < ANSWER_BYTES_MAX => {
                    self.text.extend_from_slice(&piece[..count]);
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let text = String::from_utf8_lossy(&self.text);
        let first = text.lines().find_map(|line| line.parse().ok());
        Some(first.ok_or_else(|| format!("{} has no address", self.host)))
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        // It has said all, or what it would say is of no interest any more: this takes no time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
