//! Which pages may come in, by the origin that the browser names (RFC 6454): the one rule for
//! WebSockets, for answers that pages read and for frames around our own. Knows no sockets.

use std::fmt;

use super::allowed_origin::AllowedOrigin;
use super::web_origin::WebOrigin;

/// Most bytes of a header that go into the log.
const LOGGED_BYTES_MAX: usize = 200;

/// Where a request says that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The value of `Origin`: browsers send one, and some libraries of programs.
    named: Option<Vec<u8>>,
    /// The value of `Host`.
    host: Vec<u8>,
    /// Whether the request came by TLS, as those of pages of the same origin then do.
    pub(super) is_for_tls: bool,
}

impl Origin {
    /// The origin of a request with these header values, of which there may be none.
    pub fn new(origin: Option<&[u8]>, host: Option<&[u8]>) -> Origin {
        Origin {
            named: origin.map(<[u8]>::to_vec),
            host: host.unwrap_or_default().to_vec(),
            is_for_tls: false,
        }
    }

    /// Whether it is named, as by a browser, which shows its pages no HTTP answer to a handshake
    /// but a close code.
    pub fn is_named(&self) -> bool {
        self.named.is_some()
    }

    /// Whether it may come in where these pages may. Who names none is a program, and what that
    /// said would prove nothing.
    pub fn is_allowed(&self, allowed: &[AllowedOrigin]) -> bool {
        let Some(named) = &self.named else {
            return true;
        };
        let page = str::from_utf8(named).ok().and_then(WebOrigin::parse);
        let is_same_host = page
            .as_ref()
            .filter(|page| !self.is_for_tls || page.is_secure())
            .is_some_and(|page| self.is_host_of(page));
        is_same_host || allowed.iter().any(|allowed| allowed.covers(page.as_ref()))
    }

    /// Whether a page is on the host that the request is for.
    pub(super) fn is_host_of(&self, page: &WebOrigin) -> bool {
        str::from_utf8(&self.host).is_ok_and(|host| page.is_on(host))
    }

    /// The origin as it was written, if there is one and it is text.
    pub fn named(&self) -> Option<&str> {
        let named = str::from_utf8(self.named.as_deref()?).ok()?;
        named
            .bytes()
            .all(|byte| byte.is_ascii_graphic())
            .then_some(named)
    }
}

