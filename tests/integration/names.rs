//! What runners are called, who is on the roster, and goodbye.

use std::fs;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;
use serde_json::{Value, json};
use spectate::auth::{Follow, Publish};

use crate::access::{self, SECRET, grant, hello, ids, signed};
use crate::phone::Phone;
use crate::scratch::Scratch;
use crate::slow::{FILLER, fall_behind, follower, position};
use crate::support::{
    Answer, Client, Server, WAIT, assert_last_known, error, program, wait_for_exit,
};

/// After this, presence of anybody may be told again.
const PACE: Duration = Duration::from_millis(1200);

/// A token with a name in it.
fn named(user: &str, name: &str, follow: Follow) -> String {
    let mut grant = grant(user, follow, Publish::Own);
    grant.name = Some(name.to_owned());
    signed(&grant, SECRET)
}

/// A token of somebody who may follow everybody.
fn everybody() -> String {
    signed(&grant("w", Follow::Everybody, Publish::Nobody), SECRET)
}

/// A roster, and a server that knows it and lets everybody see everybody.
fn start_with_roster(name: &str, csv: &str) -> (Server, Scratch) {
    let roster = Scratch::new(name, csv.as_bytes());
    let flags = ["--roster", roster.path(), "--follow-all"];
    (Server::start(&flags), roster)
}

/// A connection that asked for presence of users (a JSON list); `rest` is more of its hello.
fn watcher(server: &Server, following: &str, rest: &str) -> Client {
    let mut client = server.connect();
    client.send(&format!(
        r#"{{"initialRequest":true,"presence":true,"following":{following}{rest}}}"#
    ));
    client
}

