//! What a node may do in an engine: the commands that it needs, and the line that allows them and
//! nothing else. All are tried right behind the greeting, so that a link that is up stays up.
//!
//! As a line of `redis-cli`, for a user of its own and names that begin with `PREFIX:`:
//!
//! ```text
//! ACL SETUSER spectate on >PASSWORD resetchannels &PREFIX:* ~PREFIX:* -@all +hello +auth +ping +set +get +pttl +publish +subscribe +unsubscribe +hset +hgetall +hdel +rpush +lrange +ltrim +expire
//! ```

use super::names::Names;
use super::resp;

/// A command, and the arguments with which it does no harm. `*` stands for a name of its own.
type Probe = (&'static str, &'static [&'static str]);

/// All that is needed once the greeting is done.
const PROBES: &[Probe] = &[
    ("ping", &[]),
    ("set", &["*key", "1", "PX", "1000"]),
    ("get", &["*key"]),
    ("pttl", &["*key"]),
    ("publish", &["*channel", ""]),
    ("subscribe", &["*channel"]),
    ("unsubscribe", &["*channel"]),
    ("hset", &["*hash", "node", "1"]),
    ("hgetall", &["*hash"]),
    ("hdel", &["*hash", "node"]),
    ("rpush", &["*list", "1"]),
    ("lrange", &["*list", "-1", "-1"]),
    ("ltrim", &["*list", "1", "0"]),
    ("expire", &["*key", "1"]),
];

/// What the greeting itself needs.
const GREETING: &[&str] = &["hello", "auth"];

/// How many answers come to what is tried.
pub(super) const ANSWERS: usize = PROBES.len();

/// Appends commands that try each of the rights.
pub(super) fn probe(names: &Names, out: &mut Vec<u8>) {
    for (command, arguments) in PROBES {
        let arguments = arguments
            .iter()
            .map(|argument| match argument.strip_prefix('*') {
                Some(way) => names.probe(way),
                None => (*argument).to_owned(),
            });
        let arguments: Vec<String> = arguments.collect();
        let mut all = vec![command.as_bytes()];
        all.extend(arguments.iter().map(String::as_bytes));
        resp::command(out, &all);
    }
}

/// The rights that suffice, as an engine's access list has them.
pub(super) fn needed(names: &Names) -> String {
    let under = names.pattern();
    let probed = PROBES.iter().map(|(command, _)| command);
    let commands: String = GREETING
        .iter()
        .chain(probed)
        .map(|command| format!(" +{command}"))
        .collect();
    format!("resetchannels &{under} ~{under} -@all{commands}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_is_documented_allows_what_is_needed() {
        let names = Names::new("PREFIX").expect("a prefix");
        let line = format!("ACL SETUSER spectate on >PASSWORD {}\n", needed(&names));
        assert!(include_str!("rights.rs").contains(&line), "{line}");
    }

    #[test]
    fn nothing_is_tried_but_names_of_its_own() {
        let names = Names::new("spectate").expect("a prefix");
        let mut out = Vec::new();
        probe(&names, &mut out);
        let mut rest = &out[..];
        let mut count = 0;
        while let Some((resp::Value::List(mut command), length)) =
            resp::decode(rest).expect("commands")
        {
            let word = command.next().expect("a word");
            let name = command.next().map(|name| name.bytes().expect("a blob"));
            let is_own = name.is_some_and(|name| name.starts_with(b"spectate:probe:"));
            assert!(is_own || word.bytes() == Some(b"ping"), "{word:?} {name:?}");
            rest = &rest[length..];
            count += 1;
        }
        assert_eq!(count, ANSWERS);
    }
}
