//! RESP3, what Redis and Valkey speak: commands to bytes, and bytes to replies and push messages,
//! as they come in. Borrows and allocates nothing. Must never know what a command is for.
//!
//! The protocol: <https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md>.
//! A value begins with a byte for its type and ends with CR LF; what may hold any byte tells its
//! length first. Of it, what Redis sends no client is refused: strings and lists of unknown length.

/// Longest value, in bytes with all that is inside it. An answer that is longer ends the link.
pub(crate) const VALUE_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;

/// Longest text that ends with its line: numbers, states, error messages.
const LINE_BYTES_MAX: usize = 4096;

/// Most elements of one list.
const ITEMS_MAX: usize = 256 * 1024;

/// The types that a value may have.
const KINDS: &[u8] = b"+-:,(#_$!=*~%>|";

/// How deep lists may be inside one another.
const DEPTH_MAX: usize = 8;

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
    left: usize,
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

/// These bytes are no RESP3, or a value that is too large: what follows cannot be read either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The first value of these bytes and how many it took; nothing until all of it is there.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(Value<'_>, usize)>, Malformed> {
    let decoded = decode_at(bytes, 0, DEPTH_MAX)?;
    match decoded {
        Some((_, end)) if end > VALUE_BYTES_MAX => Err(Malformed),
        // No end is in sight within what a value may have.
        None if bytes.len() > VALUE_BYTES_MAX => Err(Malformed),
        decoded => Ok(decoded),
    }
}

/// The value that begins here, and where it ends.
fn decode_at(
    bytes: &[u8],
    at: usize,
    depth_left: usize,
) -> Result<Option<(Value<'_>, usize)>, Malformed> {
    let Some(Line { kind, line, end }) = line_at(bytes, at)? else {
        return Ok(None);
    };
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
        b'$' | b'!' | b'=' => return blob_at(bytes, end, kind, size(line, VALUE_BYTES_MAX)?),
        b'*' | b'~' | b'%' | b'>' | b'|' => {
            let count = size(line, ITEMS_MAX)?;
            return list_at(bytes, end, kind, count, depth_left);
        }
        _ => return Err(Malformed),
    };
    Ok(Some((value, end)))
}

fn blob_at(
    bytes: &[u8],
    begin: usize,
    kind: u8,
    length: usize,
) -> Result<Option<(Value<'_>, usize)>, Malformed> {
    let end = begin + length;
    match bytes.get(end..end + 2) {
        Some(b"\r\n") => {}
        Some(_) => return Err(Malformed),
        None => return Ok(None),
    }
    let blob = &bytes[begin..end];
    let value = match kind {
        b'!' => Value::Error(blob),
        // Three letters say how the text is to be shown.
        b'=' => match blob {
            [_, _, _, b':', text @ ..] => Value::Blob(text),
            _ => return Err(Malformed),
        },
        _ => Value::Blob(blob),
    };
    Ok(Some((value, end + 2)))
}

