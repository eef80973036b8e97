//! The rooms of `src/` import only what stands below them, and do only what is theirs to do. The
//! map is in the documentation of the crate.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file: where it is below `src/`, all of its code, and its code without its own tests.
/// Comments are left out, and so are the contents of strings.
struct Source {
    path: String,
    code: String,
    untested: String,
}

impl Source {
    /// The modules of this crate that it names. `super` counts as `server` in `server/`.
    fn rooms(&self) -> BTreeSet<String> {
        let module = self.path.trim_end_matches("/mod.rs");
        let folder = module.rsplit_once('/').map(|(folder, _)| folder);
        let mut rooms = BTreeSet::new();
        for (prefix, within) in [("crate::", None), ("super::", folder), ("spectate::", None)] {
            for (at, _) in self.untested.match_indices(prefix) {
                if self.untested[..at].ends_with(is_word) {
                    continue;
                }
                for name in names(&self.untested[at + prefix.len()..]) {
                    rooms.insert(match within {
                        Some(folder) => format!("{folder}/{name}"),
                        None => name,
                    });
                }
            }
        }
        rooms
    }

    /// The other crates that its `use` lines name.
    fn crates(&self) -> BTreeSet<String> {
        let ours = ["crate", "super", "self", "spectate"];
        self.untested
            .lines()
            .filter_map(|line| {
                line.trim_start()
                    .strip_prefix("pub ")
                    .or(Some(line.trim_start()))
            })
            .filter_map(|line| line.strip_prefix("use "))
            .filter_map(|path| path.split([':', ' ', ';']).next())
            .filter(|name| !ours.contains(name) && !self.says(&format!("mod {name};")))
            .map(str::to_owned)
            .collect()
    }

    /// Whether the code names this as a whole word.
    fn says(&self, word: &str) -> bool {
        says(&self.untested, word)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn says(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let begins = !word.starts_with(is_word) || !code[..at].ends_with(is_word);
        let ends = !word.ends_with(is_word) || !code[at + word.len()..].starts_with(is_word);
        begins && ends
    })
}

/// The first names of `a::b`, or of each in `{a::b, c}`.
fn names(path: &str) -> Vec<String> {
    let first =
        |path: &str| -> String { path.trim().chars().take_while(|c| is_word(*c)).collect() };
    let Some(list) = path.strip_prefix('{') else {
        return vec![first(path)];
    };
    let (mut depth, mut names, mut begin) = (0, Vec::new(), 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                names.push(first(&list[begin..at]));
                begin = at + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Takes comments and the contents of strings out.
fn strip(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        let mut in_string = false;
        let mut before = ' ';
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' if before != '\\' && before != '\'' => {
                    in_string = !in_string;
                    code.push(c);
                }
                '/' if !in_string && chars.peek() == Some(&'/') => break,
                _ if in_string => {}
                _ => code.push(c),
            }
            before = if c == '\\' && before == '\\' { ' ' } else { c };
        }
        code.push('\n');
    }
    code
}

