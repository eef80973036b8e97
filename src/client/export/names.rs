//! A file name for each user, whatever the id: one that leads nowhere, that every system takes,
//! and that no other user has, where upper and lower case are one too.

use std::collections::HashSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode_byte, utf8_percent_encode};

/// Everything but these is written as in URLs, also dots, so that no name is special anywhere.
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// Names that are devices on Windows, with any ending; the second ones with a digit behind them.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];

/// The names that were given out.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// In lower case.
    taken: HashSet<String>,
}

impl Names {
    /// A name for this user: of 1 to 200 bytes, ASCII letters, digits, `-`, `_`, `%` and `~`.
    pub(super) fn of(&mut self, user: &str) -> String {
        let mut name = utf8_percent_encode(user, &ENCODED).to_string();
        // A minus in front is an option to many commands.
        if name.starts_with('-') || is_device(&name) {
            name = percent_encode_byte(name.as_bytes()[0]).to_owned() + &name[1..];
        }
        let numbered = (2u64..).map(|number| format!("{name}~{number}"));
        let mut names = [name.clone()].into_iter().chain(numbered);
        let free = names.find(|name| self.taken.insert(name.to_ascii_lowercase()));
        free.expect("there are more numbers than users")
    }
}

fn is_device(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let unnumbered = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_numbered = name.len() == unnumbered.len() + 1 && NUMBERED_DEVICES.contains(&unnumbered);
    is_numbered || DEVICES.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_id_as_far_as_it_can_be_a_name() {
        for (user, name) in [
            ("5", "5"),
            ("-5", "%2D5"),
            ("Anna-Berg_2", "Anna-Berg_2"),
            ("..", "%2E%2E"),
            ("../../etc/passwd", "%2E%2E%2F%2E%2E%2Fetc%2Fpasswd"),
            ("C:\\con", "C%3A%5Ccon"),
            ("con", "%63on"),
            ("Lpt9", "%4Cpt9"),
            ("com", "com"),
            ("com10", "com10"),
            ("a b.", "a%20b%2E"),
            ("ü\u{202e}", "%C3%BC%E2%80%AE"),
            ("%2E", "%252E"),
            ("~2", "%7E2"),
        ] {
            assert_eq!(Names::default().of(user), name);
        }
        assert!(Names::default().of(&"/".repeat(64)).len() <= 200);
    }

    #[test]
    fn users_that_differ_in_case_alone_have_files_that_differ_in_more() {
        let mut names = Names::default();
        assert_eq!(
            ["ab", "AB", "aB", "b"].map(|user| names.of(user)),
            ["ab", "AB~2", "aB~3", "b"]
        );
    }
}
