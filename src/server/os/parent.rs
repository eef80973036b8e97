//! Whoever holds the other end of stdin: when it is gone, so is the reason to run. Knows not who it is.

use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as Stdin;

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};

/// The other end of stdin.
#[derive(Debug)]
pub(in crate::server) struct Parent {
    stdin: UnixStream,
}

impl Parent {
    /// Watches stdin.
    ///
    /// # Errors
    /// It cannot be watched, as a file cannot.
    pub(in crate::server) fn watch(registry: &Registry, token: Token) -> io::Result<Parent> {
        let stdin = Stdin::from(io::stdin().as_fd().try_clone_to_owned()?);
        stdin.set_nonblocking(true)?;
        let mut stdin = UnixStream::from_std(stdin);
        registry.register(&mut stdin, token, Interest::READABLE)?;
        Ok(Parent { stdin })
    }

    /// Whether it is gone.
    pub(in crate::server) fn is_gone(&mut self) -> bool {
        let mut bytes = [0; 256];
        loop {
            match self.stdin.read(&mut bytes) {
                Ok(0) => return true,
                // What it says is of no interest.
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }
}
