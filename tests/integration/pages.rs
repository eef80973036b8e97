//! The pages and their parts over HTTP: all of them are there, compressed for whoever takes that,
//! and not sent again to whoever holds them.

use std::collections::BTreeSet;
use std::io::{Read, Write};

use flate2::read::GzDecoder;

use crate::scratch::Scratch;
use crate::slow::position;
use crate::support::Server;

/// An answer whose body need not be text.
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn to(server: &Server, method: &str, path: &str, headers: &str) -> Answer {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n");
        let mut socket = server.socket();
        let mut bytes = Vec::new();
        socket.write_all(request.as_bytes()).expect("it reads");
        socket.read_to_end(&mut bytes).expect("an answer");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let body = bytes.split_off(end.expect("a whole head") + 4);
        let head = String::from_utf8(bytes).expect("ASCII");
        Answer { head, body }
    }

    pub(crate) fn status(&self) -> &str {
        self.head.split(' ').nth(1).expect("a status line")
    }

    /// The value of a header; two of the same name are one too many.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().skip(1).filter_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        });
        let value = values.next();
        assert!(values.next().is_none(), "{name} twice: {}", self.head);
        value
    }

    pub(crate) fn etag(&self) -> String {
        self.header("ETag").expect("an entity tag").to_owned()
    }

    /// The body without its encoding.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let read = match self.header("Content-Encoding") {
            None => self.body.as_slice().read_to_string(&mut text),
            Some("gzip") => GzDecoder::new(&self.body[..]).read_to_string(&mut text),
            Some(other) => panic!("{other}"),
        };
        read.expect("UTF-8");
        text
    }
}

pub(crate) fn get(server: &Server, path: &str, headers: &str) -> Answer {
    let answer = Answer::to(server, "GET", path, headers);
    if answer.status() == "200" {
        let length = answer.body.len().to_string();
        assert_eq!(answer.header("Content-Length"), Some(length.as_str()));
    }
    answer
}

/// What stands between these marks, each time that they come.
fn between<'t>(text: &'t str, before: &str, after: char) -> Vec<&'t str> {
    let parts = text.split(before).skip(1);
    parts.filter_map(|part| part.split(after).next()).collect()
}

#[test]
fn the_pages_and_all_that_they_are_made_of_are_there() {
    let server = Server::start(&[]);
    for (path, folder, least) in [("/", "map", 10), ("/setup", "setup", 5)] {
        let page = get(&server, path, "").text();
        let mut wanted: Vec<String> = [" href=\"", " src=\""]
            .iter()
            .flat_map(|before| between(&page, &format!("{before}{folder}/"), '"'))
            .map(|name| format!("/{folder}/{name}"))
            .collect();
        let mut found = BTreeSet::new();
        while let Some(path) = wanted.pop() {
            if !found.insert(path.clone()) {
                continue;
            }
            let answer = get(&server, &path, "");
            assert_eq!(answer.status(), "200", "{path}");
            let media_type = match path.rsplit_once('.') {
                Some((_, "js")) => "text/javascript; charset=utf-8",
                Some((_, "css")) => "text/css; charset=utf-8",
                _ => panic!("{path}"),
            };
            assert_eq!(answer.header("Content-Type"), Some(media_type), "{path}");
            assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
            let text = answer.text();
            let (folder, _) = path.rsplit_once('/').expect("a folder");
            let beside = between(&text, "from './", '\'').into_iter();
            wanted.extend(beside.map(|name| format!("{folder}/{name}")));
            let elsewhere = between(&text, "from '../", '\'').into_iter();
            wanted.extend(elsewhere.map(|name| format!("/{name}")));
        }
        assert!(found.len() > least, "{found:?}");
    }
    for nothing in [
        "/map",
        "/map/",
        "/map/page.html",
        "/map/nothing.js",
        "/map/../map/dom.js",
        "/setup/",
        "/setup/page.html",
        "/setup/dom.js",
    ] {
        assert_eq!(get(&server, nothing, "").status(), "404", "{nothing}");
    }
}

