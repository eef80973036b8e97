//! What is said of a file that is broken, bad or too much, and what is used of it all the same.

use super::*;

#[test]
fn a_bad_point_is_dropped_and_all_of_them_are_told_in_one_line() {
    for (bad, told) in [
        (
            r#"lat="100" lon="180""#,
            "lat must be a number from -90 to 90",
        ),
        (r#"lat="" lon="8""#, "lat must be a number from -90 to 90"),
        (
            r#"lat="NaN" lon="8""#,
            "lat must be a number from -90 to 90",
        ),
        (
            r#"lat="&four;7" lon="8""#,
            "lat must be a number from -90 to 90",
        ),
        (
            "lat='\u{a0}47' lon='8'",
            "lat must be a number from -90 to 90",
        ),
        (r#"lat="47" lon="inf""#, "lon must be a number"),
        (r#"lat=47 lon="8""#, "lat is missing"),
        (r#"lon="8""#, "lat is missing"),
        (r#"lat="47""#, "lon is missing"),
        ("", "lat is missing"),
    ] {
        let bad = format!("\n<trkpt {bad}><ele>x</ele></trkpt>\n");
        let text = track(&format!(
            "\n{bad}{}",
            TWO.replace("/trkpt>", &format!("/trkpt>{bad}"))
        ));
        assert_eq!(
            flaws(&text),
            [format!("line 3: dropped 2 of 4 points: {told}")]
        );
    }
}

#[test]
fn a_bad_value_is_dropped_and_its_point_is_kept() {
    for (bad, told) in [
        ("<ele>high</ele>", "ele must be a number"),
        ("<ele>NaN</ele>", "ele must be a number"),
        (
            "<time>noon</time>",
            "time must be like 2026-05-01T12:00:00Z",
        ),
    ] {
        let good = "<ele>5</ele><time>2026-05-01T12:00:00Z</time>";
        let text = track(&format!(
            "{}\n<trkpt lat='47.01' lon='8'>\n{bad}</trkpt>",
            TWO.replace("></trkpt>", &format!(">{good}</trkpt>"))
                .replace(r#"<trkpt lat="47.01" lon="8"/>"#, "")
        ));
        let told = format!("line 3: dropped 1 of 3 elevations and times: {told}");
        assert_eq!(flaws(&text), [told]);
    }
}

#[test]
fn of_a_broken_file_what_is_complete_before_is_used_and_where_it_breaks_is_told() {
    let begin = track(TWO);
    let begin = begin
        .strip_suffix("</trkseg></trk></gpx>")
        .expect("ends so");
    for (rest, line, told) in [
        ("", 1, "the file ends before </gpx>"),
        ("</trkseg></trk>\n", 2, "the file ends before </gpx>"),
        (
            "\n<trkpt lat='9' lon='9'>",
            2,
            "the file ends before </gpx>",
        ),
        ("\n<trkpt lat='9' lon='9", 2, "attribute value not closed"),
        ("\n\n</trk></trkseg></gpx>", 3, "expected `</trkseg>`"),
        (
            "\n<trkpt lat='9' lon='9'><ele></trkpt></trkseg></trk></gpx>",
            2,
            "expected `</ele>`",
        ),
        ("\n<!-- </trkseg></trk></gpx>", 2, "comment not closed"),
        ("\n<!x></trkseg></trk></gpx>", 2, "unknown or missed symbol"),
    ] {
        let text = format!("{begin}{rest}");
        let flaws = flaws(&text);
        let [flaw] = &flaws[..] else {
            panic!("{text}: {flaws:?}");
        };
        assert!(
            flaw.starts_with(&format!("line {line}: ")),
            "{text}: {flaw}"
        );
        assert!(flaw.contains(told), "{text}: {flaw}");
        assert!(
            flaw.ends_with(": only what is complete before is used"),
            "{flaw}"
        );
    }
}

#[test]
fn a_file_cut_off_at_any_byte_has_no_point_that_the_whole_does_not_have() {
    let point = |number: u32| {
        format!(
            "<trkpt lat='{number}.25' lon='1{number}'><ele>1{number}0</ele>\
             <time>2026-05-01T10:00:0{number}Z</time><name>\u{e4}{number}</name></trkpt>\n"
        )
    };
    let (first, second): (String, String) =
        ((1..4).map(point).collect(), (4..7).map(point).collect());
    let text = gpx(&format!(
        "<trk><name>way</name><trkseg>{first}</trkseg><trkseg>{second}</trkseg></trk>"
    ));
    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for bytes in [text.clone().into_bytes(), utf_16, gzip(text.as_bytes())] {
        let whole = flawless(&bytes);
        let mut lengths = Vec::new();
        for at in 0..bytes.len() {
            let Ok(gpx) = read(&bytes[..at]) else {
                lengths.push(0);
                continue;
            };
            let points = gpx.tracks[0].points();
            assert!(whole.points().starts_with(points), "{at}: {points:?}");
            let is_complete = points.len() == 6 && gpx.flaws.is_empty();
            assert!(is_complete != (gpx.flaws.len() == 1), "{at}: {gpx:?}");
            lengths.push(points.len());
        }
        assert!(
            lengths.is_sorted() && lengths.ends_with(&[6]),
            "{lengths:?}"
        );
    }
    let cuts = (0..text.len()).filter_map(|at| read(&text.as_bytes()[..at]).ok());
    let mut lengths: Vec<usize> = cuts.map(|gpx| gpx.tracks[0].points().len()).collect();
    lengths.dedup();
    assert_eq!(lengths, [2, 3, 4, 5, 6]);
}

#[test]
fn what_was_packed_is_read_and_told_when_it_is_damaged() {
    let text = track(TWO);
    let packed = gzip(text.as_bytes());
    assert_eq!(places(&flawless(&packed)), PLACES);
    for damaged in [
        [&packed[..packed.len() - 1], b""].concat(),
        [&packed[..], b"\0\0"].concat(),
    ] {
        let gpx = read(&damaged).expect("all of it");
        assert_eq!(places(&gpx.tracks[0]), PLACES);
        let told = gpx.flaws[0].to_string();
        assert!(told.contains("gzip data is cut off or damaged"), "{told}");
    }
    let nothing = refused(&packed[..10]);
    assert_eq!(nothing, "line 1: the gzip data is cut off or damaged");
}

#[test]
fn a_refusal_names_line_and_cause() {
    let nothing = "no track or route with two different points";
    for (text, told) in [
        ("", "line 1: the file ends before <gpx>"),
        ("hello\n", "line 2: the file ends before <gpx>"),
        (
            "\n<html><body/></html>",
            "line 2: the outermost element is <html>, not <gpx>",
        ),
        (&gpx(""), nothing),
        (
            &gpx("<wpt lat='1' lon='1'/><wpt lat='2' lon='1'/>"),
            nothing,
        ),
        (
            &track("<trkpt lat='1' lon='1'/><trkpt lat='1' lon='361'/>"),
            nothing,
        ),
        (
            &track("\n\n<trkpt lat='91' lon='1'/>"),
            &format!(
                "line 3: dropped 1 of 1 points: lat must be a number from -90 to 90: {nothing}"
            ),
        ),
        (
            "<gpx>\n<trk><trkseg>",
            &format!("line 2: the file ends before </gpx>: {nothing}"),
        ),
        (
            "<gpx>\n\n<trk></gpx>",
            &format!(
                "line 3: ill-formed document: expected `</trk>`, but `</gpx>` was found: {nothing}"
            ),
        ),
    ] {
        assert_eq!(refused(text.as_bytes()), told);
    }
    let binary: Vec<u8> = (0..=255).collect();
    assert!(refused(&binary).starts_with("line "));
    let long = refused(format!("<{}>", "x".repeat(1_000_000)).as_bytes());
    assert!(long.len() < 300, "{} bytes", long.len());
}

#[test]
fn a_file_is_read_up_to_its_bounds() {
    let long = vec![b' '; FILE_BYTES_MAX + 1];
    assert_eq!(refused(&long), "larger than 64 MiB");
    assert_eq!(refused(&long[1..]), "line 1: the file ends before <gpx>");
    let point = "<trkpt lat='1' lon='1'/>\n";
    let text = track(&format!("{TWO}\n{}", point.repeat(POINTS_MAX - 1)));
    let gpx = read(text.as_bytes()).expect("many points");
    assert_eq!(gpx.tracks[0].points().len(), POINTS_MAX);
    let told =
        "line 1000000: there are more than 1000000 points: only what is complete before is used";
    assert_eq!(gpx.flaws[0].to_string(), told);
}

/// In the square of its length, each of these would take minutes.
#[test]
fn nothing_takes_more_than_its_length() {
    const TIMES: usize = 100_000;
    for (begin, part) in [
        ("", "<a>"),
        ("", "<"),
        ("", "<!"),
        ("", "&"),
        ("<!DOCTYPE gpx [", "<"),
        ("<!DOCTYPE gpx [", "<!ENTITY a '&a;&a;'>"),
        ("<!--", "--"),
        ("<gpx>", "<a>"),
        ("<gpx>", "</a>"),
        ("<gpx>", "<!-- -->"),
        ("<gpx><trk><name>", "&"),
        ("<gpx><trk><name>", "&#65;&b;"),
        ("<gpx><trk><name>", "<![CDATA[]]>"),
        ("<gpx><trk>", "<name>x</name>"),
        ("<gpx><trk><trkseg>", "<trkpt>"),
        ("<gpx><trk><trkseg>", "<trkpt lat='1' lon='1'/>"),
        ("<gpx><trk><trkseg>", "<trkpt lat='x'/>"),
        ("<gpx><trk><trkseg>", "</trkseg><trkseg>"),
        ("<gpx>", "<trk></trk><rte></rte>"),
        ("<gpx><trk><trkseg><trkpt ", "lat='1' "),
        ("<gpx><trk><trkseg><trkpt ", "a@='1' "),
        ("<gpx><trk><trkseg><trkpt ", "= "),
        ("<gpx><trk><trkseg><trkpt lat='", "&lt;"),
        ("<gpx><trk><trkseg><trkpt lat='", "1"),
        ("<gpx><trk><trkseg><trkpt lat='1' lon='1'><ele>", "1"),
        (
            "<gpx><trk><trkseg><trkpt lat='1' lon='1'><time>2026-05-01T10:00:00.",
            "1",
        ),
    ] {
        let begun = Instant::now();
        let parts = (0..TIMES).map(|number| part.replace('@', &number.to_string()));
        let text = begin.to_owned() + &parts.collect::<String>();
        refused(text.as_bytes());
        refused(format!("{text}'></ele></time></trkpt></trkseg></trk></gpx>").as_bytes());
        assert!(begun.elapsed() < Duration::from_secs(20), "{begin} {part}");
    }
}

#[test]
fn deep_nesting_is_a_break_like_any_other() {
    let deep = "<a>".repeat(300);
    let told = flaws(&track(&format!("{TWO}\n{deep}")));
    let [told] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(
        told.starts_with("line 2: more than 256 elements in each other"),
        "{told}"
    );
}