impl fmt::Display for Origin {
    /// For the log: both headers, without what a stranger should not write there.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let escape = |value: &[u8]| {
            value[..value.len().min(LOGGED_BYTES_MAX)]
                .escape_ascii()
                .to_string()
        };
        let named = escape(self.named.as_deref().unwrap_or_default());
        write!(f, "origin=\"{named}\" host=\"{}\"", escape(&self.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(origin: &str, host: &str, allowed: &[&str]) -> bool {
        let allowed: Vec<AllowedOrigin> = allowed
            .iter()
            .map(|text| AllowedOrigin::parse(text).expect(text))
            .collect();
        Origin::new(Some(origin.as_bytes()), Some(host.as_bytes())).is_allowed(&allowed)
    }

    #[test]
    fn a_program_names_no_origin_and_passes() {
        assert!(Origin::new(None, Some(b"example.com")).is_allowed(&[]));
    }

    #[test]
    fn a_page_passes_on_its_own_host_and_port_alone() {
        for (origin, host) in [
            ("http://localhost:8080", "localhost:8080"),
            ("http://LOCALHOST:8080", "localhost:8080"),
            ("http://example.com", "example.com"),
            ("http://example.com", "Example.com:80"),
            ("https://example.com", "example.com"),
            ("https://example.com:443", "example.com"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("https://[2001:db8::1]", "[2001:db8::1]"),
            // What native libraries write.
            ("ws://localhost:8080", "localhost:8080"),
            ("ws://example.com", "example.com"),
            ("wss://example.com", "example.com:443"),
        ] {
            assert!(is_allowed(origin, host, &[]), "{origin} on {host}");
        }
        for (origin, host) in [
            ("http://localhost:3000", "localhost:8080"),
            ("http://evil.example", "localhost:8080"),
            ("http://localhost:8080.evil.example", "localhost:8080"),
            ("http://localhost:8080@evil.example", "localhost:8080"),
            ("http://127.0.0.1:8080", "localhost:8080"),
            ("https://example.com", "example.com:80"),
            ("http://example.com:8080", "example.com"),
            ("http://[::1]:8080", "[::1]:8081"),
            ("null", "null"),
            ("", ""),
            ("http://", ""),
            ("example.com", "example.com"),
            ("http://example.com/", "example.com"),
            ("http://example.com:+80", "example.com"),
            ("http://example.com:", "example.com"),
            ("capacitor://localhost", "localhost"),
            ("ws://localhost:3000", "localhost:8080"),
            ("wss://evil.example", "localhost:8080"),
            ("file://", ""),
            ("http://[::1", "[::1"),
        ] {
            assert!(!is_allowed(origin, host, &[]), "{origin} on {host}");
        }
    }

    #[test]
    fn by_tls_a_page_of_the_same_host_without_tls_is_another() {
        for (origin, host, is_same) in [
            ("https://example.com", "example.com", true),
            ("wss://example.com", "example.com:443", true),
            ("https://localhost:8443", "localhost:8443", true),
            ("http://example.com", "example.com", false),
            ("http://localhost:8443", "localhost:8443", false),
            ("ws://localhost:8443", "localhost:8443", false),
        ] {
            let mut request = Origin::new(Some(origin.as_bytes()), Some(host.as_bytes()));
            request.is_for_tls = true;
            assert_eq!(request.is_allowed(&[]), is_same, "{origin} on {host}");
        }
    }

    #[test]
    fn other_pages_pass_if_they_are_named() {
        let named = [
            "https://app.example.com",
            "http://127.0.0.1:3000",
            "capacitor://localhost",
            "file://",
            "app://.",
        ];
        for origin in [
            "https://app.example.com",
            "https://APP.example.com:443",
            "http://127.0.0.1:3000",
            "capacitor://localhost",
            "file://",
            "app://.",
        ] {
            assert!(is_allowed(origin, "live.example.com", &named), "{origin}");
        }
        for origin in [
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://example.com",
            "https://app.example.com.evil.example",
            "https://xapp.example.com",
            "wss://app.example.com",
            "capacitor://localhost:1",
            "file://x",
            "app://",
            "null",
        ] {
            assert!(!is_allowed(origin, "live.example.com", &named), "{origin}");
        }
    }

    #[test]
    fn a_star_for_a_name_covers_all_below_and_not_the_bare_domain() {
        let below = ["https://*.example.com"];
        for origin in ["https://app.example.com", "https://a.b.example.com"] {
            assert!(is_allowed(origin, "x", &below), "{origin}");
        }
        for origin in [
            "https://example.com",
            "https://.example.com",
            "https://..example.com",
            "https://a..example.com",
            "https://.a.example.com",
            "https://evilexample.com",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.example",
            "null",
        ] {
            assert!(!is_allowed(origin, "x", &below), "{origin}");
        }
        assert!(is_allowed(
            "https://a.example.com:8443",
            "x",
            &["https://*.example.com:8443"]
        ));
    }

    #[test]
    fn a_page_whose_browser_does_not_say_where_it_is_from_passes_by_a_star_alone() {
        assert!(is_allowed("null", "x", &["*"]));
        assert!(is_allowed("https://anywhere.example", "x", &["*"]));
        assert!(AllowedOrigin::parse("null").is_err());
    }

    #[test]
    fn the_log_has_both_headers_and_no_line_of_a_strangers() {
        let long = "x".repeat(5000);
        let line = Origin::new(Some(b"a\"\xff\n"), Some(long.as_bytes())).to_string();
        let expected = format!(
            r#"origin="a\"\xff\n" host="{}""#,
            "x".repeat(LOGGED_BYTES_MAX)
        );
        assert_eq!(line, expected);
    }
}
