//! The text that is in a file's bytes: unpacked, and as UTF-8. Knows nothing of what it says.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::{FILE_BYTES_MAX, Fault};

/// How gzip begins (RFC 1952, 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Where an XML declaration names an encoding at the latest, in bytes.
const DECLARATION_BYTES_MAX: usize = 256;

/// Windows-1252 from 0x80 to 0x9f, where ISO-8859-1 has control characters (WHATWG Encoding,
/// index-windows-1252).
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// A file's own bytes, or what was packed in them.
pub(super) struct Unpacked<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// Whether the packed data is cut off or wrong after these bytes.
    pub(super) is_damaged: bool,
}

/// Unpacks what is gzip by its first bytes.
///
/// # Errors
/// When either side is larger than [`FILE_BYTES_MAX`].
pub(super) fn unpack(bytes: &[u8]) -> Result<Unpacked<'_>, Fault> {
    let mut unpacked = Unpacked {
        bytes: Cow::Borrowed(bytes),
        is_damaged: false,
    };
    if bytes.starts_with(&GZIP) && bytes.len() <= FILE_BYTES_MAX {
        let mut content = Vec::new();
        let mut decoder = MultiGzDecoder::new(bytes).take(FILE_BYTES_MAX as u64 + 1);
        unpacked.is_damaged = decoder.read_to_end(&mut content).is_err();
        unpacked.bytes = Cow::Owned(content);
    }
    if unpacked.bytes.len() > FILE_BYTES_MAX {
        let cause = format!("it is larger than {} MiB", FILE_BYTES_MAX >> 20);
        return Err(Fault { line: None, cause });
    }
    Ok(unpacked)
}

/// UTF-16 if it begins as that does; otherwise UTF-8, whatever is declared, as long as it is
/// valid; otherwise the declared Windows-1252 or ISO-8859-1. In any other encoding all that a way
/// is made of is ASCII, and only names suffer.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match bytes {
        [0xff, 0xfe, text @ ..] | text @ [b'<', 0, ..] => utf_16(text, u16::from_le_bytes).into(),
        [0xfe, 0xff, text @ ..] | text @ [0, b'<', ..] => utf_16(text, u16::from_be_bytes).into(),
        _ => match str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) if is_declared_western(bytes) => {
                bytes.iter().map(|byte| western(*byte)).collect()
            }
            Err(_) => String::from_utf8_lossy(bytes),
        },
    }
}

fn utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (units, _) = bytes.as_chunks();
    let chars = char::decode_utf16(units.iter().map(|pair| unit(*pair)));
    chars
        .map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

fn is_declared_western(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(DECLARATION_BYTES_MAX)];
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let declaration = head.split("?>").next().unwrap_or_default();
    [
        "iso-8859-1\"",
        "iso-8859-1'",
        "latin1",
        "windows-1252",
        "cp1252",
    ]
    .iter()
    .any(|name| declaration.contains(name))
}

fn western(byte: u8) -> char {
    match byte {
        0x80..0xa0 => WINDOWS_1252[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}
