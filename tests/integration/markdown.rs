//! What stands in a text in Markdown: blocks of code, words in code, headings, rows of tables and
//! links. Knows as much of the language as the manuals use of it.

use std::fs;
use std::path::{Path, PathBuf};

/// The front door.
pub(crate) const README: &str = "README.md";
/// The manual for authors of clients.
pub(crate) const PROTOCOL: &str = "src/protocol/README.md";
/// The manual for operators.
pub(crate) const SERVER: &str = "src/server/README.md";

/// A text of this repository.
pub(crate) struct Manual {
    /// Where it is, from the top of the repository.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A block of code.
pub(crate) struct Block {
    /// The language behind its fence; empty if there is none.
    pub(crate) language: String,
    pub(crate) code: String,
}

/// A heading, and what stands below it until the next.
pub(crate) struct Section<'t> {
    pub(crate) heading: &'t str,
    pub(crate) text: &'t str,
}

/// All of them.
pub(crate) fn manuals() -> Vec<Manual> {
    let mut manuals = vec![Manual::read(README)];
    for folder in ["src", "tests"] {
        collect(folder, &mut manuals);
    }
    manuals
}

fn collect(folder: &str, manuals: &mut Vec<Manual>) {
    for entry in fs::read_dir(top().join(folder)).expect("a folder of ours") {
        let name = entry.expect("a readable folder").file_name();
        let path = format!("{folder}/{}", name.to_str().expect("UTF-8"));
        if top().join(&path).is_dir() {
            collect(&path, manuals);
        } else if path.ends_with(".md") {
            manuals.push(Manual::read(&path));
        }
    }
}

/// The top of the repository.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

impl Manual {
    pub(crate) fn read(path: &str) -> Manual {
        let text = fs::read_to_string(top().join(path));
        Manual {
            path: path.to_owned(),
            text: text.unwrap_or_else(|error| panic!("{path}: {error}")),
        }
    }

    /// Its blocks of code, fenced or indented, and all else.
    fn split(&self) -> (Vec<Block>, String) {
        let (mut blocks, mut prose) = (Vec::<Block>::new(), String::new());
        let (mut is_fenced, mut is_indented, mut was_blank) = (false, false, true);
        for line in self.text.lines() {
            let fence = line.trim_start().strip_prefix("```");
            is_indented = !is_fenced
                && fence.is_none()
                && (was_blank || is_indented)
                && line.starts_with("    ");
            match (fence, blocks.last_mut()) {
                (Some(language), _) if !is_fenced => blocks.push(Block {
                    language: language.to_owned(),
                    code: String::new(),
                }),
                (Some(_), _) => {}
                (None, Some(block)) if is_fenced => block.code += &format!("{line}\n"),
                _ if is_indented => blocks.push(Block {
                    language: String::new(),
                    code: line.to_owned(),
                }),
                _ => prose += &format!("{line}\n"),
            }
            is_fenced ^= fence.is_some();
            was_blank = line.trim().is_empty();
        }
        assert!(!is_fenced, "{}: a block has no end", self.path);
        (blocks, prose)
    }

    pub(crate) fn blocks(&self) -> Vec<Block> {
        self.split().0
    }

    /// The words in code among its sentences.
    pub(crate) fn spans(&self) -> Vec<String> {
        spans(&self.split().1)
    }

    /// Where its links `[text](link)` go.
    pub(crate) fn inline_links(&self) -> Vec<String> {
        let prose = without_spans(&self.split().1);
        let links = prose.split("](").skip(1);
        links
            .filter_map(|rest| rest.split(')').next())
            .map(str::to_owned)
            .collect()
    }

    /// Where all its links go; each label of a link `[text][label]` is defined.
    pub(crate) fn links(&self) -> Vec<String> {
        let prose = without_spans(&self.split().1);
        let labels = prose.split("][").skip(1);
        let labelled = labels
            .filter_map(|rest| rest.split(']').next())
            .map(|label| {
                let link = self.definitions().into_iter().find(|(of, _)| *of == label);
                let link =
                    link.unwrap_or_else(|| panic!("{}: [{label}] is not defined", self.path));
                link.1.to_owned()
            });
        self.inline_links().into_iter().chain(labelled).collect()
    }

    /// What the lines `[label]: link` define.
    pub(crate) fn definitions(&self) -> Vec<(&str, &str)> {
        let lines = self.text.lines();
        lines
            .filter_map(|line| line.strip_prefix('[')?.split_once("]: "))
            .collect()
    }

    pub(crate) fn sections(&self) -> Vec<Section<'_>> {
        let mut begins = Vec::new();
        let (mut at, mut is_fenced) = (0, false);
        for line in self.text.split_inclusive('\n') {
            is_fenced ^= line.trim_start().starts_with("```");
            if !is_fenced && line.starts_with('#') {
                begins.push((at, at + line.len()));
            }
            at += line.len();
        }
        let ends = begins.iter().skip(1).map(|(begin, _)| *begin);
        let ends: Vec<usize> = ends.chain([self.text.len()]).collect();
        (begins.iter().zip(ends))
            .map(|((begin, text), end)| Section {
                heading: self.text[*begin..*text].trim_start_matches('#').trim(),
                text: &self.text[*text..end],
            })
            .collect()
    }

    /// The section with this heading.
    pub(crate) fn section(&self, heading: &str) -> Section<'_> {
        let found = self.sections().into_iter().find(|s| s.heading == heading);
        found.unwrap_or_else(|| panic!("{} has no heading {heading:?}", self.path))
    }
}

impl<'t> Section<'t> {
    /// The fragment that links to it: what GitHub and rustdoc make of the heading.
    pub(crate) fn anchor(&self) -> String {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let letters = self.heading.chars().filter(kept);
        letters.collect::<String>().to_lowercase().replace(' ', "-")
    }

    /// The rows of its tables, as cells.
    pub(crate) fn rows(&self) -> Vec<Vec<&'t str>> {
        let rows = self.text.lines().filter_map(|line| line.strip_prefix("| "));
        rows.map(|row| row.trim_end_matches(" |").split(" | ").collect())
            .collect()
    }
}

/// The words in code in a piece of text. None goes on behind an empty line.
pub(crate) fn spans(text: &str) -> Vec<String> {
    (text.split("\n\n"))
        .flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2))
        .map(|span| span.replace('\n', " "))
        .collect()
}

fn without_spans(text: &str) -> String {
    (text.split("\n\n"))
        .flat_map(|paragraph| paragraph.split('`').step_by(2))
        .collect()
}
