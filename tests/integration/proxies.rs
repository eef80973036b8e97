//! Reports through the proxies of the operator's manual, with its own snippets: nginx and Caddy,
//! which keep connections to the server and send requests of many phones over each.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::access;
use crate::markdown::{Manual, SERVER};
use crate::needs;
use crate::phone::{Phone, get, post};
use crate::support::{Answer, Client, Server, WAIT, read_head, reset, socket, upgrade};

const OWN: &str = r#"{"userId":5,"lat":1,"lng":2}"#;
const TAKEN: &str = r#"{"accepted":1,"late":0,"refused":0}"#;

/// The name that the manual's snippets give the server.
const HOST: &str = "race.example.com";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// As it is in the manual: it has all of a request before it sends any of it.
    Nginx,
    /// The same where it sends requests on as they come, and longer ones than the server takes.
    StreamingNginx,
    /// It always does that.
    Caddy,
}

const KINDS: [Kind; 3] = [Kind::Nginx, Kind::StreamingNginx, Kind::Caddy];

/// A running proxy, killed when it is dropped, and its folder with it.
struct Proxy {
    kind: Kind,
    child: Child,
    /// Writes down what it says on stderr.
    scribe: Option<JoinHandle<()>>,
    address: SocketAddr,
    /// Keeps the port from others: it is bound and never listens.
    _port: Socket,
    folder: PathBuf,
}

/// The manual's configuration of a proxy, for these addresses.
fn configuration(kind: Kind, address: SocketAddr, server: SocketAddr) -> String {
    let language = match kind {
        Kind::Nginx | Kind::StreamingNginx => "nginx",
        Kind::Caddy => "caddy",
    };
    let mut blocks = Manual::read(SERVER).blocks().into_iter();
    let block = blocks.find(|block| block.language == language);
    let mut text = block.expect(language).code;
    let mut replace = |old: &str, new: String| {
        assert_eq!(text.matches(old).count(), 1, "{old} in {text}");
        text = text.replace(old, &new);
    };
    replace("127.0.0.1:8080", server.to_string());
    let port = address.port();
    if kind == Kind::Caddy {
        replace("{\n    log {", "{\n    admin off\n    log {".to_owned());
        replace(
            &format!("\n{HOST} {{"),
            format!("\nhttp://{HOST}:{port} {{\n    bind 127.0.0.1\n    log"),
        );
        return text;
    }
    replace("listen 443 ssl", format!("listen {address}"));
    for certificate in ["pem", "key"] {
        let key = if certificate == "key" { "_key" } else { "" };
        replace(
            &format!("    ssl_certificate{key} /etc/ssl/{HOST}.{certificate};\n"),
            String::new(),
        );
    }
    for file in ["access", "error"] {
        replace(
            &format!("/var/log/nginx/race.{file}.log"),
            format!("{file}.log"),
        );
    }
    if kind == Kind::StreamingNginx {
        let more = "client_max_body_size 8m;\n    proxy_request_buffering off;";
        replace("location / {", format!("location / {{\n    {more}"));
    }
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {name};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr notice;\n\
         events {{}}\nhttp {{\n{folders}{text}}}\n"
    )
}

