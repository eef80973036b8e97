//! Each file of `src/` stands on one floor, imports only what stands below it, and does only what is
//! its room's to do. The map is in the documentation of the crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// All files, from the ground up: each imports only files above it in this list.
const FLOORS: &[&str] = &[
    "duration.rs",
    "date.rs",
    "size.rs",
    "gpx/track.rs",
    "gpx/text.rs",
    "gpx/value.rs",
    "gpx/reader.rs",
    "gpx/writer.rs",
    "gpx/mod.rs",
    "logger.rs",
    "trust.rs",
    "qr.rs",
    "queue/numbers.rs",
    "queue/mod.rs",
    "fix.rs",
    "point.rs",
    "dialect.rs",
    "user.rs",
    "roster.rs",
    "roster/file.rs",
    "refusal.rs",
    "auth/mod.rs",
    "auth/token.rs",
    "auth/refused.rs",
    "auth/grant.rs",
    "auth/object.rs",
    "auth/pem.rs",
    "auth/claims.rs",
    "auth/keys.rs",
    "auth/mint.rs",
    "auth/files.rs",
    "protocol/field.rs",
    "protocol/heartbeat.rs",
    "protocol/names.rs",
    "protocol/geojson.rs",
    "protocol/trail.rs",
    "protocol/mod.rs",
    "phones/report.rs",
    "phones/units.rs",
    "phones/times.rs",
    "phones/point.rs",
    "phones/json.rs",
    "phones/own.rs",
    "phones/pairs.rs",
    "phones/owntracks.rs",
    "phones/traccar.rs",
    "phones/overland.rs",
    "phones/answers.rs",
    "phones/mod.rs",
    "relay/now.rs",
    "relay/keys.rs",
    "relay/sender_clock.rs",
    "relay/rate.rs",
    "relay/paces.rs",
    "relay/authority.rs",
    "relay/member.rs",
    "relay/askers.rs",
    "relay/changes.rs",
    "relay/covering.rs",
    "relay/trail.rs",
    "relay/heard.rs",
    "relay/ids.rs",
    "relay/names.rs",
    "relay/trails.rs",
    "relay/stakes.rs",
    "relay/hub.rs",
    "relay/everyone.rs",
    "relay/tracking.rs",
    "relay/last_known.rs",
    "relay/audience.rs",
    "relay/called.rs",
    "relay/presence.rs",
    "relay/terms.rs",
    "relay/service.rs",
    "relay/following.rs",
    "relay/about.rs",
    "relay/reports.rs",
    "relay/remote.rs",
    "relay/trails_told.rs",
    "relay/views.rs",
    "relay/snapshot/mod.rs",
    "relay/snapshot/record.rs",
    "relay/snapshot/taking.rs",
    "relay/snapshot/restoring.rs",
    "relay/mod.rs",
    "bus/resp.rs",
    "bus/skip.rs",
    "bus/jump.rs",
    "bus/names.rs",
    "bus/stamp.rs",
    "bus/newest.rs",
    "bus/envelope.rs",
    "bus/incoming.rs",
    "bus/outgoing.rs",
    "bus/trouble.rs",
    "bus/greeting.rs",
    "bus/rights.rs",
    "bus/retry.rs",
    "bus/silence.rs",
    "bus/link.rs",
    "bus/commands.rs",
    "bus/mod.rs",
    "server/gzip.rs",
    "server/pages/tiles.rs",
    "server/pages/map.rs",
    "server/pages/setup.rs",
    "server/pages/mod.rs",
    "server/http/conditions.rs",
    "server/http/web_origin.rs",
    "server/http/allowed_origin.rs",
    "server/http/origin.rs",
    "server/http/fields.rs",
    "server/http/query.rs",
    "server/http/link.rs",
    "server/http/response.rs",
    "server/http/routes.rs",
    "server/http/report.rs",
    "server/http/request.rs",
    "server/http/body.rs",
    "server/http/handshake.rs",
    "server/http/head.rs",
    "server/http/mod.rs",
    "server/wire/close.rs",
    "server/wire/records.rs",
    "server/wire/tls.rs",
    "server/wire/stream.rs",
    "server/wire/frames.rs",
    "server/wire/gather.rs",
    "server/wire/marks.rs",
    "server/wire/covered.rs",
    "server/wire/ceiling.rs",
    "server/wire/reply.rs",
    "server/wire/due.rs",
    "server/wire/outbox.rs",
    "server/wire/flush.rs",
    "server/wire/intake.rs",
    "server/wire/reader.rs",
    "server/wire/head.rs",
    "server/wire/receiving.rs",
    "server/wire/connection.rs",
    "server/wire/requests.rs",
    "server/wire/deadlines.rs",
    "server/wire/mod.rs",
    "server/nodes/address.rs",
    "server/config.rs",
    "server/course.rs",
    "server/os/limits.rs",
    "server/memory.rs",
    "server/clocks.rs",
    "server/waits.rs",
    "server/bad_row.rs",
    "server/sweep.rs",
    "server/work.rs",
    "server/postponed.rs",
    "server/os/listen.rs",
    "server/os/parent.rs",
    "server/os/process.rs",
    "server/os/processes.rs",
    "server/os/invitation.rs",
    "server/os/demo.rs",
    "server/os/mod.rs",
    "server/connections.rs",
    "server/source.rs",
    "server/tls/validity.rs",
    "server/tls/mod.rs",
    "server/drain.rs",
    "server/queues.rs",
    "server/outgoing.rs",
    "server/exposition.rs",
    "server/state/mod.rs",
    "server/state/files.rs",
    "server/state/writing.rs",
    "server/state/restore.rs",
    "server/metrics.rs",
    "server/nodes/access.rs",
    "server/nodes/distrust.rs",
    "server/nodes/lookup.rs",
    "server/nodes/questions.rs",
    "server/nodes/resync.rs",
    "server/nodes/socket.rs",
    "server/nodes/topic.rs",
    "server/nodes/topics.rs",
    "server/nodes/timed.rs",
    "server/nodes/peers.rs",
    "server/nodes/counts.rs",
    "server/nodes/told.rs",
    "server/nodes/engine.rs",
    "server/nodes/mod.rs",
    "server/nodes/everyone.rs",
    "server/nodes/words.rs",
    "server/nodes/telling.rs",
    "server/nodes/turning.rs",
    "server/nodes/hearing.rs",
    "server/nodes/attendance.rs",
    "server/nodes/answers.rs",
    "server/door.rs",
    "server/roster.rs",
    "server/apply.rs",
    "server/parts.rs",
    "server/asking.rs",
    "server/deliver.rs",
    "server/sharing.rs",
    "server/reporting.rs",
    "server/trail.rs",
    "server/answer.rs",
    "server/tick/wait.rs",
    "server/tick/accept.rs",
    "server/tick/read.rs",
    "server/tick/flush.rs",
    "server/tick/expire.rs",
    "server/tick/keep.rs",
    "server/tick/reap.rs",
    "server/tick/mod.rs",
    "server/mod.rs",
    "client/mod.rs",
    "client/ended.rs",
    "client/endpoint.rs",
    "client/transport.rs",
    "client/destination.rs",
    "client/message.rs",
    "client/handshake.rs",
    "client/connection.rs",
    "client/credentials.rs",
    "client/explain.rs",
    "client/lookup.rs",
    "client/cards.rs",
    "client/private_file.rs",
    "client/token.rs",
    "client/link.rs",
    "client/following.rs",
    "client/watch.rs",
    "client/recording/mod.rs",
    "client/recording/lines.rs",
    "client/recording/newest.rs",
    "client/recording/file.rs",
    "client/record.rs",
    "client/replay.rs",
    "client/export/tracks.rs",
    "client/export/names.rs",
    "client/export/geojson.rs",
    "client/export/mod.rs",
    "simulate/course/mod.rs",
    "simulate/course/recording.rs",
    "simulate/course/track.rs",
    "simulate/course/wander.rs",
    "simulate/course/motion.rs",
    "simulate/lake.rs",
    "simulate/joggers.rs",
    "simulate/descriptors.rs",
    "simulate/crowd.rs",
    "simulate/demo.rs",
    "simulate/faults.rs",
    "simulate/ledger/mod.rs",
    "simulate/schedule.rs",
    "simulate/progress.rs",
    "simulate/report.rs",
    "simulate/check.rs",
    "simulate/mod.rs",
    "cli/completions.rs",
    "cli/man.rs",
    "cli.rs",
    "lib.rs",
    "main.rs",
];

