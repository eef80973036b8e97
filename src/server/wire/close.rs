//! Why connections end: one table of words, codes and phrases. Knows nothing else.

use std::borrow::Cow;

use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;

use crate::auth::Refused;

/// A row of the table: the word for logs and metrics; the close code and the phrase that the peer
/// is told, if it is told.
type Row = (&'static str, Option<(u16, Cow<'static, str>)>);

macro_rules! close_reasons {
    ($($(#[$doc:meta])* $reason:ident = $word:literal, $told:expr;)*) => {
        /// Why a connection ends.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum CloseReason {
            /// The peer sent a close frame; its code is sent back (RFC 6455, 5.5.1), or else 1000.
            PeerClosed(Option<u16>),
            /// There is no token, or one that is not good, or no longer.
            Unauthorized(Refused),
            $($(#[$doc])* $reason,)*
        }

        impl CloseReason {
            /// One of each word.
            pub(crate) const ALL: &[CloseReason] = &[
                CloseReason::PeerClosed(None),
                CloseReason::Unauthorized(TOKEN_WORDS[0].1),
                CloseReason::Unauthorized(TOKEN_WORDS[1].1),
                CloseReason::Unauthorized(TOKEN_WORDS[2].1),
                $(CloseReason::$reason,)*
            ];

            fn row(self) -> Row {
                let told: (_, Option<(_, &'static str)>) = match self {
                    CloseReason::PeerClosed(code) => ("closed", Some((code.unwrap_or(1000), ""))),
                    CloseReason::Unauthorized(refused) => {
                        let told = (refused.close_code(), refused.to_string().into());
                        return (unauthorized_word(refused), Some(told));
                    }
                    $(CloseReason::$reason => ($word, $told),)*
                };
                (told.0, told.1.map(|(code, phrase)| (code, phrase.into())))
            }
        }
    };
}

close_reasons! {
    /// The peer's end of the stream came without a close frame.
    PeerGone = "eof", None;
    /// The operating system reported an error on the socket: a reset, an unreachable host.
    SocketError = "socket_error", None;
    /// What the peer sent is no TLS, or none that is understood here.
    TlsFailed = "tls_failed", None;
    /// A plain HTTP request was answered.
    Answered = "answered", None;
    /// No complete request head within `--handshake-timeout`.
    HandshakeTimeout = "handshake_timeout", None;
    /// A body came too slowly.
    BodyTimeout = "body_timeout", None;
    /// A frame that RFC 6455 forbids.
    ProtocolError = "protocol_error", Some((1002, "this breaks RFC 6455"));
    /// A binary message.
    Binary = "binary", Some((1003, "messages are JSON text, not binary"));
    /// Text that is not UTF-8.
    NotUtf8 = "not_utf8", Some((1007, "text must be UTF-8"));
    /// A message over `--max-message-bytes`.
    TooBig = "too_big", Some((1009, "the message is too big"));
    /// A row of messages of which each brought an error.
    BadMessages = "bad_messages", Some((1008, "100 messages in a row brought errors"));
    /// Too many bytes of errors that the peer does not read.
    ErrorsUnread = "errors_unread", Some((1008, "64 KiB of errors were not read"));
    /// A defect of the server.
    Defect = "defect", Some((1011, "a defect of the server"));
    /// The server is going down.
    Restarting = "restarting", Some((1012, "the server is restarting"));
    /// There are as many connections as there may be.
    Full = "full", Some((1013, "too many connections: try again later"));
    /// Positions came faster than `--max-rate` for too long.
    TooFast = "too_fast", Some((1008, "positions came too fast for 10 s"));
    /// A token is for another user than the one before it.
    OtherUser = "other_user",
        Some((4001, "the new token is for another user than this connection's"));
    /// A page that may not open a WebSocket here.
    ForeignOrigin = "foreign_origin",
        Some((4003, "pages from there may not connect: see --allow-origin"));
    /// Nothing was heard within `--pong-timeout` of a ping.
    NoPong = "no_pong", Some((4201, "no pong in time"));
    /// Nothing was taken for `--stall-timeout` while something was owed.
    Stalled = "stalled", Some((4202, "nothing was read for too long"));
}

impl CloseReason {
    /// The word for logs and metrics.
    pub fn word(self) -> &'static str {
        self.row().0
    }

    /// Whether a handshake may be refused for it.
    pub(crate) fn refuses_handshakes(self) -> bool {
        matches!(
            self,
            CloseReason::Full | CloseReason::ForeignOrigin | CloseReason::Unauthorized(_)
        )
    }

    /// Whether the peer is told by a close frame.
    pub fn is_told(self) -> bool {
        self.row().1.is_some()
    }

    /// The close frame as it goes over the wire; empty for reasons that are not told.
    pub fn frame(self) -> Vec<u8> {
        let Some((code, phrase)) = self.row().1 else {
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

/// The words for tokens that are not good, each with one of the reasons for it.
const TOKEN_WORDS: [(&str, Refused); 3] = [
    ("no_token", Refused::Missing),
    ("token_expired", Refused::Expired { expired_at_s: 0 }),
    ("bad_token", Refused::WrongSignature),
];

fn unauthorized_word(refused: Refused) -> &'static str {
    let [(missing, _), (expired, _), (bad, _)] = TOKEN_WORDS;
    match refused {
        Refused::Missing => missing,
        Refused::Expired { .. } => expired,
        _ => bad,
    }
}
