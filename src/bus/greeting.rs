//! The first words of a connection: who we are and that we speak RESP3, and whether what answers is
//! an engine that can do what is needed. Must never know what it is needed for.

use std::fmt;

use super::resp::{self, Items, Value};
use super::trouble::{self, Trouble};

/// The first version of Redis that has what is needed: rights for channels, and `SET` with all its
/// options, came with it.
const REDIS_VERSION_MIN: (u32, u32) = (6, 2);

/// With what a node introduces itself.
#[derive(Clone)]
pub(crate) struct Login {
    /// The user; none is the default user.
    pub(crate) user: Option<String>,
    /// The user's password, if there is one.
    pub(crate) password: Option<String>,
    /// What the connection is called in the engine's list of clients: without spaces.
    pub(crate) client: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the password.
        let shown = (&self.user, &self.client);
        f.debug_tuple("Login").field(&shown).finish()
    }
}

/// Appends the greeting.
pub(super) fn write(login: &Login, out: &mut Vec<u8>) {
    let mut arguments: Vec<&[u8]> = vec![b"HELLO", b"3"];
    if login.user.is_some() || login.password.is_some() {
        let user = login.user.as_deref().unwrap_or("default");
        let password = login.password.as_deref().unwrap_or_default();
        arguments.extend([&b"AUTH"[..], user.as_bytes(), password.as_bytes()]);
    }
    arguments.extend([&b"SETNAME"[..], login.client.as_bytes()]);
    resp::command(out, &arguments);
}

/// Looks at the answer to it.
///
/// # Errors
/// What speaks against this engine.
pub(super) fn check(answer: Value) -> Result<(), Trouble> {
    let Value::Map(fields) = answer else {
        return Err(Trouble::Malformed);
    };
    let of = |name: &str| field(fields, name).ok_or(Trouble::Malformed);
    let version = of("version")?;
    match of("server")? {
        b"redis" if is_older(version) => {
            return Err(Trouble::TooOld(Some(trouble::said(version))));
        }
        b"redis" | b"valkey" => {}
        other => return Err(Trouble::Unknown(trouble::said(other))),
    }
    if of("mode")? == b"cluster" {
        return Err(Trouble::Cluster);
    }
    match of("mode")? {
        b"standalone" => {}
        other => return Err(Trouble::Unknown(format!("a {}", trouble::said(other)))),
    }
    match of("role")? {
        b"master" | b"primary" => Ok(()),
        _ => Err(Trouble::Replica),
    }
}

fn field<'a>(mut fields: Items<'a>, name: &str) -> Option<&'a [u8]> {
    while let (Some(key), Some(value)) = (fields.next(), fields.next()) {
        if key.bytes() == Some(name.as_bytes()) {
            return value.bytes();
        }
    }
    None
}

/// Whether a version of Redis is too old; one that cannot be read is not.
fn is_older(version: &[u8]) -> bool {
    let text = String::from_utf8_lossy(version);
    let mut numbers = text
        .split('.')
        .map_while(|number| number.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) < REDIS_VERSION_MIN,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(server: &str, version: &str, mode: &str, role: &str) -> Result<(), Trouble> {
        let answer = format!(
            "%7\r\n+server\r\n+{server}\r\n+version\r\n+{version}\r\n+proto\r\n:3\r\n+id\r\n:7\r\n\
             +mode\r\n+{mode}\r\n+role\r\n+{role}\r\n+modules\r\n*0\r\n"
        );
        let decoded = resp::decode(answer.as_bytes()).expect("well-formed");
        check(decoded.expect("whole").0)
    }

    #[test]
    fn only_an_engine_that_can_do_what_is_needed_is_taken() {
        let redis = |version| checked("redis", version, "standalone", "master");
        for version in ["6.2.0", "6.2", "6.10.1", "7.0.15", "10.0.0", "unstable"] {
            assert_eq!(redis(version), Ok(()), "{version}");
        }
        for version in ["6.1.240", "6.0.16", "5.0.14"] {
            assert_eq!(
                redis(version),
                Err(Trouble::TooOld(Some(version.to_owned())))
            );
        }
        assert_eq!(checked("valkey", "8.0.1", "standalone", "master"), Ok(()));
        assert_eq!(
            checked("redis", "7.0.15", "cluster", "master"),
            Err(Trouble::Cluster)
        );
        assert_eq!(
            checked("redis", "7.0.15", "sentinel", "master"),
            Err(Trouble::Unknown("a sentinel".to_owned()))
        );
        assert_eq!(
            checked("redis", "7.0.15", "standalone", "replica"),
            Err(Trouble::Replica)
        );
        assert_eq!(
            checked("memcached", "1.6", "standalone", "master"),
            Err(Trouble::Unknown("memcached".to_owned()))
        );
        assert_eq!(check(Value::Simple(b"OK")), Err(Trouble::Malformed));
        let (empty, _) = resp::decode(b"%0\r\n")
            .expect("well-formed")
            .expect("whole");
        assert_eq!(check(empty), Err(Trouble::Malformed));
    }

    #[test]
    fn a_password_goes_to_the_engine_and_nowhere_else() {
        let login = |user: Option<&str>, password: Option<&str>| Login {
            user: user.map(str::to_owned),
            password: password.map(str::to_owned),
            client: "spectate-1".to_owned(),
        };
        for (login, words) in [
            (login(None, None), &["SETNAME"][..]),
            (
                login(None, Some("s3cret")),
                &["AUTH", "default", "s3cret", "SETNAME"],
            ),
            (
                login(Some("anna"), Some("s3cret")),
                &["AUTH", "anna", "s3cret", "SETNAME"],
            ),
            (login(Some("anna"), None), &["AUTH", "anna", "", "SETNAME"]),
        ] {
            let mut out = Vec::new();
            write(&login, &mut out);
            let mut expected: Vec<&[u8]> = vec![b"HELLO", b"3"];
            expected.extend(words.iter().map(|word| word.as_bytes()));
            expected.push(b"spectate-1");
            let mut whole = Vec::new();
            resp::command(&mut whole, &expected);
            assert_eq!(out, whole);
            assert!(!format!("{login:?}").contains("s3cret"));
        }
    }
}