impl Proxy {
    /// Starts one before a server, unless it is not installed.
    fn start(kind: Kind, server: &Server) -> Option<Proxy> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let program = match kind {
            Kind::Nginx | Kind::StreamingNginx => needs::program(&["nginx"], "nginx-light")?,
            Kind::Caddy => needs::program(&["caddy"], "caddy")?,
        };
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("proxy-{}-{number}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).expect("room for a folder");
        let port = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
        // As the proxy does it: then both may be bound to it.
        port.set_reuse_address(true).expect("a TCP socket");
        port.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .expect("a free port");
        let address = port.local_addr().expect("bound").as_socket();
        let address = address.expect("an internet socket");
        let text = configuration(kind, address, server.address());
        let file = folder.join("configuration");
        fs::write(&file, text).expect("room for a file");
        let mut command = Command::new(program);
        match kind {
            Kind::Nginx | Kind::StreamingNginx => {
                command.args(["-e", "stderr", "-p"]).arg(&folder);
                command.arg("-c").arg(&file);
            }
            Kind::Caddy => {
                command.args(["run", "--adapter", "caddyfile", "--config"]);
                command.arg(&file);
            }
        }
        let child = command
            .current_dir(&folder)
            .env_clear()
            .env("HOME", &folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut proxy = Proxy {
            kind,
            child: child.expect("it starts"),
            scribe: None,
            address,
            _port: port,
            folder,
        };
        proxy.wait_until_it_listens();
        Some(proxy)
    }

    /// Waits for the line that it writes once it listens. All its lines go into a file.
    fn wait_until_it_listens(&mut self) {
        let stderr = self.child.stderr.take().expect("piped");
        let mut log = fs::File::create(self.folder.join("stderr.log")).expect("room for a file");
        let words = match self.kind {
            Kind::Nginx | Kind::StreamingNginx => "event method",
            Kind::Caddy => "serving initial configuration",
        };
        let (listens, is_listening) = mpsc::channel();
        let scribe = thread::spawn(move || {
            let mut lines = BufReader::new(stderr);
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                // The folder may be gone, and nobody be waiting any more.
                let _ = log.write_all(line.as_bytes());
                if line.contains(words) {
                    let _ = listens.send(());
                }
                line.clear();
            }
        });
        self.scribe = Some(scribe);
        if is_listening.recv_timeout(WAIT).is_err() {
            let logs = self.end();
            panic!("{:?} does not listen: {logs}", self.kind);
        }
    }

    /// Ends it, and says all that it has logged.
    fn end(&mut self) -> String {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
        if let Some(scribe) = self.scribe.take() {
            scribe.join().expect("it does not panic");
        }
        let read = |name| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        ["stderr.log", "access.log", "error.log"].map(read).concat()
    }

    fn phone(&self) -> Phone {
        Phone(socket(self.address))
    }

    /// A WebSocket whose handshake has these further header lines.
    fn connect(&self, headers: &str) -> Client {
        let mut socket = socket(self.address);
        let handshake = to_host(&upgrade(headers));
        socket.write_all(handshake.as_bytes()).expect("it reads");
        let head = read_head(&mut socket);
        assert!(head.starts_with("HTTP/1.1 101 "), "{:?} {head}", self.kind);
        Client::after_handshake(socket)
    }

