//! `serve --state`: what a restart keeps, and that a server which is killed loses little.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Client, Server, WAIT, assert_last_known};

/// How often a server is killed.
const KILLS: u64 = 200;

/// A folder for the files of one test, gone when this is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("state-{}-{number}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir(&folder).expect("room for a folder");
        Folder(folder)
    }

    /// A file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The names of all that is in it.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("our folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name())
            .map(|name| name.into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    }

    /// A server that keeps its state in the file `state`, and writes it at a stop alone.
    pub(crate) fn serve(&self, flags: &[&str]) -> Server {
        self.serve_every("1h", flags)
    }

    /// The same that writes it as often as this.
    pub(crate) fn serve_every(&self, interval: &str, flags: &[&str]) -> Server {
        let file = self.path("state");
        let file = file.to_str().expect("UTF-8");
        let state = ["--state", file, "--state-interval", interval];
        Server::start(&[&state[..], &["--follow-all"], flags].concat())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Stops a server as an operator does; says what it logged.
pub(crate) fn stop(server: Server) -> String {
    let (status, _, log) = server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    log
}

/// Has a user be somewhere, for certain.
pub(crate) fn publish(server: &Server, position: &str) {
    let mut gateway = server.connect();
    gateway.send(position);
    assert_eq!(gateway.barrier(), [""; 0]);
}

/// Who may read and write a file.
fn mode(file: &Path) -> u32 {
    let metadata = fs::metadata(file).expect("there");
    metadata.permissions().mode() & 0o7777
}

/// What is last known of these users (a JSON list).
pub(crate) fn last_known(server: &Server, users: &str) -> Vec<String> {
    server.spectator(users).1
}

#[test]
fn a_restart_keeps_positions_as_they_were_written_and_their_age() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    let positions = [
        r#"{"userId":5,"lat":1.50,"lng":-2.0e0}"#,
        r#"{"userId":"\u0061","lat":0.10,"lng":7,"accuracy":5.0,"speed":1.250,"timestamp":1700000000123,"battery":0.70}"#,
    ];
    let before = Instant::now();
    for position in positions {
        publish(&server, position);
    }
    let received = Instant::now();
    stop(server);
    assert_eq!(folder.names(), ["state"]);
    assert_eq!(mode(&folder.path("state")), 0o600);
    let content = fs::read(folder.path("state")).expect("there");
    assert!(content.starts_with(b"spectate state 1\n"));

    let server = folder.serve(&[]);
    let at_least = received.elapsed();
    let known = last_known(&server, r#"[5,"a"]"#);
    let at_most = before.elapsed();
    assert_eq!(known.len(), 2);
    for (known, position) in known.iter().zip(positions) {
        let age = Duration::from_secs_f64(assert_last_known(known, position));
        // Both clocks of the server are read one after the other.
        let slack = Duration::from_millis(50);
        assert!(age + slack >= at_least && age <= at_most + slack, "{age:?}");
    }
}

#[test]
fn a_restart_keeps_names_and_what_is_stale_and_nobodys_connection() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    let mut runner = server.connect();
    runner.send(r#"{"initialRequest":true,"userId":"a","name":"Anna Berg"}"#);
    runner.send(r#"{"lat":1,"lng":2}"#);
    let mut silent = server.connect();
    silent.send(r#"{"initialRequest":true,"userId":"b","name":"Ben Otieno"}"#);
    runner.barrier();
    silent.barrier();
    drop((runner, silent));
    stop(server);
    for (flags, state) in [(&[][..], "live"), (&["--stale-after", "1ms"], "stale")] {
        let server = folder.serve(flags);
        let mut watcher = server.connect();
        watcher.send(r#"{"initialRequest":true,"presence":true,"following":["a","b"]}"#);
        let told: Vec<Value> = (watcher.barrier().iter())
            .map(|text| serde_json::from_str(text).expect("JSON"))
            .filter(|message: &Value| message["presence"].is_object())
            .collect();
        let (a, b) = (&told[0]["presence"], &told[1]["presence"]);
        assert_eq!(a["name"], "Anna Berg", "{a}");
        assert_eq!(
            (&a["state"], &a["connected"]),
            (&state.into(), &false.into())
        );
        assert_eq!((&b["state"], &b["name"]), (&"unknown".into(), &Value::Null));
        drop(watcher);
        stop(server);
    }
}

#[test]
fn a_restart_keeps_trails() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    for minute in [0, 2, 1, 3] {
        let ms = 1_700_000_000_000u64 + minute * 60_000;
        let position = format!(r#"{{"userId":5,"lat":46.{minute},"lng":7,"timestamp":{ms}}}"#);
        publish(&server, &position);
    }
    let trail = server.get("/trail?id=5").body;
    assert_eq!(trail.matches("[7").count(), 4, "{trail}");
    stop(server);
    let server = folder.serve(&[]);
    assert_eq!(server.get("/trail?id=5").body, trail);
}

#[test]
fn what_is_late_before_a_restart_is_late_after_it() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    let position =
        |lat: u32, ms: u64| format!(r#"{{"userId":5,"lat":{lat},"lng":0,"timestamp":{ms}}}"#);
    publish(&server, &position(1, 1_700_000_009_000));
    stop(server);
    let server = folder.serve(&[]);
    publish(&server, &position(2, 1_700_000_008_000));
    let known = last_known(&server, "[5]");
    assert_last_known(&known[0], &position(1, 1_700_000_009_000));
    assert_eq!(server.metric("spectate_positions_late_total"), 1.0);
}

#[test]
fn what_is_too_old_or_too_much_does_not_come_back() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    for user in 1..=3 {
        publish(&server, &format!(r#"{{"userId":{user},"lat":1,"lng":2}}"#));
    }
    stop(server);
    let server = folder.serve(&["--max-runners", "2"]);
    let known = last_known(&server, "[1,2,3]");
    assert_eq!(known.len(), 2);
    assert_last_known(&known[0], r#"{"userId":2,"lat":1,"lng":2}"#);
    // Killed, it leaves the file as it is.
    drop(server);
    let server = folder.serve(&["--forget-after", "1ms"]);
    assert_eq!(last_known(&server, "[1,2,3]"), [""; 0]);
}

#[test]
fn a_state_is_written_when_something_changed_and_the_one_before_it_is_kept() {
    let folder = Folder::new();
    let server = folder.serve_every("10ms", &[]);
    publish(&server, r#"{"userId":5,"lat":1,"lng":2}"#);
    wait_until_kept(&server, &folder);
    assert_eq!(folder.names()[..2], ["state", "state.lock"]);
    wait_until_kept(&server, &folder);
    assert_eq!(folder.names(), ["state", "state.lock", "state.old"]);
    for name in folder.names() {
        assert_eq!(mode(&folder.path(&name)), 0o600, "{name}");
    }
    // Nothing changes from now on.
    let written = || server.metric("spectate_state_written_timestamp_seconds");
    let before = written();
    let mut witness = server.connect();
    witness.hear_nothing_for(Duration::from_millis(100));
    assert_eq!(written(), before);
    let bytes = fs::metadata(folder.path("state")).expect("there").len();
    assert_eq!(server.metric("spectate_state_bytes"), bytes as f64);
    drop(witness);
    stop(server);
    assert_eq!(folder.names(), ["state", "state.old"]);
    fs::remove_file(folder.path("state")).expect("our file");
    assert_eq!(last_known(&folder.serve(&[]), "[5]").len(), 1);
}

#[test]
fn a_link_leads_to_the_file_that_is_written() {
    let (folder, other) = (Folder::new(), Folder::new());
    let server = other.serve(&[]);
    publish(&server, r#"{"userId":5,"lat":1,"lng":2}"#);
    stop(server);
    symlink(other.path("state"), folder.path("state")).expect("room for a link");
    let server = folder.serve(&[]);
    assert_eq!(last_known(&server, "[5]").len(), 1);
    stop(server);
    assert_eq!(folder.names(), ["state"]);
    assert_eq!(other.names(), ["state", "state.old"]);
}

/// Waits until all that the server has done by now is in the file.
pub(crate) fn wait_until_kept(server: &Server, folder: &Folder) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mark = format!("0.5{:06}", COUNT.fetch_add(1, Ordering::Relaxed));
    publish(
        server,
        &format!(r#"{{"userId":"mark","lat":{mark},"lng":0}}"#),
    );
    let begin = Instant::now();
    loop {
        // For a moment it has no name but the old one's.
        let content = fs::read(folder.path("state")).unwrap_or_default();
        if content
            .windows(mark.len())
            .any(|bytes| bytes == mark.as_bytes())
        {
            return;
        }
        assert!(begin.elapsed() < WAIT, "it is not written");
        assert_eq!(server.get("/healthz").status, 200);
    }
}

/// What came last of all users that have numbers.
fn newest(server: &Server) -> BTreeMap<u64, u64> {
    let answer: Value = serde_json::from_str(&server.get("/positions?ids=*").body).expect("JSON");
    let features = answer["features"].as_array().expect("a list");
    let known = features.iter().filter_map(|feature| {
        let user = feature["properties"]["userId"].as_u64()?;
        Some((user, feature["properties"]["accuracy"].as_u64()?))
    });
    known.collect()
}

/// Sends positions of a few users in turns, each with its number.
fn send_some(gateway: &mut Client, numbers: std::ops::Range<u64>) {
    for number in numbers {
        gateway.send(&format!(
            r#"{{"userId":{},"lat":1,"lng":0,"accuracy":{number}}}"#,
            number % 20
        ));
    }
}

#[test]
fn a_server_that_is_killed_again_and_again_comes_back_as_it_was_a_moment_before() {
    let folder = Folder::new();
    // What is in the file for certain, and the numbers of the positions that were sent after that.
    let mut known: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut next, mut begun) = (1, 1..1);
    let mut survived = 0;
    for round in 0..KILLS {
        let server = folder.serve_every("10ms", &[]);
        let restored = newest(&server);
        // All that came before them is in the file, and of these so many as came first.
        let mut expected = known.clone();
        let mut is_there = expected == restored;
        for number in begun.clone() {
            expected.insert(number % 20, number);
            is_there |= expected == restored;
        }
        assert!(
            is_there,
            "round {round}: {restored:?}, {known:?} and {begun:?}\n{:?}\n{}",
            folder.names(),
            server.log()
        );
        survived += u64::from(!restored.is_empty());
        known = restored;

        let mut gateway = server.connect();
        let count = rand::random_range(1..100);
        send_some(&mut gateway, next..next + count);
        begun = next..next + count;
        next += count;
        if round % 2 == 0 {
            gateway.barrier();
            wait_until_kept(&server, &folder);
            known.extend(begun.map(|number| (number % 20, number)));
            let more = rand::random_range(0..1000);
            send_some(&mut gateway, next..next + more);
            begun = next..next + more;
            next += more;
        }
    }
    assert!(survived > KILLS / 2, "{survived}");
    assert!(
        !folder.names().iter().any(|name| name.contains("bad")),
        "{:?}",
        folder.names()
    );
}
