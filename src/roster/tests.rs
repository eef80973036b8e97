use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Vec<(String, String, Option<String>)> {
    let roster = Roster::read(text.as_bytes()).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    let entries = roster.entries().iter().cloned();
    entries
        .map(|entry| (entry.id, entry.name, entry.color))
        .collect()
}

fn row(id: &str, name: &str, color: Option<&str>) -> (String, String, Option<String>) {
    (id.to_owned(), name.to_owned(), color.map(str::to_owned))
}

fn fault(bytes: impl AsRef<[u8]>) -> Fault {
    Roster::read(bytes.as_ref()).expect_err("no roster")
}

#[test]
fn a_roster_is_read_in_the_order_of_its_lines() {
    let anna = row("5", "Anna Berg", Some("#Cc3300"));
    let joerg = row("007", "Jörg \"J\" Ö, jr.", None);
    for text in [
        "id,name,color\n5,Anna Berg,#Cc3300\n007,\"Jörg \"\"J\"\" Ö, jr.\",\n",
        "\u{feff}id,name,color\r\n5,Anna Berg,#Cc3300\r\n007,\"Jörg \"\"J\"\" Ö, jr.\",",
        "\n\r\n  \nid,name,color\n\n5,Anna Berg,#Cc3300\n \t\n\n007,\"Jörg \"\"J\"\" Ö, jr.\",\n\n\n",
        "club,color,\"name\",id\n\"a\nb\",#Cc3300,Anna Berg,5\n,,\"Jörg \"\"J\"\" Ö, jr.\",007\n",
    ] {
        assert_eq!(read(text), [anna.clone(), joerg.clone()], "{text}");
    }
    assert_eq!(read("name,id\n a , a b \n"), [row(" a b ", " a ", None)]);
    let nick = row("5", "Anna \"A\" Berg", None);
    assert_eq!(read("id,name\n5,Anna \"A\" Berg\n"), [nick]);
    let most = "ä".repeat(32);
    let text = format!("id,name\n{most},{most}\n");
    assert_eq!(read(&text), [row(&most, &most, None)]);
}

#[test]
fn a_header_alone_is_a_roster_of_nobody() {
    for text in ["id,name", "id,name\n", "\u{feff}name,color,id\r\n\r\n"] {
        assert_eq!(read(text), []);
    }
}

#[test]
fn the_header_must_name_each_column_exactly_and_once() {
    for (text, line, words) in [
        ("", 1, "header is missing"),
        ("\n\n", 1, "header is missing"),
        ("5,Anna\n", 1, "column id is missing"),
        ("id\n5\n", 1, "column name is missing"),
        ("id;name\n5;Anna\n", 1, "commas"),
        ("ID,Name\n5,Anna\n", 1, "column id is missing"),
        ("id, name\n5,Anna\n", 1, "column name is missing"),
        ("\n\nid,name,id\n5,Anna,5\n", 3, "\"id\" comes twice"),
        ("id,name,x,x\n5,Anna,,\n", 1, "\"x\" comes twice"),
    ] {
        let fault = fault(text);
        assert_eq!(fault.line, line, "{text}: {fault}");
        assert!(fault.cause.contains(words), "{text}: {fault}");
    }
}

#[test]
fn a_line_that_cannot_be_used_is_named_by_its_number() {
    let long = "x".repeat(65);
    for (row, words) in [
        ("6", "there are 1 fields, and 3 in"),
        ("6,Ben", "there are 2 fields"),
        ("6,Ben,,", "there are 4 fields"),
        ("6,Berg, Ben,", "quotation marks"),
        (",Ben,", "the id is missing"),
        ("6,,", "the name is missing"),
        ("6,\"\",", "the name is missing"),
        (&format!("{long},Ben,"), "1 to 64 bytes"),
        (&format!("6,{long},"), "1 to 64 bytes"),
        ("6,\"B\nen\",", "the name \"B\\nen\" is none"),
        ("6\u{7f},Ben,", "the id \"6\\u{7f}\" is none"),
        ("6,Ben\u{85},", "control characters"),
        ("6,Ben,red", "like #cc3300"),
        ("6,Ben,#c30", "like #cc3300"),
        ("6,Ben,#cc330g", "like #cc3300"),
        ("6,Ben, #cc3300", "like #cc3300"),
        ("5,Ben,", "\"5\" is that of line 2 too"),
        ("6,\"Ben,", "no counterpart"),
        ("6,Ben,\"x\n7,Cyd,", "no counterpart"),
        ("6,Ben,\"x\n7,Cyd,\"#cc3300", "no counterpart"),
        ("6,\"Ben\" Berg,", "no counterpart"),
    ] {
        for (end, between, line) in [
            ("\n", "", 3),
            ("\r\n", "\r\n\r\n", 5),
            ("\n", "\"8\",\"D\",\"\"\n \n", 5),
            ("\r\n", "9,E,#00ff00\r\n\n\r\n", 6),
        ] {
            let text = format!("id,name,color{end}5,Anna,{end}{between}{row}{end}");
            let fault = fault(&text);
            assert_eq!(fault.line, line, "{text:?}: {fault}");
            assert!(fault.cause.contains(words), "{text:?}: {fault}");
        }
    }
}

