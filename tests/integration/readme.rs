//! What the README says of commands and flags holds for the program.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::Command;

use spectate::cli::{self, Parsed};

use crate::scratch::Scratch;
use crate::support::{Server, promtool};

const README: &str = include_str!("../../README.md");

/// The lines of the README's shell blocks.
fn shell_lines() -> Vec<&'static str> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in README.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => lines.push(line.split("  #").next().unwrap_or_default().trim()),
            _ => {}
        }
    }
    lines
}

#[test]
fn every_command_of_ours_in_the_readme_is_one() {
    let commands: Vec<&str> = shell_lines()
        .into_iter()
        .filter_map(|line| {
            line.strip_prefix("cargo run --release -- ")
                .or_else(|| line.strip_prefix("spectate "))
        })
        .collect();
    assert!(commands.len() >= 4, "{commands:?}");
    for command in commands {
        let words = ["spectate"].into_iter().chain(command.split_whitespace());
        let parsed = cli::parse(words.map(OsString::from));
        assert!(matches!(parsed, Parsed::Run(_)), "{command}: {parsed:?}");
    }
}

#[test]
fn every_script_in_the_readme_is_there() {
    let scripts: Vec<&str> = shell_lines()
        .into_iter()
        .filter(|line| line.starts_with("tests/"))
        .collect();
    assert!(scripts.contains(&"tests/run.sh"));
    for script in scripts {
        assert!(
            std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join(script)
                .exists(),
            "{script}"
        );
    }
}

/// The README's blocks of YAML.
fn yaml_blocks() -> Vec<&'static str> {
    (README.split("```yaml\n").skip(1))
        .filter_map(|rest| rest.split("```").next())
        .collect()
}

#[test]
fn prometheus_takes_the_scrape_example_and_the_alerts_of_the_readme() {
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

#[test]
fn the_alerts_of_the_readme_watch_metrics_that_there_are() {
    let server = Server::start(&[]);
    let metrics = server.get("/metrics").body;
    let alerts = yaml_blocks().join("");
    let names: BTreeSet<&str> = (alerts.split(|c: char| !c.is_alphanumeric() && c != '_'))
        .filter(|word| word.starts_with("spectate_"))
        .collect();
    assert!(names.len() >= 3, "{names:?}");
    for name in names {
        assert!(metrics.contains(&format!("# TYPE {name} ")), "{name}");
    }
}

#[test]
fn the_readme_lists_the_flags_that_there_are_with_their_defaults() {
    let output = Command::new(env!("CARGO_BIN_EXE_spectate"))
        .args(["serve", "--help"])
        .output();
    let help = String::from_utf8(output.expect("it starts").stdout).expect("UTF-8");
    let flag = |line: &str| {
        Some(
            line.trim_start()
                .strip_prefix("--")?
                .split([' ', '`'])
                .next()?
                .to_owned(),
        )
    };
    let in_help: BTreeSet<String> = help.lines().filter_map(flag).collect();
    let rows: Vec<&str> = README
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .collect();
    let in_readme: BTreeSet<String> = rows
        .iter()
        .filter_map(|row| flag(row.trim_start_matches("| `")))
        .collect();
    assert_eq!(in_readme, in_help);
    for line in help.lines().filter(|line| line.contains("[default: ")) {
        let name = flag(line).expect("a flag");
        let default = line
            .rsplit("[default: ")
            .next()
            .unwrap_or_default()
            .trim_end_matches(']');
        let row = rows
            .iter()
            .find(|row| row.contains(&format!("`--{name} ")))
            .expect("a row");
        let cell = row.split(" | ").nth(1).unwrap_or_default();
        let told = default.contains(' ') || cell.trim_matches('`') == default;
        assert!(told, "--{name} has the default {default}: {row}");
    }
}
