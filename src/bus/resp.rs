//! RESP3, what Redis and Valkey speak: commands to bytes, and bytes to replies and push messages,
//! as they come in. Borrows and allocates nothing. Must never know what a command is for.
//!
//! The protocol: <https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md>.
//! A value begins with a byte for its type and ends with CR LF; what may hold any byte tells its
//! length first. Of it, what Redis sends no client is refused: strings and lists of unknown length.

/// Longest value, in bytes with all that is inside it. One that is longer is passed over.
pub(crate) const VALUE_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;

/// Longest text that ends with its line: numbers, states, error messages.
pub(super) const LINE_BYTES_MAX: usize = 4096;

/// Most elements of one list. One that has more is passed over.
pub(super) const ITEMS_MAX: usize = 256 * 1024;

/// No string is longer, as Redis is configured, and no list either.
pub(super) const SIZE_MAX: usize = 512 * 1024 * 1024;

/// The types that a value may have.
const KINDS: &[u8] = b"+-:,(#_$!=*~%>|";

/// How deep lists may be inside one another.
pub(super) const DEPTH_MAX: usize = 8;

/// Appends a command of these arguments.
pub(crate) fn command(out: &mut Vec<u8>, arguments: &[&[u8]]) {
    length(out, b'*', arguments.len());
    for argument in arguments {
        length(out, b'$', argument.len());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}

/// How many bytes such a command takes, at most.
pub(crate) fn command_bytes(arguments: &[&[u8]]) -> usize {
    let bytes = |argument: &&[u8]| LENGTH_BYTES_MAX + argument.len() + 2;
    LENGTH_BYTES_MAX + arguments.iter().map(bytes).sum::<usize>()
}

/// Longest line of a length: its type, the digits of the greatest number, CR LF.
const LENGTH_BYTES_MAX: usize = 1 + 20 + 2;

fn length(out: &mut Vec<u8>, kind: u8, mut length: usize) {
    // By hand: ten of them go with each position, and formatting them takes twice as long.
    let mut line = [0; LENGTH_BYTES_MAX];
    let mut begin = line.len() - 2;
    line[begin..].copy_from_slice(b"\r\n");
    loop {
        begin -= 1;
        line[begin] = b'0' + (length % 10) as u8;
        length /= 10;
        if length == 0 {
            break;
        }
    }
    begin -= 1;
    line[begin] = kind;
    out.extend_from_slice(&line[begin..]);
}

/// A value, with its bytes where they came in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// A string of any bytes; of a verbatim one its text without the format.
    Blob(&'a [u8]),
    /// A state such as `OK`.
    Simple(&'a [u8]),
    /// An error, which begins with a word in capitals.
    Error(&'a [u8]),
    /// A number.
    Integer(i64),
    /// A number with a fraction, or an infinite one, or none.
    Double(f64),
    /// The digits of a number of any length.
    BigNumber(&'a [u8]),
    /// True or false.
    Bool(bool),
    /// Nothing is there.
    Null,
    /// A list or a set.
    List(Items<'a>),
    /// Keys and values in turn.
    Map(Items<'a>),
    /// No answer, but what came by itself: a message of a channel.
    Push(Items<'a>),
    /// One that was too large and has been passed over, which says nothing to anybody.
    TooLarge {
        /// Whether it was no answer, but came by itself.
        is_push: bool,
    },
}

impl<'a> Value<'a> {
    /// The bytes of a string.
    pub(crate) fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Value::Blob(bytes) | Value::Simple(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// What is in a list. All of it is there and well-formed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Items<'a> {
    bytes: &'a [u8],
    pub(super) left: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.left = self.left.checked_sub(1)?;
        let whole = decode(self.bytes).ok().flatten();
        let (value, taken) = whole.expect("the list was decoded as a whole before");
        self.bytes = &self.bytes[taken..];
        Some(value)
    }
}

/// These bytes are no RESP3: what follows cannot be read either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Why a value is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is none.
    Malformed,
    /// It is larger than a value may be, and has to be passed over.
    TooLarge,
}

impl From<Malformed> for Refused {
    fn from(_: Malformed) -> Refused {
        Refused::Malformed
    }
}

/// A value and where it ends; nothing until all of it is there.
type Decoded<'a> = Result<Option<(Value<'a>, usize)>, Refused>;

/// The first value of these bytes and how many it took; nothing until all of it is there.
pub(super) fn decode(bytes: &[u8]) -> Decoded<'_> {
    match decode_at(bytes, 0, DEPTH_MAX)? {
        Some((_, end)) if end > VALUE_BYTES_MAX => Err(Refused::TooLarge),
        // No end is in sight within what a value may have.
        None if bytes.len() > VALUE_BYTES_MAX => Err(Refused::TooLarge),
        decoded => Ok(decoded),
    }
}

/// The value that begins here.
fn decode_at(bytes: &[u8], at: usize, depth_left: usize) -> Decoded<'_> {
    let Some((head, end)) = head_at(bytes, at)? else {
        return Ok(None);
    };
    match head {
        Head::Whole(value) => Ok(Some((value, end))),
        Head::Blob { length, .. } if length > VALUE_BYTES_MAX => Err(Refused::TooLarge),
        Head::List { count, .. } if count > ITEMS_MAX => Err(Refused::TooLarge),
        Head::Blob { kind, length } => blob_at(bytes, end, kind, length),
        Head::List { kind, count } => list_at(bytes, end, kind, count, depth_left),
    }
}

/// How a value begins.
pub(super) enum Head<'a> {
    /// It is no more than this.
    Whole(Value<'a>),
    /// As many bytes follow, and CR LF.
    Blob { kind: u8, length: usize },
    /// As many elements follow, or pairs of them.
    List { kind: u8, count: usize },
}

/// How many elements there are in a list of this type and count.
pub(super) fn items(kind: u8, count: usize) -> usize {
    match kind {
        b'%' | b'|' => 2 * count,
        _ => count,
    }
}

/// How the value begins that begins here, and where that ends.
pub(super) fn head_at(bytes: &[u8], at: usize) -> Result<Option<(Head<'_>, usize)>, Malformed> {
    let Some(Line { kind, line, end }) = line_at(bytes, at)? else {
        return Ok(None);
    };
    let size = || size(line, SIZE_MAX);
    let value = match kind {
        b'+' => Value::Simple(line),
        b'-' => Value::Error(line),
        b':' => Value::Integer(number(line)?),
        b',' => Value::Double(double(line)?),
        b'(' => Value::BigNumber(big_number(line)?),
        b'#' => match line {
            b"t" => Value::Bool(true),
            b"f" => Value::Bool(false),
            _ => return Err(Malformed),
        },
        b'_' if line.is_empty() => Value::Null,
        // Nothing, as it is written before the HELLO that chooses RESP3.
        b'$' | b'*' if line == b"-1" => Value::Null,
        b'$' | b'!' | b'=' => {
            let length = size()?;
            return Ok(Some((Head::Blob { kind, length }, end)));
        }
        b'*' | b'~' | b'%' | b'>' | b'|' => {
            let count = size()?;
            return Ok(Some((Head::List { kind, count }, end)));
        }
        _ => return Err(Malformed),
    };
    Ok(Some((Head::Whole(value), end)))
}

fn blob_at(bytes: &[u8], begin: usize, kind: u8, length: usize) -> Decoded<'_> {
    let end = begin + length;
    match bytes.get(end..end + 2) {
        Some(b"\r\n") => {}
        Some(_) => return Err(Refused::Malformed),
        None => return Ok(None),
    }
    let blob = &bytes[begin..end];
    let value = match kind {
        b'!' => Value::Error(blob),
        // Three letters say how the text is to be shown.
        b'=' => match blob {
            [_, _, _, b':', text @ ..] => Value::Blob(text),
            _ => return Err(Refused::Malformed),
        },
        _ => Value::Blob(blob),
    };
    Ok(Some((value, end + 2)))
}

fn list_at(bytes: &[u8], begin: usize, kind: u8, count: usize, depth_left: usize) -> Decoded<'_> {
    let depth_left = depth_left.checked_sub(1).ok_or(Malformed)?;
    let left = items(kind, count);
    let mut end = begin;
    for _ in 0..left {
        match decode_at(bytes, end, depth_left)? {
            Some((_, after)) => end = after,
            None => return Ok(None),
        }
    }
    let items = Items {
        bytes: &bytes[begin..end],
        left,
    };
    let value = match kind {
        // What is said about the value that follows, which we did not ask for.
        b'|' => return decode_at(bytes, end, depth_left),
        b'%' => Value::Map(items),
        b'>' => Value::Push(items),
        _ => Value::List(items),
    };
    Ok(Some((value, end)))
}

/// The first line of a value.
struct Line<'a> {
    kind: u8,
    /// What stands behind the type.
    line: &'a [u8],
    /// Where the next one begins.
    end: usize,
}

