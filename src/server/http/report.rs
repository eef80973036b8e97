//! A report of positions, as a request brings it: its data, and what shows who sends it. Knows no
//! app's way to write them.

use std::fmt;

use data_encoding::BASE64;
use httparse::Header;
use percent_encoding::percent_decode;

use super::fields::{only, origin, query, token, values};
use super::origin::Origin;
use crate::auth::Token;

/// A report. Whoever reads its query may be its sender, so its [`Debug`](fmt::Debug) does not show
/// it.
#[derive(Clone, PartialEq, Eq)]
pub struct Report {
    /// What stands behind the question mark of the target, as it was written.
    pub query: Box<str>,
    /// The user by `X-Limit-U`.
    pub limit_user: Option<Box<str>>,
    /// What shows who sends it.
    pub credentials: Credentials,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether a browser says that it is for a page of another site, which it does not name.
    pub is_cross_site: bool,
    /// Whether its body means something: that of a GET does not.
    pub has_content: bool,
    /// Its content, once that is here.
    pub content: Vec<u8>,
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Report")
            .field("credentials", &self.credentials)
            .field("content_bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}

/// What shows who sends a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    None,
    /// `Authorization: Bearer` (RFC 6750), which no page elsewhere can send.
    Bearer(Token<'static>),
    /// `Authorization: Basic` (RFC 7617), which browsers send by themselves.
    Basic {
        /// Its user part.
        user: Box<str>,
        /// Its password.
        password: Token<'static>,
    },
    /// An `Authorization` that is neither.
    Unreadable,
    /// `token=` in the query.
    Query(Token<'static>),
}

impl Credentials {
    /// Reads them: what stands in the head comes before what stands in the query.
    fn read(headers: &[Header], query: &str) -> Credentials {
        let Some(authorization) = only(headers, "authorization") else {
            let shown = (query.split('&')).find_map(|pair| pair.strip_prefix("token="));
            return shown.map_or(Credentials::None, |shown| {
                let shown: Vec<u8> = percent_decode(shown.as_bytes()).collect();
                Credentials::Query(token(&shown))
            });
        };
        let end = authorization.iter().position(u8::is_ascii_whitespace);
        let (scheme, rest) = authorization.split_at(end.unwrap_or(authorization.len()));
        let rest = rest.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return Credentials::Bearer(token(rest));
        }
        if scheme.eq_ignore_ascii_case(b"basic")
            && let Ok(pair) = BASE64.decode(rest)
            && let Some(colon) = pair.iter().position(|byte| *byte == b':')
        {
            let (user, password) = pair.split_at(colon);
            return Credentials::Basic {
                user: String::from_utf8_lossy(user).into(),
                password: token(&password[1..]),
            };
        }
        Credentials::Unreadable
    }
}

/// Where a report comes from: a browser names the page in `Referer` where it names no origin, as it
/// does for what a page shows.
fn origin_of_page(headers: &[Header]) -> Origin {
    let origin = origin(headers);
    let referer = only(headers, "referer").filter(|_| !origin.is_named());
    let Some(referer) = referer else {
        return origin;
    };
    let mut slashes = (referer.iter().enumerate()).filter(|(_, byte)| **byte == b'/');
    let end = slashes.nth(2).map_or(referer.len(), |(at, _)| at);
    Origin::new(Some(&referer[..end]), only(headers, "host"))
}

impl Report {
    /// What the head of a report says.
    pub(super) fn read(method: &str, target: &str, headers: &[Header]) -> Report {
        let query = query(target);
        let limit_user = only(headers, "x-limit-u").and_then(|user| str::from_utf8(user).ok());
        Report {
            query: query.into(),
            limit_user: limit_user.filter(|user| !user.is_empty()).map(Box::from),
            credentials: Credentials::read(headers, query),
            origin: origin_of_page(headers),
            is_cross_site: values(headers, "sec-fetch-site")
                .any(|site| site.eq_ignore_ascii_case(b"cross-site")),
            has_content: method == "POST",
            content: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(authorization: &[&str], query: &str) -> Credentials {
        let headers: Vec<Header> = (authorization.iter())
            .map(|value| Header {
                name: "Authorization",
                value: value.as_bytes(),
            })
            .collect();
        Credentials::read(&headers, query)
    }

    #[test]
    fn a_token_is_found_in_each_of_its_places_and_the_head_comes_first() {
        let token = |text: &'static str| Token::new(text);
        let basic = |user: &str, password| Credentials::Basic {
            user: user.into(),
            password: token(password),
        };
        for (authorization, query, expected) in [
            (&[][..], "id=5", Credentials::None),
            (
                &[],
                "id=5&token=a.b%2Ec",
                Credentials::Query(token("a.b.c")),
            ),
            (&[], "xtoken=a", Credentials::None),
            (
                &["Bearer a.b.c"],
                "token=x",
                Credentials::Bearer(token("a.b.c")),
            ),
            (&["bearer  a "], "", Credentials::Bearer(token("a"))),
            // anna:a:b
            (&["Basic YW5uYTphOmI="], "", basic("anna", "a:b")),
            (&["BASIC Og=="], "", basic("", "")),
        ] {
            assert_eq!(
                credentials(authorization, query),
                expected,
                "{authorization:?}"
            );
        }
        for bad in [
            "",
            "Basic",
            "Basic !",
            "Basic YW5uYQ==",
            "Digest a",
            "a.b.c",
        ] {
            let read = credentials(&[bad], "token=a");
            assert_eq!(read, Credentials::Unreadable, "{bad}");
        }
        let twice = credentials(&["Bearer a", "Bearer b"], "token=a");
        assert_eq!(twice, Credentials::Unreadable);
    }

    #[test]
    fn a_report_does_not_show_its_token() {
        let report = Report::read("GET", "/?id=5&token=geheim", &[]);
        assert!(!format!("{report:?}").contains("geheim"));
    }
}
