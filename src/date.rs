//! Points in time as ISO 8601 writes them, and as numbers since the start of 1970 UTC. Knows no
//! clock.

use time::format_description::well_known::Iso8601;
use time::{OffsetDateTime, PrimitiveDateTime};

/// The end of the year 9999, in milliseconds: what lies behind it has no date of four digits.
pub(crate) const MS_MAX: u64 = 253_402_300_799_999;

/// Seconds since the start of 1970. A time without an offset is one of UTC; a date alone is none.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let time = moment(text)?;
    Some(time.unix_timestamp() as f64 + f64::from(time.nanosecond()) / 1e9)
}

/// The same in milliseconds, rounded, and none before that.
pub(crate) fn parse_ms(text: &str) -> Option<u64> {
    let ms = (moment(text)?.unix_timestamp_nanos() + 500_000).div_euclid(1_000_000);
    u64::try_from(ms).ok()
}

fn moment(text: &str) -> Option<OffsetDateTime> {
    let with_offset = OffsetDateTime::parse(text, &Iso8601::PARSING);
    let time = with_offset.or_else(|_| {
        let without = PrimitiveDateTime::parse(text, &Iso8601::PARSING);
        without.map(PrimitiveDateTime::assume_utc)
    });
    time.ok()
}

/// The number of milliseconds that is nearest to this one, if it has a date from 1970 on.
pub(crate) fn dated(ms: f64) -> Option<u64> {
    let ms = ms.round();
    (0.0..=MS_MAX as f64).contains(&ms).then_some(ms as u64)
}

/// `2026-05-01T12:00:00Z`, or with milliseconds where there are some: also what XML Schema calls a
/// dateTime. What lies behind [`MS_MAX`] is written as that.
pub(crate) fn extended(ms: u64) -> String {
    let at = split(ms);
    let fraction = match ms.min(MS_MAX) % 1000 {
        0 => String::new(),
        ms => format!(".{ms:03}"),
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{fraction}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// `20260501T120000Z`, which can stand in the name of a file anywhere.
pub(crate) fn basic(ms: u64) -> String {
    let is_separator = |c: char| c == '-' || c == ':';
    extended(ms / 1000 * 1000).replace(is_separator, "")
}

fn split(ms: u64) -> OffsetDateTime {
    let seconds = ms.min(MS_MAX) / 1000;
    OffsetDateTime::from_unix_timestamp(seconds as i64).expect("it is up to the year 9999")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_written_is_read_as_the_same() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_777_636_800_000, "2026-05-01T12:00:00Z"),
            (1_777_636_800_007, "2026-05-01T12:00:00.007Z"),
            (MS_MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(extended(ms), text);
            assert_eq!(parse(text).and_then(|s| dated(s * 1000.0)), Some(ms));
        }
        assert_eq!(extended(u64::MAX), extended(MS_MAX));
        assert_eq!(basic(1_777_636_800_007), "20260501T120000Z");
    }

    #[test]
    fn only_numbers_from_1970_to_9999_have_a_date() {
        assert_eq!(dated(1.5), Some(2));
        for ms in [-1.0, f64::NAN, f64::INFINITY, MS_MAX as f64 + 1.0] {
            assert_eq!(dated(ms), None, "{ms}");
        }
    }
}
