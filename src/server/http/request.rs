//! What a request says, once its head is read.

use super::conditions::Conditions;
use super::origin::Origin;
use super::routes::Route;
use crate::auth::Token;

/// A complete request head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A WebSocket handshake, and the response that accepts it (RFC 6455, 4.2.2).
    Upgrade {
        /// The bytes of the 101 response.
        accept: Vec<u8>,
        /// Who asks.
        origin: Origin,
        /// What shows who asks.
        token: Option<Token<'static>>,
    },
    /// Plain HTTP.
    Plain {
        /// What is asked for.
        route: Route,
        /// What shows who asks.
        token: Option<Token<'static>>,
        /// What is asked of a page.
        conditions: Conditions,
        /// Whether the answer goes without its body (HEAD).
        head_only: bool,
    },
}