#[test]
fn pages_of_any_site_import_the_module_with_or_without_keys() {
    let secret = Scratch::new("module", b"a secret of tests that is long enough");
    let with_keys = ["--jwt-hs256-secret-file", secret.path()];
    for flags in [&[][..], &with_keys] {
        let server = Server::start(flags);
        let tag = get(&server, "/spectate.js", "").etag();
        for (headers, status) in [
            ("Origin: https://race.example\r\n".to_owned(), "200"),
            ("Accept-Encoding: gzip\r\n".to_owned(), "200"),
            (format!("If-None-Match: {tag}\r\n"), "304"),
        ] {
            for method in ["GET", "HEAD"] {
                let answer = Answer::to(&server, method, "/spectate.js", &headers);
                assert_eq!(answer.status(), status, "{method} {headers}");
                assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
                assert!(answer.header("ETag").is_some(), "{headers}");
            }
        }
        let others = get(&server, "/map/dom.js", "");
        assert_eq!(others.header("Access-Control-Allow-Origin"), None);
    }
}

#[test]
fn nobody_frames_the_set_up_page_or_learns_its_address() {
    let server = Server::start(&["--allow-origin", "*"]);
    for headers in ["", "Accept-Encoding: gzip\r\n", "If-None-Match: *\r\n"] {
        let answer = get(&server, "/setup?x", headers);
        assert_eq!(
            answer.header("Content-Security-Policy"),
            Some(
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                 img-src data:; base-uri 'none'; form-action 'none'; \
                 require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors 'none'"
            )
        );
        assert_eq!(answer.header("Referrer-Policy"), Some("no-referrer"));
        assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
    }
}

#[test]
fn a_page_is_compressed_for_who_takes_gzip_and_plain_for_others() {
    let server = Server::start(&[]);
    for path in [
        "/",
        "/?follow=5,6",
        "/setup",
        "/map/style.css",
        "/setup/links.js",
        "/spectate.js",
    ] {
        let plain = get(&server, path, "");
        assert_eq!(plain.header("Content-Encoding"), None);
        for (accepted, encoding) in [
            ("Accept-Encoding: gzip, deflate, br, zstd\r\n", Some("gzip")),
            (
                "accept-encoding: br\r\nACCEPT-ENCODING: GZIP;q=0.5\r\n",
                Some("gzip"),
            ),
            ("Accept-Encoding: *\r\n", Some("gzip")),
            (
                "Accept-Encoding: br, *\r\nAccept-Encoding: gzip;q=0\r\n",
                None,
            ),
            ("Accept-Encoding: identity\r\n", None),
            ("Accept-Encoding:\r\n", None),
        ] {
            let answer = get(&server, path, accepted);
            assert_eq!(answer.status(), "200");
            assert_eq!(answer.header("Content-Encoding"), encoding, "{accepted}");
            assert_eq!(answer.header("Vary"), Some("Accept-Encoding"));
            assert_eq!(answer.text(), plain.text());
            assert_eq!(answer.etag() == plain.etag(), encoding.is_none());
            assert_eq!(answer.body.len() < plain.body.len(), encoding.is_some());
        }
    }
}

#[test]
fn a_page_that_is_held_is_not_sent_again() {
    let server = Server::start(&[]);
    const GZIP: &str = "Accept-Encoding: gzip\r\n";
    for path in ["/", "/setup", "/map/view.js", "/spectate.js"] {
        let [plain, gzip] = ["", GZIP].map(|headers| get(&server, path, headers).etag());
        for (headers, is_held) in [
            (format!("If-None-Match: {plain}\r\n"), true),
            (format!("if-none-match: W/{plain}\r\n"), true),
            (format!("If-None-Match: \"x\", {plain},\"y\"\r\n"), true),
            (
                format!("If-None-Match: \"x\"\r\nIf-None-Match: {plain}\r\n"),
                true,
            ),
            ("If-None-Match: *\r\n".to_owned(), true),
            (format!("{GZIP}If-None-Match: {gzip}\r\n"), true),
            (format!("{GZIP}If-None-Match: {plain}, {gzip}\r\n"), true),
            ("If-None-Match: \"x\"\r\n".to_owned(), false),
            (format!("If-None-Match: {gzip}\r\n"), false),
            (format!("{GZIP}If-None-Match: {plain}\r\n"), false),
        ] {
            for method in ["GET", "HEAD"] {
                let answer = Answer::to(&server, method, path, &headers);
                let status = if is_held { "304" } else { "200" };
                assert_eq!(answer.status(), status, "{method} {path} {headers}");
                assert_eq!(answer.body.is_empty(), is_held || method == "HEAD");
                assert_eq!(answer.header("Content-Length").is_none(), is_held);
                let etag = if headers.starts_with(GZIP) {
                    &gzip
                } else {
                    &plain
                };
                assert_eq!(answer.header("ETag"), Some(etag.as_str()));
                assert_eq!(answer.header("Cache-Control"), Some("no-cache"));
                assert_eq!(answer.header("Vary"), Some("Accept-Encoding"));
            }
        }
    }
}

