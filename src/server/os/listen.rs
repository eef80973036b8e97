//! Listening sockets, and whether somebody waits at them. Accepted sockets inherit the options set
//! here, which spares three system calls for each connection (Linux copies them from the listening
//! socket).

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

use crate::server::config::Entrance;

/// What the kernel may hold of a connection's bytes that it has not sent yet. More would hide
/// positions that are no longer the newest.
const NOT_SENT_BYTES_MAX: u32 = 4 * 1024;

/// A socket that is listened on.
#[derive(Debug)]
pub(in crate::server) struct Listener {
    pub(in crate::server) socket: TcpListener,
    pub(in crate::server) entrance: Entrance,
}

/// The sockets that are listened on.
#[derive(Debug)]
pub(in crate::server) struct Listeners {
    pub(in crate::server) sockets: Vec<Listener>,
    /// Whether connections may wait to be accepted.
    pub(in crate::server) is_acceptable: bool,
    /// Whether that failed, and was told, since it was last tried again.
    pub(in crate::server) has_failed: bool,
}

impl Listeners {
    /// Listens on each of the addresses, with queues of `backlog` connections not accepted yet. Other
    /// processes may do the same if they share ports, as this one then does.
    /// An error is a line for the operator.
    pub(in crate::server) fn bind(
        entrances: &[(Entrance, SocketAddr)],
        backlog: u32,
        shares_ports: bool,
    ) -> Result<Listeners, String> {
        Ok(Listeners {
            sockets: listen(entrances, backlog, shares_ports)?,
            is_acceptable: false,
            has_failed: false,
        })
    }

    /// The addresses that they really have.
    pub(in crate::server) fn addresses(&self) -> io::Result<Vec<(Entrance, SocketAddr)>> {
        let address = |listener: &Listener| Ok((listener.entrance, listener.socket.local_addr()?));
        self.sockets.iter().map(address).collect()
    }

    /// Listens no longer, but for the operator.
    pub(in crate::server) fn close(&mut self) {
        self.sockets
            .retain(|listener| listener.entrance == Entrance::Metrics);
        self.is_acceptable = !self.sockets.is_empty();
    }

    /// Has what could not be accepted be tried again.
    pub(in crate::server) fn retry(&mut self) {
        self.is_acceptable = !self.sockets.is_empty();
        self.has_failed = false;
    }

    /// When there is somebody to accept.
    pub(in crate::server) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        self.is_acceptable.then_some(now)
    }
}

/// Listens on each of the addresses, with queues of `backlog` connections not accepted yet. An
/// error is a line for the operator.
fn listen(
    entrances: &[(Entrance, SocketAddr)],
    backlog: u32,
    shares_ports: bool,
) -> Result<Vec<Listener>, String> {
    let addresses: Vec<SocketAddr> = entrances.iter().map(|(_, address)| *address).collect();
    let twice = (1..addresses.len()).find(|at| {
        let address = &addresses[*at];
        address.port() != 0 && addresses[..*at].contains(address)
    });
    if let Some(at) = twice {
        let (entrance, address) = entrances[at];
        return Err(format!("{} {address} is given twice", entrance.flag()));
    }
    entrances
        .iter()
        .map(|(entrance, address)| {
            let v4_has_port = addresses.iter().any(|other| other.is_ipv4() && other.port() == address.port());
            let socket = bind(*address, v4_has_port, backlog, shares_ports).map_err(|error| match error.kind() {
                ErrorKind::AddrInUse => {
                    format!("cannot listen on {address}: another program uses this port (try {} with another)", entrance.flag())
                }
                _ => format!("cannot listen on {address}: {error}"),
            })?;
            Ok(Listener { socket, entrance: *entrance })
        })
        .collect()
}

fn bind(
    address: SocketAddr,
    v4_has_port: bool,
    backlog: u32,
    shares_ports: bool,
) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // [::] serves IPv4 as well, unless that has a socket of its own.
        socket.set_only_v6(v4_has_port && address.port() != 0)?;
    }
    socket.set_reuse_address(true)?;
    // The kernel spreads connections over the processes that do.
    socket.set_reuse_port(shares_ports)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(NOT_SENT_BYTES_MAX)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(TcpListener::from_std(socket.into()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use socket2::SockRef;

    use super::*;

    #[test]
    fn accepted_sockets_inherit_what_the_listening_socket_was_told() {
        let any = "127.0.0.1:0".parse().expect("an address");
        let listeners = listen(&[(Entrance::Plain, any)], 16, false).expect("a free port");
        let address = listeners[0].socket.local_addr().expect("bound");
        let _client = TcpStream::connect(address).expect("listening");
        let accepted = loop {
            match listeners[0].socket.accept() {
                Ok((accepted, _)) => break accepted,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        };
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().expect("a TCP socket"));
        assert_eq!(
            accepted.tcp_notsent_lowat().expect("a TCP socket"),
            NOT_SENT_BYTES_MAX
        );
    }

    #[test]
    fn a_port_in_use_is_named() {
        let any = "127.0.0.1:0".parse().expect("an address");
        let taken = listen(&[(Entrance::Plain, any)], 16, false).expect("a free port")[0]
            .socket
            .local_addr()
            .expect("bound");
        let holder = std::net::TcpListener::bind(taken).expect("free again");
        let refusal = listen(&[(Entrance::Plain, taken)], 16, false).expect_err("in use");
        assert!(
            refusal.contains(&holder.local_addr().expect("bound").to_string()),
            "{refusal}"
        );
    }
}