/// Files that hold tests alone.
const TESTS: &[&str] = &[
    "bus/tests/any.rs",
    "bus/tests/follow.rs",
    "bus/tests/life.rs",
    "bus/tests/mod.rs",
    "bus/tests/resp.rs",
    "bus/tests/run.rs",
    "gpx/tests/flaws.rs",
    "gpx/tests/mod.rs",
    "phones/tests/answers.rs",
    "phones/tests/bad.rs",
    "phones/tests/mod.rs",
    "phones/tests/objects.rs",
    "phones/tests/pairs.rs",
    "phones/tests/samples.rs",
    "protocol/tests.rs",
    "queue/model.rs",
    "relay/model/lists.rs",
    "relay/model/check.rs",
    "relay/model/mod.rs",
    "relay/snapshot/tests/mod.rs",
    "relay/snapshot/tests/bounds.rs",
    "relay/snapshot/tests/faults.rs",
    "relay/tests.rs",
    "relay/trail_model.rs",
    "roster/tests.rs",
    "server/outbox_model/mod.rs",
    "server/outbox_model/promises.rs",
    "server/outbox_model/world.rs",
    "server/outbox_model/follows.rs",
    "server/wire/client_tests.rs",
    "simulate/ledger/tests.rs",
];

/// A room: the beginning of its files' paths, the crates that they may use, and the words that are
/// not theirs to say. The longest beginning counts.
type Room = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const SOCKETS: &[&str] = &["net::", "mio::"];

