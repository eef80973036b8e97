//! What the manuals list of metrics, reasons and codes is what there is.

use std::collections::BTreeSet;
use std::fs;

use spectate::refusal::Code;

use crate::markdown::{Manual, PROTOCOL, SERVER, spans, top};
use crate::scratch::Scratch;
use crate::support::{Server, promtool};

/// The blocks of YAML in the operator's manual.
fn yaml_blocks() -> Vec<String> {
    let blocks = Manual::read(SERVER).blocks().into_iter();
    blocks
        .filter(|block| block.language == "yaml")
        .map(|block| block.code)
        .collect()
}

#[test]
fn prometheus_takes_the_scrape_example_and_the_alerts_of_the_manual() {
    let blocks = yaml_blocks();
    for (begin, check) in [("scrape_configs:", "config"), ("groups:", "rules")] {
        let block = blocks.iter().find(|block| block.starts_with(begin));
        let file = Scratch::new(check, block.expect(begin).as_bytes());
        let Some(said) = promtool(&["check", check, file.path()], b"") else {
            return;
        };
        assert!(said.contains("SUCCESS"), "{said}");
    }
}

/// The words of metrics in a text.
fn metric_names(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("spectate_") || word.starts_with("process_"))
        // The file of the package.
        .filter(|word| *word != "spectate_")
        .collect()
}

#[test]
fn the_manual_lists_the_metrics_that_there_are_and_its_alerts_watch_no_others() {
    // Where nothing listens: its metrics are there all the same.
    let server = Server::start(&["--bus", "redis://127.0.0.1:1"]);
    let metrics = server.get("/metrics").body;
    let heads = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let there: BTreeSet<&str> = heads.filter_map(|head| head.split(' ').next()).collect();
    let manual = Manual::read(SERVER);
    let rows = manual.section("Metrics").rows();
    let listed: BTreeSet<&str> = rows.iter().flat_map(|row| metric_names(row[0])).collect();
    assert_eq!(listed, there);
    let alerts = yaml_blocks().join("");
    assert!(metric_names(&alerts).len() >= 3, "{alerts}");
    for name in metric_names(&manual.text) {
        // What a histogram has of its durations.
        let name = name.strip_suffix("_bucket").unwrap_or(name);
        assert!(there.contains(name), "{name}");
    }
}

#[test]
fn the_manual_says_why_connections_end_in_the_words_of_the_metrics() {
    let server = Server::start(&[]);
    let metrics = server.get("/metrics").body;
    let series = "spectate_connections_closed_total{reason=\"";
    let words = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(series)?.split('"').next());
    let there: BTreeSet<String> = words.map(str::to_owned).collect();
    let manual = Manual::read(SERVER);
    let rows = manual.section("Reasons").rows();
    let listed: BTreeSet<String> = rows.iter().skip(1).flat_map(|row| spans(row[0])).collect();
    assert_eq!(listed, there);
}

/// The source files that hold this, without their comments.
fn sources_with(words: &str) -> Vec<String> {
    let (mut sources, mut folders) = (Vec::new(), vec![top().join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of ours").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                sources.push(fs::read_to_string(path).expect("a source file"));
            }
        }
    }
    sources.retain(|source| source.contains(words));
    assert!(!sources.is_empty(), "no source file holds {words}");
    for source in &mut sources {
        let lines = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        *source = lines.collect::<Vec<_>>().join("\n");
    }
    sources
}

#[test]
fn the_protocol_lists_the_codes_of_errors_that_there_are() {
    let there: BTreeSet<&str> = Code::ALL.iter().map(|code| code.word()).collect();
    let manual = Manual::read(PROTOCOL);
    let rows = manual.section("Errors").rows();
    let listed: BTreeSet<&str> = rows
        .iter()
        .skip(1)
        .map(|row| row[0].trim_matches('`'))
        .collect();
    assert_eq!(listed, there);
}

/// The numbers in a text that close codes can be (RFC 6455, 7.4).
fn close_codes(text: &str) -> BTreeSet<u16> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let numbers = words
        .filter(|word| word.len() == 4)
        .filter_map(|word| word.parse().ok());
    numbers
        .filter(|code| matches!(code, 1000..=1015 | 3000..=4999))
        .collect()
}

#[test]
fn the_protocol_lists_the_close_codes_that_there_are() {
    let sources = ["enum CloseReason", "fn close_code("]
        .map(sources_with)
        .concat();
    let there: BTreeSet<u16> = sources
        .iter()
        .flat_map(|source| close_codes(source))
        .collect();
    assert!(there.len() >= 13, "{there:?}");
    let protocol = Manual::read(PROTOCOL);
    let rows = protocol.section("Close codes").rows();
    let listed: BTreeSet<u16> = rows.iter().flat_map(|row| close_codes(row[0])).collect();
    assert_eq!(listed, there);
    let server = Manual::read(SERVER);
    let rows = server.section("Reasons").rows();
    let mut told: BTreeSet<u16> = rows.iter().flat_map(|row| close_codes(row[1])).collect();
    told.insert(1000);
    assert_eq!(told, there, "in the table of reasons");
}