fn sources() -> Vec<Source> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => collect(&path, files),
                false if path.extension().is_some_and(|ending| ending == "rs") => files.push(path),
                false => {}
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    assert!(files.len() > 10, "{files:?}");
    files
        .iter()
        .map(|file| {
            let text = fs::read_to_string(file).expect("UTF-8");
            let is_test = file.ends_with("tests.rs");
            let untested = match text.split_once("#[cfg(test)]\nmod tests") {
                _ if is_test => "",
                Some((before, _)) => before,
                None => &text,
            };
            Source {
                path: file
                    .strip_prefix(&root)
                    .expect("below")
                    .display()
                    .to_string(),
                untested: strip(untested),
                code: strip(&text),
            }
        })
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What each room may name: rooms of this crate, and other crates.
const ROOMS: [(&str, &[&str], &[&str]); 48] = [
    ("position.rs", &[], &["std"]),
    ("queue.rs", &[], &["std"]),
    ("duration.rs", &[], &["std"]),
    (
        "protocol/mod.rs",
        &["auth", "position"],
        &["std", "serde", "serde_json"],
    ),
    ("protocol/refusal.rs", &["position"], &["std"]),
    (
        "protocol/geojson.rs",
        &[
            "position",
            "protocol/ClientMessage",
            "protocol/Publication",
            "protocol/decode",
        ],
        &[],
    ),
    ("hub.rs", &["position", "queue"], &["std", "slab"]),
    ("hub/audience.rs", &["hub/Hub"], &["std"]),
    (
        "hub/last_known.rs",
        &[
            "hub/Hub",
            "hub/Now",
            "hub/RunnerKey",
            "hub/member",
            "position",
        ],
        &["std"],
    ),
    ("hub/member.rs", &["position"], &["std"]),
    (
        "hub/presence.rs",
        &["hub/Hub", "hub/RunnerKey", "position"],
        &["std"],
    ),
    ("logger.rs", &[], &["std", "log", "rustix", "simple_logger"]),
    (
        "cli.rs",
        &["server", "client", "simulate"],
        &["std", "clap"],
    ),
    (
        "main.rs",
        &["cli", "client", "server", "simulate"],
        &["std"],
    ),
    ("server/close.rs", &["auth"], &["std", "tungstenite"]),
    ("server/frames.rs", &[], &["tungstenite"]),
    ("server/marks.rs", &["queue"], &[]),
    (
        "server/outbox.rs",
        &["server/frames", "server/marks"],
        &["std"],
    ),
    (
        "server/http.rs",
        &[
            "auth",
            "server/conditions",
            "server/origin",
            "server/pages",
            "server/query",
            "server/response",
        ],
        &["httparse", "tungstenite"],
    ),
    (
        "server/response.rs",
        &["auth", "server/conditions", "server/pages"],
        &["std"],
    ),
    ("server/conditions.rs", &[], &[]),
    ("server/origin.rs", &[], &["std"]),
    (
        "server/pages/mod.rs",
        &[],
        &["std", "data_encoding", "flate2", "ring", "tiles"],
    ),
    // Beside it, not above.
    ("server/pages/map.rs", &["server/tiles"], &["std"]),
    ("server/pages/tiles.rs", &[], &[]),
    ("server/query.rs", &[], &["percent_encoding"]),
    (
        "server/reader.rs",
        &["server/close", "server/http"],
        &["std", "tungstenite"],
    ),
    (
        "server/connection.rs",
        &[
            "server/close",
            "server/frames",
            "server/http",
            "server/outbox",
            "server/reader",
            "server/response",
        ],
        &["std", "tungstenite"],
    ),
    (
        "server/connections.rs",
        &["auth", "server/connection", "server/rate"],
        &["std", "mio", "slab"],
    ),
    (
        "server/metrics.rs",
        &["server/close", "position", "server/process"],
        &["std"],
    ),
    ("server/process.rs", &[], &["std", "rustix"]),
    ("server/rate.rs", &[], &["std"]),
    ("server/drain.rs", &["server/connections"], &["std"]),
    ("server/limits.rs", &[], &["std", "rustix"]),
    ("server/listen.rs", &[], &["std", "mio", "socket2"]),
    ("simulate/course/mod.rs", &[], &[]),
    (
        "simulate/course/recording.rs",
        &[
            "simulate/course/Course",
            "simulate/course/Waypoint",
            "simulate/course/distance_m",
        ],
        &["std"],
    ),
    ("simulate/lake.rs", &["simulate/course"], &[]),
    (
        "simulate/course/motion.rs",
        &[
            "client",
            "position",
            "simulate/course/Course",
            "simulate/course/wander",
        ],
        &["std"],
    ),
    (
        "simulate/joggers.rs",
        &["simulate/course", "simulate/lake"],
        &["std"],
    ),
    (
        "simulate/course/track.rs",
        &[
            "client",
            "simulate/course/Course",
            "simulate/course/Waypoint",
            "simulate/course/recording",
        ],
        &["std", "gpx", "time"],
    ),
    ("simulate/descriptors.rs", &["client"], &["std", "rustix"]),
    (
        "client/credentials.rs",
        &["auth", "duration", "client/tell", "client/unix_ms"],
        &["std", "clap"],
    ),
    (
        "simulate/demo.rs",
        &[
            "client",
            "simulate/crowd",
            "simulate/joggers",
            "simulate/lake",
        ],
        &["std", "tungstenite"],
    ),
    (
        "simulate/crowd.rs",
        &["client", "simulate/descriptors"],
        &["std", "mio", "tungstenite"],
    ),
    (
        "simulate/check.rs",
        &[
            "client",
            "simulate/crowd",
            "simulate/faults",
            "simulate/ledger",
            "simulate/progress",
            "simulate/schedule",
        ],
        &["std", "tungstenite"],
    ),
    ("simulate/schedule.rs", &[], &["std"]),
    (
        "server/demo.rs",
        &["server/Config", "server/Server"],
        &["std", "log"],
    ),
];