const ROOMS: &[Room] = &[
    ("duration.rs", &["std"], SOCKETS),
    ("date.rs", &["time"], SOCKETS),
    ("size.rs", &[], &["net::", "io::", "time::", "log::"]),
    (
        "gpx/",
        &["std", "flate2", "quick_xml"],
        &["net::", "fs::", "Instant", "log::", "mio::"],
    ),
    (
        "logger.rs",
        &["std", "log", "rustix", "simple_logger"],
        SOCKETS,
    ),
    (
        "trust.rs",
        &["std", "rustls"],
        &["net::", "mio::", "fs::", "time::", "log::"],
    ),
    (
        "qr.rs",
        &["std", "qrcodegen"],
        &["net::", "io::", "fs::", "time::", "log::"],
    ),
    ("queue/", &["std"], &["net::", "io::", "time::"]),
    ("fix.rs", &["std"], &["net::", "io::", "time::", "log::"]),
    ("point.rs", &[], &["net::", "io::", "time::", "log::"]),
    ("dialect.rs", &[], &["net::", "io::", "Instant", "log::"]),
    ("user.rs", &["std"], &["net::", "io::", "Instant", "log::"]),
    (
        "roster",
        &["std", "csv"],
        &["net::", "io::", "fs::", "time::", "log::"],
    ),
    // The one file of its room that touches the machine.
    ("roster/file.rs", &["std"], &["net::", "time::", "log::"]),
    (
        "refusal.rs",
        &["std"],
        &["net::", "io::", "time::", "log::"],
    ),
    (
        "auth/",
        &[
            "std",
            "data_encoding",
            "pkcs8",
            "ring",
            "serde",
            "serde_json",
        ],
        &[
            "net::",
            "time::",
            "log::",
            "env::",
            "process::",
            "fs::",
            "io::",
            "File",
        ],
    ),
    // The one file of its room that touches the machine.
    (
        "auth/files.rs",
        &["std", "clap"],
        &["net::", "time::", "log::", "env::", "process::"],
    ),
    (
        "protocol/",
        &["std", "serde", "serde_json"],
        &["net::", "Instant", "log::"],
    ),
    (
        "phones/",
        &["std", "form_urlencoded", "serde", "serde_json"],
        &["net::", "io::", "Instant", "log::", "auth::", "relay::"],
    ),
    (
        "relay/",
        &["std", "slab"],
        &[
            "net::",
            "io::",
            "log::",
            "serde_json",
            "Frame",
            "ConnectionId",
        ],
    ),
    (
        "bus/",
        &["std"],
        &[
            "net::",
            "io::Read",
            "fs::",
            "log::",
            "mio::",
            "Instant::now",
            "SystemTime",
            "serde_json",
            "relay::",
        ],
    ),
    (
        "bus/jump.rs",
        &["ring"],
        &["net::", "io::", "time::", "log::"],
    ),
    (
        "relay/snapshot/",
        &["std", "crc32fast"],
        &["net::", "io::", "fs::", "log::"],
    ),
    (
        "server/gzip.rs",
        &["std", "flate2"],
        &["net::", "time::", "log::"],
    ),
    (
        "server/pages/",
        &["std", "data_encoding", "ring"],
        &["net::", "time::", "log::", "fs::"],
    ),
    (
        "server/http/",
        &[
            "std",
            "data_encoding",
            "httparse",
            "percent_encoding",
            "tungstenite",
        ],
        &[
            "TcpStream",
            "TcpListener",
            "time::",
            "log::",
            "relay::",
            "fs::",
        ],
    ),
    (
        "server/wire/",
        &["std", "rustls", "tungstenite"],
        &["net::", "log::", "relay::", "slab::", "crate::protocol"],
    ),
    (
        "server/tls/",
        &["std", "log", "pkcs8", "rustls"],
        &["net::", "mio::", "time::"],
    ),
    (
        "server/os/",
        &[
            "std",
            "log",
            "mio",
            "rustix",
            "signal_hook",
            "signal_hook_mio",
            "socket2",
        ],
        &["relay::", "protocol::", "Connection"],
    ),
    (
        "server/nodes/",
        &[
            "std",
            "data_encoding",
            "log",
            "mio",
            "ring",
            "rustls",
            "slab",
        ],
        &["serde_json", "httparse", "Connection", "Relay"],
    ),
    (
        "server/config.rs",
        &["std", "clap", "log"],
        &["mio::", "TcpStream", "TcpListener"],
    ),
    (
        "server/tick/",
        &["std", "log", "mio", "rustix", "signal_hook"],
        &["serde_json", "httparse", "HTTP/"],
    ),
    ("server/connections.rs", &["std", "mio", "slab"], &["log::"]),
    ("server/source.rs", &["mio"], &["log::"]),
    ("server/drain.rs", &["std"], &["net::", "mio::", "log::"]),
    (
        "server/metrics.rs",
        &["std"],
        &["net::", "mio::", "log::", "relay::"],
    ),
    (
        "server/course.rs",
        &["std", "log"],
        &["net::", "mio::", "time::"],
    ),
    ("server/door.rs", &["std", "log"], &["mio::", "TcpStream"]),
    (
        "server/apply.rs",
        &["std"],
        &["serde_json", "mio::", "outbox", "net::"],
    ),
    (
        "server/",
        &["std", "log", "mio", "signal_hook", "signal_hook_mio"],
        &["serde_json", "httparse"],
    ),
    (
        "client/cards.rs",
        &["std"],
        &["net::", "io::", "fs::", "time::", "log::"],
    ),
    (
        "client/",
        &[
            "std",
            "clap",
            "indicatif",
            "mio",
            "percent_encoding",
            "rand",
            "rustix",
            "rustls",
            "serde",
            "serde_json",
            "signal_hook",
            "time",
            "tungstenite",
        ],
        &["log::", "slab::"],
    ),
    (
        "simulate/course/",
        &["std", "gpx", "time"],
        &["net::", "mio::", "log::"],
    ),
    (
        "simulate/lake.rs",
        &["std"],
        &["net::", "io::", "time::", "log::"],
    ),
    (
        "simulate/joggers.rs",
        &["std"],
        &["net::", "io::", "time::", "log::"],
    ),
    (
        "simulate/",
        &[
            "std",
            "clap",
            "hdrhistogram",
            "indicatif",
            "mio",
            "rand",
            "rustix",
            "serde",
            "serde_json",
            "tungstenite",
        ],
        &["log::", "slab::"],
    ),
    ("cli.rs", &["std", "clap"], SOCKETS),
    (
        "cli/",
        &["clap", "clap_complete"],
        &["net::", "mio::", "server::", "client::"],
    ),
    ("lib.rs", &[], SOCKETS),
    ("main.rs", &["std"], SOCKETS),
];

