//! What a token allows. Knows neither tokens nor keys.

use std::cmp::Ordering;
use std::fmt;

/// What somebody may do, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The text of the user id (`sub`).
    pub user: String,
    /// Whose positions may be sent.
    pub publish: Publish,
    /// Who may be followed.
    pub follow: Follow,
    /// What to call the user (`name`; OpenID Connect Core, 5.1).
    pub name: Option<String>,
    /// When it ends, in seconds since the start of 1970 UTC: in force before this second, no
    /// longer from it on. At most [`EXPIRES_AT_S_MAX`](super::EXPIRES_AT_S_MAX).
    pub expires_at_s: u64,
}

impl Grant {
    /// Whether positions of this user may be sent.
    pub fn may_publish(&self, id: &str) -> bool {
        match &self.publish {
            Publish::Own => id == self.user,
            Publish::Nobody => false,
            Publish::Everybody => true,
            Publish::Only(ids) => ids.contains(id),
        }
    }

    /// Whether this user may be followed.
    pub fn may_follow(&self, id: &str) -> bool {
        match &self.follow {
            _ if id == self.user => true,
            Follow::Own => false,
            Follow::Everybody => true,
            Follow::Only(ids) => ids.contains(id),
        }
    }
}

/// Whose positions somebody may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publish {
    /// Their own (`true`, and what counts without a `publish`).
    Own,
    /// Nobody's (`false`).
    Nobody,
    /// Everybody's (`"*"`).
    Everybody,
    /// Those of these users alone; their own only if they are among them.
    Only(IdSet),
}

/// Whom somebody may follow, besides themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Nobody else (what counts without a `follow`).
    Own,
    /// Everybody (`"*"`).
    Everybody,
    /// These users.
    Only(IdSet),
}

/// Texts of user ids, each once, in one piece: a connection holds them as long as its token.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct IdSet {
    text: Box<str>,
    /// Where each id ends in `text`. They are in the order of their bytes.
    ends: Box<[u32]>,
}

impl IdSet {
    fn contains(&self, id: &str) -> bool {
        let (mut from, mut to) = (0, self.ends.len());
        while from < to {
            let middle = from.midpoint(to);
            match self.at(middle).cmp(id) {
                Ordering::Less => from = middle + 1,
                Ordering::Equal => return true,
                Ordering::Greater => to = middle,
            }
        }
        false
    }

    fn at(&self, index: usize) -> &str {
        let begin = match index {
            0 => 0,
            _ => self.ends[index - 1] as usize,
        };
        &self.text[begin..self.ends[index] as usize]
    }

    /// The ids in the order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|index| self.at(index))
    }
}

impl fmt::Debug for IdSet {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<String> for IdSet {
    fn from_iter<I: IntoIterator<Item = String>>(ids: I) -> IdSet {
        let mut ids: Vec<String> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        let mut end = 0;
        let ends = ids.iter().map(|id| {
            end += id.len() as u32;
            end
        });
        IdSet {
            ends: ends.collect(),
            text: ids.concat().into_boxed_str(),
        }
    }
}