/// The line that begins here.
fn line_at(bytes: &[u8], at: usize) -> Result<Option<Line<'_>>, Malformed> {
    let Some((kind, rest)) = bytes.get(at..).and_then(<[u8]>::split_first) else {
        return Ok(None);
    };
    if !KINDS.contains(kind) {
        return Err(Malformed);
    }
    let looked_at = &rest[..rest.len().min(LINE_BYTES_MAX + 1)];
    let Some(length) = looked_at.iter().position(|byte| *byte == b'\r') else {
        return match rest.len() > LINE_BYTES_MAX {
            true => Err(Malformed),
            false => Ok(None),
        };
    };
    match rest.get(length + 1) {
        Some(b'\n') => Ok(Some(Line {
            kind: *kind,
            line: &rest[..length],
            end: at + 1 + length + 2,
        })),
        Some(_) => Err(Malformed),
        None => Ok(None),
    }
}

/// A length or a count.
fn size(digits: &[u8], max: usize) -> Result<usize, Malformed> {
    if digits.is_empty() {
        return Err(Malformed);
    }
    let mut size = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(Malformed);
        }
        size = size * 10 + usize::from(digit - b'0');
        if size > max {
            return Err(Malformed);
        }
    }
    Ok(size)
}

fn number(line: &[u8]) -> Result<i64, Malformed> {
    let text = str::from_utf8(line).map_err(|_| Malformed)?;
    text.parse().map_err(|_| Malformed)
}

fn double(line: &[u8]) -> Result<f64, Malformed> {
    let text = str::from_utf8(line).map_err(|_| Malformed)?;
    text.parse().map_err(|_| Malformed)
}

fn big_number(line: &[u8]) -> Result<&[u8], Malformed> {
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    match !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
        true => Ok(line),
        false => Err(Malformed),
    }
}
