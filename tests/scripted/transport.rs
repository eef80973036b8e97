//! What scripted connections are made over: plain or by TLS, and cut somewhere on the way.

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use spectate::server::wire::stream::Stream;

use super::peer::Peer;
use super::script::Script;

/// Where the bytes of a peer are cut on their way, whatever they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Cut {
    #[default]
    Nowhere,
    /// Behind so many bytes.
    At(usize),
    /// In pieces of so many.
    Every(usize),
}

impl Cut {
    /// How many come in one piece behind so many.
    pub(crate) fn piece_bytes_max(self, read: usize) -> usize {
        match self {
            Cut::At(at) if at > read => at - read,
            Cut::Every(bytes) => bytes - read % bytes,
            Cut::At(_) | Cut::Nowhere => usize::MAX,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Transport {
    /// `None` if it is plain.
    pub(crate) tls: Option<&'static SupportedProtocolVersion>,
    pub(crate) cut: Cut,
}

pub(crate) const PLAIN: Transport = Transport {
    tls: None,
    cut: Cut::Nowhere,
};

/// Both versions that are spoken.
pub(crate) const TLS: [Transport; 2] = [
    Transport {
        tls: Some(&TLS12),
        ..PLAIN
    },
    Transport {
        tls: Some(&TLS13),
        ..PLAIN
    },
];

/// Each kind, uncut: for tests that cut by themselves, and for those of much at once.
pub(crate) const KINDS: [Transport; 3] = [PLAIN, TLS[0], TLS[1]];

/// Each kind, uncut and cut at every byte.
pub(crate) const TRANSPORTS: [Transport; 6] = [
    KINDS[0],
    KINDS[1],
    KINDS[2],
    KINDS[0].cut(Cut::Every(1)),
    KINDS[1].cut(Cut::Every(1)),
    KINDS[2].cut(Cut::Every(1)),
];

impl Transport {
    /// The same, cut there.
    pub(crate) const fn cut(self, cut: Cut) -> Transport {
        Transport { cut, ..self }
    }

    /// The connection's side, with the peer's in the script.
    pub(crate) fn stream(self, mut script: Script) -> Stream<Script> {
        script.cut = self.cut;
        let Some(version) = self.tls else {
            return Stream::plain(script);
        };
        let (peer, session) = Peer::new(version);
        script.peer = Some(Box::new(peer));
        Stream::secure(script, session)
    }
}
