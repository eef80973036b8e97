//! Request heads, to requests or to the answers that refuse them. Knows no sockets and nobody's
//! data.

use httparse::{EMPTY_HEADER, Header, Status};

use super::conditions::Conditions;
use super::fields::{bearer, list_items, origin, values};
use super::handshake;
use super::request::Request;
use super::response::Response;
use super::routes::route;

/// Largest request head, in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most header lines in a request head.
pub const HEADERS_MAX: usize = 100;

/// What the bytes received so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// The beginning of a request head.
    Partial,
    /// A request, and how many bytes its head took.
    Complete(Request, usize),
    /// No request that can be served.
    Refused(RefusedRequest),
}

/// A request that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRequest {
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
    match parsed.and_then(|head_bytes| Ok((read_request(&request)?, head_bytes))) {
        Ok((request, head_bytes)) => Head::Complete(request, head_bytes),
        Err(response) => Head::Refused(RefusedRequest {
            response: response.head_only(request.method == Some("HEAD")),
            is_handshake: handshake::is_asked_for(request.headers),
        }),
    }
}

fn read_request(request: &httparse::Request) -> Result<Request, Response> {
    let method = request.method.unwrap_or_default();
    let is_1_1 = request.version == Some(1);
    let headers: &[Header] = request.headers;
    let hosts = values(headers, "host").count();
    if hosts > 1 || (is_1_1 && hosts == 0) {
        return Err(Response::bad_request("a request needs one Host header"));
    }
    if handshake::is_asked_for(headers) {
        return handshake::read(method, is_1_1, headers);
    }
    let route = route(method, request.path.unwrap_or_default())?;
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
