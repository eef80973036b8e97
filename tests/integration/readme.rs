//! What the texts say of commands, flags, messages and of each other holds.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;

use spectate::cli::{self, Parsed};

use crate::markdown::{Manual, PROTOCOL, README, SERVER, manuals, top};
use crate::shell::our_commands;
use crate::support::program;

const BENCH: &str = "tests/bench/README.md";

const README_LINES_MAX: usize = 160;

/// Those that have flags.
pub(crate) const SUBCOMMANDS: [&str; 7] = [
    "serve", "simulate", "watch", "record", "replay", "export", "token",
];

fn assert_parses(command: &[String], place: &str) {
    let words = ["spectate"].into_iter().map(OsString::from);
    let parsed = cli::parse(words.chain(command.iter().map(OsString::from)));
    let is_one = match &parsed {
        Parsed::Run(_) => true,
        Parsed::Print(_) => {
            command.iter().any(|word| word == "--help")
                || matches!(&*command[0], "man" | "completions")
        }
        Parsed::Refuse(_) => false,
    };
    assert!(is_one, "{place}: spectate {command:?}: {parsed:?}");
}

#[test]
fn every_command_of_ours_in_the_manuals_is_one() {
    let mut counts = BTreeMap::new();
    for manual in manuals() {
        let blocks = manual.blocks().into_iter();
        let blocks = blocks.filter(|block| matches!(&*block.language, "" | "sh" | "ini"));
        let mut commands: Vec<Vec<String>> = blocks
            .flat_map(|block| our_commands(&block.code.replace("ExecStart=", "")))
            .collect();
        let spans = manual.spans().into_iter();
        let named = spans.flat_map(|span| our_commands(&span));
        // The name of a subcommand in a sentence is nothing to type.
        commands.extend(named.filter(|command| command.len() > 1));
        for command in &commands {
            assert_parses(command, &manual.path);
        }
        counts.insert(manual.path, commands.len());
    }
    assert!(counts[README] >= 6 && counts[SERVER] >= 14, "{counts:?}");
    assert!(counts[PROTOCOL] >= 1 && counts.contains_key(BENCH));
}

/// The flags of a subcommand, each with its default as its help tells it.
pub(crate) fn flags(subcommand: &str) -> BTreeMap<String, Option<String>> {
    let output = program(&[subcommand, "--help"]).output();
    let help = String::from_utf8(output.expect("it starts").stdout).expect("UTF-8");
    let flags = help.lines().filter_map(|line| {
        let default = line.rsplit_once("[default: ").map(|(_, rest)| rest);
        let default = default.map(|rest| {
            let default = rest.split("] [possible values: ").next();
            default.unwrap_or(rest).trim_end_matches(']').to_owned()
        });
        Some((flag(line.trim_start())?.to_owned(), default))
    });
    flags.collect()
}

/// The flag with which this text begins.
fn flag(text: &str) -> Option<&str> {
    let is_of_flag = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let end = text.find(|c| !is_of_flag(c)).unwrap_or(text.len());
    (text.starts_with("--") && end > 2).then(|| &text[..end])
}

#[test]
fn the_manual_lists_the_flags_that_there_are_with_their_defaults() {
    let manual = Manual::read(SERVER);
    for subcommand in SUBCOMMANDS {
        let heading = match subcommand {
            "serve" => "Flags of `serve`".to_owned(),
            _ => format!("`{subcommand}`"),
        };
        let rows = manual.section(&heading).rows();
        let cells: BTreeMap<String, &str> = rows
            .iter()
            .filter_map(|row| Some((flag(row[0].trim_matches('`'))?.to_owned(), row[1])))
            .collect();
        let there = flags(subcommand);
        assert!(
            cells.keys().eq(there.keys()),
            "{subcommand}: {cells:?}, {there:?}"
        );
        for (name, default) in there {
            let cell = cells[&name].trim_matches('`');
            let told = default.is_none_or(|default| default.contains(' ') || default == cell);
            assert!(told, "{subcommand} {name} has another default: {cell}");
        }
    }
}