    /// One that follows these users (a JSON list), once the server knows that.
    fn spectator(&self, following: &str) -> Client {
        let mut client = self.connect("");
        client.send(&format!(
            r#"{{"initialRequest":true,"following":{following}}}"#
        ));
        client.barrier();
        client
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The request with the host that the proxy serves.
fn to_host(request: &str) -> String {
    request.replacen("\r\nHost: test\r\n", &format!("\r\nHost: {HOST}\r\n"), 1)
}

fn chunked(target: &str, body: &str, chunk_bytes: usize) -> String {
    let mut request =
        format!("POST {target} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in body.as_bytes().chunks(chunk_bytes) {
        let chunk = str::from_utf8(chunk).expect("ASCII");
        request += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
    }
    request + "0\r\n\r\n"
}

/// A report of Overland with 300 points, the newest last.
fn overland() -> String {
    let point = |second: u32| {
        format!(
            r#"{{"type":"Feature","geometry":{{"type":"Point","coordinates":[2.25,{second}e-3]}},"properties":{{"timestamp":"2023-11-14T22:{:02}:{:02}Z","speed":4,"horizontal_accuracy":5,"altitude":30,"battery_state":"unplugged","battery_level":0.5,"wifi":"","motion":["running"],"pauses":false,"activity":"fitness","desired_accuracy":10,"deferred":0,"significant_change":"disabled","locations_in_payload":300,"device_id":"d"}}}}"#,
            second / 60,
            second % 60
        )
    };
    let points: Vec<String> = (0..300).map(point).collect();
    let body = format!(r#"{{"locations":[{}]}}"#, points.join(","));
    assert!(body.len() > 100 * 1024);
    body
}

/// What apps send, one of each dialect and of each way to send a body.
fn reports() -> Vec<String> {
    let json = "Content-Type: application/json\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let traccar = r#"{"location":{"timestamp":"2023-11-14T22:13:20.000Z","coords":{"latitude":1.5,"longitude":2,"speed":-1}},"device_id":"b"}"#;
    vec![
        get("/?id=a&lat=1.50&lon=2&timestamp=1700000000&speed=10", ""),
        get(
            "/track/x?id=a&lat=1.5&lon=2&time=2023-11-14T22:13:21%2B00:00",
            "",
        ),
        post("/", form, "id=a&lat=1.51&lon=2&timestamp=1700000002"),
        post("/?id=a", form, "location=1.52,2&timestamp=1700000003"),
        post("/", json, traccar),
        post(
            "/pub?u=c&d=phone",
            json,
            r#"{"_type":"location","lat":1.5,"lon":2,"tst":1700000000,"vel":36,"batt":46}"#,
        ),
        post("/pub", "X-Limit-U: c\r\nX-Limit-D: phone\r\n", ""),
        post("/track", json, OWN),
        chunked("/track", r#"{"userId":5,"lat":3,"lng":4}"#, 7),
        post("/track", json, &overland()),
        chunked("/track", &overland(), 4000),
        post(
            "/track",
            "Expect: 100-continue\r\n",
            r#"{"userId":5,"lat":5,"lng":6}"#,
        ),
        // What is refused is refused in the same words.
        post("/track", json, r#"{"userId":5,"lat":"#),
        post("/track", json, r#"{"lat":1,"lng":2}"#),
        post(
            "/track",
            json,
            &format!("[{}{OWN}]", format!("{OWN},").repeat(1000)),
        ),
        get("/track?id=5&timestamp=1700000000", ""),
        get("/track", "").replacen("GET", "DELETE", 1),
    ]
    .iter()
    .map(|request| to_host(request))
    .collect()
}

/// The next answer that is more than a word to go on.
fn receive(phone: &mut Phone) -> Answer {
    loop {
        let answer = phone.receive();
        if answer.status != 100 {
            return answer;
        }
    }
}

/// What a phone sees of an answer.
fn seen(answer: &Answer) -> (u16, &str, Option<&str>) {
    (answer.status, &answer.body, answer.header("Content-Type"))
}

#[test]
fn reports_of_every_dialect_are_answered_and_followed_through_a_proxy_as_without_it() {
    let following = r#"["a","b","c","d","5"]"#;
    for kind in KINDS {
        let (plain, behind) = (Server::start(&[]), Server::start(&[]));
        let Some(proxy) = Proxy::start(kind, &behind) else {
            continue;
        };
        let (mut plain_follower, _) = plain.spectator(following);
        let mut follower = proxy.spectator(following);
        let (mut plain_phone, mut phone) = (Phone::new(&plain), proxy.phone());
        for request in reports() {
            plain_phone.send(&request);
            phone.send(&request);
            let (expected, answer) = (receive(&mut plain_phone), receive(&mut phone));
            let begin = &request[..request.len().min(200)];
            assert_eq!(seen(&answer), seen(&expected), "{kind:?} {begin}");
            let texts = follower.barrier();
            assert_eq!(texts, plain_follower.barrier(), "{kind:?} {begin}");
            assert!(expected.status != 200 || answer.header("Connection") != Some("close"));
        }
        for source in ["osmand", "traccar", "owntracks", "overland", "json"] {
            let series = format!("spectate_positions_received_total{{source=\"{source}\"}}");
            let count = plain.metric(&series);
            assert!(count > 0.0, "{source}");
            assert_eq!(behind.metric(&series), count, "{kind:?} {source}");
        }
        // Runners with a WebSocket come through too.
        let mut runner = proxy.connect("");
        runner.hello("5", "[]");
        runner.send(r#"{"userId":5,"lat":8,"lng":9}"#);
        assert_eq!(follower.receive(), r#"{"userId":5,"lat":8,"lng":9}"#);
        assert_eq!(phone.ask(&to_host(&get("/metrics", ""))).status, 404);
    }
}

#[test]
fn many_phones_behind_a_proxy_share_few_connections_to_the_server() {
    const PHONES: usize = 10;
    const REPORTS: usize = 20;
    for kind in KINDS {
        let server = Server::start(&[]);
        let Some(proxy) = Proxy::start(kind, &server) else {
            continue;
        };
        let accepted = "spectate_connections_accepted_total";
        let before = server.metric(accepted);
        thread::scope(|scope| {
            for number in 0..PHONES {
                let proxy = &proxy;
                scope.spawn(move || {
                    let mut phone = proxy.phone();
                    for lat in 0..REPORTS {
                        let body = format!(r#"{{"userId":"{number}","lat":{lat},"lng":2}}"#);
                        let answer = phone.ask(&to_host(&post("/track", "", &body)));
                        assert_eq!((answer.status, &*answer.body), (200, TAKEN), "{kind:?}");
                    }
                });
            }
        });
        let received = r#"spectate_positions_received_total{source="json"}"#;
        assert_eq!(server.metric(received), (PHONES * REPORTS) as f64);
        // Two were ours: the last two questions for a metric.
        let used = server.metric(accepted) - before - 2.0;
        assert!(
            (1.0..=2.0 * PHONES as f64).contains(&used),
            "{kind:?} {used}"
        );
        // All of them were kept, and one is taken for what comes next.
        let kept = server.metric("spectate_http_connections") - 1.0;
        assert!((1.0..=used).contains(&kept), "{kind:?} {kept}");
        let before = server.metric(accepted);
        for _ in 0..REPORTS {
            let answer = proxy.phone().ask(&to_host(&post("/track", "", OWN)));
            assert_eq!(answer.body, TAKEN);
        }
        let used = server.metric(accepted) - before - 1.0;
        assert_eq!(used, 0.0, "{kind:?} has kept connections");
    }
}

#[test]
fn a_report_that_breaks_off_before_a_proxy_moves_nobody_and_spoils_no_request_of_others() {
    for kind in KINDS {
        let server = Server::start(&[]);
        let Some(proxy) = Proxy::start(kind, &server) else {
            continue;
        };
        let mut follower = proxy.spectator("[5,6]");
        let mut other = proxy.phone();
        let report = to_host(&post("/track", "", r#"{"userId":6,"lat":1,"lng":2}"#));
        let chunks = to_host(&chunked("/track", r#"{"userId":6,"lat":1,"lng":2}"#, 5));
        let long = to_host(&post("/track", "", &overland().replace(r#""d""#, r#""6""#)));
        let head_bytes = report.find("\r\n\r\n").expect("a head") + 4;
        let cuts = [
            &report[..head_bytes],
            &report[..head_bytes + 1],
            &report[..report.len() - 1],
            &chunks[..chunks.len() - 1],
            &chunks[..chunks.len() - 5],
            &chunks[..chunks.len() - 9],
            &long[..70_000],
        ];
        for (number, cut) in cuts.iter().enumerate() {
            for is_reset in [false, true] {
                let mut phone = proxy.phone();
                phone.send(cut);
                if is_reset {
                    reset(&phone.0);
                }
                drop(phone);
                let lat = number * 2 + usize::from(is_reset);
                let body = format!(r#"{{"userId":"5","lat":{lat},"lng":0}}"#);
                for request in [post("/track", "", &body), chunked("/track", &body, 10)] {
                    let answer = other.ask(&to_host(&request));
                    assert_eq!(seen(&answer).0, 200, "{kind:?} {answer:?}");
                    assert_eq!(answer.body, TAKEN, "{kind:?}");
                    assert_eq!(follower.receive(), body, "{kind:?}");
                }
            }
        }
        let mut end = proxy.phone();
        end.send(&report[..report.len() - 1]);
        end.send("}");
        assert_eq!(end.receive().body, TAKEN);
        assert_eq!(follower.receive(), r#"{"userId":"6","lat":1,"lng":2}"#);
        assert!(follower.barrier().is_empty(), "{kind:?}");
    }
}

#[test]
fn a_page_elsewhere_moves_nobody_and_follows_nobody_through_a_proxy() {
    for kind in KINDS {
        let server = Server::start(&[]);
        let Some(proxy) = Proxy::start(kind, &server) else {
            continue;
        };
        let mut follower = proxy.spectator("[5]");
        let own_port = format!("Origin: http://{}\r\n", server.address());
        for (headers, status) in [
            ("Origin: https://race.example.com\r\n", 200),
            ("Origin: https://evil.example\r\n", 403),
            ("Origin: null\r\n", 403),
            (&*own_port, 403),
            ("Sec-Fetch-Site: cross-site\r\n", 403),
            ("Sec-Fetch-Site: same-origin\r\n", 200),
        ] {
            for request in [
                post("/track", headers, OWN),
                get("/?id=5&lat=1&lon=2", headers),
            ] {
                let answer = proxy.phone().ask(&to_host(&request));
                assert_eq!(answer.status, status, "{kind:?} {headers}");
                if status == 200 {
                    assert_eq!(follower.receive(), r#"{"userId":"5","lat":1,"lng":2}"#);
                }
            }
        }
        assert!(follower.barrier().is_empty(), "{kind:?}");
        proxy
            .connect("Origin: https://race.example.com\r\n")
            .barrier();
        let mut page = proxy.connect("Origin: https://evil.example\r\n");
        assert_eq!(page.receive_close().0, 4003, "{kind:?}");
    }
}

#[test]
fn refusals_pass_a_proxy_and_what_is_asked_next_is_answered() {
    let (own, point) = (access::five(), r#"{"lat":1,"lng":2}"#);
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let list = format!("[{point}{}]", format!(",{point}").repeat(1000));
    let long = format!("{point}{}", " ".repeat(2 * 1024 * 1024));
    for kind in KINDS {
        let (server, _file) = access::start(&format!("proxy-{kind:?}"), &[]);
        let Some(proxy) = Proxy::start(kind, &server) else {
            continue;
        };
        for round in 0..10 {
            for (request, status) in [
                (post("/track", "", point), 401),
                (post("/track", &bearer("nonsense"), point), 401),
                (post("/track", &bearer(&own), "{"), 400),
                (post("/track", &bearer(&own), &list), 413),
                (post("/track", &bearer(&own), &long), 413),
                (post("/track", "", &long), 413),
            ] {
                let mut phone = proxy.phone();
                // It may be refused before it is read.
                let _ = phone.0.write_all(to_host(&request).as_bytes());
                let answer = phone.receive();
                let begin = &request[..request.len().min(100)];
                assert_eq!(answer.status, status, "{kind:?} {round} {begin} {answer:?}");
                let asks = answer.header("WWW-Authenticate").is_some();
                assert_eq!(asks, status == 401, "{kind:?} {answer:?}");
                let next = to_host(&post("/track", &bearer(&own), point));
                assert_eq!(proxy.phone().ask(&next).body, TAKEN, "{kind:?} {begin}");
            }
        }
    }
}

#[test]
fn no_log_of_a_proxy_holds_a_token_of_a_query_even_when_the_server_is_gone() {
    for kind in KINDS {
        let (server, _file) = access::start(&format!("logs-{kind:?}"), &[]);
        let Some(mut proxy) = Proxy::start(kind, &server) else {
            continue;
        };
        let token = access::five();
        let secret = token.rsplit('.').next().expect("three parts");
        let ask = || {
            let target = format!("/track?lat=1&lon=2&token={token}");
            let mut phone = proxy.phone();
            phone.send(to_host(&get(&target, "Connection: close\r\n")));
            let status = phone.receive().status;
            // What it has answered it has logged once it lets go.
            let mut rest = Vec::new();
            phone.0.read_to_end(&mut rest).expect("a regular end");
            status
        };
        assert_eq!(ask(), 200);
        let known = server.get("/metrics").body;
        assert!(
            known.contains(r#"received_total{source="osmand"} 1"#),
            "{known}"
        );
        drop(server);
        assert_eq!(ask(), 502, "{kind:?}");
        let logs = proxy.end();
        assert!(logs.contains("/track"), "{kind:?} {logs}");
        assert!(!logs.contains(secret), "{kind:?} {logs}");
        if kind == Kind::Caddy {
            let lines = logs.lines().filter(|line| line.contains("\"uri\""));
            for line in lines {
                let line: Value = serde_json::from_str(line).expect("JSON");
                assert_eq!(line["request"]["uri"], "/track?lat=1&lon=2");
            }
        }
    }
}
