//! What pairs may say, name by name.

use super::*;

/// Checks pairs beside an id and coordinates, by what follows those.
fn check_pairs(cases: &[(&str, &str)]) {
    for (pairs, expected) in cases {
        let told = told(&query(&format!("id=5&lat=1&lon=2&{pairs}")));
        let expected = format!("osmand 5 lat=1 lng=2 {expected}");
        assert_eq!(told.trim_end(), expected.trim_end(), "{pairs}");
    }
}

#[test]
fn a_speed_is_in_knots_unless_it_says_or_is_known_otherwise() {
    check_pairs(&[
        ("speed=10", "speed=5.144"),
        ("speed=10&speed_unit=kn", "speed=5.144"),
        ("speed=10&speed_unit=furlong", "speed=5.144"),
        ("speed=10&speed_unit=", "speed=5.144"),
        ("speed=10.50&speed_unit=mps", "speed=10.50"),
        ("speed=10&speed_unit=kmh", "speed=2.778"),
        ("speed=10&speed_unit=mph", "speed=4.47"),
        ("speed=10&device=x", "speed=5.144"),
        ("spd=2.50", "speed=2.50"),
        ("spd_kph=36", "speed=10"),
        ("spd=3&spd_kph=36", "speed=3"),
        ("speed=-1&spd=3", "speed=3"),
        ("speed=-1&spd=-1&spd_kph=36", "speed=10"),
        ("speed=1e4", "speed=5144.444"),
        ("speed=1e300", ""),
        ("speed=1e300&speed_unit=mps", "speed=1e300"),
        ("speed=1e308&speed_unit=kmh", ""),
        ("speed=-0.0", "speed=0"),
        ("speed=fast", ""),
    ]);
    for (pairs, speed) in [
        ("latitude=1&longitude=2&device=x&speed=10", "speed=10"),
        (
            "latitude=1&longitude=2&device=x&speed=10&speed_unit=kn",
            "speed=5.144",
        ),
        ("latitude=1&longitude=2&id=x&speed=10", "speed=5.144"),
        ("lat=1&lon=2&device=x&speed=10", "speed=5.144"),
        ("latitude=1&longitude=2&device=&id=x&speed=10", "speed=10"),
    ] {
        assert_eq!(told(&query(pairs)), format!("osmand x lat=1 lng=2 {speed}"));
    }
}

#[test]
fn the_first_id_of_the_pairs_counts() {
    let names = ["id", "deviceid", "device", "userId", "ser", "aid"];
    for first in 0..names.len() {
        // Not in this order in the query.
        let pairs: Vec<String> = (names[first..].iter().rev())
            .map(|name| format!("{name}={name}"))
            .collect();
        let told = told(&query(&format!("lat=1&lon=2&{}", pairs.join("&"))));
        assert_eq!(told, format!("osmand {} lat=1 lng=2", names[first]));
    }
    for (pairs, id) in [
        ("id=&ser=&aid=22", Some("22")),
        ("id=a&id=b", Some("b")),
        ("id=%20a+b%c3%a4", Some(" a b\u{e4}")),
        ("id=5.0", Some("5.0")),
        // Not text: no id, whatever else is there.
        ("id=%ff&aid=22", Some("")),
        ("sid=7", None),
    ] {
        let posted = format!("lat=1&lon=2&{pairs}");
        let batch = read(&query(&posted)).expect(pairs);
        assert_eq!(batch.reports[0].id.as_deref(), id, "{pairs}");
    }
}

#[test]
fn coordinates_have_several_names_in_pairs() {
    for (pairs, expected) in [
        ("latitude=1&lng=2", "lat=1 lng=2"),
        ("lat=1&longitude=2&latitude=3", "lat=1 lng=2"),
        ("location=1.50,-2", "lat=1.50 lng=-2"),
        ("location=1,+2", "lat=1 lng=2"),
        ("location=3,4&lat=1&lon=2", "lat=1 lng=2"),
        ("lat=+1.50&lon=+2", "lat=1.50 lng=2"),
        ("lat=%2B1&lon=-.5", "lat=1 lng=-0.5"),
        ("lat=05&lon=5.", "lat=5 lng=5"),
        ("lat=1E1&lon=-0", "lat=1E1 lng=-0"),
        (
            "lat=1.23456789012345678901234567890123&lon=0.0000000000000000000000000000000000001",
            "lat=1.2345678901234567 lng=1e-37",
        ),
        ("lat=90&lon=-180.0", "lat=90 lng=-180.0"),
        ("lat=90.01&lon=1", "refused: lat must be from -90 to 90"),
        ("lat=1&lon=181", "refused: lng must be from -180 to 180"),
        ("lat=1e999&lon=1", "refused: lat must be a finite number"),
        ("lat=north&lon=1", "refused: lat must be a number"),
        ("lat=1&lon=NaN", "refused: lng must be a number"),
        ("lat=1&lon=1,5", "refused: lng must be a number"),
        (
            "lat=1&lon=",
            "refused: lng is missing: a position needs lat and lng",
        ),
        (
            "location=1",
            "refused: lng is missing: a position needs lat and lng",
        ),
        ("location=here,there", "refused: lat must be a number"),
    ] {
        let told = told(&query(&format!("id=5&{pairs}")));
        assert_eq!(told, format!("osmand 5 {expected}"), "{pairs}");
    }
}

