//! Times as people write them on a command line. Knows no clock.

use std::time::Duration;

/// Longest time taken, in seconds: ten years, so that no sum with a clock's reading overflows.
const SECONDS_MAX: f64 = 10.0 * 365.0 * 86_400.0;

/// Reads `25` or `25s` (seconds), `500ms`, `10m`, `12h`; fractions are taken.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let number_bytes = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(number_bytes);
    let seconds_each = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => {
            return Err(format!(
                "{text:?} is not a time (try 25s, 500ms, 10m or 12h)"
            ));
        }
    };
    match number.parse::<f64>() {
        Ok(count) if (0.0..=SECONDS_MAX).contains(&(count * seconds_each)) => {
            Ok(Duration::from_secs_f64(count * seconds_each))
        }
        _ => Err(format!(
            "{text:?} is not a time (try 25s, 500ms, 10m or 12h)"
        )),
    }
}

/// Like [`parse`], for times that mean nothing when they are 0.
pub(crate) fn parse_above_zero(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err(format!("{text:?} must be above 0 (try 1s)")),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("25s", 25_000),
            ("25", 25_000),
            ("10m", 600_000),
            ("12h", 43_200_000),
            ("0.5", 500),
            ("0", 0),
        ] {
            assert_eq!(
                parse(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_an_example() {
        for text in ["", "s", "1x", "-1s", "1e99h", "nan", "inf", "25 s", "1s1"] {
            let refusal = parse(text).expect_err(text);
            assert!(refusal.contains("try 25s"), "{refusal}");
        }
        assert!(parse_above_zero("0ms").is_err());
    }
}