/// A source file: where it is below `src/`, all of its code, and its code without its own tests.
/// Comments are left out, and so are the contents of strings.
struct Source {
    path: String,
    code: String,
    untested: String,
}

impl Source {
    /// Whether the code names this as a whole word.
    fn says(&self, word: &str) -> bool {
        says(&self.untested, word)
    }

    /// The module that the file is.
    fn module(&self) -> Vec<&str> {
        let path = self.path.trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        match path {
            "lib" | "main" => Vec::new(),
            path => path.split('/').collect(),
        }
    }

    /// All paths in the code that begin in this crate, as seen from its root.
    fn paths(&self) -> Vec<Vec<String>> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let module: Vec<String> = owned(&self.module());
        let mut paths = Vec::new();
        for root in ["crate", "super", "self", "spectate"] {
            for (at, _) in self.untested.match_indices(&format!("{root}::")) {
                let before = &self.untested[..at];
                // A visibility is no import.
                if before.ends_with(is_word) || before.ends_with("::") || before.ends_with("(in ") {
                    continue;
                }
                for path in expand(&self.untested[at..]) {
                    let mut seen = match path[0].as_str() {
                        "crate" | "spectate" => Vec::new(),
                        _ => module.clone(),
                    };
                    for name in path {
                        match name.as_str() {
                            "crate" | "spectate" | "self" => {}
                            "super" => {
                                seen.pop();
                            }
                            _ => seen.push(name),
                        }
                    }
                    paths.push(seen);
                }
            }
        }
        paths
    }

    /// The other crates that its `use` lines name.
    fn crates(&self) -> BTreeSet<String> {
        let ours = ["crate", "super", "self", "spectate"];
        let lines = self.untested.lines().map(str::trim_start);
        let used = lines.filter_map(|line| {
            let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
            line.strip_prefix("pub ")
                .unwrap_or(line)
                .strip_prefix("use ")
        });
        used.filter_map(|path| path.split([':', ' ', ';']).next())
            .filter(|name| !ours.contains(name) && !self.has_child(name))
            .map(str::to_owned)
            .collect()
    }

    fn has_child(&self, name: &str) -> bool {
        self.says(&format!("mod {name};"))
    }
}

