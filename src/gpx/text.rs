//! The text that is in a file's bytes: unpacked, and as UTF-8. Knows nothing of what it says.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::track::{FILE_BYTES_MAX, Fault};

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
        let cause = format!("larger than {} MiB", FILE_BYTES_MAX >> 20);
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).expect("room in memory");
        encoder.finish().expect("room in memory")
    }

    fn unpacked(bytes: &[u8]) -> (Vec<u8>, bool) {
        let unpacked = unpack(bytes).expect("small enough");
        (unpacked.bytes.into_owned(), unpacked.is_damaged)
    }

    #[test]
    fn gzip_is_unpacked_and_all_else_is_left_as_it_is() {
        for bytes in [&b""[..], b"\x1f", b"text", b"\x8b\x1f"] {
            assert_eq!(unpacked(bytes), (bytes.to_vec(), false));
        }
        let packed = [gzip(b"one "), gzip(b""), gzip(b"text")].concat();
        assert_eq!(unpacked(&packed), (b"one text".to_vec(), false));
    }

    #[test]
    fn of_damaged_gzip_the_beginning_is_there_and_it_is_told() {
        let text: Vec<u8> = (0..10_000_u32)
            .flat_map(|number| number.to_be_bytes())
            .collect();
        let packed = gzip(&text);
        for at in (2..packed.len()).step_by(997) {
            let (begin, is_damaged) = unpacked(&packed[..at]);
            assert!(text.starts_with(&begin) && is_damaged, "{at}");
        }
        let half = packed.len() / 2;
        let (begin, _) = unpacked(&packed[..half]);
        assert!(begin.len() > text.len() / 4, "{} bytes", begin.len());
        // The checksum is behind all of the text.
        let mut wrong = packed.clone();
        wrong[packed.len() - 8] ^= 1;
        assert_eq!(unpacked(&wrong), (text, true));
    }

    #[test]
    fn neither_side_of_the_packing_is_larger_than_the_bound() {
        let long = vec![b' '; FILE_BYTES_MAX + 1];
        for bytes in [&long, &gzip(&long)] {
            let refused = unpack(bytes).err().map(|fault| fault.to_string());
            assert_eq!(refused.as_deref(), Some("larger than 64 MiB"));
        }
        for bytes in [&long[1..], &gzip(&long[1..])] {
            assert_eq!(unpacked(bytes).0.len(), FILE_BYTES_MAX);
        }
    }

    #[test]
    fn utf_16_and_western_encodings_are_read() {
        let text = "<?xml encoding=''?>M\u{fc}hle \u{2013} \u{20ac} \u{1f3c3}";
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [
            text.as_bytes(),
            &[b"\xfe\xff", &big[..]].concat(),
            &[b"\xff\xfe", &little[..]].concat(),
            &big,
            &little,
        ] {
            assert_eq!(decode(bytes), text);
        }
        let (text, bytes) = ("M\u{fc}hle \u{2013} \u{20ac}", b"M\xfchle \x96 \x80");
        let lossy = "M\u{fffd}hle \u{fffd} \u{fffd}";
        for (name, read) in [
            ("'ISO-8859-1'", text),
            ("\"Windows-1252\"", text),
            ("'UTF-8'", lossy),
            ("'windows-1251'", lossy),
            ("'iso-8859-15'", lossy),
        ] {
            let declaration = format!("<?xml version='1.0' encoding={name}?>");
            let file = [declaration.as_bytes(), bytes].concat();
            assert_eq!(decode(&file), declaration + read);
        }
        // What is valid UTF-8 is UTF-8, and half a character at the end spoils none before it.
        let declared = "<?xml encoding='iso-8859-1'?>\u{fc}";
        assert_eq!(decode(declared.as_bytes()), declared);
        assert_eq!(decode(b"M\xc3\xbchle \xe2\x82"), "M\u{fc}hle \u{fffd}");
        assert_eq!(decode(b"\xff\xfea\0\x3d\xd8b"), "a\u{fffd}");
    }
}
