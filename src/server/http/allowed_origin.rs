//! Which pages of other origins the operator lets in, and lets frame ours. Knows no requests.

use super::web_origin::{WebOrigin, is_name};

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

    pub(super) fn covers(&self, page: Option<&WebOrigin>) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

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