/// The fields of a presence message as text, from `userId` to `connected`.
fn presence(text: &str) -> &str {
    let rest = text.strip_prefix(r#"{"presence":{"#);
    let rest = rest.unwrap_or_else(|| panic!("no presence: {text}"));
    rest.split(r#","age":"#)
        .next()
        .expect("one")
        .trim_end_matches('}')
}

/// What a user is called in `/positions`.
fn name_on_maps(server: &Server, user: &str, headers: &str) -> Value {
    let answer = get(server, &format!("/positions?ids={user}"), headers);
    let json: Value = serde_json::from_str(&answer.body).expect("JSON");
    json["features"][0]["properties"]["name"].clone()
}

fn get(server: &Server, path: &str, headers: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
    Answer::to(server.socket(), request.as_bytes())
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// Sends a message, and says the codes of the errors that it brought.
fn codes(client: &mut Client, text: &str) -> Vec<String> {
    client.send(text);
    let texts = client.barrier();
    texts.iter().map(|text| error(text).0).collect()
}

/// Has the files read again, and waits until the log tells of it for the so manieth time.
fn reload(server: &Server, times: usize) {
    server.signal(Signal::HUP);
    let begin = Instant::now();
    while server.log().matches(" reload ").count() != times {
        assert!(begin.elapsed() < WAIT, "{}", server.log());
    }
}

#[test]
fn a_name_in_a_hello_is_told_with_presence_and_on_maps_and_the_last_one_wins() {
    let server = Server::start(&[]);
    let mut runner = server.connect();
    runner.send(r#"{"initialRequest":true,"userId":5,"name":"Anna \"A\" Bérg"}"#);
    runner.send(&position(5, 1));
    assert!(runner.barrier().is_empty());
    let mut watcher = watcher(&server, "[5,6]", "");
    assert_eq!(
        presence(&watcher.receive()),
        r#""userId":5,"name":"Anna \"A\" Bérg","state":"live","connected":true"#
    );
    assert_eq!(
        presence(&watcher.receive()),
        r#""userId":6,"state":"unknown","connected":false"#,
        "nobody said a name"
    );
    assert_last_known(&watcher.receive(), &position(5, 1));
    assert_eq!(name_on_maps(&server, "5", ""), "Anna \"A\" Bérg");
    assert!(codes(&mut runner, r#"{"initialRequest":true,"name":null}"#).is_empty());
    assert!(codes(&mut runner, r#"{"initialRequest":true,"name":"B"}"#).is_empty());
    assert_eq!(
        presence(&watcher.receive()),
        r#""userId":5,"name":"B","state":"live","connected":true"#
    );
    assert_eq!(name_on_maps(&server, "5", ""), "B");
}

#[test]
fn a_name_is_refused_for_itself_and_the_rest_of_its_hello_is_carried_out() {
    for (rest, expected) in [
        (r#","userId":5,"name":"""#, "bad_message"),
        (r#","userId":5,"name":5"#, "bad_message"),
        (r#","userId":5,"name":"a\tb""#, "bad_message"),
        (r#","name":"Anna""#, "bad_id"),
    ] {
        let server = Server::start(&[]);
        let mut client = server.connect();
        let text = format!(r#"{{"initialRequest":true,"following":[5]{rest}}}"#);
        assert_eq!(codes(&mut client, &text), [expected], "{rest}");
        client.send(&position(5, 1));
        assert_eq!(client.receive(), position(5, 1));
    }
    let server = Server::start(&[]);
    let mut client = server.connect();
    let long = "x".repeat(65);
    let text = format!(r#"{{"initialRequest":true,"userId":5,"name":"{long}"}}"#);
    assert_eq!(codes(&mut client, &text), ["bad_message"]);
    let text = text.replacen('x', "", 1);
    assert!(codes(&mut client, &text).is_empty());
}

#[test]
fn names_that_change_all_the_time_are_told_once_a_second_and_the_last_one_arrives() {
    let server = Server::start(&[]);
    let mut runner = server.join("5", "[]");
    runner.barrier();
    let mut watcher = watcher(&server, "[5]", "");
    watcher.barrier();
    let begin = Instant::now();
    let mut number = 0;
    while begin.elapsed() < Duration::from_millis(2500) {
        number += 1;
        runner.send(&format!(
            r#"{{"initialRequest":true,"name":"number {number}"}}"#
        ));
        runner.barrier();
    }
    let last = format!(r#""userId":5,"name":"number {number}","state":"unknown","connected":true"#);
    let mut told = 0;
    while presence(&watcher.receive()) != last {
        told += 1;
    }
    assert!((2..=4).contains(&told), "{told} of {number}");
    // The same again is no change.
    let again = format!(r#"{{"initialRequest":true,"name":"number {number}"}}"#);
    runner.send(&again);
    watcher.hear_nothing_for(PACE);
}

#[test]
fn a_name_lasts_as_long_as_its_user_is_there_or_remembered() {
    let server = Server::start(&["--forget-after", "6s"]);
    let mut watcher = watcher(&server, "[5]", "");
    watcher.barrier();
    let mut runner = server.connect();
    runner.send(r#"{"initialRequest":true,"userId":5,"name":"Anna"}"#);
    let here = r#""userId":5,"name":"Anna","state":"unknown","connected":true"#;
    assert_eq!(presence(&watcher.receive()), here);
    watcher.hear_nothing_for(PACE);
    runner.send(&position(5, 1));
    let live = r#""userId":5,"name":"Anna","state":"live","connected":true"#;
    assert_eq!(presence(&watcher.receive()), live);
    assert_eq!(watcher.receive(), position(5, 1));
    watcher.hear_nothing_for(PACE);
    drop(runner);
    let away = r#""userId":5,"name":"Anna","state":"live","connected":false"#;
    assert_eq!(presence(&watcher.receive()), away);
    let forgotten = r#""userId":5,"state":"unknown","connected":false"#;
    assert_eq!(presence(&watcher.receive()), forgotten);
}

#[test]
fn the_roster_outranks_the_token_which_outranks_the_hello() {
    let roster = Scratch::new("ranks", b"id,name\n6,Roster\n");
    let (server, _file) = access::start("names", &["--roster", roster.path()]);
    let bearer = bearer(&everybody());
    for (user, token, name) in [
        ("5", named("5", "Token", Follow::Own), "Token"),
        ("6", named("6", "Token", Follow::Own), "Roster"),
        (
            "7",
            signed(&grant("7", Follow::Own, Publish::Own), SECRET),
            "Hello",
        ),
    ] {
        let mut runner = server.connect();
        // Without a userId: `sub` is it.
        runner.send(&hello(&token, r#","name":"Hello""#));
        runner.send(r#"{"lat":1,"lng":2}"#);
        assert!(runner.barrier().is_empty());
        assert_eq!(name_on_maps(&server, user, &bearer), name);
    }
}

#[test]
fn a_renewal_brings_a_name_or_leaves_it_as_it_was() {
    let (server, _file) = access::start("renamed", &[]);
    let mut runner = server.connect();
    runner.send(&hello(
        &named("5", "One", Follow::Own),
        r#","presence":true,"following":[5]"#,
    ));
    let renew = |runner: &mut Client, token: &str| {
        runner.send(&format!(r#"{{"token":"{token}"}}"#));
    };
    assert!(presence(&runner.receive()).contains(r#""name":"One""#));
    renew(&mut runner, &named("5", "Two", Follow::Own));
    assert!(presence(&runner.receive()).contains(r#""name":"Two""#));
    renew(&mut runner, &access::five());
    runner.hear_nothing_for(PACE);
    // What is no name is none, and the token is as good as without it.
    renew(&mut runner, &named("5", "T\n", Follow::Own));
    runner.hear_nothing_for(PACE);
}

#[test]
fn a_report_brings_the_name_of_its_token_and_a_friends_name_is_on_a_card() {
    let (server, _file) = access::start("cards", &[]);
    let report = |token: &str| {
        let report =
            r#"{"_type":"location","lat":5,"lon":6,"tst":1700000000,"topic":"owntracks/x/y"}"#;
        let answer = Phone::new(&server).post("/pub", &bearer(token), report);
        assert_eq!(answer.status, 200, "{answer:?}");
        let messages: Vec<Value> = serde_json::from_str(&answer.body).expect("JSON");
        messages
    };
    assert!(report(&named("anna", "Anna Berg", Follow::Own)).is_empty());
    assert!(report(&signed(&grant("bert", Follow::Own, Publish::Own), SECRET)).is_empty());
    let both = Follow::Only(ids(&["anna", "bert"]));
    let messages = report(&named("me", "Me", both));
    let kinds: Vec<&Value> = messages.iter().map(|message| &message["_type"]).collect();
    assert_eq!(kinds, ["location", "card", "location"]);
    let card =
        json!({"_type": "card", "tid": "na", "name": "Anna Berg", "topic": "owntracks/anna/phone"});
    assert_eq!(messages[1], card);
    assert_eq!(
        name_on_maps(&server, "anna", &bearer(&everybody())),
        "Anna Berg"
    );
    assert_eq!(
        name_on_maps(&server, "bert", &bearer(&everybody())),
        Value::Null
    );
}

#[test]
fn sighup_reads_the_roster_again_and_one_bad_line_keeps_the_old_one() {
    let csv = "id,name,color\n5,Anna,#cc3300\n6,Ben,\n";
    let (server, roster) = start_with_roster("reread", csv);
    let mut watcher = watcher(&server, "[5,6,7]", "");
    let texts = watcher.barrier();
    let told: Vec<&str> = texts.iter().map(|text| presence(text)).collect();
    let unknown = r#""state":"unknown","connected":false"#;
    assert_eq!(
        told,
        [
            format!(r##""userId":5,"name":"Anna","color":"#cc3300",{unknown}"##),
            format!(r#""userId":6,"name":"Ben",{unknown}"#),
            format!(r#""userId":7,{unknown}"#),
        ]
    );
    let before = get(&server, "/roster", "");
    roster.write(b"id,name\n5,Anna\n\n7,Cyd\n7,Dan\n");
    reload(&server, 1);
    let log = server.log();
    let line = log.lines().find(|line| line.contains("ERROR"));
    let line = line.expect("a line for the operator");
    for words in [roster.path(), "line 5", "roster=unchanged"] {
        assert!(line.contains(words), "{line}");
    }
    assert_eq!(get(&server, "/roster", "").body, before.body);
    watcher.hear_nothing_for(PACE);

    // A colour, a name and a runner are other ones.
    roster.write(b"id,name,color\n5,Anna,#00ff00\n7,Cyd,\n");
    reload(&server, 2);
    let mut told = [(); 3].map(|()| presence(&watcher.receive()).to_owned());
    told.sort_unstable();
    assert_eq!(
        told,
        [
            format!(r##""userId":5,"name":"Anna","color":"#00ff00",{unknown}"##),
            format!(r#""userId":6,{unknown}"#),
            format!(r#""userId":7,"name":"Cyd",{unknown}"#),
        ]
    );
    assert!(server.log().contains("reload roster=2"), "{}", server.log());
    // Nor does the loop wait for somebody to write into a pipe.
    fs::remove_file(roster.path()).expect("our file");
    reload(&server, 3);
    mkfifoat(CWD, roster.path(), Mode::RUSR | Mode::WUSR).expect("room for a pipe");
    reload(&server, 4);
    assert_eq!(server.log().matches("roster=unchanged").count(), 3);
    watcher.hear_nothing_for(PACE);
    let (status, _, _) = server.stop();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn keys_and_roster_are_read_again_each_for_itself() {
    let roster = Scratch::new("both", b"id,name\n5,Anna\n");
    let (server, file) = access::start("both-keys", &["--roster", roster.path()]);
    file.write(b"short");
    roster.write(b"id,name\n5,Berta\n");
    reload(&server, 2);
    let roster = get(&server, "/roster", &bearer(&everybody()));
    assert_eq!(roster.body, r#"[{"userId":"5","name":"Berta"}]"#);
    assert!(server.log().contains("keys=unchanged"), "{}", server.log());
}

#[test]
fn a_roster_that_cannot_be_used_is_exit_status_1_with_its_line() {
    let roster = Scratch::new("unusable", b"id,name\n5,Anna\n,Ben\n");
    for (path, words) in [
        (roster.path(), "line 3: the id is missing"),
        ("/nowhere/roster.csv", "/nowhere/roster.csv: "),
        ("/", "/: "),
    ] {
        let mut command = program(&["serve", "--listen", "127.0.0.1:0", "--roster", path]);
        let child = command.stderr(std::process::Stdio::piped()).spawn();
        let mut child = child.expect("the program is built");
        assert_eq!(wait_for_exit(&mut child).code(), Some(1), "{path}");
        let said = child.wait_with_output().expect("it ended").stderr;
        let said = String::from_utf8(said).expect("UTF-8");
        assert!(said.contains(words), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn the_roster_is_for_those_who_may_follow_everybody() {
    let csv = "id,name,color\n5,\"Berg, Anna\",#Cc3300\n\"\"\"6\"\"\",Ben,\n";
    let expected = r##"[{"userId":"5","name":"Berg, Anna","color":"#Cc3300"},{"userId":"\"6\"","name":"Ben"}]"##;
    let (server, roster) = start_with_roster("answered", csv);
    let answer = get(&server, "/roster", "Origin: https://anywhere.example\r\n");
    assert_eq!((answer.status, answer.body.as_str()), (200, expected));
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
    let etag = answer.header("ETag").expect("a tag");
    let held = get(&server, "/roster", &format!("If-None-Match: {etag}\r\n"));
    assert_eq!((held.status, held.body.as_str()), (304, ""));
    for flags in [&["--roster", roster.path()][..], &[]] {
        let closed = Server::start(flags);
        let answer = get(&closed, "/roster", "");
        assert_eq!(answer.status, 403);
        assert!(answer.body.contains("--follow-all"), "{}", answer.body);
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
    }
    let nobody = Server::start(&["--follow-all"]);
    assert_eq!(get(&nobody, "/roster", "").body, "[]");

    // With keys the token alone decides.
    let flags = [
        "--roster",
        roster.path(),
        "--follow-all",
        "--allow-origin",
        "https://app.example",
    ];
    let (server, _file) = access::start("answered-keys", &flags);
    let origin = "Origin: https://app.example\r\n";
    let list = signed(&grant("5", Follow::Only(ids(&["*"])), Publish::Own), SECRET);
    for (headers, status) in [
        (String::new(), 401),
        (bearer("nonsense"), 401),
        (bearer(&access::expired()), 401),
        (bearer(&access::five()), 403),
        (bearer(&list), 403),
        (bearer(&everybody()), 200),
    ] {
        let answer = get(&server, "/roster", &format!("{origin}{headers}"));
        assert_eq!(answer.status, status, "{answer:?}");
        let allowed = answer.header("Access-Control-Allow-Origin");
        assert_eq!(allowed, Some("https://app.example"));
        assert_eq!(answer.body == expected, status == 200);
    }
    let preflight = format!("OPTIONS /roster HTTP/1.1\r\nHost: test\r\n{origin}\r\n");
    let preflight = Answer::to(server.socket(), preflight.as_bytes());
    assert_eq!(preflight.status, 204);
    let allowed = preflight.header("Access-Control-Allow-Headers");
    assert_eq!(allowed, Some("*, Authorization"));
}

#[test]
fn everybodys_positions_are_for_those_who_may_follow_everybody() {
    let users = |answer: &Answer| {
        let json: Value = serde_json::from_str(&answer.body).expect("JSON");
        let features = json["features"].as_array().expect("a list").iter();
        let mut users: Vec<String> = features.map(|feature| feature["id"].to_string()).collect();
        users.sort_unstable();
        users
    };
    let server = Server::start(&["--follow-all", "--max-follows", "2"]);
    let (mut gateway, _) = server.spectator("[8,9]");
    assert!(users(&server.get("/positions?ids=*")).is_empty());
    for user in [5, 6, 7] {
        gateway.send(&position(user, 1));
    }
    gateway.send(r#"{"userId":"*","lat":1,"lng":2}"#);
    gateway.barrier();
    let everybody_known = [r#""*""#, "5", "6", "7"];
    assert_eq!(users(&server.get("/positions?ids=*")), everybody_known);
    assert_eq!(users(&server.get("/positions?ids=%2A")), [r#""*""#]);
    for query in ["*,5", "5,*", "*&ids=5", "*,%2A"] {
        let answer = server.get(&format!("/positions?ids={query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.body.contains("%2A"), "{}", answer.body);
    }
    let closed = Server::start(&[]);
    assert_eq!(closed.get("/positions?ids=*").status, 403);
    assert_eq!(closed.get("/positions?ids=%2A").status, 200);

    let (server, _file) = access::start("everybody", &["--follow-all"]);
    let mut gateway = server.connect();
    gateway.send(&hello(&access::gateway(), ""));
    gateway.send(&position(5, 1));
    gateway.barrier();
    let ask = |headers: &str| get(&server, "/positions?ids=*", headers);
    assert_eq!(ask("").status, 401);
    assert_eq!(ask(&bearer(&access::five())).status, 403);
    assert_eq!(users(&ask(&bearer(&everybody()))), ["5"]);
}

#[test]
fn goodbye_forgets_the_runner_and_tells_its_watchers_until_it_is_back() {
    let server = Server::start(&[]);
    let mut watcher = watcher(&server, "[5]", "");
    watcher.barrier();
    let mut runner = server.connect();
    runner.send(r#"{"initialRequest":true,"userId":5,"name":"Anna"}"#);
    let here = r#""userId":5,"name":"Anna","state":"unknown","connected":true"#;
    assert_eq!(presence(&watcher.receive()), here);
    watcher.hear_nothing_for(PACE);
    runner.send(&position(5, 1));
    assert!(presence(&watcher.receive()).contains("live"));
    assert_eq!(watcher.receive(), position(5, 1));
    watcher.hear_nothing_for(PACE);
    // In one go: the position goes out before the word that there is none.
    runner.send(&position(5, 2));
    runner.send(r#"{"goodbye":true}"#);
    assert!(runner.barrier().is_empty());
    assert_eq!(watcher.receive(), position(5, 2));
    let is_gone = r#""userId":5,"state":"unknown","connected":true"#;
    let text = watcher.receive();
    assert_eq!(presence(&text), is_gone);
    assert!(!text.contains("age"), "{text}");
    let empty = "{\"type\":\"FeatureCollection\",\"features\":[]}\n";
    assert_eq!(server.get("/positions?ids=5").body, empty);
    assert_eq!(server.spectator("[5]").1, [""; 0]);
    // Once more does nothing.
    runner.send(r#"{"goodbye":true}"#);
    watcher.hear_nothing_for(PACE);
    runner.send(&position(5, 3));
    let is_back = r#""userId":5,"state":"live","connected":true"#;
    assert_eq!(presence(&watcher.receive()), is_back);
    assert_eq!(watcher.receive(), position(5, 3));
}

#[test]
fn goodbye_comes_behind_what_was_held_for_followers() {
    let server = Server::start(&["--flush-interval", "1m"]);
    let mut watcher = watcher(&server, "[5]", "");
    watcher.barrier();
    let mut runner = server.join("5", "[]");
    runner.send(&position(5, 1));
    runner.barrier();
    // That it is connected may have been told before.
    while !presence(&watcher.receive()).contains("live") {}
    runner.send(r#"{"goodbye":true}"#);
    assert_eq!(watcher.receive(), position(5, 1));
    assert!(presence(&watcher.receive()).contains("unknown"));
}

#[test]
fn goodbye_is_the_last_of_the_changes_of_its_message() {
    let server = Server::start(&[]);
    let mut runner = server.join("5", "[]");
    runner.send(&position(5, 1));
    runner.barrier();
    runner.send(r#"{"goodbye":true,"follow":[5]}"#);
    let texts = runner.barrier();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_last_known(&texts[0], &position(5, 1));
    assert_eq!(
        codes(&mut runner, r#"{"goodbye":1,"follow":[6]}"#),
        ["bad_message"]
    );
    runner.send(&position(5, 2));
    assert_eq!(runner.receive(), position(5, 2));
    // Elsewhere it means nothing.
    runner.send(r#"{"initialRequest":true,"goodbye":true}"#);
    runner.send(r#"{"userId":5,"lat":3,"lng":0,"goodbye":true}"#);
    assert_eq!(runner.receive(), position(5, 3));
    let (_, last_known) = server.spectator("[5]");
    assert_eq!(last_known.len(), 1, "{last_known:?}");
}

#[test]
fn goodbye_is_for_who_declared_a_user_and_may_publish_for_it() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    gateway.send(&position(5, 1));
    assert_eq!(codes(&mut gateway, r#"{"goodbye":true}"#), ["bad_id"]);
    for value in ["false", "0", r#""true""#, "{}"] {
        let text = format!(r#"{{"goodbye":{value}}}"#);
        assert_eq!(codes(&mut gateway, &text), ["bad_message"], "{value}");
    }
    assert_eq!(codes(&mut gateway, r#"{"goodbye":null}"#), ["bad_message"]);

    let (server, _file) = access::start("goodbye", &[]);
    let mut stranger = server.connect();
    assert_eq!(
        codes(&mut stranger, r#"{"goodbye":true}"#),
        ["unauthorized"]
    );
    let mut gateway = server.connect();
    gateway.send(&hello(&access::gateway(), ""));
    gateway.send(&position(5, 1));
    gateway.barrier();
    let ask = || get(&server, "/positions?ids=5", &bearer(&everybody())).body;
    let silent = signed(&grant("5", Follow::Own, Publish::Nobody), SECRET);
    let mut five = server.connect();
    five.send(&hello(&silent, ""));
    assert_eq!(codes(&mut five, r#"{"goodbye":true}"#), ["not_allowed"]);
    assert!(ask().contains("Point"));
    // In the message of the token that allows it.
    let text = format!(r#"{{"goodbye":true,"token":"{}"}}"#, access::five());
    assert!(codes(&mut five, &text).is_empty());
    assert!(!ask().contains("Point"));
}

#[test]
fn a_slow_follower_is_sent_nothing_of_one_who_said_goodbye() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    let mut runner = server.join("5", "[]");
    let mut slow = follower(&server, &[5, 6]);
    fall_behind(&server, &mut gateway);
    // The newest position of each waits as a mark, and a last known one too.
    runner.send(&position(5, 1));
    runner.barrier();
    gateway.send(&position(6, 1));
    gateway.barrier();
    slow.send(r#"{"unfollow":[5]}"#);
    slow.send(r#"{"follow":[5]}"#);
    runner.send(r#"{"goodbye":true}"#);
    runner.barrier();
    gateway.send(&position(1001, 0));
    let filler = format!(r#"{{"userId":{FILLER},"#);
    let mut texts = Vec::new();
    while texts.last() != Some(&position(1001, 0)) {
        let text = slow.receive();
        if !text.starts_with(&filler) {
            texts.push(text);
        }
    }
    assert_eq!(texts, [position(6, 1), position(1001, 0)]);
}
