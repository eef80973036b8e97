//! A token on its way to the keys.

use std::borrow::Cow;
use std::fmt;

/// A token as somebody showed it. Whoever reads it can be them, so its [`Debug`](fmt::Debug) does
/// not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token<'a>(Cow<'a, str>);

impl<'a> Token<'a> {
    /// A token of this text, whatever it is.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Token<'a> {
        Token(text.into())
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Token(of {} bytes)", self.0.len())
    }
}
