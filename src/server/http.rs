//! Request heads to routes, or to the answers that refuse them. Knows no sockets and nobody's data.

use httparse::{EMPTY_HEADER, Header, Status};
use tungstenite::handshake::derive_accept_key;

use super::conditions::Conditions;
use super::origin::Origin;
use super::pages::PageId;
use super::query;
use super::response::Response;
use crate::auth::Token;

/// Largest request head, in bytes.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Most header lines in a request head.
const HEADERS_MAX: usize = 64;

/// The subprotocol that is answered to whoever offers it.
const SUBPROTOCOL: &str = "spectate.v1";

/// What a token follows among the subprotocols: the one thing that a page can put into a
/// handshake.
const SUBPROTOCOL_TOKEN: &str = "bearer.";

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// One of the pages.
    Page(PageId),
    /// Whether the loop turns.
    Healthz,
    /// Whether new connections are welcome.
    Readyz,
    /// The counters.
    Metrics,
    /// Last known positions of these users; `None` if the request does not say whose.
    Positions(Option<Vec<String>>),
}

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

/// What the bytes received so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// The beginning of a request head.
    Partial,
    /// A request, and how many bytes its head took.
    Complete(Request, usize),
    /// No request that can be served.
    Refused(Refused),
}

/// A request that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The answer to send.
    pub response: Response,
    /// Whether it asked for a WebSocket.
    pub is_handshake: bool,
}

/// Reads a request head, of which `bytes` may be only a part.
pub fn parse(bytes: &[u8]) -> Head {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = match request.parse(&bytes[..bytes.len().min(HEAD_BYTES_MAX)]) {
        Ok(Status::Complete(head_bytes)) => Ok(head_bytes),
        Ok(Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Head::Partial,
        Ok(Status::Partial) => Err(Response::refuse(
            "431 Request Header Fields Too Large",
            "",
            "the request head must be under 8 KiB",
        )),
        Err(httparse::Error::TooManyHeaders) => Err(Response::refuse(
            "431 Request Header Fields Too Large",
            "",
            "the request head must have at most 64 header lines",
        )),
        Err(httparse::Error::Version) => Err(Response::refuse(
            "505 HTTP Version Not Supported",
            "",
            "speak HTTP/1.1, or HTTP/1.0 for plain requests",
        )),
        Err(error) => Err(Response::bad_request(&format!("this is not HTTP: {error}"))),
    };
    match parsed.and_then(|head_bytes| Ok((route(&request)?, head_bytes))) {
        Ok((request, head_bytes)) => Head::Complete(request, head_bytes),
        Err(response) => Head::Refused(Refused {
            response: response.head_only(request.method == Some("HEAD")),
            is_handshake: is_handshake(request.headers),
        }),
    }
}

fn is_handshake(headers: &[Header]) -> bool {
    has_token(headers, "upgrade", "websocket")
}

fn route(request: &httparse::Request) -> Result<Request, Response> {
    let method = request.method.unwrap_or_default();
    let is_1_1 = request.version == Some(1);
    let hosts = values(request.headers, "host").count();
    if hosts > 1 || (is_1_1 && hosts == 0) {
        return Err(Response::bad_request("a request needs one Host header"));
    }
    if is_handshake(request.headers) {
        return upgrade(method, is_1_1, request.headers);
    }
    let target = request.path.unwrap_or_default();
    let path = path(target);
    let route = match path {
        "/healthz" => Route::Healthz,
        "/readyz" => Route::Readyz,
        "/metrics" => Route::Metrics,
        "/positions" => Route::Positions(query::ids(target)),
        _ => Route::Page(PageId::at(path).ok_or_else(|| {
            Response::refuse(
                "404 Not Found",
                "",
                "nothing is here; there are /, /healthz, /readyz, /metrics and /positions, and WebSockets on any path",
            )
        })?),
    };
    match method {
        "GET" | "HEAD" => Ok(Request::Plain {
            route,
            token: bearer(request.headers),
            conditions: Conditions::new(
                list_items(request.headers, "accept-encoding"),
                list_items(request.headers, "if-none-match"),
            ),
            head_only: method == "HEAD",
        }),
        _ => Err(Response::refuse(
            "405 Method Not Allowed",
            "Allow: GET, HEAD\r\n",
            "use GET or HEAD",
        )),
    }
}

/// The path of a request target in origin form or in absolute form (RFC 9112, 3.2).
fn path(target: &str) -> &str {
    let target = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => target,
    };
    target.split(['?', '#']).next().unwrap_or_default()
}

