//! The command line of `serve`, its environment, what it prints and logs, and how it stops.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::needs;
use crate::scratch::Scratch;
use crate::support::{
    Answer, Client, Server, frame, program, socket, wait_for_exit, wait_until_readable,
};

/// Runs a program that should end by itself: its exit status, stdout and stderr.
fn run(mut command: Command) -> (Option<i32>, String, String) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built");
    let status = wait_for_exit(&mut child);
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let out = child.stdout.as_mut().expect("piped");
    out.read_to_string(&mut stdout).expect("UTF-8");
    let err = child.stderr.as_mut().expect("piped");
    err.read_to_string(&mut stderr).expect("UTF-8");
    (status.code(), stdout, stderr)
}

/// The one line with which the program refuses its arguments, without its name.
fn refusal(command: Command) -> String {
    let arguments = format!("{command:?}");
    let (code, stdout, stderr) = run(command);
    assert_eq!(code, Some(2), "{arguments}: {stderr}");
    assert_eq!(stdout, "", "{arguments}");
    assert_eq!(stderr.lines().count(), 1, "{arguments}: {stderr}");
    assert!(stderr.ends_with('\n'), "{arguments}: {stderr}");
    let line = stderr.trim_end().strip_prefix("spectate: ");
    line.unwrap_or_else(|| panic!("{arguments}: {stderr}"))
        .to_owned()
}

/// `serve` on a free port, with environment variables.
fn serve_with(flags: &[&str], environment: &[(&str, &str)]) -> Server {
    let arguments = [&["serve", "--listen", "127.0.0.1:0"], flags].concat();
    let mut command = program(&arguments);
    command.envs(environment.iter().copied());
    Server::run(command)
}

/// How many users one connection may follow.
fn follows_max(server: &Server) -> f64 {
    let (mut client, _) = server.spectator("[1,2,3,4,5,6,7,8,9]");
    client.barrier();
    server.metric("spectate_follows")
}

