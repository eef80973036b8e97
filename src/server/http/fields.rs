//! Header fields of a request: values, lists, credentials. Knows no meaning beyond their syntax.

use httparse::Header;

use super::origin::Origin;
use crate::auth::Token;

/// The token of an `Authorization: Bearer` (RFC 6750, 2.1). Credentials of another scheme are
/// for a proxy on the way.
pub(super) fn bearer(headers: &[Header]) -> Option<Token<'static>> {
    values(headers, "authorization").find_map(|value| {
        let end = value.iter().position(u8::is_ascii_whitespace);
        let (scheme, credentials) = value.split_at(end.unwrap_or(value.len()));
        (scheme.eq_ignore_ascii_case(b"bearer")).then(|| token(credentials.trim_ascii()))
    })
}

/// Where a request says that it comes from.
pub(super) fn origin(headers: &[Header]) -> Origin {
    Origin::new(only(headers, "origin"), only(headers, "host"))
}

/// What stands behind the question mark of a request target.
pub(super) fn query(target: &str) -> &str {
    let target = target.split('#').next().unwrap_or_default();
    target.split_once('?').map_or("", |(_, query)| query)
}

/// A token in these bytes, whatever they are.
pub(super) fn token(text: &[u8]) -> Token<'static> {
    Token::new(String::from_utf8_lossy(text).into_owned())
}

/// The values of all header lines of this name.
pub(super) fn values<'h>(headers: &'h [Header], name: &str) -> impl Iterator<Item = &'h [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

/// The value of a header that must come once; one that comes more often is worth nothing.
pub(super) fn only<'h>(headers: &'h [Header], name: &str) -> Option<&'h [u8]> {
    let mut values = values(headers, name);
    let first = values.next()?;
    Some(if values.next().is_some() { b"" } else { first })
}

/// A header's comma-separated values, over all lines of that name.
pub(super) fn list_items<'h>(headers: &'h [Header], name: &str) -> impl Iterator<Item = &'h [u8]> {
    values(headers, name)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// Whether a header's comma-separated values include this one.
pub(super) fn has_token(headers: &[Header], name: &str, token: &str) -> bool {
    list_items(headers, name).any(|value| value.eq_ignore_ascii_case(token.as_bytes()))
}
