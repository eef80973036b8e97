//! Which pages may come in, by the origin that the browser names (RFC 6454): the one rule for
//! WebSockets, for answers that pages read and for frames around our own. Knows no sockets.

use std::fmt;
use std::net::Ipv6Addr;

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

/// The scheme, the host and the port of a page, or of an app that is made of pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin {
    scheme: String,
    /// Empty for some apps, as in `file://`.
    host: String,
    /// `None` if the scheme is not known to have one.
    port: Option<u16>,
}

impl WebOrigin {
    /// Reads a serialized origin (RFC 6454, 6.2): a scheme, a host and perhaps a port, and
    /// nothing behind them.
    pub(super) fn parse(text: &str) -> Option<WebOrigin> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.chars().all(|c| {
                c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.')
            });
        let (host, port) = split_port(authority)?;
        let is_address = |host: &str| {
            let address = host
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'));
            address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
        };
        let is_host = is_address(host)
            || match default_port(scheme) {
                Some(_) => is_name(host),
                // What stands there is an app's own affair: `app://.`, `file://`.
                None => host.chars().all(is_part_of_name),
            };
        (is_scheme && is_host).then(|| WebOrigin {
            port: port.or(default_port(scheme)),
            scheme: scheme.to_owned(),
            host: host.to_owned(),
        })
    }

    /// Whether it is one of the web, and not that of an app.
    pub(super) fn is_http(&self) -> bool {
        ["http", "https"].contains(&self.scheme.as_str())
    }

    fn is_secure(&self) -> bool {
        ["https", "wss"].contains(&self.scheme.as_str())
    }

    fn is_on(&self, host_header: &str) -> bool {
        let host_header = host_header.to_ascii_lowercase();
        // Behind a proxy it is known to the page alone whether that is HTTP or HTTPS.
        default_port(&self.scheme).is_some()
            && split_port(&host_header).is_some_and(|(host, port)| {
                host == self.host && port.or(default_port(&self.scheme)) == self.port
            })
    }

    /// As a source in a policy (Content Security Policy 3, 2.3.1), with `below` before the host.
    fn source(&self, below: &str) -> String {
        let WebOrigin { scheme, host, port } = self;
        match port.filter(|_| *port != default_port(scheme)) {
            _ if host.is_empty() => format!("{scheme}:"),
            Some(port) => format!("{scheme}://{below}{host}:{port}"),
            None => format!("{scheme}://{below}{host}"),
        }
    }
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
    /// Reads `*`, `https://example.com`, `https://example.com:8443`, `https://*.example.com`,
    /// `file://` or `capacitor://localhost`.
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
        match WebOrigin::parse(&bare).filter(|page| bare == text || is_name(&page.host)) {
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
                        .and_then(|below| below.strip_suffix('.'))
                        .is_some_and(is_name)
            }
        }
    }
}

/// The directive that lets the pages of these origins frame ours, and our own do it; none if all
/// may (Content Security Policy 3, 6.4.2).
pub(crate) fn frame_ancestors(allowed: &[AllowedOrigin]) -> Option<String> {
    let mut directive = "frame-ancestors 'self'".to_owned();
    for origin in allowed {
        directive.push(' ');
        directive.push_str(&match origin {
            AllowedOrigin::Any => return None,
            AllowedOrigin::One(page) => page.source(""),
            AllowedOrigin::Below(page) => page.source("*."),
        });
    }
    Some(directive)
}

/// Whether this is a host's name. Browsers write it in ASCII (RFC 5891, 4.4).
fn is_name(host: &str) -> bool {
    let mut labels = host.strip_suffix('.').unwrap_or(host).split('.');
    labels.all(|label| !label.is_empty() && label.chars().all(is_part_of_name))
}

fn is_part_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._".contains(c)
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
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
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
    fn the_same_pages_may_frame_ours() {
        let directive = |allowed: &[&str]| {
            let allowed = allowed
                .iter()
                .map(|text| AllowedOrigin::parse(text).expect(text));
            frame_ancestors(&allowed.collect::<Vec<_>>())
        };
        assert_eq!(directive(&[]).as_deref(), Some("frame-ancestors 'self'"));
        let named = [
            "https://A.example:443",
            "http://b:81",
            "https://*.c.example:8443",
            "file://",
        ];
        assert_eq!(
            directive(&named).as_deref(),
            Some(
                "frame-ancestors 'self' https://a.example http://b:81 https://*.c.example:8443 file:"
            )
        );
        assert_eq!(directive(&["https://a.example", "*"]), None, "all may");
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
            "https://*..example.com",
            "https://..example.com",
            "file://*.",
            "file:///",
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
