//! Lines of shell, as far as the manuals write them: which of our commands they run.

/// The commands that lines of shell hold, each as its words. Quotes are taken off; comments,
/// redirections and variables in front are left out.
fn commands(lines: &str) -> Vec<Vec<String>> {
    let lines = lines.replace("\\\n", " ");
    let (mut commands, mut words, mut word) = (Vec::new(), Vec::new(), None::<String>);
    let (mut quote, mut is_redirected) = (None, false);
    let mut chars = lines.chars().chain(['\n']);
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => {
                chars.by_ref().take_while(|c| *c != '\n').for_each(drop);
                commands.push(std::mem::take(&mut words));
            }
            (None, ' ' | '\n' | '|' | '&' | ';' | '(' | ')' | '<' | '>') => {
                if let Some(word) = word.take()
                    && !std::mem::take(&mut is_redirected)
                {
                    words.push(word);
                }
                match c {
                    ' ' => {}
                    '<' | '>' => is_redirected = true,
                    _ => commands.push(std::mem::take(&mut words)),
                }
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    commands.retain(|words| !words.is_empty());
    commands
}

/// The arguments of each command of ours, however it is started.
pub(crate) fn our_commands(lines: &str) -> Vec<Vec<String>> {
    let ours = |words: Vec<String>| {
        let mut words = words
            .into_iter()
            .skip_while(|word| word == "sudo" || is_assignment(word));
        let program = words.next()?;
        if program.rsplit('/').next() == Some("spectate") {
            return Some(words.collect());
        }
        (program == "cargo" && words.next()? == "run")
            .then(|| words.skip_while(|word| word != "--").skip(1).collect())
    };
    commands(lines).into_iter().filter_map(ours).collect()
}

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map_or("", |(name, _)| name);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

#[test]
fn our_commands_are_found_wherever_they_stand() {
    for (lines, expected) in [
        ("spectate serve # the server", vec!["serve"]),
        (
            "# spectate serve\ntarget/release/spectate watch 5",
            vec!["watch 5"],
        ),
        (
            "cargo run --release -- token --sub 'a b' > file",
            vec!["token --sub a b"],
        ),
        (
            "(umask 077; spectate serve --a \\\n  b) &",
            vec!["serve --a b"],
        ),
        (
            "SPECTATE_DRAIN=1s sudo /usr/bin/spectate serve",
            vec!["serve"],
        ),
        (
            "spectate token --a < in|(cat > spectate.token)",
            vec!["token --a"],
        ),
        (
            "curl http://spectate/ && spectate watch 5#6",
            vec!["watch 5#6"],
        ),
        ("cargo bench -- ring; echo \"spectate serve\"", vec![]),
    ] {
        let found: Vec<String> = our_commands(lines).iter().map(|c| c.join(" ")).collect();
        assert_eq!(found, expected, "{lines}");
    }
}
