//! What a request says, once its head is read.

use super::conditions::Conditions;
use super::origin::Origin;
use super::report::Report;
use super::routes::Route;
use crate::auth::Token;

/// A request, as far as its head says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A WebSocket handshake, and the response that accepts it (RFC 6455, 4.2.2).
    Upgrade {
        /// The bytes of the 101 response.
        accept: Vec<u8>,
        /// Where it comes from.
        origin: Origin,
        /// What shows who asks.
        token: Option<Shown>,
    },
    /// Plain HTTP.
    Plain {
        /// What is asked for.
        route: Route,
        /// Where it comes from.
        origin: Origin,
        /// What shows who asks.
        token: Option<Token<'static>>,
        /// What is asked of the content.
        conditions: Conditions,
        /// Whether the answer goes without its body (HEAD).
        head_only: bool,
    },
    /// Positions by an app, which the answer says to have looked at.
    Report(Box<Report>),
    /// What may be done with something (OPTIONS): asked by health checks, and by browsers before a
    /// page of another site may ask with headers of its own.
    Options {
        /// With what.
        route: Route,
        /// Where it comes from.
        origin: Origin,
    },
}

impl Request {
    /// The same request, by TLS.
    pub fn over_tls(mut self) -> Request {
        match &mut self {
            Request::Upgrade { origin, .. }
            | Request::Plain { origin, .. }
            | Request::Options { origin, .. } => origin.is_for_tls = true,
            Request::Report(report) => report.origin.is_for_tls = true,
        }
        self
    }
}

/// A token that came with a handshake, by the way that it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// As `Authorization: Bearer`, which no page can put into a handshake.
    Header(Token<'static>),
    /// Among the subprotocols.
    Subprotocol(Token<'static>),
}

impl Shown {
    /// The token itself.
    pub fn token(&self) -> &Token<'static> {
        match self {
            Shown::Header(token) | Shown::Subprotocol(token) => token,
        }
    }
}
