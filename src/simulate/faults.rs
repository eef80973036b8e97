//! What a server did wrong: counts by kind, with the first examples of each. Knows nothing of how
//! it was found.

/// Examples kept of each kind of fault.
const EXAMPLES_MAX: usize = 5;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A delivery that never came.
    Missing,
    /// A delivery that came more than once.
    Doubled,
    /// A delivery that came after a later one of the same user.
    OutOfOrder,
    /// A position of somebody whom the connection does not follow.
    Foreign,
    /// A position that was never sent.
    WrongContent,
    /// A message that is neither a position nor an error.
    Unexpected,
    /// An error message.
    Error,
    /// A connection that ended before it was told to.
    Closed,
    /// A ping without an answer.
    Unanswered,
    /// A run that had to end before everything was sent.
    Stopped,
}

impl Fault {
    /// All kinds, in the order in which they are told.
    pub(crate) const ALL: [Fault; 10] = [
        Fault::Missing,
        Fault::Doubled,
        Fault::OutOfOrder,
        Fault::Foreign,
        Fault::WrongContent,
        Fault::Unexpected,
        Fault::Error,
        Fault::Closed,
        Fault::Unanswered,
        Fault::Stopped,
    ];

    /// Its name in the summary for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Fault::Missing => "missing",
            Fault::Doubled => "doubled",
            Fault::OutOfOrder => "out of order",
            Fault::Foreign => "foreign",
            Fault::WrongContent => "wrong content",
            Fault::Unexpected => "unexpected",
            Fault::Error => "error",
            Fault::Closed => "closed",
            Fault::Unanswered => "unanswered",
            Fault::Stopped => "stopped",
        }
    }
}

/// One kind's count and first examples.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(crate) struct Tally {
    /// How many there were.
    pub(crate) count: u64,
    /// The first of them, told in a line each.
    pub(crate) examples: Vec<String>,
}

/// Everything that was wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    tallies: [Tally; Fault::ALL.len()],
}

impl Faults {
    /// Counts one fault. The example is written out only while examples are kept.
    pub(crate) fn note(&mut self, fault: Fault, example: impl FnOnce() -> String) {
        let tally = &mut self.tallies[fault as usize];
        tally.count += 1;
        if tally.examples.len() < EXAMPLES_MAX {
            tally.examples.push(crate::client::printable(&example()));
        }
    }

    /// Whether nothing was wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.tallies.iter().all(|tally| tally.count == 0)
    }

    /// Each kind with its tally, also those with none.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = (Fault, &Tally)> {
        Fault::ALL.into_iter().zip(&self.tallies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_first_few_are_told() {
        let mut faults = Faults::default();
        assert!(faults.is_empty());
        for number in 0..EXAMPLES_MAX + 3 {
            faults.note(Fault::Doubled, || format!("{number}\u{7}"));
        }
        let doubled = &faults.tallies[Fault::Doubled as usize];
        assert_eq!(doubled.count, EXAMPLES_MAX as u64 + 3);
        assert_eq!(doubled.examples.len(), EXAMPLES_MAX);
        assert_eq!(doubled.examples[0], "0\\u{7}");
        assert!(!faults.is_empty());
    }

    #[test]
    fn each_kind_has_its_own_place() {
        assert!(
            Fault::ALL
                .into_iter()
                .enumerate()
                .all(|(place, fault)| place == fault as usize)
        );
    }
}
