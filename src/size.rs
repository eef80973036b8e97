//! Amounts of memory as people write them on a command line.

/// Most bytes taken: a tebibyte, so that no sum of such overflows.
const BYTES_MAX: u64 = 1 << 40;

/// Reads `67108864` (bytes), `65536KiB` or `64MiB`; whole numbers alone.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let number_bytes = (text.find(|c: char| c.is_ascii_alphabetic())).unwrap_or(text.len());
    let (number, unit) = text.split_at(number_bytes);
    let unit_bytes = match unit {
        "" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        _ => None,
    };
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
    let count = number.parse::<u64>().ok().filter(|_| is_plain);
    (count.zip(unit_bytes))
        .and_then(|(count, unit_bytes)| count.checked_mul(unit_bytes))
        .filter(|bytes| *bytes <= BYTES_MAX)
        .ok_or_else(|| format!("{text:?} is not a size (try 67108864, 512KiB or 64MiB)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("67108864", 67_108_864),
            ("512KiB", 524_288),
            ("64MiB", 67_108_864),
            ("1048576MiB", BYTES_MAX),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_an_example() {
        for text in [
            "",
            "MiB",
            "64 MiB",
            "64MB",
            "64mib",
            "1.5MiB",
            "-1",
            "+1",
            "1GiB",
            "1048577MiB",
            "99999999999999999999",
        ] {
            let refusal = parse(text).expect_err(text);
            assert!(refusal.contains("try 67108864"), "{refusal}");
        }
    }
}
