//! What stands behind the question mark of a request target. Knows no users.

use std::fmt;

use percent_encoding::percent_decode_str;

use super::fields::query;

/// Stands for everybody.
const EVERYBODY: &str = "*";

/// Whom a query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It names nobody.
    Nobody,
    /// Whoever there is.
    Everybody,
    /// Whoever there is, and somebody besides, which cannot be meant.
    EverybodyAndOthers,
    /// These, which may be no ids.
    These(Vec<String>),
}

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

    /// Whom `ids=5,6` asks for, which may come several times. Only a bare comma separates: `%2C` is
    /// a part of an id, and so is `+`. A bare star is everybody, and `%2A` is an id.
    pub fn asked(&self) -> Asked {
        let ids: Vec<&str> = self.ids().collect();
        match ids[..] {
            [] => Asked::Nobody,
            [EVERYBODY] => Asked::Everybody,
            _ if ids.contains(&EVERYBODY) => Asked::EverybodyAndOthers,
            _ => Asked::These(
                (ids.iter())
                    .map(|id| percent_decode_str(id).decode_utf8_lossy().into_owned())
                    .collect(),
            ),
        }
    }

    /// Whether it asks for everybody and nothing else.
    pub fn is_for_everybody(&self) -> bool {
        self.ids().eq([EVERYBODY])
    }

    /// The id that `id=5` asks for, which may be none; `None` if there is not one alone.
    pub fn only(&self) -> Option<String> {
        let mut ids = (self.0.split('&')).filter_map(|pair| pair.strip_prefix("id="));
        let id = ids.next().filter(|_| ids.next().is_none())?;
        Some(percent_decode_str(id).decode_utf8_lossy().into_owned())
    }

    /// The ids as they are written.
    fn ids(&self) -> impl Iterator<Item = &str> {
        (self.0.split('&'))
            .filter_map(|pair| pair.strip_prefix("ids="))
            .flat_map(|list| list.split(','))
            .filter(|id| !id.is_empty())
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
    fn one_id_is_asked_for_by_itself() {
        for (target, id) in [
            ("/trail?id=5", Some("5")),
            ("/trail?ids=6&id=a%2Cb,c+d&x", Some("a,b,c+d")),
            ("/trail?id=", Some("")),
            ("/trail", None),
            ("/trail?ids=5", None),
            ("/trail?id=5&id=5", None),
            ("/trail#?id=5", None),
        ] {
            assert_eq!(IdQuery::of(target).only().as_deref(), id, "{target}");
        }
    }

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
            ("/positions?ids=%2A", &["*"]),
            ("/positions?ids=5,%2a,**", &["5", "*", "**"]),
        ] {
            let query = IdQuery::of(target);
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            assert!(query.count_max() >= expected.len(), "{target}");
            assert_eq!(query.asked(), Asked::These(expected), "{target}");
            assert!(!query.is_for_everybody(), "{target}");
        }
        for (target, expected) in [
            ("/positions?ids=*", Asked::Everybody),
            ("/positions?x=5&ids=,*,#5", Asked::Everybody),
            ("/positions?ids=*,5", Asked::EverybodyAndOthers),
            ("/positions?ids=5&ids=*", Asked::EverybodyAndOthers),
            ("/positions?ids=*,%2A", Asked::EverybodyAndOthers),
            ("/positions?ids=*,*", Asked::EverybodyAndOthers),
        ] {
            let query = IdQuery::of(target);
            assert_eq!(
                query.is_for_everybody(),
                expected == Asked::Everybody,
                "{target}"
            );
            assert_eq!(query.asked(), expected, "{target}");
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
            assert_eq!(IdQuery::of(target).asked(), Asked::Nobody, "{target}");
        }
    }
}
