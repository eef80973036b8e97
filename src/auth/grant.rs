//! What a token allows. Knows neither tokens nor keys.

/// What somebody may do, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The text of the user id (`sub`).
    pub user: String,
    /// Whose positions may be sent.
    pub publish: Publish,
    /// Who may be followed.
    pub follow: Follow,
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

/// Texts of user ids, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdSet(Box<[Box<str>]>);

impl IdSet {
    fn contains(&self, id: &str) -> bool {
        self.0.binary_search_by(|own| (**own).cmp(id)).is_ok()
    }

    /// The ids in the order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|id| &**id)
    }
}

impl FromIterator<String> for IdSet {
    fn from_iter<I: IntoIterator<Item = String>>(ids: I) -> IdSet {
        let mut ids: Vec<Box<str>> = ids.into_iter().map(String::into_boxed_str).collect();
        ids.sort_unstable();
        ids.dedup();
        IdSet(ids.into_boxed_slice())
    }
}
