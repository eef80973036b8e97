//! A link that is to be drawn as a code: which of those in a request are links of this server's own,
//! and may be shown around. Knows no codes.

use std::fmt;

use percent_encoding::percent_decode_str;

use super::origin::Origin;
use super::web_origin::WebOrigin;

/// Longest link, in bytes: a phone reads the code of one from a screen.
pub const LINK_BYTES_MAX: usize = 1000;

/// The query of a target that asks for a code, as it was written. There may be a token in it where
/// none should be, so its [`Debug`](fmt::Debug) does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkQuery(Box<str>);

impl fmt::Debug for LinkQuery {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "LinkQuery(of {} bytes)", self.0.len())
    }
}

impl LinkQuery {
    /// All that stands behind the question mark of a request target, if there is one: a number sign
    /// that was not encoded begins no fragment of the request, but one of the link.
    pub(super) fn of(target: &str) -> LinkQuery {
        LinkQuery(target.split_once('?').map_or("", |(_, query)| query).into())
    }

    /// The link of `text=`, if it is one of the server that this request is for.
    ///
    /// # Errors
    /// What is wrong, and what to mend; the link is not repeated.
    pub fn link(&self, origin: &Origin) -> Result<String, &'static str> {
        let written = match self.0.strip_prefix("text=") {
            // The rest of a link that was not encoded, which would be missing in the code.
            Some(text) if text.contains('&') => {
                return Err("percent-encode the link, and send nothing but /qr?text= and it");
            }
            Some(text) if !text.is_empty() => text,
            _ => return Err("say which link to draw: /qr?text= and the link, percent-encoded"),
        };
        let link = percent_decode_str(written).decode_utf8();
        let link = link.map_err(|_| "this is no link")?;
        if link.len() > LINK_BYTES_MAX {
            return Err("a link of more than 1000 bytes makes a code that no phone can read");
        }
        let is_own = link.bytes().all(|byte| byte.is_ascii_graphic())
            && origin_of(&link).is_some_and(|page| page.is_http() && origin.is_host_of(&page));
        if !is_own {
            return Err("only links of this server are drawn: as http or https, by its own name");
        }
        // A page decodes the names in its address before it looks for one.
        let again = percent_decode_str(&link).decode_utf8_lossy();
        if [&link, &again].into_iter().any(|link| says_token(link)) {
            return Err("a link with a token is for one person: it is drawn nowhere");
        }
        Ok(link.into_owned())
    }

    /// How many bytes it has, never less than its link.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// The origin of a link: all before its path, its query and its fragment.
fn origin_of(link: &str) -> Option<WebOrigin> {
    let (scheme, rest) = link.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    WebOrigin::parse(&format!("{scheme}://{authority}"))
}

fn says_token(link: &str) -> bool {
    link.to_ascii_lowercase().contains("token=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(query: &str, host: &str) -> Result<String, &'static str> {
        let origin = Origin::new(None, Some(host.as_bytes()));
        LinkQuery::of(&format!("/qr?{query}")).link(&origin)
    }

    #[test]
    fn links_of_the_host_that_is_asked_are_its_own() {
        for (text, host) in [
            ("http://race.example/", "race.example"),
            (
                "https://race.example/?follow=5,6&panel=none",
                "race.example",
            ),
            ("https://race.example", "race.example:443"),
            ("http://Race.example:80/#follow=5%252C6", "race.EXAMPLE"),
            ("HTTP://127.0.0.1:8080/setup#id=5", "127.0.0.1:8080"),
            ("https://[::1]:8443?follow=a+b", "[::1]:8443"),
        ] {
            let plain = text.replace('&', "%26");
            let encoded =
                percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
            assert_eq!(link(&format!("text={encoded}"), host), Ok(text.to_owned()));
            let decoded = text.replace("%25", "%");
            assert_eq!(link(&format!("text={plain}"), host), Ok(decoded), "{text}");
        }
    }

    #[test]
    fn links_of_others_and_what_is_none_are_refused() {
        for text in [
            "http://evil.example/",
            "http://race.example:8080/",
            "http://race.example.evil.example/",
            "http://race.example@evil.example/",
            "http://evil.example@race.example/",
            "http://evil.example%5C@race.example/",
            "http://race.example%5C@evil.example/",
            "http://evil.example%23@race.example/",
            "http://evil.example/http://race.example/",
            "//race.example/",
            "/",
            "race.example",
            "ws://race.example/",
            "ftp://race.example/",
            "javascript:alert(1)//http://race.example/",
            " http://race.example/",
            "http://race.example/%20",
            "http://race.example/%0A",
            "http://race.example/\u{e4}",
            "http://race.example/%C3%A4",
            "http://race.example/%ff",
            "http:///",
            "http://",
        ] {
            assert!(
                link(&format!("text={text}"), "race.example").is_err(),
                "{text}"
            );
        }
        for query in [
            "",
            "text",
            "text=",
            "text=&text=http://race.example/",
            "text=http://race.example/?follow=5&panel=none",
            "link=http://race.example/",
            "x=1&text=http://race.example/",
        ] {
            assert!(link(query, "race.example").is_err(), "{query}");
        }
        assert!(link("text=http://race.example/", "").is_err());
    }

    #[test]
    fn a_token_is_drawn_nowhere() {
        for text in [
            "http://h/?token=a.b.c",
            "http://h/?follow=5%26token=a.b.c",
            "http://h/#token=a.b.c",
            "http://h/%23token=a.b.c",
            "http://h/%23TOKEN=a.b.c",
            "http://h/%23%2574oken=a.b.c",
            "http://h/%23token%253Da.b.c",
            "http://h/token=a.b.c",
        ] {
            let refused = link(&format!("text={text}"), "h").expect_err(text);
            assert!(refused.contains("token") && !refused.contains("a.b.c"));
        }
        let query = LinkQuery::of("/qr?text=http://h/#token=a.b.c");
        assert!(!format!("{query:?}").contains("a.b.c"));
    }

    #[test]
    fn a_link_has_a_longest_length_however_it_is_encoded() {
        let longest = format!("http://h/{}", "x".repeat(LINK_BYTES_MAX - 9));
        let encoded = longest.replace('x', "%78");
        for text in [&longest, &encoded] {
            assert_eq!(link(&format!("text={text}"), "h").as_deref(), Ok(&*longest));
            let refused = link(&format!("text={text}x"), "h").expect_err("too long");
            assert!(refused.contains(&LINK_BYTES_MAX.to_string()), "{refused}");
        }
    }
}
