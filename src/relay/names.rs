//! What one user is called, by whom it was said. Knows no roster and no other user.

/// Who says what a user is called, below the roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamedBy {
    /// Whoever signed the user's token, which outranks the user.
    Token,
    /// The user, in a hello.
    Hello,
}

/// What a user is called: of each who says it, the last word.
#[derive(Debug, Default)]
pub(super) struct Names {
    by_token: Option<Box<str>>,
    by_hello: Option<Box<str>>,
}

impl Names {
    /// The name that counts.
    pub(super) fn name(&self) -> Option<&str> {
        self.by_token.as_deref().or(self.by_hello.as_deref())
    }

    /// What was said last by one of them.
    pub(super) fn said_by(&self, by: NamedBy) -> Option<&str> {
        match by {
            NamedBy::Token => self.by_token.as_deref(),
            NamedBy::Hello => self.by_hello.as_deref(),
        }
    }

    /// Takes a name, or forgets it; says whether another one counts now.
    pub(super) fn set(&mut self, by: NamedBy, name: Option<&str>) -> bool {
        let place = match by {
            NamedBy::Token => &mut self.by_token,
            NamedBy::Hello => &mut self.by_hello,
        };
        if place.as_deref() == name {
            return false;
        }
        let said_before = std::mem::replace(place, name.map(Box::from));
        match by {
            NamedBy::Hello => self.by_token.is_none(),
            NamedBy::Token => self.name() != said_before.as_deref().or(self.by_hello.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_outranks_a_hello_and_of_each_the_last_word_counts() {
        use NamedBy::{Hello, Token};
        let mut names = Names::default();
        for (by, name, is_other, counts) in [
            (Hello, None, false, None),
            (Hello, Some("a"), true, Some("a")),
            (Hello, Some("a"), false, Some("a")),
            (Hello, Some("b"), true, Some("b")),
            (Token, Some("b"), false, Some("b")),
            (Hello, Some("a"), false, Some("b")),
            (Token, Some("c"), true, Some("c")),
            (Hello, None, false, Some("c")),
            (Hello, Some("c"), false, Some("c")),
            (Token, None, false, Some("c")),
            (Hello, None, true, None),
        ] {
            assert_eq!(names.set(by, name), is_other, "{by:?} {name:?}");
            assert_eq!(names.name(), counts, "{by:?} {name:?}");
        }
    }
}
