//! Makes tokens at a command line, and explains them. Speaks to no server; decides nothing about
//! tokens that the server does not decide in the same way.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

use super::{plain, printable, tell};
use crate::auth::{
    EXPIRES_AT_S_MAX, Follow, Grant, IdSet, KeyFlags, Publish, Refused, TOKEN_BYTES_MAX,
    load_signing_key,
};
use crate::duration::parse_above_zero;
use crate::user::is_id;

/// Most bytes read from stdin: enough to say of a longer token that it is one.
const STDIN_BYTES_MAX: u64 = 16 * 1024;
const _: () = assert!(STDIN_BYTES_MAX > TOKEN_BYTES_MAX as u64);

/// Flags of `spectate token`.
#[derive(clap::Args, Debug, Clone)]
pub struct TokenFlags {
    /// Id of the user that the token is for
    #[arg(long, value_name = "USER", required_unless_present = "check", allow_negative_numbers = true, value_parser = user_id)]
    sub: Option<String>,

    /// Whom this user may follow besides itself: ids with commas between them, or '*' for everybody
    #[arg(long, value_name = "USERS", allow_negative_numbers = true, value_parser = follow)]
    follow: Option<Follow>,

    /// Whose positions this user may send: true for its own, false for nobody's, '*' for everybody's, or ids
    #[arg(long, value_name = "USERS", default_value = "true", allow_negative_numbers = true, value_parser = publish)]
    publish: Publish,

    /// How long the token is good for
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = parse_above_zero)]
    ttl: Duration,

    /// PEM file with a private key to sign with: Ed25519, P-256 or RSA
    #[arg(long, value_name = "FILE", group = "jwt_keys")]
    jwt_private_key_file: Option<PathBuf>,

    /// Explain the token on stdin: what it grants and until when, or why it is refused
    #[arg(long, conflicts_with_all = ["sub", "follow"])]
    check: bool,

    #[command(flatten)]
    keys: KeyFlags,
}

/// Makes a token, or explains one.
///
/// # Errors
/// A line, when a key cannot be used, or stdin or stdout.
pub fn run(flags: &TokenFlags) -> Result<ExitCode, String> {
    let now_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|_| "the clock of this machine is before 1970".to_owned())?
        .as_secs();
    match &flags.sub {
        _ if flags.check => check(flags, now_s),
        Some(user) => mint(flags, user, now_s),
        None => Err("--sub is missing: try --sub 5".to_owned()),
    }
}

fn mint(flags: &TokenFlags, user: &str, now_s: u64) -> Result<ExitCode, String> {
    let mut warnings = Vec::new();
    let key = load_signing_key(
        flags.jwt_private_key_file.as_deref(),
        &flags.keys.jwt_hs256_secret_file,
        &mut warnings,
    );
    warnings.iter().for_each(|line| tell(line));
    // A token is good for at least as long as was asked for, in whole seconds.
    let ttl_s = flags.ttl.as_secs_f64().ceil() as u64;
    let grant = Grant {
        user: user.to_owned(),
        publish: flags.publish.clone(),
        follow: flags.follow.clone().unwrap_or(Follow::Own),
        expires_at_s: now_s.saturating_add(ttl_s).min(EXPIRES_AT_S_MAX),
    };
    let (audience, issuer) = (&flags.keys.jwt_audience, &flags.keys.jwt_issuer);
    let token = key?
        .mint(&grant, audience.as_deref(), issuer.as_deref())
        .map_err(|error| error.to_string())?;
    print(&token)?;
    Ok(ExitCode::SUCCESS)
}

fn check(flags: &TokenFlags, now_s: u64) -> Result<ExitCode, String> {
    let loaded = flags.keys.load()?;
    loaded.warnings.iter().for_each(|line| tell(line));
    let keys = loaded.keys.ok_or(
        "a key to check with is missing: try --jwt-hs256-secret-file FILE \
         or --jwt-public-key-file FILE",
    )?;
    let mut token = String::new();
    let read = io::stdin().take(STDIN_BYTES_MAX).read_to_string(&mut token);
    if let Err(error) = read {
        return Err(format!("cannot read a token on stdin: {}", plain(&error)));
    }
    match keys.grant(token.trim(), now_s) {
        Ok(grant) => {
            print(&explain(&grant, now_s))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(refused) => {
            print(&explain_refusal(refused, now_s))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn explain(grant: &Grant, now_s: u64) -> String {
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
    let left = words(grant.expires_at_s - now_s);
    format!(
        "user       {user}\npublishes  {publishes}\nfollows    {follows}\nexpires    {}, in {left}",
        date(grant.expires_at_s),
    )
}

fn explain_refusal(refused: Refused, now_s: u64) -> String {
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
fn date(unix_s: u64) -> String {
    let seconds = i64::try_from(unix_s).ok();
    match seconds.map(OffsetDateTime::from_unix_timestamp) {
        Some(Ok(at)) => format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        ),
        _ => format!("second {unix_s}"),
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

fn user_id(text: &str) -> Result<String, String> {
    match is_id(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is no user id: 1 to 64 bytes without control characters (try 5)"
        )),
    }
}

fn ids(text: &str) -> Result<IdSet, String> {
    let ids: Vec<String> = text.split(',').map(user_id).collect::<Result<_, _>>()?;
    match ids.iter().any(|id| id == "*") {
        true => Err("'*' stands for everybody and comes alone (try '*' or 5,6)".to_owned()),
        false => Ok(ids.into_iter().collect()),
    }
}

fn follow(text: &str) -> Result<Follow, String> {
    match text {
        "*" => Ok(Follow::Everybody),
        _ => ids(text).map(Follow::Only),
    }
}

fn publish(text: &str) -> Result<Publish, String> {
    match text {
        "true" => Ok(Publish::Own),
        "false" => Ok(Publish::Nobody),
        "*" => Ok(Publish::Everybody),
        _ => ids(text).map(Publish::Only),
    }
}

fn print(text: &str) -> Result<(), String> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    written.map_err(|error| format!("cannot write to stdout: {}", plain(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn users_are_ids_or_a_star_alone() {
        assert_eq!(follow("*"), Ok(Follow::Everybody));
        assert_eq!(publish("false"), Ok(Publish::Nobody));
        let both = IdSet::from_iter(["6".to_owned(), "5".to_owned()]);
        assert_eq!(publish("5,6"), Ok(Publish::Only(both)));
        for text in ["", "5,", "5,*", "\u{7}", &"x".repeat(65)] {
            assert!(follow(text).is_err(), "{text}");
        }
    }
}
