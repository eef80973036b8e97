//! Which pages may open a WebSocket, by the origin that the browser names (RFC 6454). Programs
//! name none, and what they say would prove nothing.

use std::net::Ipv6Addr;

/// Where the request for a WebSocket comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// No browser.
    Program,
    /// A page that came from this very host and port.
    SameHost,
    /// Another page; `None` if the browser would not say which, or said what is no origin.
    Page(Option<WebOrigin>),
}

/// The scheme, the host and the port of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin {
    scheme: String,
    host: String,
    /// `None` if the scheme is not known to have one.
    port: Option<u16>,
}

impl WebOrigin {
    /// Reads a serialized origin (RFC 6454, 6.2): a scheme, a host and perhaps a port, and
    /// nothing behind them.
    fn parse(text: &str) -> Option<WebOrigin> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.chars().all(|c| {
                c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.')
            });
        let (host, port) = split_port(authority)?;
        // Browsers name hosts in ASCII (RFC 5891, 4.4).
        let is_name = |host: &str| {
            let is_part = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            !host.is_empty() && host.chars().all(is_part)
        };
        let is_address = |host: &str| {
            let address = host
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'));
            address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
        };
        let is_host = is_name(host) || is_address(host);
        (is_scheme && is_host).then(|| WebOrigin {
            port: port.or(default_port(scheme)),
            scheme: scheme.to_owned(),
            host: host.to_owned(),
        })
    }

    fn is_on(&self, host_header: &str) -> bool {
        let host_header = host_header.to_ascii_lowercase();
        // Behind a proxy it is known to the page alone whether that is HTTP or HTTPS.
        matches!(&*self.scheme, "http" | "https")
            && split_port(&host_header).is_some_and(|(host, port)| {
                host == self.host && port.or(default_port(&self.scheme)) == self.port
            })
    }
}

impl Origin {
    /// The origin of a request with these header values, of which there may be none.
    pub fn new(origin: Option<&[u8]>, host: Option<&[u8]>) -> Origin {
        let Some(origin) = origin else {
            return Origin::Program;
        };
        let page = str::from_utf8(origin).ok().and_then(WebOrigin::parse);
        let host = host.and_then(|host| str::from_utf8(host).ok());
        match (&page, host) {
            (Some(page), Some(host)) if page.is_on(host) => Origin::SameHost,
            _ => Origin::Page(page),
        }
    }

    /// Whether it is a page, whose browser shows it no HTTP answer but a close code.
    pub fn is_browser(&self) -> bool {
        *self != Origin::Program
    }

    /// Whether it may open a WebSocket where these pages may.
    pub fn is_allowed(&self, allowed: &[AllowedOrigin]) -> bool {
        match self {
            Origin::Program | Origin::SameHost => true,
            Origin::Page(page) => allowed.iter().any(|allowed| allowed.covers(page.as_ref())),
        }
    }
}

/// A value of `--allow-origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// Every page, also those whose browser does not say where they are from.
    Any,
    /// This page.
    One(WebOrigin),
    /// Pages on every name below this one, not on itself.
    Below(WebOrigin),
}

impl AllowedOrigin {
    /// Reads `*`, `https://example.com`, `https://example.com:8443` or `https://*.example.com`.
    ///
    /// # Errors
    /// A line that says what to type instead.
    pub fn parse(text: &str) -> Result<AllowedOrigin, String> {
        if text == "*" {
            return Ok(AllowedOrigin::Any);
        }
        let (bare, allowed): (_, fn(WebOrigin) -> AllowedOrigin) = match text.split_once("://*.") {
            Some((scheme, rest)) => (format!("{scheme}://{rest}"), AllowedOrigin::Below),
            None => (text.to_owned(), AllowedOrigin::One),
        };
        match WebOrigin::parse(&bare) {
            Some(page) => Ok(allowed(page)),
            None => Err(format!(
                "{text:?} is not an origin (try https://example.com, https://*.example.com or '*'; \
                 a name in other letters as xn--...)"
            )),
        }
    }

    fn covers(&self, page: Option<&WebOrigin>) -> bool {
        match (self, page) {
            (AllowedOrigin::Any, _) => true,
            (_, None) => false,
            (AllowedOrigin::One(allowed), Some(page)) => allowed == page,
            (AllowedOrigin::Below(allowed), Some(page)) => {
                (&page.scheme, page.port) == (&allowed.scheme, allowed.port)
                    && (page.host.strip_suffix(&allowed.host))
                        .is_some_and(|below| below.len() > 1 && below.ends_with('.'))
            }
        }
    }
}

/// A host and its port, if one is there.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    // An IPv6 address has colons of its own, inside brackets (RFC 3986, 3.2.2).
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|_| is_number)?;
            Some((host, Some(port)))
        }
        _ => Some((authority, None)),
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
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
            ("ws://localhost", "localhost"),
            ("http://[::1", "[::1"),
        ] {
            assert!(!is_allowed(origin, host, &[]), "{origin} on {host}");
        }
    }

    #[test]
    fn other_pages_pass_if_they_are_named() {
        let named = [
            "https://app.example.com",
            "http://127.0.0.1:3000",
            "capacitor://localhost",
        ];
        for origin in [
            "https://app.example.com",
            "https://APP.example.com:443",
            "http://127.0.0.1:3000",
            "capacitor://localhost",
        ] {
            assert!(is_allowed(origin, "live.example.com", &named), "{origin}");
        }
        for origin in [
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://example.com",
            "https://app.example.com.evil.example",
            "https://xapp.example.com",
            "capacitor://localhost:1",
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
    fn what_is_no_origin_is_refused_with_what_to_type() {
        for text in [
            "",
            "example.com",
            "https://",
            "https://example.com/",
            "https://*",
            "https://*.",
            "https://a.*.example.com",
            "https://*.*.example.com",
            "https://user@example.com",
            "https://example.com:https",
            "https://example.com:70000",
            "https://b\u{fc}cher.example",
            "https://*.b\u{fc}cher.example",
            "https://[::1",
            "https://[x]",
            "https://a b",
        ] {
            let refused = AllowedOrigin::parse(text).expect_err(text);
            assert!(refused.contains("(try https://example.com"), "{refused}");
        }
    }
}