fn list_at(
    bytes: &[u8],
    begin: usize,
    kind: u8,
    count: usize,
    depth_left: usize,
) -> Result<Option<(Value<'_>, usize)>, Malformed> {
    let depth_left = depth_left.checked_sub(1).ok_or(Malformed)?;
    let left = match kind {
        b'%' | b'|' => 2 * count,
        _ => count,
    };
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A value with all that is in it.
    #[derive(Clone, Debug, PartialEq)]
    enum Tree {
        /// What is written in one line, with its type.
        Line(String),
        /// What is written with its length: its type and its bytes.
        Blob(char, Vec<u8>),
        /// Elements one after another: their type, how many make one, and they.
        List(char, usize, Vec<Tree>),
        /// What is said about a value, and the value.
        With(Vec<Tree>, Box<Tree>),
    }

    impl Tree {
        /// How it is written by whoever has time.
        fn written(&self) -> Vec<u8> {
            match self {
                Tree::Line(line) => format!("{line}\r\n").into_bytes(),
                Tree::Blob(kind, bytes) => {
                    let head = format!("{kind}{}\r\n", bytes.len());
                    [head.as_bytes(), bytes, b"\r\n"].concat()
                }
                Tree::List(kind, per_count, items) => {
                    let mut written = format!("{kind}{}\r\n", items.len() / per_count).into_bytes();
                    written.extend(items.iter().flat_map(Tree::written));
                    written
                }
                Tree::With(about, value) => {
                    let mut written = Tree::List('|', 2, about.clone()).written();
                    written.extend(value.written());
                    written
                }
            }
        }

        /// Whether that is what was decoded.
        fn is(&self, value: Value) -> bool {
            let all_are = |trees: &[Tree], items: Items| {
                items.count() == trees.len() && trees.iter().zip(items).all(|(t, v)| t.is(v))
            };
            match (self, value) {
                (Tree::With(_, inner), value) => inner.is(value),
                (Tree::Line(line), value) => {
                    let (kind, text) = line.split_at(1);
                    match (kind, value) {
                        ("+", Value::Simple(bytes))
                        | ("-", Value::Error(bytes))
                        | ("(", Value::BigNumber(bytes)) => bytes == text.as_bytes(),
                        (":", Value::Integer(number)) => text == number.to_string(),
                        (",", Value::Double(number)) => number.to_string() == text,
                        ("#", Value::Bool(is_true)) => text == ["f", "t"][usize::from(is_true)],
                        ("_", Value::Null) => text.is_empty(),
                        ("$" | "*", Value::Null) => text == "-1",
                        _ => false,
                    }
                }
                (Tree::Blob('=', bytes), Value::Blob(text)) => bytes[4..] == *text,
                (Tree::Blob('$', bytes), Value::Blob(blob))
                | (Tree::Blob('!', bytes), Value::Error(blob)) => bytes == blob,
                (Tree::List('*' | '~', _, trees), Value::List(items))
                | (Tree::List('%', _, trees), Value::Map(items))
                | (Tree::List('>', _, trees), Value::Push(items)) => all_are(trees, items),
                _ => false,
            }
        }
    }

    fn line() -> impl Strategy<Value = Tree> {
        let line = prop_oneof![
            "[+-][^\r\n]{0,20}",
            "\\(-?[0-9]{1,40}",
            any::<i64>().prop_map(|number| format!(":{number}")),
            any::<f64>().prop_map(|number| format!(",{number}")),
            prop::sample::select(vec!["#t", "#f", "_", "$-1", "*-1", ",inf", ",-inf", ",NaN"])
                .prop_map(str::to_owned),
        ];
        line.prop_map(Tree::Line)
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let bytes = || prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\r')], 0..40);
        let leaf = prop_oneof![
            line(),
            bytes().prop_map(|bytes| Tree::Blob('$', bytes)),
            bytes().prop_map(|bytes| Tree::Blob('!', bytes)),
            bytes().prop_map(|bytes| Tree::Blob('=', [b"txt:", &bytes[..]].concat())),
        ];
        leaf.prop_recursive(4, 60, 6, |inner| {
            let items = prop::collection::vec(inner.clone(), 0..6);
            let pairs = prop::collection::vec([inner.clone(), inner.clone()], 0..3);
            let pairs = pairs.prop_map(|pairs| pairs.concat());
            let kinds = prop::sample::select(vec!['*', '~', '>']);
            prop_oneof![
                (kinds, items).prop_map(|(kind, items)| Tree::List(kind, 1, items)),
                pairs.clone().prop_map(|pairs| Tree::List('%', 2, pairs)),
                (pairs, inner).prop_map(|(about, value)| Tree::With(about, value.into())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_value_is_read_once_its_last_byte_is_there_and_not_before(tree in tree(), more: Vec<u8>) {
            let written = tree.written();
            for cut in 0..written.len() {
                prop_assert_eq!(decode(&written[..cut]), Ok(None), "cut at {}", cut);
            }
            let followed = [&written[..], &more].concat();
            let (value, taken) = decode(&followed).expect("well-formed").expect("whole");
            prop_assert_eq!(taken, written.len());
            prop_assert!(tree.is(value), "{:?}", value);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(
            mut bytes in prop::collection::vec(
                prop_oneof![any::<u8>(), prop::sample::select(b"$*>%|=!:,(#_+-~0129\r\n".to_vec())],
                0..200,
            ),
            tree in tree(),
            at: prop::sample::Index,
        ) {
            let _ = decode(&bytes);
            // Nor do some inside what was well-formed.
            let mut written = tree.written();
            let at = at.index(written.len());
            bytes.truncate(3);
            written.splice(at..(at + bytes.len()).min(written.len()), bytes);
            if let Ok(Some((Value::List(items) | Value::Push(items), _))) = decode(&written) {
                prop_assert_eq!(items.count(), items.left);
            }
        }

        #[test]
        fn a_command_is_a_list_of_its_arguments(
            arguments in prop::collection::vec(any::<Vec<u8>>(), 1..6),
        ) {
            let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
            let mut out = b"+OK\r\n".to_vec();
            command(&mut out, &arguments);
            prop_assert!(out.len() - 5 <= command_bytes(&arguments));
            let (value, taken) = decode(&out[5..]).expect("well-formed").expect("whole");
            prop_assert_eq!(taken, out.len() - 5);
            let Value::List(items) = value else { panic!("{value:?}") };
            prop_assert_eq!(items.map(|item| item.bytes().expect("a blob")).collect::<Vec<_>>(), arguments);
        }
    }

    #[test]
    fn what_is_too_large_is_refused_as_soon_as_that_can_be_known() {
        let nested = |depth: usize| format!("{}:1\r\n", "*1\r\n".repeat(depth));
        for refused in [
            format!("${}\r\n", VALUE_BYTES_MAX + 1),
            "$99999999999999999999999\r\n".to_owned(),
            format!("*{}\r\n", ITEMS_MAX + 1),
            "%2000000000\r\n".to_owned(),
            nested(DEPTH_MAX + 1),
            "|1\r\n+a\r\n+b\r\n".repeat(DEPTH_MAX + 1),
            format!("+{}", "a".repeat(LINE_BYTES_MAX + 1)),
        ] {
            assert_eq!(decode(refused.as_bytes()), Err(Malformed), "{refused}");
        }
        assert!(matches!(decode(nested(DEPTH_MAX).as_bytes()), Ok(Some(_))));
        let longest = "a".repeat(LINE_BYTES_MAX);
        assert!(matches!(
            decode(format!("+{longest}\r\n").as_bytes()),
            Ok(Some(_))
        ));
    }

    #[test]
    fn a_list_of_small_things_is_refused_once_it_has_more_bytes_than_a_value_may_have() {
        let blob = format!("${}\r\n{}\r\n", 1000, "a".repeat(1000));
        let mut list = b"*200000\r\n".to_vec();
        while list.len() <= VALUE_BYTES_MAX {
            assert_eq!(decode(&list), Ok(None));
            for _ in 0..100 {
                list.extend_from_slice(blob.as_bytes());
            }
        }
        assert_eq!(decode(&list), Err(Malformed));
    }

    #[test]
    fn what_redis_does_not_write_is_refused() {
        for refused in [
            "HTTP/1.1 400 Bad Request\r\n",
            "\r\n",
            "$?\r\n",
            "*?\r\n",
            "$-2\r\n",
            "$+1\r\na\r\n",
            "$\r\n\r\n",
            "$1\r\nab\r\n",
            ":\r\n",
            ":1.5\r\n",
            ",x\r\n",
            "(1.5\r\n",
            "(\r\n",
            "#y\r\n",
            "_1\r\n",
            "=2\r\nab\r\n",
            "+a\rb\r\n",
        ] {
            assert_eq!(decode(refused.as_bytes()), Err(Malformed), "{refused:?}");
        }
    }
}
