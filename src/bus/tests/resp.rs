//! The codec against whoever has time, and against those who mean it ill.

use proptest::prelude::*;

use crate::bus::resp::*;
use crate::bus::skip::Skip;

/// A value with all that is in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tree {
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
    pub(super) fn written(&self) -> Vec<u8> {
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

pub(super) fn tree() -> impl Strategy<Value = Tree> {
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
    fn a_value_is_passed_over_to_its_last_byte_wherever_it_is_cut(tree in tree(), more: Vec<u8>) {
        let written = tree.written();
        let followed = [&written[..], &more].concat();
        for cut in 0..written.len() {
            let mut skip = Skip::new();
            let first = skip.pass(&written[..cut]).expect("well-formed");
            prop_assert!(first <= cut && !skip.is_over(), "cut at {}", cut);
            let second = skip.pass(&followed[first..]).expect("well-formed");
            prop_assert!(skip.is_over());
            prop_assert_eq!(first + second, written.len(), "cut at {}", cut);
            let (value, _) = decode(&written).expect("well-formed").expect("whole");
            prop_assert_eq!(skip.is_push(), matches!(value, Value::Push(_)));
        }
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
        let _ = Skip::new().pass(&bytes);
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
    for too_large in [
        format!("${}\r\n", VALUE_BYTES_MAX + 1),
        format!("${SIZE_MAX}\r\n"),
        format!("*{}\r\n", ITEMS_MAX + 1),
    ] {
        let refused = decode(too_large.as_bytes());
        assert_eq!(refused, Err(Refused::TooLarge), "{too_large}");
    }
    for refused in [
        format!("${}\r\n", SIZE_MAX + 1),
        "$99999999999999999999999\r\n".to_owned(),
        "%2000000000\r\n".to_owned(),
        nested(DEPTH_MAX + 1),
        "|1\r\n+a\r\n+b\r\n".repeat(DEPTH_MAX + 1),
        format!("+{}", "a".repeat(LINE_BYTES_MAX + 1)),
    ] {
        assert_eq!(
            decode(refused.as_bytes()),
            Err(Refused::Malformed),
            "{refused}"
        );
    }
    let too_deep = Skip::new().pass(nested(DEPTH_MAX + 1).as_bytes());
    assert_eq!(too_deep, Err(Malformed));
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
    assert_eq!(decode(&list), Err(Refused::TooLarge));
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
        assert_eq!(
            decode(refused.as_bytes()),
            Err(Refused::Malformed),
            "{refused:?}"
        );
    }
}
