//! What a token says, once its signature is verified: claims to a grant. A claim of a wrong type
//! refuses the token, and so does a `null`; claims that are not ours are skipped.

use super::grant::{Follow, Grant, IdSet, Publish};
use super::object::{Object, list, string};
use super::refused::{Part, Refused};
use super::{EXPIRES_AT_S_MAX, NOT_BEFORE_LEEWAY_S};
use crate::user::{UserId, is_name};

/// Reads claims at a time in seconds since the start of 1970 UTC. Expiry is looked at last, so
/// that only a token that was good is said to have expired.
pub(super) fn grant(
    json: &[u8],
    audience: Option<&str>,
    issuer: Option<&str>,
    now_s: u64,
) -> Result<Grant, Refused> {
    let claims = Object::parse(json).ok_or(Refused::NotAnObject(Part::Claims))?;
    let user = claim(&claims, "sub", id)?.ok_or(Refused::FieldMissing("sub"))?;
    let expires_at = claim(&claims, "exp", time)?.ok_or(Refused::FieldMissing("exp"))?;
    let valid_from = claim(&claims, "nbf", time)?.unwrap_or_default();
    let publish = claim(&claims, "publish", publish)?.unwrap_or(Publish::Own);
    let follow = claim(&claims, "follow", follow)?.unwrap_or(Follow::Own);
    let audiences = claim(&claims, "aud", strings)?.unwrap_or_default();
    let issued_by = claim(&claims, "iss", string)?;

    if audience.is_some_and(|audience| !audiences.iter().any(|named| named == audience)) {
        return Err(Refused::WrongAudience);
    }
    if issuer.is_some() && issued_by.as_deref() != issuer {
        return Err(Refused::WrongIssuer);
    }
    // Fractions of a second are rounded to what is stricter.
    let valid_from_s = valid_from.ceil() as u64;
    if valid_from_s > now_s.saturating_add(NOT_BEFORE_LEEWAY_S) {
        return Err(Refused::NotYet { valid_from_s });
    }
    let expires_at_s = expires_at.floor() as u64;
    if now_s >= expires_at_s {
        return Err(Refused::Expired {
            expired_at_s: expires_at_s,
        });
    }
    Ok(Grant {
        user,
        publish,
        follow,
        name: claims
            .get("name")
            .and_then(string)
            .filter(|name| is_name(name)),
        expires_at_s,
    })
}

/// Reads one claim from its JSON, if it is there.
fn claim<T>(
    claims: &Object,
    name: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Refused> {
    claims
        .get(name)
        .map(|json| parse(json).ok_or(Refused::FieldWrong(name)))
        .transpose()
}

/// Seconds since the start of 1970 UTC (a NumericDate: RFC 7519, 2).
fn time(json: &str) -> Option<f64> {
    let seconds: f64 = serde_json::from_str(json).ok()?;
    (0.0..=EXPIRES_AT_S_MAX as f64)
        .contains(&seconds)
        .then_some(seconds)
}

fn publish(json: &str) -> Option<Publish> {
    match json {
        "true" => Some(Publish::Own),
        "false" => Some(Publish::Nobody),
        _ if is_star(json) => Some(Publish::Everybody),
        _ => ids(json).map(Publish::Only),
    }
}

fn follow(json: &str) -> Option<Follow> {
    if is_star(json) {
        return Some(Follow::Everybody);
    }
    ids(json).map(Follow::Only)
}

fn is_star(json: &str) -> bool {
    string(json).is_some_and(|text| text == "*")
}

/// A list of ids; one that is none refuses them all. A `"*"` in a list is the user of that name.
fn ids(json: &str) -> Option<IdSet> {
    list(json)?.into_iter().map(id).collect()
}

/// An id. As in messages, an integer's text is one.
fn id(json: &str) -> Option<String> {
    if let Some(id) = UserId::from_integer(json) {
        return Some(id.text().to_owned());
    }
    let text = string(json)?;
    UserId::from_string((&text).into(), json)?;
    Some(text)
}

fn strings(json: &str) -> Option<Vec<String>> {
    match string(json) {
        Some(one) => Some(vec![one]),
        None => list(json)?.into_iter().map(string).collect(),
    }
}
