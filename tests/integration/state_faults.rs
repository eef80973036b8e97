//! `serve --state` where its file is not what it should be, or cannot be written.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::state::{Folder, last_known, publish, stop, wait_until_kept};
use crate::support::{Server, WAIT, assert_last_known, program, wait_for_exit};

/// So many users take a while to write.
const SLOW_TO_WRITE: u32 = 20_000;

/// How often a second signal is sent until one comes in that time.
const SIGNALS_MAX: u32 = 20;

/// The line with which a server refuses to start with this file, after its name.
fn refusal(file: &Path) -> String {
    let file = file.to_str().expect("UTF-8");
    let mut command = program(&["serve", "--listen", "127.0.0.1:0", "--state", file]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program is built");
    assert_eq!(wait_for_exit(&mut child).code(), Some(1));
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let out = child.stdout.as_mut().expect("piped");
    out.read_to_string(&mut stdout).expect("UTF-8");
    let err = child.stderr.as_mut().expect("piped");
    err.read_to_string(&mut stderr).expect("UTF-8");
    assert_eq!(stdout, "", "it does not listen");
    let line = stderr
        .lines()
        .find_map(|line| line.strip_prefix("spectate: "));
    line.unwrap_or_else(|| panic!("{stderr}")).to_owned()
}

/// The bytes of a state in which user 5 is at this latitude.
fn state(lat: u32) -> Vec<u8> {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    publish(&server, &position(lat));
    stop(server);
    fs::read(folder.path("state")).expect("written")
}

fn position(lat: u32) -> String {
    format!(r#"{{"userId":5,"lat":{lat},"lng":0}}"#)
}

/// Where user 5 is, for a server that has just started with these files.
fn restored(folder: &Folder) -> (Option<String>, String) {
    let server = folder.serve(&[]);
    let known = last_known(&server, "[5]").pop();
    (known, server.log())
}

#[test]
fn a_file_that_is_no_whole_state_is_set_aside_and_the_old_one_is_taken() {
    let whole = state(1);
    let flipped = [&whole[..25], &[whole[25] ^ 1], &whole[26..]].concat();
    for (damaged, why) in [
        (&whole[..whole.len() - 1], "ends too early"),
        (b"", "ends too early"),
        (&flipped, "damaged"),
        (b"spectate state 9\nwhat will be", "version 9"),
        (b"{\"theirs\":true}\n", "no state of spectate"),
    ] {
        let folder = Folder::new();
        fs::write(folder.path("state"), damaged).expect("room");
        fs::write(folder.path("state.old"), state(2)).expect("room");
        let (known, log) = restored(&folder);
        assert_last_known(&known.expect("the old one"), &position(2));
        let line = log
            .lines()
            .find(|line| line.contains("set_aside="))
            .expect(&log);
        assert!(line.contains("WARN") && line.contains(why), "{line}");
        assert_eq!(folder.names(), ["state.bad", "state.lock", "state.old"]);
        assert_eq!(fs::read(folder.path("state.bad")).expect("there"), damaged);
    }
}

#[test]
fn what_was_set_aside_is_never_overwritten() {
    let folder = Folder::new();
    for (number, name) in ["state.bad", "state.bad.1", "state.bad.2"]
        .iter()
        .enumerate()
    {
        fs::write(folder.path("state"), format!("theirs {number}")).expect("room");
        let (known, _) = restored(&folder);
        assert_eq!(known, None);
        assert!(
            folder.names().contains(&(*name).to_owned()),
            "{:?}",
            folder.names()
        );
    }
    for (number, name) in ["state.bad", "state.bad.1", "state.bad.2"]
        .iter()
        .enumerate()
    {
        let content = fs::read_to_string(folder.path(name)).expect("there");
        assert_eq!(content, format!("theirs {number}"));
    }
}

#[test]
fn without_a_file_the_old_one_is_taken_and_a_damaged_old_one_is_set_aside_too() {
    let folder = Folder::new();
    fs::write(folder.path("state.old"), state(3)).expect("room");
    assert_last_known(&restored(&folder).0.expect("the old one"), &position(3));
    fs::write(folder.path("state"), "torn").expect("room");
    fs::write(folder.path("state.old"), "torn too").expect("room");
    let server = folder.serve(&[]);
    assert_eq!(last_known(&server, "[5]"), [""; 0]);
    publish(&server, &position(4));
    stop(server);
    assert_eq!(folder.names(), ["state", "state.bad", "state.bad.1"]);
    assert_last_known(&restored(&folder).0.expect("a new one"), &position(4));
}

#[test]
fn a_second_server_is_refused_the_file_and_has_it_when_the_first_has_ended() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    let file = folder.path("state");
    let line = refusal(&file);
    assert!(line.contains("another server"), "{line}");
    publish(&server, &position(1));
    stop(server);
    let server = folder.serve(&[]);
    assert_eq!(last_known(&server, "[5]").len(), 1);
    // One that was killed is in nobody's way either.
    drop(server);
    stop(folder.serve(&[]));
}

#[test]
fn what_can_be_no_file_ends_the_start_with_a_line_that_says_what_to_mend() {
    let folder = Folder::new();
    symlink(folder.path("nothing"), folder.path("dangling")).expect("room for a link");
    fs::create_dir(folder.path("folder")).expect("room for a folder");
    fs::create_dir(folder.path("lost.old")).expect("room for a folder");
    fs::write(folder.path("file"), "").expect("room for a file");
    fs::write(folder.path("good"), state(1)).expect("room for a file");
    fs::create_dir(folder.path("good.old")).expect("room for a folder");
    fs::create_dir(folder.path("next.new")).expect("room for a folder");
    for (path, why) in [
        (folder.path("folder"), "this is a folder; name a file in it"),
        (
            folder.path("folder/."),
            "this is a folder; name a file in it",
        ),
        (folder.path("dangling"), "a link to nothing"),
        (folder.path("missing/state"), "make it first"),
        (folder.path("file/state"), "Not a directory"),
        (folder.path("lost"), "no regular file"),
        (folder.path("good"), "good.old: this is no regular file"),
        (folder.path("next"), "next.new: this is no regular file"),
        ("/dev/null".into(), "no regular file"),
        // Nobody can read where no memory is, not even root.
        ("/proc/self/mem".into(), "cannot read"),
    ] {
        let line = refusal(&path);
        assert!(line.contains(why), "{}: {line}", path.display());
    }
    let there = [
        "dangling", "file", "folder", "good", "good.old", "lost.old", "next.new",
    ];
    assert_eq!(folder.names(), there);
}

#[test]
fn in_a_folder_that_takes_no_files_a_server_serves_and_says_so_once() {
    // Not even root can make a file there.
    let flags = ["--state", "/sys/spectate.state", "--state-interval", "10ms"];
    let server = Server::start(&flags);
    publish(&server, &position(1));
    wait_for_errors(&server, 3.0);
    assert_eq!(last_known(&server, "[5]").len(), 1);
    let log = stop(server);
    assert_eq!(errors(&log).len(), 1, "{log}");
}

#[test]
fn a_pipe_in_the_place_of_the_lock_holds_nobody_up() {
    let folder = Folder::new();
    let lock = folder.path("state.lock");
    mkfifoat(CWD, &lock, Mode::RUSR | Mode::WUSR).expect("room for a pipe");
    let server = folder.serve_every("10ms", &[]);
    publish(&server, &position(1));
    assert_eq!(last_known(&server, "[5]").len(), 1);
    wait_for_errors(&server, 1.0);
    let log = stop(server);
    assert_eq!(errors(&log).len(), 1, "{log}");
    assert!(log.contains("state.lock is no regular file"), "{log}");
}

#[test]
fn a_new_file_is_written_beside_whatever_is_left_of_one() {
    let (folder, other) = (Folder::new(), Folder::new());
    fs::write(other.path("theirs"), "theirs").expect("room");
    symlink(other.path("theirs"), folder.path("state.new")).expect("room for a link");
    let server = folder.serve(&[]);
    publish(&server, &position(1));
    stop(server);
    assert_eq!(folder.names(), ["state"]);
    assert_eq!(
        fs::read_to_string(other.path("theirs")).expect("there"),
        "theirs"
    );
}

fn wait_for_errors(server: &Server, count: f64) {
    let begin = Instant::now();
    while server.metric("spectate_state_write_errors_total") < count {
        assert!(begin.elapsed() < WAIT, "it fails to fail");
    }
}

fn errors(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("ERROR")).collect()
}