#[test]
fn measures_have_several_names_in_pairs_and_what_is_unknown_is_left_out() {
    check_pairs(&[
        ("heading=1&bearing=2", "heading=2"),
        ("bearing=-1&heading=1.50", "heading=1.50"),
        ("dir=1", "heading=1"),
        ("direction=1", "heading=1"),
        ("cog=360", "heading=360"),
        ("cog=361", ""),
        ("altitude=-1.50&alt=2", "altitude=-1.50"),
        ("alt=2", "altitude=2"),
        ("alt=high", ""),
        ("accuracy=1&acc=2", "accuracy=1"),
        ("acc=2&hdop=1", "accuracy=2"),
        ("hacc=2", "accuracy=2"),
        ("acc=-1&hdop=1.5", "accuracy=7.5"),
        ("hdop=0.123456", "accuracy=0.617"),
        ("vacc=3", "altitudeAccuracy=3"),
        ("batt=100", "battery=1"),
        ("battery=12.34", "battery=0.123"),
        ("batt=-1&battery=5", "battery=0.05"),
        ("batt=100.04", ""),
        ("batt=", ""),
    ]);
}

#[test]
fn the_first_time_that_can_be_read_counts() {
    check_pairs(&[
        (
            "time=1700000001&timestamp=1700000000",
            "timestamp=1700000000000",
        ),
        (
            "timestamp=yesterday&time=1700000001",
            "timestamp=1700000001000",
        ),
        (
            "timestamp=-1&time=&timeoff=1700000002",
            "timestamp=1700000002000",
        ),
        ("timestamp=2147483647", "timestamp=2147483647000"),
        ("timestamp=2147483648", "timestamp=2147483648"),
        ("timestamp=0", "timestamp=0"),
        ("timestamp=1700000000.4567", "timestamp=1700000000457"),
        ("timestamp=1.7E9", "timestamp=1700000000000"),
        ("timestamp=1700000000000.50", "timestamp=1700000000000.50"),
        ("timestamp=1700000000000000000", ""),
        ("timestamp=1e999", ""),
    ]);
}

#[test]
fn times_are_iso_8601_with_any_offset_and_fraction() {
    for time in [
        "2026-05-01T10:00:00Z",
        "2026-05-01T10:00:00.000Z",
        "2026-05-01T12:00:00%2B02:00",
        "2026-05-01T12:00:00+02:00",
        "2026-05-01T12:00:00+0200",
        "2026-05-01T03:00:00-0700",
        "2026-05-01T12:00:00%2B02",
        "2026-05-01T10:00:00",
        "2026-05-01+10:00:00",
        "2026-05-01%2010%3A00%3A00",
        "2026-05-01+12:00:00+02:00",
        "20260501T100000Z",
        "1777629600",
        "1777629600000",
    ] {
        check_pairs(&[(&format!("timestamp={time}"), "timestamp=1777629600000")]);
    }
    for (fraction, ms) in [
        ("5", "1500"),
        ("12", "1120"),
        ("123", "1123"),
        ("1234", "1123"),
        ("1235", "1124"),
        ("123456789", "1123"),
        ("12345678901234567890123456789012345678901234567890", "1123"),
        ("99999999999999999999", "2000"),
    ] {
        let pairs = format!("time=1970-01-01T00:00:01.{fraction}Z");
        check_pairs(&[(&pairs, &format!("timestamp={ms}"))]);
    }
    for ms in 0..1000 {
        let pairs = format!("time=2025-06-15T13:45:12.{ms:03}Z");
        let expected = 1_749_995_112_000_i64 + ms;
        check_pairs(&[(&pairs, &format!("timestamp={expected}"))]);
    }
    for no_time in [
        "2026-13-01T10:00:00Z",
        "2026-05-01T10:00:00+99:00",
        "2026-05-01",
        "10:00:00",
        "1969-12-31T23:59:59Z",
        "2026-05-01T10:00:00Z or so",
        "\u{e4}\u{e4}\u{e4}\u{e4}\u{e4} 10:00:00",
    ] {
        check_pairs(&[(&format!("timestamp={no_time}"), "")]);
    }
}

#[test]
fn pairs_of_query_and_form_are_merged_and_the_forms_win() {
    for (query, form, expected) in [
        ("id=5", "lat=1&lon=2", "osmand 5 lat=1 lng=2"),
        ("id=5&lat=3&lon=4", "lat=1&lon=2", "osmand 5 lat=1 lng=2"),
        ("id=5&lat=1&lon=2", "lat=&x=y", "osmand 5 lat=1 lng=2"),
        ("lat=1&lon=2", "id=5\r\n", "osmand 5 lat=1 lng=2"),
        ("id=5", "nothing", "osmand 5 moves nobody"),
    ] {
        let posted = Posted {
            query,
            ..body(form)
        };
        assert_eq!(told(&posted), expected);
    }
}
