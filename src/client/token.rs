//! Makes tokens at a command line, and explains them. Speaks to no server; decides nothing about
//! tokens that the server does not decide in the same way.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::builder::ArgPredicate;

use super::cards::{self, Card};
use super::explain::{date, explain, explain_refusal};
use super::{plain, printable, private_file, tell};
use crate::auth::{
    EXPIRES_AT_S_MAX, Follow, Grant, IdSet, KeyFlags, Publish, SigningKey, TOKEN_BYTES_MAX,
    load_signing_key,
};
use crate::duration::parse_above_zero;
use crate::roster::Roster;
use crate::user::{NAME_BYTES_MAX, is_id, is_name};

/// Most bytes read from stdin: enough to say of a longer token that it is one.
const STDIN_BYTES_MAX: u64 = 16 * 1024;
const _: () = assert!(STDIN_BYTES_MAX > TOKEN_BYTES_MAX as u64);

/// Flags of `spectate token`.
#[derive(clap::Args, Debug, Clone)]
pub struct TokenFlags {
    /// Id of the user that the token is for
    #[arg(long, value_name = "USER", required_unless_present_any = ["check", "roster"], allow_negative_numbers = true, value_parser = user_id)]
    sub: Option<String>,

    /// What to call this user on maps
    #[arg(long, value_name = "NAME", conflicts_with_all = ["roster", "check"], value_parser = display_name)]
    name: Option<String>,

    /// Whom this user may follow besides itself: ids with commas between them, or '*' for everybody
    #[arg(long, value_name = "USERS", allow_negative_numbers = true, value_parser = follow)]
    follow: Option<Follow>,

    /// Whose positions this user may send: true for its own, false for nobody's, '*' for everybody's, or ids
    #[arg(long, value_name = "USERS", default_value = "true", allow_negative_numbers = true, value_parser = publish)]
    publish: Publish,

    /// How long the token is good for
    #[arg(long, value_name = "TIME", help = "How long the token is good for; with --roster 168h (7 days) if nothing is said", default_value = "12h", default_value_if("roster", ArgPredicate::IsPresent, "168h"), value_parser = parse_above_zero)]
    ttl: Duration,

    /// CSV file with a line for each runner: make a token for each, on cards to print
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sub", "check"])]
    roster: Option<PathBuf>,

    /// Where to write the page of cards
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Where runners reach the server with a browser, for the links on the cards
    // Judged when it is needed: SPECTATE_URL is that of `watch` too.
    #[arg(long, value_name = "URL")]
    url: Option<String>,

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
    match (&flags.sub, &flags.roster) {
        (_, None) if flags.out.is_some() => Ok(refuse_arguments(
            "--out is for cards: try --roster FILE --out cards.html, or --sub 5 > FILE",
        )),
        _ if flags.check => check(flags, now_s),
        (_, Some(roster)) => make_cards(flags, roster, now_s),
        (Some(user), None) => mint(flags, user, now_s),
        (None, None) => Err("--sub is missing: try --sub 5".to_owned()),
    }
}

fn mint(flags: &TokenFlags, user: &str, now_s: u64) -> Result<ExitCode, String> {
    let key = signing_key(flags)?;
    let (audience, issuer) = (&flags.keys.jwt_audience, &flags.keys.jwt_issuer);
    let token = key
        .mint(
            &grant(flags, user, now_s),
            audience.as_deref(),
            issuer.as_deref(),
        )
        .map_err(|error| error.to_string())?;
    print(&token)?;
    Ok(ExitCode::SUCCESS)
}

fn make_cards(flags: &TokenFlags, roster: &Path, now_s: u64) -> Result<ExitCode, String> {
    let (out, origin) = match (&flags.out, flags.url.as_deref().map(origin)) {
        (Some(out), Some(Ok(origin))) => (out, origin),
        (None, _) => return Ok(refuse_arguments("--out is missing: try --out cards.html")),
        (_, None) => {
            return Ok(refuse_arguments(
                "--url is missing: try --url https://race.example.com",
            ));
        }
        (_, Some(Err(reason))) => return Ok(refuse_arguments(&format!("--url: {reason}"))),
    };
    let runners = Roster::load(roster)?;
    if runners.entries().is_empty() {
        return Err(format!(
            "{}: nobody is on it: write a line for each runner",
            roster.display()
        ));
    }
    let key = signing_key(flags)?;
    let (audience, issuer) = (&flags.keys.jwt_audience, &flags.keys.jwt_issuer);
    let cards = runners.entries().iter().map(|runner| {
        let mut grant = grant(flags, &runner.id, now_s);
        grant.name = Some(runner.name.clone());
        let token = key.mint(&grant, audience.as_deref(), issuer.as_deref());
        Ok(Card {
            name: &runner.name,
            id: &runner.id,
            link: format!(
                "{origin}/setup#token={}",
                token.map_err(|error| error.to_string())?
            ),
        })
    });
    let cards = cards.collect::<Result<Vec<_>, String>>()?;
    let until = date(expires_at_s(flags, now_s));
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    private_file::write(out, cards::page(&cards, host, &until)?.as_bytes())?;
    print(&format!(
        "{} cards, good until {until}: {}",
        cards.len(),
        printable(&out.display().to_string())
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Arguments that are wrong together: a line, and exit status 2.
fn refuse_arguments(line: &str) -> ExitCode {
    tell(line);
    ExitCode::from(2)
}

/// The origin of a server's pages, out of its URL.
fn origin(url: &str) -> Result<&str, String> {
    let origin = url.strip_suffix('/').unwrap_or(url);
    let host = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    match host {
        Some(host) if !host.is_empty() && host.chars().all(is_host) => Ok(origin),
        _ => Err(format!(
            "{url:?} is not where a browser finds the server: http:// or https:// and a host \
             (try https://race.example.com)"
        )),
    }
}

fn signing_key(flags: &TokenFlags) -> Result<SigningKey, String> {
    let mut warnings = Vec::new();
    let key = load_signing_key(
        flags.jwt_private_key_file.as_deref(),
        &flags.keys.jwt_hs256_secret_file,
        &mut warnings,
    );
    warnings.iter().for_each(|line| tell(line));
    key
}

fn grant(flags: &TokenFlags, user: &str, now_s: u64) -> Grant {
    Grant {
        user: user.to_owned(),
        publish: flags.publish.clone(),
        follow: flags.follow.clone().unwrap_or(Follow::Own),
        name: flags.name.clone(),
        expires_at_s: expires_at_s(flags, now_s),
    }
}

/// A token is good for at least as long as was asked for, in whole seconds.
fn expires_at_s(flags: &TokenFlags, now_s: u64) -> u64 {
    let ttl_s = flags.ttl.as_secs_f64().ceil() as u64;
    now_s.saturating_add(ttl_s).min(EXPIRES_AT_S_MAX)
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

fn user_id(text: &str) -> Result<String, String> {
    match is_id(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is no user id: 1 to 64 bytes without control characters (try 5)"
        )),
    }
}

fn display_name(text: &str) -> Result<String, String> {
    match is_name(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is no name: 1 to {NAME_BYTES_MAX} bytes without control characters (try 'Anna Berg')"
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