#[test]
fn each_room_names_only_what_stands_below_it() {
    let sources = sources();
    for (path, rooms, crates) in ROOMS {
        let Some(source) = sources.iter().find(|source| source.path == path) else {
            panic!("there is no src/{path}");
        };
        let beyond: Vec<_> = source.rooms().difference(&set(rooms)).cloned().collect();
        assert!(beyond.is_empty(), "src/{path} names {beyond:?}");
        let beyond: Vec<_> = source.crates().difference(&set(crates)).cloned().collect();
        assert!(beyond.is_empty(), "src/{path} uses {beyond:?}");
    }
}

#[test]
fn server_client_and_simulate_do_not_know_who_stands_beside_or_above_them() {
    for source in sources() {
        let rooms = source.rooms();
        for (folder, unknown) in [
            ("server/", &["cli", "client", "simulate"][..]),
            ("client/", &["cli", "server", "simulate"]),
            ("simulate/", &["cli", "server"]),
        ] {
            if source.path.starts_with(folder) {
                for room in unknown {
                    assert!(!rooms.contains(*room), "src/{} names {room}", source.path);
                }
            }
        }
        if source.path != "main.rs" {
            assert!(!rooms.contains("cli"), "src/{} names cli", source.path);
        }
    }
}

#[test]
fn pure_rooms_see_no_sockets_clocks_or_log() {
    let sources = sources();
    for (path, unseen) in [
        (
            "position.rs",
            &["net", "io", "time", "log", "serde_json"][..],
        ),
        ("queue.rs", &["net", "io", "time", "log"]),
        ("protocol/mod.rs", &["net", "time", "log", "mio", "slab"]),
        (
            "protocol/refusal.rs",
            &["net", "time", "log", "mio", "slab"],
        ),
        (
            "protocol/geojson.rs",
            &["net", "time", "log", "mio", "slab"],
        ),
        ("hub.rs", &["net", "io", "log", "mio", "serde_json"]),
        (
            "simulate/course/mod.rs",
            &["net", "io", "time", "log", "mio"],
        ),
        (
            "simulate/course/recording.rs",
            &["net", "io", "time", "log", "mio"],
        ),
        ("simulate/lake.rs", &["net", "io", "time", "log", "mio"]),
        (
            "simulate/course/motion.rs",
            &["net", "io", "time", "log", "mio"],
        ),
        ("simulate/joggers.rs", &["net", "io", "time", "log", "mio"]),
        ("server/demo.rs", &["mio", "hub"]),
        (
            "hub/audience.rs",
            &["net", "io", "log", "mio", "serde_json"],
        ),
        (
            "hub/last_known.rs",
            &["net", "io", "log", "mio", "serde_json"],
        ),
        ("hub/member.rs", &["net", "io", "log", "mio", "serde_json"]),
        (
            "hub/presence.rs",
            &["net", "io", "log", "mio", "serde_json"],
        ),
        ("server/marks.rs", &["mio", "hub", "net", "time", "log"]),
        ("server/http.rs", &["mio", "hub", "net", "time", "log"]),
        ("server/response.rs", &["mio", "hub", "net", "time", "log"]),
        (
            "server/pages/map.rs",
            &["mio", "hub", "net", "time", "log", "fs"],
        ),
        ("server/frames.rs", &["mio", "hub", "net", "time", "log"]),
        ("server/outbox.rs", &["mio", "hub", "net", "time", "log"]),
        ("server/close.rs", &["mio", "hub", "net", "time", "log"]),
        (
            "server/connection.rs",
            &["mio", "hub", "slab", "net", "log"],
        ),
        ("server/reader.rs", &["mio", "hub", "slab", "net", "log"]),
        ("server/drain.rs", &["mio", "net", "log"]),
        ("server/rate.rs", &["mio", "hub", "net", "log"]),
        ("server/mod.rs", &["serde_json", "httparse"]),
        ("server/apply.rs", &["serde_json", "mio"]),
    ] {
        let source = sources.iter().find(|source| source.path == path);
        let source = source.unwrap_or_else(|| panic!("there is no src/{path}"));
        for word in unseen {
            assert!(
                !source.says(&format!("{word}::")),
                "src/{path} names {word}"
            );
        }
    }
}