/// Limits how large a file of the server may be, as a full disk does.
fn limit_files(server: &Server, bytes: Option<u64>) {
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    let pid = Pid::from_raw(server.pid() as i32);
    prlimit(pid, Resource::Fsize, limit).expect("a child of ours");
}

#[test]
fn a_full_disk_is_one_error_and_one_line_when_it_has_room_again() {
    let folder = Folder::new();
    let file = folder.path("state");
    let serve = program(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--state-interval",
        "10ms",
    ]);
    let mut command = Command::new("sh");
    // The signal that comes with a file that is too large would end the server; a full disk sends none.
    command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
    command.arg(serve.get_program()).args(serve.get_args());
    command
        .arg("--state")
        .arg(&file)
        .env_clear()
        .stdin(Stdio::null());
    let server = Server::run(command);
    // Much more than the log has by then.
    let mut gateway = server.connect();
    for user in 0..1000 {
        gateway.send(&format!(r#"{{"userId":"{user:0>60}","lat":1,"lng":0}}"#));
    }
    gateway.barrier();
    wait_until_kept(&server, &folder);
    let before = fs::read(&file).expect("there");
    limit_files(&server, Some(64 * 1024));
    let failed = server.metric("spectate_state_write_errors_total");
    publish(&server, &position(1));
    wait_for_errors(&server, failed + 3.0);
    let (mut follower, _) = server.spectator("[5]");
    publish(&server, &position(2));
    assert_eq!(follower.receive(), position(2), "nothing else suffers");
    assert_eq!(fs::read(&file).expect("there"), before);
    assert_eq!(errors(&server.log()).len(), 1, "{}", server.log());
    limit_files(&server, None);
    publish(&server, &position(3));
    wait_until_kept(&server, &folder);
    assert!(
        server.log().contains("it is written again"),
        "{}",
        server.log()
    );
    assert_eq!(errors(&server.log()).len(), 1, "{}", server.log());
    drop(server);
    assert_last_known(&restored(&folder).0.expect("whole"), &position(3));
}

#[test]
fn a_stop_while_the_disk_is_full_is_a_stop_all_the_same() {
    let folder = Folder::new();
    let server = folder.serve_every("10ms", &[]);
    publish(&server, &position(1));
    wait_until_kept(&server, &folder);
    fs::remove_dir_all(folder.path("")).expect("our folder");
    publish(&server, &position(2));
    wait_for_errors(&server, 1.0);
    let log = stop(server);
    assert_eq!(errors(&log).len(), 1, "{log}");
}

#[test]
fn a_second_signal_ends_the_last_write_and_a_whole_state_is_left() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    let mut gateway = server.connect();
    for user in 0..SLOW_TO_WRITE {
        gateway.send(&format!(r#"{{"userId":{user},"lat":1,"lng":0}}"#));
    }
    gateway.barrier();
    drop(gateway);
    stop(server);
    for second in [Signal::TERM, Signal::INT] {
        let ends = |_| is_ended_while_it_writes(&folder, second);
        assert!((0..SIGNALS_MAX).any(ends), "{second:?} ends nothing");
        assert_last_known(&restored(&folder).0.expect("whole"), &position(1));
    }
}

/// Whether a second signal ends a server: one that comes when all is written does not.
fn is_ended_while_it_writes(folder: &Folder, second: Signal) -> bool {
    let (new, lock) = (folder.path("state.new"), folder.path("state.lock"));
    // What the last one left does not say that this one writes.
    let _ = fs::remove_file(&new);
    let server = folder.serve(&[]);
    server.signal(Signal::TERM);
    while !new.exists() && lock.exists() {}
    server.signal(second);
    let (status, _, log) = server.wait();
    let is_ended = status.code() == Some(1);
    assert!(is_ended || status.code() == Some(0), "{status} {log}");
    // It came when the loop had ended, which has a line for it.
    assert!(!log.contains("second signal"), "{log}");
    is_ended
}

#[test]
fn a_server_whose_folder_was_cleared_away_leaves_it_to_the_one_that_came_instead() {
    let folder = Folder::new();
    let server = folder.serve_every("10ms", &[]);
    fs::remove_file(folder.path("state.lock")).expect("its lock");
    let other = folder.serve(&[]);
    publish(&server, &position(1));
    wait_for_errors(&server, 1.0);
    let log = stop(server);
    assert!(errors(&log)[0].contains("another server"), "{log}");
    assert_eq!(folder.names(), ["state.lock"]);
    publish(&other, &position(2));
    stop(other);
    assert_eq!(folder.names(), ["state"]);
}
