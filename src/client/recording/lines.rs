//! A recording from its first line to its last, one line in memory at a time, and a tally of those
//! that are no positions.

use std::io::{self, BufRead};
use std::path::Path;

use super::{Flaw, LINE_BYTES_MAX, Recorded, parse};
use crate::client::tell;

/// The lines of a recording.
#[derive(Debug)]
pub(in crate::client) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// How many lines are read.
    count: u64,
    /// How many bytes are read.
    bytes: u64,
}

/// A line.
#[derive(Debug)]
pub(in crate::client) struct Line<'a> {
    /// Counted from 1.
    pub(in crate::client) number: u64,
    /// What it says.
    pub(in crate::client) content: Result<Recorded<'a>, Flaw>,
}

impl<R: BufRead> Lines<R> {
    /// Reads from here on.
    pub(in crate::client) fn new(input: R) -> Lines<R> {
        Lines {
            input,
            line: Vec::new(),
            count: 0,
            bytes: 0,
        }
    }

    /// How many bytes are read.
    pub(in crate::client) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next line; `None` at the end. A last line without a newline, as a recorder that was
    /// killed leaves one, counts if it is whole, and is no line otherwise.
    ///
    /// # Errors
    /// What the file says against being read.
    pub(in crate::client) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let has_newline = self.read_line()?;
        self.count += 1;
        match parse(&self.line) {
            Err(_) if !has_newline => Ok(None),
            content => Ok(Some(Line {
                number: self.count,
                content,
            })),
        }
    }

    /// Skips to the next line.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(in crate::client) fn skip(&mut self) -> io::Result<()> {
        self.read_line().map(drop)
    }

    /// Reads up to a newline or the end; whether it was a newline. Of a line that is too long just
    /// so much is kept that it is seen to be.
    fn read_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        loop {
            let read = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            let newline = read.iter().position(|byte| *byte == b'\n');
            let part = &read[..newline.unwrap_or(read.len())];
            let room = (LINE_BYTES_MAX + 1).saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let is_end = read.is_empty();
            let used = part.len() + usize::from(newline.is_some());
            self.input.consume(used);
            self.bytes += used as u64;
            if newline.is_some() || is_end {
                return Ok(newline.is_some());
            }
        }
    }
}

/// How many lines were passed over, and which was the first for each reason.
#[derive(Debug, Default)]
pub(in crate::client) struct Flaws([Option<Passed>; Flaw::ALL.len()]);

#[derive(Clone, Copy, Debug)]
struct Passed {
    lines: u64,
    first: u64,
}

impl Flaws {
    /// Counts a line that is passed over.
    pub(in crate::client) fn count(&mut self, flaw: Flaw, number: u64) {
        let passed = Flaw::ALL.iter().zip(&mut self.0);
        for (_, passed) in passed.filter(|(listed, _)| **listed == flaw) {
            let first = passed.map_or(number, |passed| passed.first);
            let lines = passed.map_or(0, |passed| passed.lines) + 1;
            *passed = Some(Passed { lines, first });
        }
    }

    /// Tells on stderr of all that was passed over, by its first line.
    pub(in crate::client) fn tell(&self, path: &Path) {
        for (flaw, passed) in Flaw::ALL.iter().zip(self.0) {
            if let Some(Passed { lines, first }) = passed {
                let words = flaw.words();
                let path = path.display();
                tell(&format!(
                    "{path}: passed over lines that {words}: {lines}, the first is line {first}"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    const LINE: &str = r#"{"userId":5,"lat":1,"lng":2,"received":3}"#;

    fn read(text: &str, buffer_bytes: usize) -> Vec<(u64, Option<Flaw>)> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer_bytes, text.as_bytes()));
        let mut read = Vec::new();
        while let Some(line) = lines.next().expect("memory") {
            read.push((line.number, line.content.err()));
        }
        assert_eq!(lines.bytes(), text.len() as u64);
        read
    }

    #[test]
    fn a_torn_last_line_is_no_line_wherever_it_was_torn() {
        let whole = format!("{LINE}\nx\n{LINE}\n");
        for length in 0..=LINE.len() {
            let torn = format!("{whole}{}", &LINE[..length]);
            for buffer_bytes in [1, 7, 4096] {
                let mut expected = vec![(1, None), (2, Some(Flaw::NotJson)), (3, None)];
                if length == LINE.len() {
                    expected.push((4, None));
                }
                assert_eq!(read(&torn, buffer_bytes), expected);
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_and_what_follows_is_read() {
        let padded = |length: usize| {
            let begin = LINE.trim_end_matches('}');
            format!("{begin}{}}}", " ".repeat(length - LINE.len()))
        };
        let text = format!(
            "{}\n{}\n{LINE}\n",
            padded(LINE_BYTES_MAX),
            padded(LINE_BYTES_MAX + 1)
        );
        let expected = [(1, None), (2, Some(Flaw::TooLong)), (3, None)];
        assert_eq!(read(&text, 8192), expected);
    }
}