/// Checks a WebSocket handshake (RFC 6455, 4.2.1).
fn upgrade(method: &str, is_1_1: bool, headers: &[Header]) -> Result<Request, Response> {
    if method != "GET" {
        return Err(Response::refuse(
            "405 Method Not Allowed",
            "Allow: GET\r\n",
            "a WebSocket handshake is a GET",
        ));
    }
    if !is_1_1 {
        return Err(Response::bad_request(
            "a WebSocket handshake needs HTTP/1.1",
        ));
    }
    if !has_token(headers, "connection", "upgrade") {
        return Err(Response::bad_request(
            "a WebSocket handshake needs Connection: Upgrade",
        ));
    }
    if !values(headers, "sec-websocket-version").eq([&b"13"[..]]) {
        return Err(Response::refuse(
            "426 Upgrade Required",
            "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n",
            "a WebSocket handshake needs one Sec-WebSocket-Version: 13",
        ));
    }
    let mut keys = values(headers, "sec-websocket-key");
    let key = match (keys.next(), keys.next()) {
        (Some(key), None) if is_nonce(key) => key,
        _ => {
            return Err(Response::bad_request(
                "a WebSocket handshake needs one Sec-WebSocket-Key of 16 bytes in base64",
            ));
        }
    };
    let offered =
        list_items(headers, "sec-websocket-protocol").any(|token| token == SUBPROTOCOL.as_bytes());
    let protocol = if offered {
        format!("Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n")
    } else {
        String::new()
    };
    let accept = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{protocol}\r\n",
        derive_accept_key(key)
    );
    Ok(Request::Upgrade {
        accept: accept.into_bytes(),
        origin: Origin::new(only(headers, "origin"), only(headers, "host")),
        token: bearer(headers).or_else(|| {
            list_items(headers, "sec-websocket-protocol")
                .find_map(|token| token.strip_prefix(SUBPROTOCOL_TOKEN.as_bytes()))
                .map(token)
        }),
    })
}

/// The token of an `Authorization: Bearer` (RFC 6750, 2.1). Credentials of another scheme are
/// for a proxy on the way.
fn bearer(headers: &[Header]) -> Option<Token<'static>> {
    values(headers, "authorization").find_map(|value| {
        let end = value.iter().position(u8::is_ascii_whitespace);
        let (scheme, credentials) = value.split_at(end.unwrap_or(value.len()));
        (scheme.eq_ignore_ascii_case(b"bearer")).then(|| token(credentials.trim_ascii()))
    })
}

fn token(text: &[u8]) -> Token<'static> {
    Token::new(String::from_utf8_lossy(text).into_owned())
}

/// Whether this is what 16 bytes look like in base64: 22 digits and two signs of padding.
fn is_nonce(key: &[u8]) -> bool {
    let Some(digits) = key.strip_suffix(b"==") else {
        return false;
    };
    digits.len() == 22
        && digits
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

fn values<'h>(headers: &'h [Header], name: &str) -> impl Iterator<Item = &'h [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

/// The value of a header that must come once; one that comes more often is worth nothing.
fn only<'h>(headers: &'h [Header], name: &str) -> Option<&'h [u8]> {
    let mut values = values(headers, name);
    let first = values.next()?;
    Some(if values.next().is_some() { b"" } else { first })
}

/// A header's comma-separated values, over all lines of that name.
fn list_items<'h>(headers: &'h [Header], name: &str) -> impl Iterator<Item = &'h [u8]> {
    values(headers, name)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

fn has_token(headers: &[Header], name: &str, token: &str) -> bool {
    list_items(headers, name).any(|value| value.eq_ignore_ascii_case(token.as_bytes()))
}