/// The paths that a text begins with: one, or with braces each of them.
fn expand(text: &str) -> Vec<Vec<String>> {
    let mut rest = text;
    let mut prefix = Vec::new();
    loop {
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        rest = &rest[name.len()..];
        if !name.is_empty() {
            prefix.push(name);
        }
        match rest.strip_prefix("::") {
            Some(behind) if behind.starts_with('{') => {
                let list = pieces(&behind[1..]);
                let below = list.iter().flat_map(|piece| expand(piece));
                return below.map(|path| [prefix.clone(), path].concat()).collect();
            }
            Some(behind) if behind.starts_with(is_word) => rest = behind,
            _ => return vec![prefix],
        }
    }
}

/// What stands between the commas of a list up to its closing brace.
fn pieces(list: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut pieces) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                pieces.push(list[begin..at].trim());
                begin = at + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// The file that each name of a module's `pub use` comes from, by module and name.
fn exports(sources: &[Source]) -> BTreeMap<Vec<String>, Vec<String>> {
    let mut exports = BTreeMap::new();
    for source in sources {
        let module: Vec<String> = source
            .module()
            .iter()
            .map(|name| (*name).to_owned())
            .collect();
        for (at, _) in source.untested.match_indices("use ") {
            let line_begin = source.untested[..at].rfind('\n').map_or(0, |at| at + 1);
            let is_public = source.untested[line_begin..at].starts_with("pub");
            let path = &source.untested[at + 4..];
            if !is_public || path.starts_with("crate") || path.starts_with("super") {
                continue;
            }
            for path in expand(path) {
                let name = path.last().expect("a name").clone();
                let whole = [module.clone(), path].concat();
                exports.insert([module.clone(), vec![name]].concat(), whole);
            }
        }
    }
    exports
}

