//! What stands behind the question mark of a request target. Knows no users.

use std::fmt;

use percent_encoding::percent_decode_str;

use super::fields::query;

/// The query of a target that asks for ids, as it was written: the ids are read when they are
/// needed, for there may be thousands of them in each of many requests that wait.
/// There may be a token in it too, so its [`Debug`](fmt::Debug) does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct IdQuery(Box<str>);

impl fmt::Debug for IdQuery {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "IdQuery(of {} bytes)", self.0.len())
    }
}

impl IdQuery {
    /// The query of a request target, which may be without one.
    pub(super) fn of(target: &str) -> IdQuery {
        IdQuery(query(target).into())
    }

    /// The user ids of `ids=5,6`, which may come several times; `None` if there are none. Only a
    /// bare comma separates: `%2C` is a part of an id, and so is `+`.
    pub fn ids(&self) -> Option<Vec<String>> {
        let ids: Vec<String> = (self.0.split('&'))
            .filter_map(|pair| pair.strip_prefix("ids="))
            .flat_map(|list| list.split(','))
            .filter(|id| !id.is_empty())
            .map(|id| percent_decode_str(id).decode_utf8_lossy().into_owned())
            .collect();
        (!ids.is_empty()).then_some(ids)
    }

    /// About how many ids these are, and never less.
    pub fn count_max(&self) -> usize {
        1 + self.0.bytes().filter(|byte| b",&".contains(byte)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_separated_by_commas_and_decoded_after_that() {
        for (target, expected) in [
            ("/positions?ids=5", &["5"][..]),
            ("/positions?ids=5,6,", &["5", "6"]),
            ("/positions?x=1&ids=5&ids=6&y#ids=7", &["5", "6"]),
            (
                "/positions?ids=a%20b,%2c,1+1,%c3%a4",
                &["a b", ",", "1+1", "ä"],
            ),
            ("/positions?ids=%zz,%", &["%zz", "%"]),
            ("/positions?ids=%ff", &["\u{fffd}"]),
        ] {
            let query = IdQuery::of(target);
            let ids = query.ids().expect(target);
            assert_eq!(ids, expected, "{target}");
            assert!(query.count_max() >= ids.len(), "{target}");
        }
        for target in [
            "/positions",
            "/positions?",
            "/positions?ids",
            "/positions?ids=",
            "/positions?ids=,",
            "/positions?id=5",
            "/positions?xids=5",
            "/positions#?ids=5",
        ] {
            assert_eq!(IdQuery::of(target).ids(), None, "{target}");
        }
    }
}