#[test]
fn auth_knows_of_this_crate_nothing_but_user_ids_and_touches_the_machine_in_one_file() {
    let sources = sources();
    let auth: Vec<&Source> = sources
        .iter()
        .filter(|source| source.path.starts_with("auth/"))
        .collect();
    assert!(!auth.is_empty());
    for source in auth {
        let mut rooms = source.rooms();
        rooms.retain(|room| !room.starts_with("auth/"));
        rooms.remove("position");
        assert!(rooms.is_empty(), "src/{} names {rooms:?}", source.path);
        let reads_files = source.path == "auth/files.rs";
        for word in ["net", "time", "log", "mio", "env", "process"] {
            assert!(
                !source.says(&format!("{word}::")),
                "src/{} names {word}",
                source.path
            );
        }
        for word in ["fs::", "io::", "File"] {
            let found = source.says(word);
            assert!(!found || reads_files, "src/{} says {word}", source.path);
        }
    }
}

#[test]
fn the_clock_is_read_by_the_servers_loop_and_by_clients_alone() {
    let mut reads = 0;
    for source in sources() {
        for call in ["Instant::now", "SystemTime::now", ".elapsed()"] {
            let allowed = source.path == "server/mod.rs"
                || source.path.starts_with("client/")
                || source.path.starts_with("simulate/");
            assert!(
                allowed || !source.says(call),
                "src/{} reads the clock",
                source.path
            );
            reads += usize::from(source.says(call));
        }
    }
    assert!(reads > 0, "somebody does");
}

#[test]
fn what_the_house_forbids_is_nowhere() {
    for source in sources() {
        for word in [
            "unsafe",
            ".unwrap()",
            "Mutex",
            "RwLock",
            "thread::",
            "async",
            "sleep",
            "todo!",
            "dbg!",
            "println!",
            "eprintln!",
        ] {
            let found = match word {
                // Progress on a terminal and results are the client's to print.
                "println!" | "eprintln!" if source.path.starts_with("client/") => false,
                _ => says(&source.code, word),
            };
            assert!(!found, "src/{} says {word}", source.path);
        }
    }
}

#[test]
fn tungstenite_owns_no_socket_of_the_servers() {
    for source in sources() {
        if source.path.starts_with("server/") {
            for word in [
                "WebSocket<",
                "WebSocket::",
                "tungstenite::accept",
                "accept_hdr",
                "ServerHandshake",
            ] {
                assert!(!source.says(word), "src/{} says {word}", source.path);
            }
        }
    }
}

#[test]
fn connections_are_removed_and_forgotten_in_one_place_each() {
    let all: String = sources()
        .into_iter()
        .map(|source| source.untested)
        .collect();
    for call in ["connections.remove(", "hub.leave(", "register(stream,"] {
        assert_eq!(all.matches(call).count(), 1, "{call}");
    }
}

#[test]
fn the_map_in_the_crates_documentation_names_every_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let text = fs::read_to_string(root).expect("UTF-8");
    let rooms = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for room in rooms {
        assert!(text.contains(&format!("[`{room}`]")), "{room}");
    }
}