/// The file that a path of this crate leads to: of its module, or of where that has it from.
fn file_of(path: &[String], exports: &BTreeMap<Vec<String>, Vec<String>>) -> Option<String> {
    if let Some(whole) = exports.get(path) {
        return file_of(whole, exports);
    }
    (1..=path.len()).rev().find_map(|length| {
        let module = path[..length].join("/");
        [format!("{module}.rs"), format!("{module}/mod.rs")]
            .into_iter()
            .find(|file| FLOORS.contains(&file.as_str()))
    })
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
            let is_test = TESTS.iter().any(|test| file.ends_with(test));
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

#[test]
fn every_file_stands_on_a_floor_and_imports_only_what_is_below_it() {
    let sources = sources();
    let there: BTreeSet<&str> = sources.iter().map(|source| source.path.as_str()).collect();
    let listed: BTreeSet<&str> = FLOORS.iter().chain(TESTS).copied().collect();
    assert_eq!(there, listed, "the files of src and those of the list");
    assert_eq!(FLOORS.len() + TESTS.len(), listed.len(), "each once");
    let floor_of = |file: &str| FLOORS.iter().position(|floor| *floor == file);
    let exports = exports(&sources);
    let (mut arrows, mut upward) = (0, Vec::new());
    for source in &sources {
        let Some(floor) = floor_of(&source.path) else {
            continue;
        };
        for path in source.paths() {
            let Some(file) = file_of(&path, &exports).filter(|file| *file != source.path) else {
                continue;
            };
            let below = floor_of(&file).expect("only files on a floor are found");
            if below >= floor {
                upward.push(format!("{} -> {file} by {}", source.path, path.join("::")));
            }
            arrows += 1;
        }
    }
    assert!(upward.is_empty(), "{upward:#?}");
    assert!(arrows > 200, "imports are seen: {arrows}");
}

#[test]
fn each_room_uses_only_the_crates_and_says_only_the_words_that_are_its_own() {
    let mut beyond = Vec::new();
    for source in sources() {
        let rooms = ROOMS
            .iter()
            .filter(|(room, ..)| source.path.starts_with(room));
        let Some((_, crates, unsaid)) = rooms.max_by_key(|(room, ..)| room.len()) else {
            panic!("src/{} is in no room", source.path);
        };
        let used = source.crates();
        let used = used.iter().filter(|name| !crates.contains(&name.as_str()));
        beyond.extend(used.map(|name| format!("{} uses {name}", source.path)));
        let said = unsaid.iter().filter(|word| source.says(word));
        beyond.extend(said.map(|word| format!("{} says {word}", source.path)));
    }
    assert!(beyond.is_empty(), "{beyond:#?}");
}

/// Rooms of this crate that a room may name, besides itself.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("fix", &[]),
    ("refusal", &["fix", "user"]),
    ("roster", &["user"]),
    ("gpx", &["date"]),
    ("trust", &[]),
    ("qr", &[]),
    ("queue", &[]),
    ("duration", &[]),
    ("date", &[]),
    ("logger", &[]),
    ("dialect", &[]),
    ("point", &["fix"]),
    ("size", &[]),
    ("auth", &["user"]),
    ("bus", &["user"]),
    ("protocol", &["auth", "fix", "point", "refusal", "user"]),
    (
        "relay",
        &[
            "auth", "dialect", "fix", "point", "queue", "refusal", "roster", "user",
        ],
    ),
    (
        "phones",
        &["date", "dialect", "fix", "protocol", "refusal", "user"],
    ),
    ("user", &["dialect", "fix"]),
    ("server/gzip", &[]),
    ("server/pages", &["server/gzip"]),
    (
        "server/http",
        &["auth", "phones", "server/gzip", "server/pages"],
    ),
    ("server/wire", &["auth", "queue", "server/http"]),
    ("server/os", &["server/clocks", "server/config"]),
    (
        "client",
        &[
            "auth", "date", "duration", "fix", "gpx", "qr", "roster", "trust", "user",
        ],
    ),
    (
        "simulate",
        &["auth", "client", "duration", "fix", "gpx", "refusal"],
    ),
];

