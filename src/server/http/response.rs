//! The fixed answers to HTTP requests, and their bytes. Knows no sockets and nobody's data.

use std::borrow::Cow;

use crate::auth;

/// An HTTP answer, after which the connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: &'static str,
    /// Further header lines, each with its CRLF.
    headers: Cow<'static, str>,
    content_type: &'static str,
    body: Vec<u8>,
    head_only: bool,
}

impl Response {
    fn ok(content_type: &'static str, body: Vec<u8>) -> Response {
        Response {
            status: "200 OK",
            headers: Cow::Borrowed(""),
            content_type,
            body,
            head_only: false,
        }
    }

    /// A short text in answer to a request that failed.
    pub fn refuse(status: &'static str, headers: &'static str, body: &str) -> Response {
        Response {
            headers: Cow::Borrowed(headers),
            ..Response::text(status, body)
        }
    }

    /// The status line's number.
    pub fn status(&self) -> &'static str {
        self.status.split(' ').next().unwrap_or_default()
    }

    /// Plain text.
    pub fn text(status: &'static str, body: &str) -> Response {
        let mut body = body.as_bytes().to_vec();
        body.push(b'\n');
        Response {
            status,
            ..Response::ok("text/plain; charset=utf-8", body)
        }
    }

    /// Counters in the Prometheus text format.
    pub fn metrics(body: String) -> Response {
        let content_type = "text/plain; version=0.0.4; charset=utf-8";
        Response::ok(content_type, body.into_bytes())
    }

    /// A page and its header lines, each with its CRLF.
    pub fn page(html: &str, headers: &str) -> Response {
        Response {
            headers: Cow::Owned(headers.to_owned()),
            ..Response::ok("text/html; charset=utf-8", html.as_bytes().to_vec())
        }
    }

    /// GeoJSON (RFC 7946).
    pub fn geo_json(body: Vec<u8>) -> Response {
        Response::ok("application/geo+json", body)
    }

    /// A request that cannot be carried out as it is.
    pub fn bad_request(body: &str) -> Response {
        Response::refuse("400 Bad Request", "", body)
    }

    /// The same, and pages from anywhere may read it (Fetch, 3.2.2).
    pub fn for_any_page(self) -> Response {
        Response {
            headers: Cow::Borrowed("Access-Control-Allow-Origin: *\r\n"),
            ..self
        }
    }

    /// No more WebSockets are taken.
    pub fn full() -> Response {
        Response::refuse(
            "503 Service Unavailable",
            "Retry-After: 5\r\n",
            "too many connections: try again later",
        )
    }

    /// The request shows a token that is not good.
    pub fn unauthorized(refused: auth::Refused) -> Response {
        Response::refuse(
            "401 Unauthorized",
            "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n",
            &refused.to_string(),
        )
    }

    /// The same without its body, if the request was HEAD.
    pub fn head_only(self, head_only: bool) -> Response {
        Response { head_only, ..self }
    }

    /// The answer as it goes over the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Response {
            status,
            headers,
            content_type,
            body,
            head_only,
        } = self;
        let length = body.len();
        let mut bytes = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
             Cache-Control: no-store\r\n{headers}Connection: close\r\n\r\n"
        )
        .into_bytes();
        if !head_only {
            bytes.extend_from_slice(body);
        }
        bytes
    }
}
