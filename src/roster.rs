//! The roster of a race: a CSV file (RFC 4180) to who runs, by which id, under which name and in
//! which colour. Knows no clocks and nothing of what a roster is used for; its file is read in `file`.

mod file;

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::fmt;

use csv::{ReaderBuilder, StringRecord};

use crate::user::{NAME_BYTES_MAX, is_id, is_name};

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Who is on the roster, in the order of the file; no id comes twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    entries: Vec<Entry>,
    /// Where each id stands.
    places: HashMap<String, usize>,
}

/// One runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The text of the user id.
    pub id: String,
    /// The display name: 1 to [`NAME_BYTES_MAX`] bytes without control characters.
    pub name: String,
    /// `#rrggbb`, in the case of the file.
    pub color: Option<String>,
}

/// Why a file is no roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line of the file where it is, or where what it is in begins; the first is 1.
    pub line: usize,
    /// What is wrong, and what to mend.
    pub cause: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.cause)
    }
}

impl Roster {
    /// Reads a file: a header line with the columns `id` and `name`, and perhaps `color`, among
    /// any others, and a line for each runner. One bad line refuses them all.
    ///
    /// # Errors
    /// The first line that cannot be used, and why.
    pub fn read(bytes: &[u8]) -> Result<Roster, Fault> {
        let text = str::from_utf8(bytes).map_err(|error| Fault {
            line: lines_before(bytes, error.valid_up_to()) + 1,
            cause: "this is not UTF-8: save the file as CSV in UTF-8".to_owned(),
        })?;
        let mut rows = Rows::of(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text));
        let (line, header) = rows.next()?.ok_or_else(|| Fault {
            line: 1,
            cause: "the header is missing: begin with a line like id,name".to_owned(),
        })?;
        let columns = Columns::of(&header).map_err(|cause| Fault { line, cause })?;
        let (mut roster, mut lines) = (Roster::default(), Vec::new());
        while let Some((line, row)) = rows.next()? {
            let entry = columns.entry(&row).map_err(|cause| Fault { line, cause })?;
            match roster.places.entry(entry.id.clone()) {
                Place::Vacant(place) => place.insert(lines.len()),
                Place::Occupied(first) => {
                    let (id, first) = (first.key(), lines[*first.get()]);
                    let cause = format!("the id {id:?} is that of line {first} too: give it once");
                    return Err(Fault { line, cause });
                }
            };
            lines.push(line);
            roster.entries.push(entry);
        }
        Ok(roster)
    }

    /// Everybody on it.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whoever has this id on it.
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.get(*self.places.get(id)?)
    }
}

/// The rows of a file that are not blank, each with its line.
struct Rows<'a> {
    text: &'a str,
    reader: csv::Reader<&'a [u8]>,
    /// How far `lines` have been counted, in bytes.
    counted: usize,
    lines: usize,
}

impl Rows<'_> {
    fn of(text: &str) -> Rows<'_> {
        // How many fields a row has is judged here, in words for people.
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true);
        Rows {
            text,
            reader: builder.from_reader(text.as_bytes()),
            counted: 0,
            lines: 0,
        }
    }

    fn next(&mut self) -> Result<Option<(usize, StringRecord)>, Fault> {
        let mut row = StringRecord::new();
        loop {
            let is_row = self.reader.read_record(&mut row);
            let begin = row.position().map_or(0, |position| position.byte());
            let (line, raw) = self.raw(begin as usize);
            let cause = match is_row {
                Ok(false) => return Ok(None),
                Err(error) => error.to_string(),
                Ok(true) if raw.trim().is_empty() => continue,
                Ok(true) if !is_well_quoted(raw) => {
                    "a quotation mark has no counterpart: double those within a field".to_owned()
                }
                Ok(true) => return Ok(Some((line, row))),
            };
            return Err(Fault { line, cause });
        }
    }

    /// The line and the text of the row that was read last, which begins at or before `begin`:
    /// the reader counts the end of a line, and blank lines, to the row behind them.
    fn raw(&mut self, begin: usize) -> (usize, &str) {
        let end = self.reader.position().byte() as usize;
        let raw = &self.text[begin..end];
        let blank = raw.len() - raw.trim_start_matches(['\r', '\n']).len();
        let begin = begin + blank;
        self.lines += lines_before(&self.text.as_bytes()[self.counted..], begin - self.counted);
        self.counted = begin;
        (self.lines + 1, &self.text[begin..end])
    }
}

/// Whether each quoted field of a row ends where it should (RFC 4180, 2): the reader would take
/// the rows behind it for the rest of it, without a word.
fn is_well_quoted(row: &str) -> bool {
    let (mut is_inside, mut before) = (false, ',');
    let mut chars = row.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, is_inside) {
            ('"', false) if before == ',' => is_inside = true,
            ('"', true) if chars.peek() == Some(&'"') => {
                chars.next();
            }
            ('"', true) if chars.peek().is_none_or(|next| ",\r\n".contains(*next)) => {
                is_inside = false;
            }
            ('"', true) => return false,
            _ => {}
        }
        before = c;
    }
    !is_inside
}

/// How many lines end in the first `length` bytes, by LF, CRLF or CR.
fn lines_before(bytes: &[u8], length: usize) -> usize {
    let ends = (0..length).filter(|&at| match bytes[at] {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    ends.count()
}

/// Where the fields of a row stand.
struct Columns {
    count: usize,
    id: usize,
    name: usize,
    color: Option<usize>,
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Columns, String> {
        let named = |name: &str| header.iter().position(|column| column == name);
        let needed = |name: &str| {
            named(name).ok_or_else(|| {
                format!(
                    "the column {name} is missing: begin with a line like id,name (lower case, commas)"
                )
            })
        };
        for (at, column) in header.iter().enumerate() {
            if named(column) != Some(at) {
                return Err(format!("the column {column:?} comes twice: leave one out"));
            }
        }
        Ok(Columns {
            count: header.len(),
            id: needed("id")?,
            name: needed("name")?,
            color: named("color"),
        })
    }

    fn entry(&self, row: &StringRecord) -> Result<Entry, String> {
        if row.len() != self.count {
            return Err(format!(
                "there are {} fields, and {} in the header: write a field with a comma in it in quotation marks",
                row.len(),
                self.count
            ));
        }
        let text = |what: &str, at: usize, is_valid: fn(&str) -> bool| match &row[at] {
            text if is_valid(text) => Ok(text.to_owned()),
            "" => Err(format!("the {what} is missing")),
            text => Err(format!(
                "the {what} {text:?} is none: 1 to {NAME_BYTES_MAX} bytes without control characters"
            )),
        };
        let color = match self.color.map_or("", |at| &row[at]) {
            "" => None,
            color if is_color(color) => Some(color.to_owned()),
            color => {
                return Err(format!(
                    "the color {color:?} is none: write it like #cc3300, or leave it empty"
                ));
            }
        };
        Ok(Entry {
            id: text("id", self.id, is_id)?,
            name: text("name", self.name, is_name)?,
            color,
        })
    }
}

fn is_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or_default();
    digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
