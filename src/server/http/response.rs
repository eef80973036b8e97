//! The answers to HTTP requests, and their heads. Knows no sockets and nobody's data.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::rc::Rc;

use super::conditions::Conditions;
use crate::auth;
use crate::server::gzip;
use crate::server::pages::Page;

/// Content of fewer bytes gains too little by gzip.
const GZIP_BYTES_MIN: usize = 1024;

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: &'static str,
    /// Further header lines, each with its CRLF.
    headers: Cow<'static, str>,
    cache_control: &'static str,
    /// Whether it depends on `Accept-Encoding`.
    varies_by_encoding: bool,
    /// Whether it depends on `Origin`.
    varies_by_origin: bool,
    /// `None` if there is none, or if the asker holds it already.
    content: Option<Content>,
    head_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    /// `None` for what is empty.
    media_type: Option<&'static str>,
    body: Rc<[u8]>,
    /// Whether it is here anyway, whoever asks for it.
    is_kept: bool,
}

impl Response {
    fn empty(status: &'static str) -> Response {
        Response {
            status,
            headers: Cow::Borrowed(""),
            cache_control: "no-store",
            varies_by_encoding: false,
            varies_by_origin: false,
            content: None,
            head_only: false,
        }
    }

    fn ok(media_type: &'static str, body: impl Into<Rc<[u8]>>) -> Response {
        Response {
            content: Some(Content {
                media_type: Some(media_type),
                body: body.into(),
                is_kept: false,
            }),
            ..Response::empty("200 OK")
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
    pub fn metrics(body: String, conditions: &Conditions) -> Response {
        let content_type = "text/plain; version=0.0.4; charset=utf-8";
        Response::ok(content_type, body.into_bytes()).compressed(conditions)
    }

    /// A page in the best encoding for whoever asks; without its content if they hold that already.
    pub fn page(page: &Page, conditions: &Conditions) -> Response {
        let representation = if conditions.takes_gzip() {
            &page.gzip
        } else {
            &page.plain
        };
        let is_held = conditions.hold(&representation.etag);
        Response {
            headers: Cow::Owned(representation.headers.clone()),
            // To be kept, and asked about each time.
            cache_control: "no-cache",
            varies_by_encoding: true,
            content: (!is_held).then(|| Content {
                media_type: Some(page.media_type),
                body: Rc::clone(&representation.body),
                is_kept: true,
            }),
            ..Response::empty(if is_held {
                "304 Not Modified"
            } else {
                "200 OK"
            })
        }
    }

    /// GeoJSON (RFC 7946).
    pub fn geo_json(body: Vec<u8>, conditions: &Conditions) -> Response {
        Response::ok("application/geo+json", body).compressed(conditions)
    }

    /// A drawing.
    pub fn svg(drawing: String, conditions: &Conditions) -> Response {
        Response::ok("image/svg+xml", drawing.into_bytes()).compressed(conditions)
    }

    /// The same by gzip, if that is worth it and welcome.
    fn compressed(mut self, conditions: &Conditions) -> Response {
        if let Some(content) = &mut self.content
            && content.body.len() >= GZIP_BYTES_MIN
        {
            self.varies_by_encoding = true;
            if conditions.takes_gzip() {
                content.body = gzip::fast(&content.body).into();
                self.headers.to_mut().push_str("Content-Encoding: gzip\r\n");
            }
        }
        self
    }

    /// What may be done with something, as a header line.
    pub fn options(allow: &'static str) -> Response {
        Response {
            headers: Cow::Borrowed(allow),
            ..Response::empty("204 No Content")
        }
    }

    /// The same for what pages elsewhere read too: with whatever headers, and this holds for two hours
    /// (Fetch, 3.2.3). A star does not stand for `Authorization`.
    pub fn options_for_pages(allow: &'static str) -> Response {
        let mut response = Response::options(allow);
        response.headers.to_mut().push_str(
            "Access-Control-Allow-Methods: GET, HEAD\r\n\
             Access-Control-Allow-Headers: *, Authorization\r\n\
             Access-Control-Max-Age: 7200\r\n",
        );
        response
    }

    /// What an app wants to hear of its report, of a media type unless it is nothing.
    pub fn of_report(media_type: Option<&'static str>, body: Vec<u8>) -> Response {
        Response {
            content: Some(Content {
                media_type,
                body: body.into(),
                is_kept: false,
            }),
            ..Response::empty("200 OK")
        }
    }

    /// What whoever asks for it may not do.
    pub fn forbidden(body: &str) -> Response {
        Response::refuse("403 Forbidden", "", body)
    }

    /// A report of more positions than are taken at once.
    pub fn too_many(body: &str) -> Response {
        Response::refuse("413 Content Too Large", "", body)
    }

    /// Reports that come faster than they may.
    pub fn too_fast() -> Response {
        Response::refuse(
            "429 Too Many Requests",
            "Retry-After: 1\r\n",
            "positions come too fast: send fewer",
        )
    }

    /// A body that is too long to be taken.
    pub fn too_large() -> Response {
        Response::refuse(
            "413 Content Too Large",
            "",
            "a body has at most 1 MiB: send fewer positions at once",
        )
    }

    /// Something that this server could have and has not.
    pub fn not_found(body: &str) -> Response {
        Response::refuse("404 Not Found", "", body)
    }

    /// A request that cannot be carried out as it is.
    pub fn bad_request(body: &str) -> Response {
        Response::refuse("400 Bad Request", "", body)
    }

    /// The same, and pages from anywhere may read it (Fetch, 3.2.3).
    pub fn for_any_page(self) -> Response {
        self.readable_by("*")
    }

    /// The same, and of all pages from elsewhere the one of this origin may read it, if any.
    pub fn for_page(mut self, origin: Option<&str>) -> Response {
        self.varies_by_origin = true;
        match origin {
            Some(origin) => self.readable_by(origin),
            None => self,
        }
    }

    fn readable_by(mut self, whom: &str) -> Response {
        let line = format!("Access-Control-Allow-Origin: {whom}\r\n");
        self.headers.to_mut().push_str(&line);
        self
    }

    /// No more connections of this kind are taken.
    pub fn full() -> Response {
        Response::unavailable("too many connections: try again later")
    }

    /// No more bodies are received at once.
    pub fn no_room() -> Response {
        Response::unavailable("too much is being sent: try again later")
    }

    /// No more positions are taken.
    pub fn restarting() -> Response {
        Response::unavailable("the server is restarting: try again later")
    }

    /// No more answers are held.
    pub fn busy() -> Response {
        Response::unavailable("too many answers wait to be read: try again later")
    }

    fn unavailable(body: &str) -> Response {
        Response::refuse("503 Service Unavailable", "Retry-After: 5\r\n", body)
    }

    /// The request shows a token that is not good.
    pub fn unauthorized(refused: auth::Refused) -> Response {
        Response::refuse(
            "401 Unauthorized",
            "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n",
            &refused.to_string(),
        )
    }

    /// The same of a report: its app may ask for a user and a password, which is the token.
    pub fn unauthorized_report(refused: auth::Refused) -> Response {
        Response::refuse(
            "401 Unauthorized",
            "WWW-Authenticate: Basic realm=\"spectate\", charset=\"UTF-8\"\r\n",
            &refused.to_string(),
        )
    }

    /// The same without its body, if the request was HEAD.
    pub fn head_only(self, head_only: bool) -> Response {
        Response { head_only, ..self }
    }

    /// The head as it goes over the wire. `stays` says whether the connection does.
    pub fn head(&self, stays: bool) -> String {
        let mut head = format!("HTTP/1.1 {}\r\n", self.status);
        // Writing to a String cannot fail.
        let _ = self.write_headers(stays, &mut head);
        head
    }

    fn write_headers(&self, stays: bool, head: &mut String) -> fmt::Result {
        if let Some(Content {
            media_type, body, ..
        }) = &self.content
        {
            if let Some(media_type) = media_type {
                write!(head, "Content-Type: {media_type}\r\n")?;
            }
            write!(head, "Content-Length: {}\r\n", body.len())?;
        }
        head.push_str(match (self.varies_by_encoding, self.varies_by_origin) {
            (false, false) => "",
            (true, false) => "Vary: Accept-Encoding\r\n",
            (false, true) => "Vary: Origin\r\n",
            (true, true) => "Vary: Accept-Encoding, Origin\r\n",
        });
        write!(
            head,
            "Cache-Control: {}\r\n{}{}\r\n",
            self.cache_control,
            self.headers,
            if stays { "" } else { "Connection: close\r\n" }
        )
    }

    /// What goes behind the head, if anything does.
    pub fn body(&self) -> Option<&Rc<[u8]>> {
        let content = self.content.as_ref().filter(|_| !self.head_only)?;
        Some(&content.body)
    }

    /// Bytes of the body that are here for this answer alone.
    pub fn own_bytes(&self) -> usize {
        match &self.content {
            Some(content) if !content.is_kept && !self.head_only => content.body.len(),
            _ => 0,
        }
    }
}
