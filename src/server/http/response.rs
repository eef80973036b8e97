//! The fixed answers to HTTP requests, and their bytes. Knows no sockets and nobody's data.

use std::borrow::Cow;
use std::rc::Rc;

use super::conditions::Conditions;
use crate::auth;
use crate::server::pages::Page;

/// An HTTP answer, after which the connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: &'static str,
    /// Further header lines, each with its CRLF.
    headers: Cow<'static, str>,
    cache_control: &'static str,
    /// `None` if the asker holds it already.
    content: Option<Content>,
    head_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    media_type: &'static str,
    body: Rc<[u8]>,
}

impl Response {
    fn ok(media_type: &'static str, body: impl Into<Rc<[u8]>>) -> Response {
        Response {
            status: "200 OK",
            headers: Cow::Borrowed(""),
            cache_control: "no-store",
            content: Some(Content {
                media_type,
                body: body.into(),
            }),
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

    /// A page in the best encoding for whoever asks; without its content if they hold that already.
    pub fn page(page: &Page, conditions: &Conditions) -> Response {
        let representation = if conditions.takes_gzip() {
            &page.gzip
        } else {
            &page.plain
        };
        let found = Response {
            headers: Cow::Owned(representation.headers.clone()),
            // To be kept, and asked about each time.
            cache_control: "no-cache",
            ..Response::ok(page.media_type, Rc::clone(&representation.body))
        };
        if !conditions.hold(&representation.etag) {
            return found;
        }
        Response {
            status: "304 Not Modified",
            content: None,
            ..found
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
            cache_control,
            content,
            head_only,
        } = self;
        let described = match content {
            None => String::new(),
            Some(Content { media_type, body }) => {
                let length = body.len();
                format!("Content-Type: {media_type}\r\nContent-Length: {length}\r\n")
            }
        };
        let mut bytes = format!(
            "HTTP/1.1 {status}\r\n{described}Cache-Control: {cache_control}\r\n\
             {headers}Connection: close\r\n\r\n"
        )
        .into_bytes();
        if let Some(content) = content
            && !head_only
        {
            bytes.extend_from_slice(&content.body);
        }
        bytes
    }
}