#[test]
fn a_row_over_several_lines_counts_them_all() {
    let text = "id,name,note\n5,Anna,\"a\r\nb\n\nc\"\n6,,\n";
    assert_eq!(fault(text).line, 6);
    let text = "id,name,note\n5,Anna,x\n6,,\"a\nb\"\n";
    assert_eq!(fault(text).line, 3);
}

#[test]
fn what_is_not_utf_8_is_refused_with_its_line() {
    let fault = fault(b"id,name\r\n5,Anna\r\n6,J\xf6rg\r\n");
    assert_eq!(
        fault.to_string(),
        "line 3: this is not UTF-8: save the file as CSV in UTF-8"
    );
    assert!(Roster::read(b"\xff\xfei\0d\0").is_err());
}

#[test]
fn cut_at_any_byte_it_is_read_or_refused_and_never_with_another_runner() {
    let text = "\u{feff}id,name,color\r\n5,\"An,na\",#00ff00\r\n\r\n6,Jörg,\r\n";
    for end in 0..text.len() {
        if let Ok(roster) = Roster::read(&text.as_bytes()[..end]) {
            let ids = roster.entries().iter().map(|entry| entry.id.as_str());
            assert!(
                ["5", "6"]
                    .into_iter()
                    .zip(ids)
                    .all(|(one, other)| one == other)
            );
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    // 1 to 64 bytes of what CSV or an id could stumble over.
    proptest::collection::vec(
        prop::sample::select(vec![
            '"',
            ',',
            ' ',
            'a',
            '5',
            ';',
            '#',
            '\u{e4}',
            '\u{1f3c3}',
        ]),
        1..17,
    )
    .prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn what_a_csv_writer_wrote_is_read_as_it_was(
        rows in proptest::collection::vec((text(), text(), "(#[0-9a-fA-F]{6})?", "[^\\x00]{0,9}"), 0..6),
        ends_in_crlf: bool,
    ) {
        let mut ids: Vec<&str> = rows.iter().map(|row| row.0.as_str()).collect();
        ids.sort_unstable();
        prop_assume!(ids.windows(2).all(|pair| pair[0] != pair[1]));
        let end = if ends_in_crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().terminator(end).from_writer(Vec::new());
        writer.write_record(["note", "color", "id", "name"]).expect("room in memory");
        for (id, name, color, note) in &rows {
            writer.write_record([note, color, id, name]).expect("room in memory");
        }
        let bytes = writer.into_inner().expect("room in memory");
        let roster = Roster::read(&bytes).expect("as it should be");
        let entries = rows.into_iter().map(|(id, name, color, _)| Entry {
            id,
            name,
            color: Some(color).filter(|color| !color.is_empty()),
        });
        prop_assert_eq!(roster.entries(), entries.collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_are_a_roster_or_refused_with_a_line_that_there_is(
        bytes in r#"(\u{feff})?id,name,color\r?\n([a5",#\n\r \u{e4}]{0,40})"#.prop_map(String::into_bytes),
        cut in 0..60_usize,
    ) {
        let bytes = &bytes[..cut.min(bytes.len())];
        match Roster::read(bytes) {
            Ok(roster) => {
                let entries = roster.entries();
                prop_assert!(entries.iter().all(|entry| is_id(&entry.id) && is_id(&entry.name)));
            }
            Err(fault) => {
                let lines = 1 + bytes.iter().filter(|byte| b"\r\n".contains(byte)).count();
                prop_assert!((1..=lines).contains(&fault.line), "{}", fault);
            }
        }
    }
}
