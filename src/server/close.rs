//! Why connections end: one table of codes, phrases and log words. Knows nothing else.

use std::borrow::Cow;

use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;

use crate::auth::Refused;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer sent a close frame; its code is sent back (RFC 6455, 5.5.1), or else 1000.
    PeerClosed(Option<u16>),
    /// The peer's end of the stream came without a close frame.
    PeerGone,
    /// The operating system reported an error on the socket: a reset, an unreachable host.
    SocketError,
    /// A plain HTTP request was answered.
    Answered,
    /// No complete request head within `--handshake-timeout`.
    HandshakeTimeout,
    /// A frame that RFC 6455 forbids.
    ProtocolError,
    /// A binary message.
    Binary,
    /// Text that is not UTF-8.
    NotUtf8,
    /// A message over `--max-message-bytes`.
    TooBig,
    /// A row of messages of which each brought an error.
    BadMessages,
    /// Too many bytes of errors that the peer does not read.
    ErrorsUnread,
    /// A defect of the server.
    Defect,
    /// The server is going down.
    Restarting,
    /// There are as many connections as there may be.
    Full,
    /// Positions came faster than `--max-rate` for too long.
    TooFast,
    /// There is no token, or one that is not good, or no longer.
    Unauthorized(Refused),
    /// A token is for another user than the one before it.
    OtherUser,
    /// A page that may not open a WebSocket here.
    ForeignOrigin,
    /// Nothing was heard within `--pong-timeout` of a ping.
    NoPong,
    /// Nothing was taken for `--stall-timeout` while something was owed.
    Stalled,
}

impl CloseReason {
    /// The word for logs and metrics; the close code and the phrase sent with it, if any is sent.
    fn table(self) -> (&'static str, Option<(u16, Cow<'static, str>)>) {
        let (word, told): (_, Option<(_, &str)>) = match self {
            CloseReason::Unauthorized(refused) => {
                let told = (refused.close_code(), Cow::Owned(refused.to_string()));
                return (unauthorized_word(refused), Some(told));
            }
            CloseReason::PeerClosed(code) => ("closed", Some((code.unwrap_or(1000), ""))),
            CloseReason::PeerGone => ("eof", None),
            CloseReason::SocketError => ("socket_error", None),
            CloseReason::Answered => ("answered", None),
            CloseReason::HandshakeTimeout => ("handshake_timeout", None),
            CloseReason::ProtocolError => ("protocol_error", Some((1002, "this breaks RFC 6455"))),
            CloseReason::Binary => ("binary", Some((1003, "messages are JSON text, not binary"))),
            CloseReason::NotUtf8 => ("not_utf8", Some((1007, "text must be UTF-8"))),
            CloseReason::BadMessages => (
                "bad_messages",
                Some((1008, "100 messages in a row brought errors")),
            ),
            CloseReason::ErrorsUnread => (
                "errors_unread",
                Some((1008, "64 KiB of errors were not read")),
            ),
            CloseReason::TooBig => ("too_big", Some((1009, "the message is too big"))),
            CloseReason::Defect => ("defect", Some((1011, "a defect of the server"))),
            CloseReason::Restarting => ("restarting", Some((1012, "the server is restarting"))),
            CloseReason::Full => (
                "full",
                Some((1013, "too many connections: try again later")),
            ),
            CloseReason::TooFast => ("too_fast", Some((1008, "positions came too fast for 10 s"))),
            CloseReason::OtherUser => (
                "other_user",
                Some((
                    4001,
                    "the new token is for another user than this connection's",
                )),
            ),
            CloseReason::ForeignOrigin => (
                "foreign_origin",
                Some((4003, "pages from there may not connect: see --allow-origin")),
            ),
            CloseReason::NoPong => ("no_pong", Some((4201, "no pong in time"))),
            CloseReason::Stalled => ("stalled", Some((4202, "nothing was read for too long"))),
        };
        (word, told.map(|(code, phrase)| (code, phrase.into())))
    }

    /// One of each word.
    pub(super) fn all() -> [CloseReason; 22] {
        [
            CloseReason::PeerClosed(None),
            CloseReason::PeerGone,
            CloseReason::SocketError,
            CloseReason::Answered,
            CloseReason::HandshakeTimeout,
            CloseReason::ProtocolError,
            CloseReason::Binary,
            CloseReason::NotUtf8,
            CloseReason::TooBig,
            CloseReason::BadMessages,
            CloseReason::ErrorsUnread,
            CloseReason::Defect,
            CloseReason::Restarting,
            CloseReason::Full,
            CloseReason::TooFast,
            CloseReason::Unauthorized(Refused::Missing),
            CloseReason::Unauthorized(Refused::Expired { expired_at_s: 0 }),
            CloseReason::Unauthorized(Refused::WrongSignature),
            CloseReason::OtherUser,
            CloseReason::ForeignOrigin,
            CloseReason::NoPong,
            CloseReason::Stalled,
        ]
    }

    /// The word for logs and metrics.
    pub fn word(self) -> &'static str {
        self.table().0
    }

    /// Whether the peer is told by a close frame.
    pub fn is_told(self) -> bool {
        self.table().1.is_some()
    }

    /// The close frame as it goes over the wire; empty for reasons that are not told.
    pub fn frame(self) -> Vec<u8> {
        let Some((code, phrase)) = self.table().1 else {
            return Vec::new();
        };
        let content = CloseFrame {
            code: code.into(),
            reason: phrase.as_ref().into(),
        };
        let mut frame = Vec::new();
        // A write into a Vec cannot fail.
        let _ = Frame::close(Some(content)).format(&mut frame);
        frame
    }
}

fn unauthorized_word(refused: Refused) -> &'static str {
    match refused {
        Refused::Missing => "no_token",
        Refused::Expired { .. } => "token_expired",
        _ => "bad_token",
    }
}
