//! Tokens for the load, by a secret that the server is told. It knows no connections.

use std::time::{SystemTime, UNIX_EPOCH};

use spectate::auth::{Follow, Grant, Publish, SigningKey};

use crate::bystander::{Hellos, RUNNER};
use crate::wire;

/// Makes a server ask for tokens.
pub(crate) const FLAGS: &[&str] = &[
    "--jwt-hs256-secret-file",
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tokens/keys/secret.txt"),
];

const SECRET: &[u8] = include_bytes!("../tokens/keys/secret.txt");

/// Longer than any run.
const GOOD_FOR_S: u64 = 3600;

/// Ids of six digits in a token, which then has about 6 KB.
const IDS_EACH: u32 = 500;

pub(crate) struct Badges {
    key: SigningKey,
    expires_at_s: u64,
}

impl Badges {
    pub(crate) fn new() -> Result<Badges, String> {
        let key = SigningKey::from_secret(SECRET.trim_ascii_end());
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Ok(Badges {
            key: key.map_err(|error| format!("the secret: {error}"))?,
            expires_at_s: now.map_err(|error| error.to_string())?.as_secs() + GOOD_FOR_S,
        })
    }

    /// A hello with a token that names many whom this user may follow.
    pub(crate) fn hello(&self, user: u32, following: &[u32]) -> Result<String, String> {
        let others = (0..IDS_EACH).map(wire::id);
        let grant = Grant {
            user: wire::id(user),
            publish: Publish::Own,
            follow: Follow::Only(
                others
                    .chain(following.iter().copied().map(wire::id))
                    .collect(),
            ),
            name: None,
            expires_at_s: self.expires_at_s,
        };
        let token = self.key.mint(&grant, None, None);
        let token = token.map_err(|error| error.to_string())?;
        let token = format!("{{\"token\":\"{token}\",");
        Ok(wire::hello(Some(user), following).replacen('{', &token, 1))
    }

    pub(crate) fn bystanders(&self) -> Result<Hellos, String> {
        Ok(Hellos {
            runner: self.hello(RUNNER, &[])?,
            follower: self.hello(RUNNER - 1, &[RUNNER])?,
        })
    }
}