#[test]
fn a_head_request_has_the_head_of_the_page_and_no_more() {
    let server = Server::start(&[]);
    for path in ["/", "/setup", "/map/style.css", "/spectate.js"] {
        for headers in ["", "Accept-Encoding: gzip\r\n"] {
            let head = Answer::to(&server, "HEAD", path, headers);
            assert_eq!(head.head, get(&server, path, headers).head);
            assert!(head.body.is_empty());
        }
    }
}

#[test]
fn pages_may_be_kept_and_other_answers_may_not() {
    let server = Server::start(&[]);
    for (path, policy) in [
        ("/", "no-cache"),
        ("/setup", "no-cache"),
        ("/map/style.css", "no-cache"),
        ("/healthz", "no-store"),
        ("/readyz", "no-store"),
        ("/metrics", "no-store"),
        ("/positions?ids=5", "no-store"),
        ("/qr?text=http://test/", "no-store"),
        ("/course", "no-store"),
        ("/nowhere", "no-store"),
    ] {
        let answer = get(
            &server,
            path,
            "Accept-Encoding: gzip\r\nIf-None-Match: *\r\n",
        );
        assert_eq!(answer.header("Cache-Control"), Some(policy), "{path}");
        let is_page = policy == "no-cache";
        assert_eq!(answer.status() == "304", is_page, "{path}");
        assert_eq!(answer.header("ETag").is_some(), is_page, "{path}");
    }
}

#[test]
fn text_is_compressed_for_who_takes_gzip_from_a_kibibyte_on() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    for user in 0..20 {
        gateway.send(&position(user, 1));
    }
    gateway.barrier();
    let many: Vec<String> = (0..20).map(|id| id.to_string()).collect();
    let many = format!("/positions?ids={}", many.join(","));
    for (path, is_large) in [
        ("/metrics", true),
        (many.as_str(), true),
        ("/positions?ids=5", false),
        ("/healthz", false),
        ("/nowhere", false),
    ] {
        for (headers, takes_gzip) in [
            ("Accept-Encoding: gzip, br\r\n", true),
            ("Accept-Encoding: gzip;q=0\r\n", false),
            ("", false),
        ] {
            let answer = Answer::to(&server, "GET", path, headers);
            assert_eq!(answer.text().len() >= 1024, is_large, "{path}");
            let encoding = (is_large && takes_gzip).then_some("gzip");
            assert_eq!(answer.header("Content-Encoding"), encoding, "{path}");
            assert_eq!(answer.body.len() < answer.text().len(), encoding.is_some());
            let vary = is_large.then_some("Accept-Encoding");
            assert_eq!(answer.header("Vary"), vary, "{path}");
            let length = answer.body.len().to_string();
            assert_eq!(answer.header("Content-Length"), Some(length.as_str()));
        }
    }
}

#[test]
fn the_policy_lets_in_no_script_and_no_style_but_this_servers() {
    let server = Server::start(&["--tiles", "https://t.example/{z}/{x}/{y}.png"]);
    for headers in ["", "Accept-Encoding: gzip\r\n", "If-None-Match: *\r\n"] {
        let answer = get(&server, "/", headers);
        assert_eq!(
            answer.header("Content-Security-Policy"),
            Some(
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                 img-src data: https://t.example; base-uri 'none'; form-action 'none'; \
                 require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors 'self'"
            )
        );
    }
}

#[test]
fn the_pages_that_may_connect_may_frame_the_map_and_no_others() {
    for (allowed, ancestors) in [
        (
            "https://app.example,https://*.example.org:8443",
            Some("frame-ancestors 'self' https://app.example https://*.example.org:8443"),
        ),
        ("https://app.example,*", None),
    ] {
        let server = Server::start(&["--allow-origin", allowed]);
        let answer = get(&server, "/", "");
        let policy = answer.header("Content-Security-Policy").expect("a policy");
        let mut directives = policy.split("; ");
        let named = directives.find(|directive| directive.starts_with("frame-ancestors"));
        assert_eq!(named, ancestors, "{policy}");
    }
}
