//! What a token says, in words for people. Decides nothing about it.

use super::printable;
use crate::auth::{Follow, Grant, Publish, Refused};
use crate::date::{MS_MAX, extended};

/// What a token grants, in four lines, or five with a name.
pub(super) fn explain(grant: &Grant, now_s: u64) -> String {
    let user = printable(&grant.user);
    let publishes = match &grant.publish {
        Publish::Own => format!("for {user}"),
        Publish::Nobody => "for nobody".to_owned(),
        Publish::Everybody => "for everybody".to_owned(),
        Publish::Only(ids) => match names(ids.iter()).as_str() {
            "" => "for nobody".to_owned(),
            names => format!("for {names}"),
        },
    };
    let follows = match &grant.follow {
        Follow::Own => user.clone(),
        Follow::Everybody => "everybody".to_owned(),
        Follow::Only(ids) => {
            let others = ids.iter().filter(|id| *id != grant.user);
            names([grant.user.as_str()].into_iter().chain(others))
        }
    };
    let name = match &grant.name {
        Some(name) => format!("name       {}\n", printable(name)),
        None => String::new(),
    };
    let left = words(grant.expires_at_s - now_s);
    format!(
        "user       {user}\n{name}publishes  {publishes}\nfollows    {follows}\nexpires    {}, in {left}",
        date(grant.expires_at_s),
    )
}

/// Why a token is refused, in one line.
pub(super) fn explain_refusal(refused: Refused, now_s: u64) -> String {
    let when = match refused {
        Refused::Expired { expired_at_s } => {
            let ago = words(now_s - expired_at_s);
            format!(": on {}, {ago} ago", date(expired_at_s))
        }
        Refused::NotYet { valid_from_s } => {
            let ahead = words(valid_from_s - now_s);
            format!(": from {} on, in {ahead}", date(valid_from_s))
        }
        _ => String::new(),
    };
    format!("refused    {}, {refused}{when}", refused.close_code())
}

fn names<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    ids.map(printable).collect::<Vec<_>>().join(", ")
}

/// A unix time as UTC: `2026-11-21 12:00:00 UTC`.
pub(super) fn date(unix_s: u64) -> String {
    match unix_s.checked_mul(1000).filter(|ms| *ms <= MS_MAX) {
        Some(ms) => extended(ms).replace('T', " ").replace('Z', " UTC"),
        None => format!("second {unix_s}"),
    }
}

/// A time in its two largest units: `11 hours 59 minutes`.
fn words(seconds: u64) -> String {
    let units = [
        (seconds / 86_400, "day"),
        (seconds / 3600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let first = units.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let told = units[first..].iter().take(2);
    let told: Vec<String> = told
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    match told.is_empty() {
        true => "0 seconds".to_owned(),
        false => told.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::EXPIRES_AT_S_MAX;

    #[test]
    fn times_are_told_in_their_two_largest_units() {
        for (seconds, told) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (61, "1 minute 1 second"),
            (3600, "1 hour"),
            (3601, "1 hour"),
            (43_199, "11 hours 59 minutes"),
            (90_000, "1 day 1 hour"),
            (86_400 * 400 + 60, "400 days"),
        ] {
            assert_eq!(words(seconds), told);
        }
        assert_eq!(date(1_795_262_400), "2026-11-21 12:00:00 UTC");
        assert_eq!(date(EXPIRES_AT_S_MAX), "9999-12-31 23:59:59 UTC");
    }
}