#[test]
fn each_room_names_only_the_rooms_that_it_may() {
    let (sources, mut beyond) = (sources(), Vec::new());
    let room_of = |path: &[&str]| match path {
        ["server", part, ..] => format!("server/{part}"),
        [room, ..] => (*room).to_owned(),
        [] => String::new(),
    };
    for source in sources
        .iter()
        .filter(|source| !TESTS.contains(&source.path.as_str()))
    {
        let room = room_of(&source.module());
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == room) else {
            assert!(
                room.is_empty()
                    || ["cli", "server"].contains(&room.split('/').next().expect("one")),
                "{room}"
            );
            continue;
        };
        for path in source.paths() {
            let named = room_of(&path.iter().map(String::as_str).collect::<Vec<_>>());
            if named != room && !named.is_empty() && !allowed.contains(&named.as_str()) {
                beyond.push(format!("{} names {named}", source.path));
            }
        }
    }
    assert!(beyond.is_empty(), "{beyond:#?}");
}

#[test]
fn server_client_and_simulate_do_not_know_each_other() {
    for source in sources() {
        for (folder, unknown) in [
            ("server/", &["client", "simulate"][..]),
            ("client/", &["server", "simulate"]),
            ("simulate/", &["server"]),
        ] {
            for path in source
                .paths()
                .iter()
                .filter(|_| source.path.starts_with(folder))
            {
                let room = path.first().map_or("", String::as_str);
                assert!(!unknown.contains(&room), "src/{} names {room}", source.path);
            }
        }
    }
}

#[test]
fn the_clock_is_read_by_the_servers_loop_and_by_clients_alone() {
    let mut reads = 0;
    for source in sources() {
        for call in ["Instant::now", "SystemTime::now", ".elapsed()"] {
            let allowed = ["server/clocks.rs", "server/mod.rs", "server/tick/wait.rs"];
            let is_client = ["client/", "simulate/"]
                .iter()
                .any(|room| source.path.starts_with(room));
            let is_allowed = is_client || allowed.contains(&source.path.as_str());
            assert!(
                is_allowed || !source.says(call),
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
            assert!(!says(&source.code, word), "src/{} says {word}", source.path);
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
    for call in ["connections.remove(", "relay.leave(", "register(stream,"] {
        assert_eq!(all.matches(call).count(), 1, "{call}");
    }
    for source in sources() {
        let changes = ["waits.add(", "waits.remove("]
            .iter()
            .any(|call| source.says(call));
        let is_theirs = source.path == "server/queues.rs";
        assert!(
            is_theirs || !changes,
            "src/{} changes what waits",
            source.path
        );
    }
}

#[test]
fn the_map_in_the_crates_documentation_names_every_room() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |name| fs::read_to_string(source.join(name)).expect("UTF-8");
    let (root, map) = (read("lib.rs"), read("README.md"));
    let rooms = root
        .lines()
        .map(|line| line.strip_prefix("pub ").unwrap_or(line))
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    for room in rooms {
        let is_named = |ending| map.contains(&format!("`{room}{ending}`"));
        assert!(is_named("/") || is_named(".rs"), "{room}");
    }
}