#[test]
fn no_text_names_a_flag_that_there_is_not() {
    let of_each = SUBCOMMANDS.map(|subcommand| (subcommand, flags(subcommand)));
    let bench = fs::read_to_string(top().join("tests/bench/fanout.rs")).expect("the benchmark");
    let is_of_bench = |flag: &str| {
        let name = flag.trim_start_matches('-');
        let field = format!("    {}: ", name.replace('-', "_"));
        bench.contains(&field) || bench.contains(&format!("long = \"{name}\""))
    };
    for manual in manuals() {
        // Other people's commands have flags of their own.
        let spans = manual.spans().into_iter();
        for span in spans.filter(|span| !span.starts_with("cargo ")) {
            let first = span.split(' ').next().unwrap_or_default();
            let is_one = |flag: &str| match of_each.iter().find(|(name, _)| *name == first) {
                Some((_, flags)) => flags.contains_key(flag),
                None => {
                    of_each.iter().any(|(_, flags)| flags.contains_key(flag))
                        || manual.path == BENCH && is_of_bench(flag)
                }
            };
            for flag in span.split(' ').filter_map(flag) {
                assert!(is_one(flag) || flag == "--help", "{}: {span}", manual.path);
            }
        }
    }
}

#[test]
fn the_readme_is_a_front_door() {
    let lines = Manual::read(README).text.lines().count();
    assert!(
        lines <= README_LINES_MAX,
        "{lines} lines: move some of it into a manual"
    );
}

#[test]
fn every_script_and_test_folder_that_a_text_names_is_there() {
    for manual in manuals() {
        let blocks = manual.blocks().into_iter().map(|block| block.code);
        let texts: Vec<String> = manual.spans().into_iter().chain(blocks).collect();
        let words = texts.iter().flat_map(|text| text.split_whitespace());
        for path in words.filter(|word| word.starts_with("tests/")) {
            assert!(top().join(path).exists(), "{}: {path}", manual.path);
        }
    }
    let readme = Manual::read(README);
    let scripts = readme.blocks();
    assert!(
        scripts
            .iter()
            .any(|block| block.code.contains("\ntests/run.sh "))
    );
    let rooms = Manual::read("src/README.md");
    let map = rooms.section("Map of the source").text;
    for entry in fs::read_dir(top().join("tests"))
        .expect("a folder of ours")
        .flatten()
    {
        let name = entry.file_name();
        let folder = format!("`tests/{}/`", name.to_str().expect("UTF-8"));
        let is_told = !entry.path().is_dir() || map.contains(&folder);
        assert!(is_told, "{folder} is not on the map");
    }
}

#[test]
fn every_message_in_the_texts_is_json() {
    let mut count = 0;
    for manual in manuals() {
        let blocks = manual.blocks().into_iter();
        let blocks = blocks.filter(|block| block.language == "json");
        let spans = manual.spans().into_iter();
        let spans = spans.filter(|span| span.starts_with("{\""));
        for message in blocks.map(|block| block.code).chain(spans) {
            let json = serde_json::from_str::<serde_json::Value>(&message);
            assert!(json.is_ok(), "{}: {message}", manual.path);
            count += 1;
        }
    }
    assert!(count >= 12, "{count}");
}

#[test]
fn links_between_the_texts_lead_to_files_and_headings_that_are_there() {
    let mut count = 0;
    for manual in manuals() {
        for link in manual.links() {
            if link.contains("://") {
                continue;
            }
            count += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let file = top().join(&manual.path);
            let file = match path {
                "" => file,
                path => file.parent().expect("a folder").join(path),
            };
            assert!(file.exists(), "{}: {link}", manual.path);
            if !anchor.is_empty() {
                let other = Manual::read(file.to_str().expect("UTF-8"));
                let anchors: Vec<String> = other.sections().iter().map(|s| s.anchor()).collect();
                let found = anchors.iter().filter(|other| *other == anchor).count();
                assert_eq!(found, 1, "{}: {link}: {anchors:?}", manual.path);
            }
        }
    }
    assert!(count >= 20, "{count}");
}

#[test]
fn cargo_doc_has_the_same_links_between_the_manuals() {
    for path in [PROTOCOL, SERVER] {
        let manual = Manual::read(path);
        let module = path.replace("README.md", "mod.rs");
        let module = fs::read_to_string(top().join(&module)).expect("the module");
        assert!(
            module.contains("#![doc = include_str!(\"README.md\")]"),
            "{path}"
        );
        assert!(!manual.definitions().is_empty());
        for (label, link) in manual.definitions() {
            let anchor = link.find('#').map_or("", |at| &link[at..]);
            let there = format!("//! [{label}]: crate::");
            let line = module.lines().find_map(|line| line.strip_prefix(&there));
            let line =
                line.unwrap_or_else(|| panic!("{path}: [{label}] leads nowhere in cargo doc"));
            let same = line.find('#').map_or("", |at| &line[at..]) == anchor;
            assert!(same, "{path}: [{label}] leads elsewhere in cargo doc");
        }
        for link in manual.inline_links() {
            let is_kept = link.starts_with('#') || link.contains("://");
            assert!(is_kept, "{path}: {link} leads nowhere in cargo doc");
        }
    }
}
