//! What the keys and channels of an engine are called. All begin with one prefix, so that an engine
//! can serve others too. Must never know what is kept there.
//!
//! | name | what is there |
//! |---|---|
//! | channel `PREFIX:p:ID` | every position of a user, and who declares it |
//! | key `PREFIX:l:ID` | the newest of these positions |
//! | hash `PREFIX:c:ID` | the nodes on which a connection is open that declared the user |
//! | hash and channel `PREFIX:a:ID` | how many follow the user, by node |
//! | list `PREFIX:t:ID` | the user's trail |
//! | hash and channel `PREFIX:nodes` | when each node said last that it is there; heartbeats, and the ids of users that are new to the service |
//! | key `PREFIX:life` | a mark that is gone when the engine lost all that it had |
//! | hash `PREFIX:i:N` | the ids of users that are known to it, in [`INDEX_PARTS`] parts |
//! | key, hash, list and channel `PREFIX:probe:…` | nothing: whether they may be used |
//!
//! A node that follows everyone subscribes to each user's own channel, like one that follows them
//! all by name: who they are says the index, and who joins them the channel of the nodes. A pattern
//! (`PSUBSCRIBE PREFIX:p:*`) and a `SCAN` would say so too. But whoever subscribes to a channel and
//! to a pattern gets all twice, the engine matches every message of anybody against each pattern, a
//! `SCAN` steps over the keys of others, and both need rights that nothing else needs: to run them,
//! and to a pattern that is allowed only in exactly these letters.

use super::jump;
use crate::user;

/// Longest prefix, in bytes.
const PREFIX_BYTES_MAX: usize = 64;

/// In how many parts the index of ids is kept, so that none is too long for one answer.
pub(crate) const INDEX_PARTS: usize = 256;

/// The names under one prefix.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// With the colon.
    prefix: String,
}

/// What there is of each user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// A channel of positions.
    Positions,
    /// The newest position.
    LastKnown,
    /// Where the user is declared.
    Connected,
    /// How many follow the user.
    Audience,
    /// The trail.
    Trail,
}

/// What a channel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel<'a> {
    /// The nodes among themselves.
    Nodes,
    /// Something of a user with this id.
    User(Of, &'a str),
}

impl Of {
    const ALL: [Of; 5] = [
        Of::Positions,
        Of::LastKnown,
        Of::Connected,
        Of::Audience,
        Of::Trail,
    ];

    fn letter(self) -> char {
        match self {
            Of::Positions => 'p',
            Of::LastKnown => 'l',
            Of::Connected => 'c',
            Of::Audience => 'a',
            Of::Trail => 't',
        }
    }
}

impl Names {
    /// The names under this prefix: letters, digits and `-_.:`, so that it means itself in the
    /// patterns in which an engine's rights are written.
    pub(crate) fn new(prefix: &str) -> Option<Names> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let is_prefix =
            (1..=PREFIX_BYTES_MAX).contains(&prefix.len()) && prefix.bytes().all(is_plain);
        is_prefix.then(|| Names {
            prefix: format!("{prefix}:"),
        })
    }

    /// The name of something of a user.
    pub(crate) fn user(&self, of: Of, id: &str) -> String {
        let mut name = String::new();
        self.write_user(of, id, &mut name);
        name
    }

    /// The same in the place of what was there before.
    pub(crate) fn write_user(&self, of: Of, id: &str, name: &mut String) {
        name.clear();
        name.push_str(&self.prefix);
        name.push(of.letter());
        name.push(':');
        name.push_str(id);
    }

    /// The channel of the nodes.
    pub(crate) fn nodes(&self) -> String {
        format!("{}nodes", self.prefix)
    }

    /// The mark of an engine that has lost nothing.
    pub(crate) fn life(&self) -> String {
        format!("{}life", self.prefix)
    }

    /// The part of the index that an id is in.
    pub(crate) fn index_of(&self, id: &str) -> String {
        self.index(jump::bucket_of(id, INDEX_PARTS))
    }

    /// A part of the index, by its number.
    pub(crate) fn index(&self, part: usize) -> String {
        format!("{}i:{part}", self.prefix)
    }

    /// What tries whether a name may be used in this way.
    pub(super) fn probe(&self, way: &str) -> String {
        format!("{}probe:{way}", self.prefix)
    }

    /// All that is under the prefix, as a pattern.
    pub(super) fn pattern(&self) -> String {
        format!("{}*", self.prefix)
    }

    /// What a channel is for; nothing if it is none of ours.
    pub(crate) fn channel<'a>(&self, name: &'a [u8]) -> Option<Channel<'a>> {
        let name = str::from_utf8(name).ok()?.strip_prefix(&self.prefix)?;
        if name == "nodes" {
            return Some(Channel::Nodes);
        }
        let (letter, id) = name.split_once(':')?;
        let of = Of::ALL
            .into_iter()
            .find(|of| letter.strip_prefix(of.letter()) == Some(""))?;
        user::is_id(id).then_some(Channel::User(of, id))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> Names {
        Names::new("race.example:2026").expect("a prefix")
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_id_comes_back_from_its_channel_whatever_is_in_it(
            id in prop_oneof!["\\PC{1,16}", "[*?:\\[\\] .p]{1,16}", Just("nodes".to_owned())],
        ) {
            for of in Of::ALL {
                let name = names().user(of, &id);
                prop_assert_eq!(names().channel(name.as_bytes()), Some(Channel::User(of, &id)));
            }
        }

        #[test]
        fn no_bytes_of_a_channel_are_taken_for_what_they_are_not(bytes: Vec<u8>, under in "[a-z]?:?\\PC*") {
            prop_assert_eq!(names().channel(&bytes), None);
            let name = format!("race.example:2026:{under}");
            if let Some(Channel::User(of, id)) = names().channel(name.as_bytes()) {
                prop_assert_eq!(names().user(of, id), name);
            }
        }
    }

    #[test]
    fn names_are_those_that_an_operator_finds_in_the_documentation() {
        let names = Names::new("spectate").expect("a prefix");
        let of_anna = Of::ALL.map(|of| names.user(of, "Anna B."));
        assert_eq!(
            of_anna,
            [
                "spectate:p:Anna B.",
                "spectate:l:Anna B.",
                "spectate:c:Anna B.",
                "spectate:a:Anna B.",
                "spectate:t:Anna B.",
            ]
        );
        assert_eq!(names.nodes(), "spectate:nodes");
        assert_eq!(names.channel(b"spectate:nodes"), Some(Channel::Nodes));
        assert_eq!(names.life(), "spectate:life");
        assert_eq!(names.index(7), "spectate:i:7");
        assert!((0..INDEX_PARTS).any(|part| names.index(part) == names.index_of("5")));
    }

    #[test]
    fn what_is_no_channel_of_ours_is_nobodys() {
        for name in [
            "",
            "spectate:p:5",
            "race.example:2026",
            "race.example:2026:",
            "race.example:2026:p",
            "race.example:2026:p:",
            "race.example:2026:pp:5",
            "race.example:2026::5",
            "race.example:2026:x:5",
            "race.example:2026:p:a\nb",
            "race.example:2026:nodes ",
        ] {
            assert_eq!(names().channel(name.as_bytes()), None, "{name}");
        }
        assert_eq!(names().channel(b"race.example:2026:p:\xff"), None);
    }

    #[test]
    fn a_prefix_means_itself_in_a_pattern() {
        for refused in ["", "a*", "a b", "[a]", "ä", "a\\", "?", &"a".repeat(65)] {
            assert!(Names::new(refused).is_none(), "{refused}");
        }
        assert!(Names::new(&"a".repeat(64)).is_some());
    }
}
