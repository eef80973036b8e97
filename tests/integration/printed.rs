//! The man page and the completions, as the program prints them: that they hold all that there is,
//! and that those who read them can.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::needs;
use crate::readme::{SUBCOMMANDS, flags};
use crate::scratch::Scratch;
use crate::support::program;

/// What the program prints, and nothing on stderr.
fn printed(arguments: &[&str]) -> String {
    let output = program(arguments).output().expect("it starts");
    assert!(output.status.success() && output.stderr.is_empty());
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What a program says, which must be a success.
pub(crate) fn said(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("it starts");
    let said = String::from_utf8([stdout, stderr].concat()).expect("UTF-8");
    assert!(status.success(), "{command:?}: {said}");
    said
}

#[test]
fn the_man_page_names_every_subcommand_and_every_flag() {
    let page = printed(&["man"]);
    let shown = page.replace("\\-", "-");
    for subcommand in SUBCOMMANDS
        .into_iter()
        .chain(["lookup", "man", "completions"])
    {
        let (_, section) = shown
            .split_once(&format!(".SS {subcommand}\n"))
            .unwrap_or_else(|| panic!("{subcommand} has no section"));
        let section = section.split("\n.S").next().unwrap_or_default();
        for (flag, default) in flags(subcommand)
            .into_iter()
            .filter(|(flag, _)| flag != "--help")
        {
            let entry = section
                .split(".TP\n")
                .find(|entry| entry.starts_with(&format!("\\fB{flag}\\fR")));
            let entry = entry.unwrap_or_else(|| panic!("{subcommand} {flag}"));
            let default = default.map(|default| format!("[default: {default}]"));
            let has_default = default.is_none_or(|default| entry.contains(&default));
            assert!(has_default, "{entry}");
        }
    }
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "ENVIRONMENT",
        "\"EXIT STATUS\"",
        "FILES",
        "SIGNALS",
    ] {
        assert_eq!(
            page.matches(&format!("\n.SH {section}\n")).count(),
            1,
            "{section}"
        );
    }
}

#[test]
fn mandoc_finds_nothing_to_say_against_the_man_page_but_that_it_has_no_date() {
    let Some(mandoc) = needs::program(&["mandoc"], "mandoc") else {
        return;
    };
    let page = Scratch::new("spectate.1", printed(&["man"]).as_bytes());
    let output = Command::new(mandoc)
        .args(["-T", "lint", "-W", "warning", page.path()])
        .output()
        .expect("it starts");
    let lines = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    let lines: Vec<&str> = lines.lines().collect();
    assert!(
        matches!(lines[..], [line] if line.contains("missing date")),
        "{lines:?}"
    );
}

#[test]
fn each_shell_reads_its_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Scratch::new(shell, printed(&["completions", shell]).as_bytes());
        let Some(program) = needs::program(&[shell], shell) else {
            continue;
        };
        let said = said(Command::new(program).args(["-n", script.path()]));
        assert_eq!(said, "", "{shell}");
    }
}

#[test]
fn bash_and_fish_complete_a_flag() {
    let bash = "source /dev/stdin; COMP_WORDS=(spectate serve --tls-) COMP_CWORD=2
        _spectate spectate --tls- serve; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let fish = "source; complete -C 'spectate serve --tls-'";
    for (shell, script) in [("bash", bash), ("fish", fish)] {
        let Some(program) = needs::program(&[shell], shell) else {
            continue;
        };
        let completions = Scratch::new("completions", printed(&["completions", shell]).as_bytes());
        let stdin = fs::File::open(completions.path()).expect("our file");
        let said = said(Command::new(program).args(["-c", script]).stdin(stdin));
        // fish tells what each is for.
        let words = said.lines().filter_map(|line| line.split('\t').next());
        let mut words: Vec<&str> = words.collect();
        words.sort_unstable();
        let expected = ["--tls-cert-file", "--tls-key-file", "--tls-listen"];
        assert_eq!(words, expected, "{shell}");
    }
}

/// How it ends when its stdout is this.
fn written_to(stdout: impl Into<Stdio>, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = program(arguments);
    command.stdout(stdout).stderr(Stdio::piped());
    let output = command.output().expect("it starts");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    (output.status.code(), stderr)
}

#[test]
fn who_reads_no_further_ends_it_well_and_a_full_disk_does_not() {
    for arguments in [&["man"][..], &["completions", "bash"], &["serve", "--help"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ended = written_to(writer, arguments);
        assert_eq!(ended, (Some(0), String::new()), "{arguments:?}");
        let full = fs::File::options().write(true).open("/dev/full");
        let (code, line) = written_to(full.expect("full(4)"), arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {line}");
        let begin = "spectate: cannot write to stdout: ";
        assert!(line.starts_with(begin), "{line}");
    }
}
