//! Tokens that clients make themselves, for servers that ask for them, and make again before they
//! expire. Speaks to no server, and must never know what the users do with them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ArgGroup;

use super::{tell, unix_ms};
use crate::auth::{
    EXPIRES_AT_S_MAX, Follow, Grant, Publish, SigningKey, load_signing_key, reload_signing_key,
};
use crate::duration::parse_above_zero;

/// The flags that say how tokens are made. Without a key none are.
#[derive(clap::Args, Clone, Debug)]
#[command(group(ArgGroup::new("jwt_keys").multiple(true)))]
pub(crate) struct MintFlags {
    /// File with the secret for the HS256 tokens of a server that asks for tokens; of several the first is used
    #[arg(long, value_name = "FILE", value_delimiter = ',', group = "jwt_keys")]
    jwt_hs256_secret_file: Vec<PathBuf>,

    /// PEM file with a private key to sign the tokens with: Ed25519, P-256 or RSA
    #[arg(long, value_name = "FILE", group = "jwt_keys")]
    jwt_private_key_file: Option<PathBuf>,

    /// Audience that every token names
    #[arg(long, value_name = "TEXT", requires = "jwt_keys")]
    jwt_audience: Option<String>,

    /// Issuer that every token has
    #[arg(long, value_name = "TEXT", requires = "jwt_keys")]
    jwt_issuer: Option<String>,

    /// How long each token is good for; it is renewed after half of that
    #[arg(long, value_name = "TIME", default_value = "1h", requires = "jwt_keys", value_parser = parse_above_zero)]
    ttl: Duration,
}

impl MintFlags {
    /// What to type for a token of somebody who only watches these users, if tokens are asked for.
    pub(crate) fn command(&self, ids: &str) -> Option<String> {
        let (flag, file) = match (
            &self.jwt_private_key_file,
            self.jwt_hs256_secret_file.first(),
        ) {
            (Some(file), _) => ("--jwt-private-key-file", file),
            (None, Some(file)) => ("--jwt-hs256-secret-file", file),
            (None, None) => return None,
        };
        let mut command = format!(
            "spectate token --sub me --follow {ids} {flag} {}",
            file.display()
        );
        for (flag, value) in [
            ("--jwt-audience", &self.jwt_audience),
            ("--jwt-issuer", &self.jwt_issuer),
        ] {
            if let Some(value) = value {
                command += &format!(" {flag} {value}");
            }
        }
        Some(command)
    }
}

/// What makes tokens, and knows when they are due again.
#[derive(Debug)]
pub(crate) struct Credentials {
    flags: MintFlags,
    key: SigningKey,
    /// What was told last of a key file that could be used before.
    told: Option<String>,
    renewals: Renewals,
}

/// Whose token is renewed when: one after the other, evenly, each in every half of a lifetime.
#[derive(Debug)]
struct Renewals {
    begun_at: Instant,
    period: Duration,
    users: usize,
    /// How many renewals there were.
    renewed: u64,
}

impl Credentials {
    /// What the flags ask for; `None` without a key. Tells on stderr of a key file that
    /// everybody can read.
    ///
    /// # Errors
    /// A line that names the key file which cannot be used.
    pub(crate) fn load(flags: &MintFlags, users: usize) -> Result<Option<Credentials>, String> {
        let private_key = flags.jwt_private_key_file.as_deref();
        if private_key.is_none() && flags.jwt_hs256_secret_file.is_empty() {
            return Ok(None);
        }
        let mut warnings = Vec::new();
        let key = load_signing_key(private_key, &flags.jwt_hs256_secret_file, &mut warnings);
        warnings.iter().for_each(|line| tell(line));
        Ok(Some(Credentials {
            key: key?,
            flags: flags.clone(),
            told: None,
            renewals: Renewals {
                begun_at: Instant::now(),
                period: flags.ttl / 2,
                users,
                renewed: 0,
            },
        }))
    }

    /// A token for a user who sends its own positions, and follows itself and these others. The
    /// key file is read again for it, as keys change.
    ///
    /// # Errors
    /// A line that says why it cannot be made.
    pub(crate) fn mint(&mut self, user: usize, others: &[usize]) -> Result<String, String> {
        self.read_key_again();
        let follow = match others {
            [] => Follow::Own,
            others => Follow::Only(others.iter().map(usize::to_string).collect()),
        };
        // The second that has begun already does not count, so that it lasts as long as asked for.
        let ttl_s = self.flags.ttl.as_secs_f64().ceil() as u64 + 1;
        let grant = Grant {
            user: user.to_string(),
            publish: Publish::Own,
            follow,
            name: None,
            expires_at_s: (unix_ms() / 1000 + ttl_s).min(EXPIRES_AT_S_MAX),
        };
        let (audience, issuer) = (&self.flags.jwt_audience, &self.flags.jwt_issuer);
        let token = self
            .key
            .mint(&grant, audience.as_deref(), issuer.as_deref());
        token.map_err(|error| format!("cannot make a token for user {user}: {error}"))
    }

    /// One that cannot be used leaves us with what we have, as it does a server; it is told once.
    fn read_key_again(&mut self) {
        let private_key = self.flags.jwt_private_key_file.as_deref();
        match reload_signing_key(private_key, &self.flags.jwt_hs256_secret_file) {
            Ok(None) => {}
            Ok(Some(key)) => {
                self.key = key;
                self.told = None;
            }
            Err(line) if self.told.as_ref() == Some(&line) => {}
            Err(line) => {
                tell(&format!("{line}; the old key stays in use"));
                self.told = Some(line);
            }
        }
    }

    /// Which of the users, counted from 0, needs a new token now; asked until there is none.
    pub(crate) fn due(&mut self, now: Instant) -> Option<usize> {
        self.renewals.due(now)
    }

    /// When the next one is due.
    pub(crate) fn next_due_at(&self) -> Instant {
        self.renewals.next_due_at()
    }
}

impl Renewals {
    fn next_due_at(&self) -> Instant {
        let periods = (self.renewed + 1) as f64 / self.users as f64;
        self.begun_at + self.period.mul_f64(periods)
    }

    fn due(&mut self, now: Instant) -> Option<usize> {
        if now < self.next_due_at() {
            return None;
        }
        let user = (self.renewed % self.users as u64) as usize;
        self.renewed += 1;
        Some(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybodys_turn_comes_once_in_every_half_of_a_lifetime() {
        let begun_at = Instant::now();
        let mut renewals = Renewals {
            begun_at,
            period: Duration::from_secs(30),
            users: 3,
            renewed: 0,
        };
        let mut due = |s| renewals.due(begun_at + Duration::from_secs(s));
        assert_eq!((due(9), due(10), due(10)), (None, Some(0), None));
        assert_eq!((due(29), due(29), due(30)), (Some(1), None, Some(2)));
        assert_eq!((due(60), due(60)), (Some(0), Some(1)));
        assert_eq!((due(60), due(60)), (Some(2), None));
    }
}
