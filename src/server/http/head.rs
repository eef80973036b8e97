//! Request heads, to requests or to the answers that refuse them. Knows no sockets and nobody's
//! data.

use httparse::{EMPTY_HEADER, Header, Status};

use super::body::Framing;
use super::conditions::Conditions;
use super::fields::{bearer, has_token, list_items, origin, values};
use super::handshake;
use super::report::Report;
use super::request::Request;
use super::response::Response;
use super::routes::{Route, route};

/// Largest request head, in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most header lines in a request head.
pub const HEADERS_MAX: usize = 100;

/// What the bytes received so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// The beginning of a request head.
    Partial,
    /// All of one.
    Complete(CompleteHead),
    /// No request that can be served.
    Refused(RefusedRequest),
}

/// A request head, and how to go on behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteHead {
    /// How many bytes it took.
    pub bytes: usize,
    /// What it asks for.
    pub request: Request,
    /// Where its body ends.
    pub framing: Framing,
    /// Whether another request may come behind it.
    pub is_persistent: bool,
    /// Whether the body comes only when it is welcome (RFC 9110, 10.1.1).
    pub expects_continue: bool,
}

/// A request that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRequest {
    /// The answer to send.
    pub response: Response,
    /// Whether it asked for a WebSocket.
    pub is_handshake: bool,
}

/// What a request without TLS gets where TLS is spoken.
pub fn https_required() -> RefusedRequest {
    Response::bad_request("TLS is spoken at this port: use https:// or wss://").into()
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
            "the request head must be under 16 KiB",
        )),
        Err(httparse::Error::TooManyHeaders) => Err(Response::refuse(
            "431 Request Header Fields Too Large",
            "",
            "the request head must have at most 100 header lines",
        )),
        Err(httparse::Error::Version) => Err(Response::refuse(
            "505 HTTP Version Not Supported",
            "",
            "speak HTTP/1.1, or HTTP/1.0 for plain requests",
        )),
        Err(error) => Err(Response::bad_request(&format!("this is not HTTP: {error}"))),
    };
    match parsed.and_then(|head_bytes| read_head(&request, head_bytes)) {
        Ok(head) => Head::Complete(head),
        Err(response) => Head::Refused(RefusedRequest {
            response: response.head_only(request.method == Some("HEAD")),
            is_handshake: handshake::is_asked_for(request.headers),
        }),
    }
}

fn read_head(request: &httparse::Request, bytes: usize) -> Result<CompleteHead, Response> {
    let is_1_1 = request.version == Some(1);
    let headers: &[Header] = request.headers;
    let hosts = values(headers, "host").count();
    if hosts > 1 || (is_1_1 && hosts == 0) {
        return Err(Response::bad_request("a request needs one Host header"));
    }
    let framing = Framing::read(headers, is_1_1)?;
    let mut expectations = (list_items(headers, "expect"))
        .filter(|item| !item.is_empty())
        .peekable();
    let expects_continue = is_1_1 && expectations.peek().is_some();
    if !expectations.all(|item| item.eq_ignore_ascii_case(b"100-continue")) {
        return Err(Response::refuse(
            "417 Expectation Failed",
            "",
            "of all expectations 100-continue alone can be met",
        ));
    }
    let request = read_request(request, is_1_1)?;
    let is_body_read = matches!(request, Request::Report(_));
    if matches!(request, Request::Upgrade { .. }) && framing.has_body() {
        return Err(Response::bad_request("a WebSocket handshake has no body"));
    }
    Ok(CompleteHead {
        bytes,
        request,
        framing,
        is_persistent: is_1_1
            && !has_token(headers, "connection", "close")
            && (is_body_read || !framing.has_body()),
        expects_continue,
    })
}

fn read_request(request: &httparse::Request, is_1_1: bool) -> Result<Request, Response> {
    let method = request.method.unwrap_or_default();
    let target = request.path.unwrap_or_default();
    let headers: &[Header] = request.headers;
    if handshake::is_asked_for(headers) {
        return handshake::read(method, is_1_1, headers);
    }
    let route = route(method, target)?;
    if route == Route::Report && ["GET", "POST"].contains(&method) {
        return Ok(Request::Report(Box::new(Report::read(
            method, target, headers,
        ))));
    }
    let origin = origin(headers);
    if method == "OPTIONS" {
        return Ok(Request::Options { route, origin });
    }
    Ok(Request::Plain {
        route,
        origin,
        token: bearer(headers),
        conditions: Conditions::new(
            list_items(headers, "accept-encoding"),
            list_items(headers, "if-none-match"),
        ),
        head_only: method == "HEAD",
    })
}

impl From<Response> for RefusedRequest {
    /// What cannot be served for what comes behind its head.
    fn from(response: Response) -> RefusedRequest {
        RefusedRequest {
            response,
            is_handshake: false,
        }
    }
}