/// Asserts that positions are relayed.
fn assert_relays(server: &Server) {
    let (mut follower, _) = server.spectator("[\"probe\"]");
    let mut runner = server.join("\"probe\"", "[]");
    for lat in 0..10 {
        runner.send(&format!(r#"{{"lat":{lat},"lng":0}}"#));
        assert_eq!(
            follower.receive(),
            format!(r#"{{"userId":"probe","lat":{lat},"lng":0}}"#)
        );
    }
}

#[test]
fn a_bad_value_is_refused_with_the_flag_the_value_and_an_example() {
    for (flag, value, example) in [
        ("--ping-interval", "1x", "25s"),
        ("--ping-interval", "0", "1s"),
        ("--pong-timeout", "", "25s"),
        ("--handshake-timeout", "0s", "1s"),
        ("--handshake-timeout", "five", "25s"),
        ("--stall-timeout", "1e99h", "25s"),
        ("--drain", "-5s", "25s"),
        ("--forget-after", "6 h", "25s"),
        ("--flush-interval", "10us", "25s"),
        ("--listen", "8080", "127.0.0.1:8080"),
        ("--listen", "localhost", "127.0.0.1:8080"),
        ("--listen", "127.0.0.1:99999", "127.0.0.1:8080"),
        ("--max-message-bytes", "1", "65536"),
        ("--max-message-bytes", "64k", "65536"),
        ("--max-message-bytes", "99999999999", "65536"),
        ("--max-follows", "many", "1000"),
        ("--max-follows", "-1", "1000"),
        ("--max-runners", "1e6", "1000000"),
        ("--backlog", "4294967296", "4096"),
        (
            "--log-level",
            "loud",
            "off, error, warn, info, debug, trace",
        ),
    ] {
        let line = refusal(program(&["serve", &format!("{flag}={value}")]));
        assert!(line.starts_with(&format!("{flag}: ")), "{line}");
        assert!(line.contains(value), "{line}");
        assert!(line.contains(example), "{flag} {value}: {line}");
    }
}

#[test]
fn unknown_words_are_refused_with_what_may_have_been_meant() {
    for (arguments, word, meant) in [
        (
            &["serve", "--lissen", "127.0.0.1:0"][..],
            "--lissen",
            "--listen",
        ),
        (
            &["serve", "--max-message-byte", "5000"],
            "--max-message-byte",
            "--max-message-bytes",
        ),
        (&["serve", "--wgs48"], "--wgs48", "--wgs84"),
        (&["serv"], "serv", "serve"),
        (
            &["serve", "--nothing-like-it"],
            "--nothing-like-it",
            "--help",
        ),
        (&["serve", "-x"], "-x", "--help"),
        (&["serve", "8080"], "8080", "--help"),
        (&["serve", "--listen"], "--listen", ""),
        (&["serve", "--wgs84=maybe"], "--wgs84", ""),
        (&[], "", "--help"),
    ] {
        let line = refusal(program(arguments));
        assert!(line.contains(word), "{arguments:?}: {line}");
        assert!(line.contains(meant), "{arguments:?}: {line}");
    }
}

#[test]
fn help_and_version_succeed_on_stdout() {
    let (code, stdout, stderr) = run(program(&["serve", "--help"]));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for flag in [
        "--listen",
        "--max-follows",
        "--max-message-bytes",
        "--max-runners",
        "--backlog",
        "--handshake-timeout",
        "--ping-interval",
        "--pong-timeout",
        "--stall-timeout",
        "--drain",
        "--forget-after",
        "--flush-interval",
        "--wgs84",
        "--log-level",
    ] {
        assert!(stdout.contains(flag), "{flag}");
    }
    let (code, stdout, _) = run(program(&["--help"]));
    assert_eq!(code, Some(0));
    for word in ["serve", "simulate", "watch", "SPECTATE_"] {
        assert!(stdout.contains(word), "{word}");
    }
    let (code, stdout, _) = run(program(&["--version"]));
    assert_eq!(code, Some(0));
    assert_eq!(stdout, format!("spectate {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_flag_may_come_from_the_environment_and_the_command_line_wins() {
    let variable = [("SPECTATE_MAX_FOLLOWS", "2")];
    assert_eq!(follows_max(&serve_with(&[], &variable)), 2.0);
    assert_eq!(
        follows_max(&serve_with(&["--max-follows", "4"], &variable)),
        4.0
    );
    let empty = [("SPECTATE_MAX_FOLLOWS", ""), ("SPECTATE_WGS84", "")];
    assert_eq!(follows_max(&serve_with(&[], &empty)), 9.0);
    let refused = {
        let mut command = program(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("SPECTATE_PING_INTERVAL", "1x");
        refusal(command)
    };
    assert!(
        refused.contains("ping-interval") && refused.contains("25s"),
        "{refused}"
    );
    assert!(refused.contains("SPECTATE_PING_INTERVAL"), "{refused}");
}

#[test]
fn a_switch_may_come_from_the_environment() {
    for (value, on) in [
        ("1", true),
        ("true", true),
        ("0", false),
        ("false", false),
        ("", false),
    ] {
        let server = serve_with(&[], &[("SPECTATE_WGS84", value)]);
        let mut runner = server.join("5", "[5]");
        runner.send(r#"{"lat":91,"lng":0}"#);
        let answer = runner.receive();
        assert_eq!(answer.contains("bad_position"), on, "{value:?}: {answer}");
    }
    let mut command = program(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SPECTATE_WGS84", "perhaps");
    let line = refusal(command);
    assert!(line.contains("wgs84") || line.contains("WGS84"), "{line}");
    let server = serve_with(&["--wgs84"], &[("SPECTATE_WGS84", "0")]);
    let mut runner = server.join("5", "[5]");
    runner.send(r#"{"lat":91,"lng":0}"#);
    assert!(runner.receive().contains("bad_position"), "flags win");
}

#[test]
fn several_addresses_are_listened_on_and_named_in_one_line() {
    let mut from_environment = program(&["serve"]);
    from_environment.env("SPECTATE_LISTEN", "127.0.0.1:0,127.0.0.2:0");
    let from_flags = program(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.2:0",
    ]);
    for command in [from_environment, from_flags] {
        let server = Server::run(command);
        let addresses = server.addresses().to_vec();
        assert_eq!(addresses.len(), 2);
        assert_eq!(addresses[0].ip().to_string(), "127.0.0.1");
        assert_eq!(addresses[1].ip().to_string(), "127.0.0.2");
        let mut follower = Client::connect(addresses[0]);
        follower.hello("1", "[2]");
        follower.barrier();
        let mut runner = Client::connect(addresses[1]);
        runner.send(r#"{"userId":2,"lat":1,"lng":2}"#);
        assert_eq!(follower.receive(), r#"{"userId":2,"lat":1,"lng":2}"#);
        drop((follower, runner));
        let (status, stdout, _) = server.stop();
        assert!(status.success());
        assert_eq!(
            stdout,
            format!(
                "listening on {0}, {1}\nmap: http://{0}/\n",
                addresses[0], addresses[1]
            )
        );
    }
}

/// The second line on stdout of a server with these arguments, and its port.
fn map_line(arguments: &[&str]) -> (String, u16) {
    let server = Server::run(program(&[&["serve"], arguments].concat()));
    let port = server.address().port();
    let (_, stdout, _) = server.stop();
    let line = stdout.lines().nth(1).expect("a second line");
    (line.to_owned(), port)
}

#[test]
fn the_second_line_is_a_link_that_opens_the_map_on_this_machine() {
    let (line, port) = map_line(&["--listen", "0.0.0.0:0"]);
    assert_eq!(line, format!("map: http://127.0.0.1:{port}/"));
    let server = Server::run(program(&["serve", "--listen", "0.0.0.0:0"]));
    let address = format!("127.0.0.1:{}", server.address().port());
    let socket = socket(address.parse().expect("an address"));
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let page = Answer::to(socket, request.as_bytes());
    assert!(page.status == 200 && page.body.starts_with("<!doctype html>"));
}

#[test]
fn where_tokens_are_asked_for_the_second_line_says_how_to_have_one() {
    let file = Scratch::new("map-link", b"a secret of tests that is long enough");
    let secret = ["--jwt-hs256-secret-file", file.path()];
    let arguments = [
        &["--listen", "127.0.0.1:0", "--jwt-issuer", "us"],
        &secret[..],
    ]
    .concat();
    let (line, port) = map_line(&arguments);
    let told = format!(
        "map: http://127.0.0.1:{port}/#token=TOKEN with a token from: \
         spectate token --sub me --follow '*' --jwt-hs256-secret-file {} --jwt-issuer us",
        file.path()
    );
    assert_eq!(line, told);
    let public = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/tokens/keys/ed25519.pub.pem"
    );
    let (line, port) = map_line(&["--listen", "127.0.0.1:0", "--jwt-public-key-file", public]);
    let link = format!("map: http://127.0.0.1:{port}/#token=TOKEN with a token from ");
    assert!(line.starts_with(&link), "{line}");
}

#[test]
fn ipv6_is_listened_on_and_its_wildcard_takes_ipv4_too() {
    let local = TcpListener::bind("[::1]:0").ok();
    if needs::or_say(local, "IPv6", "sysctl net.ipv6.conf.lo.disable_ipv6=0").is_none() {
        return;
    }
    let server = Server::run(program(&[
        "serve",
        "--listen",
        "[::1]:0",
        "--listen",
        "127.0.0.1:0",
    ]));
    let addresses = server.addresses().to_vec();
    assert!(addresses[0].is_ipv6() && addresses[1].is_ipv4());
    for address in addresses {
        Client::connect(address).barrier();
    }
    let server = Server::run(program(&["serve", "--listen", "[::]:0"]));
    let port = server.address().port();
    for address in ["[::1]", "127.0.0.1"] {
        let address = format!("{address}:{port}").parse().expect("an address");
        Client::connect(address).barrier();
    }
}

#[test]
fn a_port_in_use_ends_with_1_and_is_named() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = holder.local_addr().expect("bound").to_string();
    for arguments in [
        &["serve", "--listen", &taken][..],
        &["serve", "--listen", "127.0.0.1:0", "--listen", &taken],
    ] {
        let (code, stdout, stderr) = run(program(arguments));
        assert_eq!(code, Some(1), "{stderr}");
        assert_eq!(stdout, "", "nothing is listened on");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.starts_with("spectate: "), "{stderr}");
        assert!(stderr.contains(&taken), "{stderr}");
    }
}

#[test]
fn a_signal_ends_it_with_0_and_two_lines_on_stdout() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::start(&[]);
        let address = server.address();
        server.signal(signal);
        let (status, stdout, _) = server.wait();
        assert_eq!(status.code(), Some(0), "{signal:?}");
        let told = format!("listening on {address}\nmap: http://{address}/\n");
        assert_eq!(stdout, told);
        assert!(TcpStream::connect(address).is_err(), "nobody listens");
    }
}

#[test]
fn a_signal_tells_everybody_with_1012() {
    let server = Server::start(&["--drain", "1s"]);
    let mut clients: Vec<Client> = (0..10).map(|_| server.join("5", "[5]")).collect();
    clients[0].send(r#"{"lat":1,"lng":2}"#);
    for client in &mut clients {
        client.receive();
    }
    server.signal(Signal::TERM);
    for mut client in clients {
        assert_eq!(client.receive_close().0, 1012);
    }
    let (status, _, log) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert_eq!(log.matches(" reason=restarting ").count(), 10, "{log}");
}

#[test]
fn a_peer_that_does_not_hang_up_before_the_stop_has_its_line_as_well() {
    let server = Server::start(&["--drain", "500ms"]);
    let mut client = server.join("5", "[5]");
    client.barrier();
    let silent = server.socket();
    server.wait_for_metric("spectate_connections", 1.0);
    server.signal(Signal::TERM);
    assert_eq!(client.receive_close().0, 1012);
    let peers = [client.stream(), &silent].map(|socket| socket.local_addr().expect("connected"));
    let (status, _, log) = server.wait();
    assert_eq!(status.code(), Some(0));
    for peer in peers {
        assert!(log.contains(&format!("peer={peer} ")), "{log}");
    }
}

#[test]
fn the_log_has_one_line_at_start_one_for_each_death_and_one_at_stop() {
    let server = Server::start(&["--drain", "1s"]);
    let mut client = server.join("5", "[5]");
    let peer = client.stream().local_addr().expect("connected");
    for _ in 0..3 {
        client.send(r#"{"lat":1,"lng":2}"#);
        client.receive();
    }
    client.send("nonsense");
    client.receive_error();
    client.send_raw(&frame(0x88, &1000u16.to_be_bytes()));
    assert_eq!(client.receive_close().0, 1000);
    drop(client);
    server.get("/healthz");
    let mut last = server.connect();
    last.barrier();
    server.signal(Signal::TERM);
    assert_eq!(last.receive_close().0, 1012);
    drop(last);
    let address = server.address();
    let (_, _, log) = server.wait();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(
        lines.len(),
        4,
        "start, two WebSockets, stop; no health check:\n{log}"
    );
    assert!(lines.iter().all(|line| line.contains(" INFO ")), "{log}");
    assert!(
        lines[0].contains("start ") && lines[0].contains(&address.to_string()),
        "{log}"
    );
    let death = lines
        .iter()
        .find(|line| line.contains(&format!("peer={peer} ")));
    let death = death.expect("a line about the peer");
    for fact in [" close ", "reason=closed", "received=5", "sent=3"] {
        assert!(death.contains(fact), "{fact}: {death}");
    }
    assert!(lines[3].contains("stop "), "{log}");
}

#[test]
fn log_lines_carry_utc_and_key_value_facts() {
    let server = Server::start(&[]);
    drop(server.connect());
    server.wait_for_metric("spectate_connections", 0.0);
    let (_, _, log) = server.stop();
    for line in log.lines() {
        let stamp = line.split(' ').next().expect("a word");
        assert!(stamp.starts_with("20") && stamp.ends_with('Z'), "{line}");
    }
    let death = log.lines().find(|line| line.contains("reason=eof"));
    let (_, facts) = death
        .and_then(|line| line.split_once(" close "))
        .expect("a death");
    assert!(facts.split(' ').all(|fact| fact.contains('=')), "{facts}");
}

#[test]
fn log_level_off_says_nothing_and_warn_nothing_of_what_is_normal() {
    for level in ["off", "warn", "OFF"] {
        let server = Server::start(&["--log-level", level]);
        assert_relays(&server);
        server.get("/nowhere");
        let (status, _, log) = server.stop();
        assert!(status.success());
        assert_eq!(log, "", "{level}");
    }
}

#[test]
fn a_closed_stderr_neither_ends_nor_stalls_the_server() {
    let server = {
        let (reader, writer) = std::io::pipe().expect("descriptors");
        drop(reader);
        let mut command = program(&["serve", "--listen", "127.0.0.1:0", "--log-level", "trace"]);
        command.stderr(writer);
        Server::spawn(command, PathBuf::new())
    };
    refuse_many(&server, 500);
    assert_relays(&server);
    let (status, _, _) = server.stop();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_stderr_that_never_was_neither_ends_nor_stalls_the_server() {
    let mut command = Command::new("/bin/sh");
    command.args([
        "-c",
        "exec \"$0\" serve --listen 127.0.0.1:0 --log-level trace 2>&-",
    ]);
    command.arg(env!("CARGO_BIN_EXE_spectate")).env_clear();
    let server = Server::spawn(command, PathBuf::new());
    refuse_many(&server, 500);
    assert_relays(&server);
    let (status, _, _) = server.stop();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_full_stderr_neither_ends_nor_stalls_the_server_and_the_gap_is_told() {
    let (mut reader, writer) = std::io::pipe().expect("descriptors");
    let mut command = program(&["serve", "--listen", "127.0.0.1:0", "--log-level", "debug"]);
    command.stderr(writer);
    let server = Server::spawn(command, PathBuf::new());
    refuse_many(&server, 4000);
    assert_relays(&server);
    // Some lines are read: then there is room for new ones.
    let mut log = vec![0; 32 * 1024];
    reader.read_exact(&mut log).expect("at least as much");
    refuse_many(&server, 1);
    while !String::from_utf8_lossy(&log).contains("log_lines_dropped=") {
        assert!(wait_until_readable(&reader), "no word about the gap");
        let mut chunk = [0; 4096];
        let bytes = reader.read(&mut chunk).expect("a pipe");
        log.extend_from_slice(&chunk[..bytes]);
    }
    let (status, _, _) = server.stop();
    assert_eq!(status.code(), Some(0));
}

/// Has messages refused, each of which is a log line at the level debug.
fn refuse_many(server: &Server, count: usize) {
    let mut client = server.connect();
    for _ in 0..count {
        client.send("nonsense");
        client.send(r#"{"unfollow":[]}"#);
        assert_eq!(client.receive_error().0, "bad_json");
    }
}

#[test]
fn a_stderr_on_a_full_disk_neither_ends_nor_stalls_the_server() {
    let full = File::options().write(true).open("/dev/full").ok();
    let Some(full) = needs::or_say(full, "/dev/full", "mknod -m 666 /dev/full c 1 7") else {
        return;
    };
    let mut command = program(&["serve", "--listen", "127.0.0.1:0", "--log-level", "trace"]);
    command.stderr(full);
    let server = Server::spawn(command, PathBuf::new());
    refuse_many(&server, 100);
    assert_relays(&server);
    let (status, _, _) = server.stop();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_closed_stdout_is_no_reason_not_to_serve() {
    let (reader, writer) = std::io::pipe().expect("descriptors");
    drop(reader);
    let mut command = program(&["serve", "--listen", "127.0.0.1:0"]);
    let mut child = command
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built");
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    let mut start = String::new();
    stderr.read_line(&mut start).expect("UTF-8");
    let address = start
        .split_once("listen=\"")
        .and_then(|(_, rest)| rest.split_once('"')?.0.parse().ok());
    let served = address.map(|address| {
        let mut client = Client::connect(address);
        client.hello("5", "[5]");
        client.send(r#"{"lat":1,"lng":2}"#);
        client.receive()
    });
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    assert_eq!(wait_for_exit(&mut child).code(), Some(0), "{start}");
    assert_eq!(served.as_deref(), Some(r#"{"userId":5,"lat":1,"lng":2}"#));
}
