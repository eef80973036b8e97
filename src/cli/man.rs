//! The man page, in the language of man(7): what clap knows of subcommands and flags, and around it
//! the sections that are written by hand. Must never know what a flag does.

use clap::{Arg, Command};

/// From the description on, with a place for the subcommands.
const SECTIONS: &str = include_str!("man.roff");

/// Where in it they go.
const SUBCOMMANDS_PLACE: &str = ".\\\" The subcommands.\n";

/// One page for all subcommands.
pub(super) fn page(mut command: Command) -> String {
    command.build();
    let name = command.get_name().to_owned();
    let version = command.get_version().unwrap_or_default().to_owned();
    let about = about(&command);
    let (mut synopsis, mut subcommands) = (String::new(), String::new());
    for subcommand in command.get_subcommands_mut() {
        let usage = subcommand.render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ");
        synopsis += &format!("{}\n.br\n", escaped(usage));
        subcommands += &section(subcommand);
    }
    let synopsis = synopsis.trim_end_matches(".br\n");
    let head = format!(
        ".TH {} 1 \"\" \"{name} {version}\" \"User Commands\"\n\
         .nh\n\
         .SH NAME\n{name} \\- {about}\n\
         .SH SYNOPSIS\n{synopsis}",
        name.to_uppercase(),
    );
    head + &SECTIONS.replace(SUBCOMMANDS_PLACE, &subcommands)
}

/// What a subcommand does, and each of its arguments.
fn section(subcommand: &Command) -> String {
    let head = format!(".SS {}\n{}.\n", subcommand.get_name(), about(subcommand));
    let arguments = subcommand.get_arguments();
    // Every one has it; it is told once.
    let arguments = arguments.filter(|argument| argument.get_id() != "help");
    arguments.fold(head, |text, argument| text + &entry(argument))
}

fn about(command: &Command) -> String {
    escaped(
        &command
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default(),
    )
}

/// A flag with its value or the name of a value alone, and what it means.
fn entry(argument: &Arg) -> String {
    let mut words: Vec<String> = Vec::new();
    if let Some(long) = argument.get_long() {
        words.push(format!("\\fB{}\\fR", escaped(&format!("--{long}"))));
    }
    let takes_value = argument.get_action().takes_values();
    for name in argument.get_value_names().unwrap_or_default() {
        if takes_value {
            words.push(format!("\\fI{}\\fR", escaped(name)));
        }
    }
    let help = argument.get_help().map(ToString::to_string);
    let mut help = help.unwrap_or_default();
    let list = |values: Vec<String>| values.join(", ");
    if takes_value {
        let values = argument.get_possible_values();
        if !values.is_empty() {
            let values = values.iter().map(|value| value.get_name().to_owned());
            help += &format!(" [possible values: {}]", list(values.collect()));
        }
        let defaults = argument.get_default_values().iter();
        let defaults: Vec<String> = defaults
            .map(|value| value.to_string_lossy().into_owned())
            .collect();
        if !defaults.is_empty() {
            help += &format!(" [default: {}]", list(defaults));
        }
    }
    format!(".TP\n{}\n{}\n", words.join(" "), escaped(&help))
}

/// Text as roff takes it: shown as it is, wherever on a line it stands.
fn escaped(text: &str) -> String {
    let mut escaped = String::from(if text.starts_with('.') { "\\&" } else { "" });
    for c in text.chars() {
        match c {
            '\\' => escaped += "\\e",
            // Else typesetters take these for a hyphen and for marks above letters or around quotes.
            '-' => escaped += "\\-",
            '\'' => escaped += "\\(aq",
            '`' => escaped += "\\(ga",
            '^' => escaped += "\\(ha",
            '~' => escaped += "\\(ti",
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_roff_would_take_for_its_own_is_shown_as_it_is() {
        for (text, expected) in [
            ("--a-b", "\\-\\-a\\-b"),
            ("'*'", "\\(aq*\\(aq"),
            (".a.b", "\\&.a.b"),
            ("C:\\x ~^`", "C:\\ex \\(ti\\(ha\\(ga"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }
}
