//! Presence and audience: who is told what of a runner besides its positions, and when.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::slow::{fall_behind, follower, position};
use crate::support::{Client, Server, assert_last_known, text_frame};

/// After this, presence of anybody may be told again.
const PACE: Duration = Duration::from_millis(1200);

/// Asserts that this is presence of a user (JSON) and nothing else, and says its age.
fn assert_presence(text: &str, user: &str, state: &str, is_connected: bool) -> Option<f64> {
    let json: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let age = json["presence"]["age"].as_f64();
    let age_field = match age {
        Some(_) => format!(
            r#","age":{}"#,
            text.rsplit(':').next().expect("one").trim_end_matches('}')
        ),
        None => String::new(),
    };
    let expected = format!(
        r#"{{"presence":{{"userId":{user},"state":"{state}","connected":{is_connected}{age_field}}}}}"#
    );
    assert_eq!(text, expected);
    assert_eq!(age.is_some(), state != "unknown", "{text}");
    age
}

/// A connection that follows users (a JSON list) and asked for presence, and what it got for it.
fn watcher(server: &Server, following: &str) -> (Client, Vec<String>) {
    let mut client = server.connect();
    client.send(&format!(
        r#"{{"initialRequest":true,"following":{following},"presence":true}}"#
    ));
    let texts = client.barrier();
    (client, texts)
}

/// A connection that is a user (JSON) and asked for its audience, and the number that it got.
fn asker(server: &Server, user: &str, following: &str) -> (Client, String) {
    let mut client = server.connect();
    client.send(&format!(
        r#"{{"initialRequest":true,"userId":{user},"following":{following},"audience":true}}"#
    ));
    let text = client.receive();
    (client, text)
}

#[test]
fn a_follow_brings_presence_and_then_the_last_known_positions() {
    let server = Server::start(&[]);
    let _runner = server.join("6", "[]");
    let mut gateway = server.connect();
    gateway.send(&position(5, 1));
    gateway.send(&position(6, 2));
    gateway.barrier();
    let (mut watcher, texts) = watcher(&server, "[5,6,7]");
    let [five, six, seven, last_known_five, last_known_six] = &texts[..] else {
        panic!("{texts:?}");
    };
    let age = assert_presence(five, "5", "live", false).expect("live");
    assert!((0.0..10.0).contains(&age), "{age}");
    assert_last_known(last_known_five, &position(5, 1));
    assert_presence(six, "6", "live", true);
    assert_last_known(last_known_six, &position(6, 2));
    assert_presence(seven, "7", "unknown", false);
    watcher.send(r#"{"follow":[5,6,8]}"#);
    let texts = watcher.barrier();
    assert_eq!(texts.len(), 1, "only 8 is new: {texts:?}");
    assert_presence(&texts[0], "8", "unknown", false);
}

#[test]
fn presence_is_told_when_it_changes_and_not_with_each_position() {
    let server = Server::start(&["--stale-after", "5s"]);
    let (mut watcher, texts) = watcher(&server, "[5]");
    assert_presence(&texts[0], "5", "unknown", false);
    let mut runner = server.join("5", "[]");
    assert_presence(&watcher.receive(), "5", "unknown", true);

    watcher.hear_nothing_for(PACE);
    runner.send(&position(5, 1));
    runner.send(&position(5, 2));
    assert_presence(&watcher.receive(), "5", "live", true);
    assert_eq!(watcher.receive(), position(5, 1));
    assert_eq!(watcher.receive(), position(5, 2));
    assert!(watcher.barrier().is_empty(), "no presence with a position");

    let age = assert_presence(&watcher.receive(), "5", "stale", true).expect("stale");
    assert!((5.0..15.0).contains(&age), "{age}");
    watcher.hear_nothing_for(PACE);
    runner.send(&position(5, 3));
    assert_presence(&watcher.receive(), "5", "live", true);
    assert_eq!(watcher.receive(), position(5, 3));

    drop(runner);
    assert_presence(&watcher.receive(), "5", "live", false);
    assert_presence(&watcher.receive(), "5", "stale", false);
    assert!(watcher.barrier().is_empty());
}

#[test]
fn a_position_keeps_its_runner_live_without_a_word() {
    let server = Server::start(&["--stale-after", "5s"]);
    let (mut watcher, _) = watcher(&server, "[5]");
    let mut runner = server.join("5", "[]");
    assert_presence(&watcher.receive(), "5", "unknown", true);
    let begin = Instant::now();
    let mut states = Vec::new();
    while begin.elapsed() < Duration::from_secs(8) {
        runner.send(&position(5, 1));
        loop {
            let text = watcher.receive();
            if text == position(5, 1) {
                break;
            }
            states.push(text);
        }
    }
    assert_eq!(states.len(), 1, "{states:?}");
    assert_presence(&states[0], "5", "live", true);
}

#[test]
fn a_forgotten_position_is_unknown_and_has_no_age() {
    let server = Server::start(&["--forget-after", "1s"]);
    let (mut watcher, _) = watcher(&server, "[5]");
    let mut gateway = server.connect();
    gateway.send(&position(5, 1));
    assert_presence(&watcher.receive(), "5", "live", false);
    assert_eq!(watcher.receive(), position(5, 1));
    assert_presence(&watcher.receive(), "5", "unknown", false);
}

#[test]
fn a_position_crowded_out_is_unknown() {
    let server = Server::start(&["--max-runners", "2"]);
    let mut gateway = server.connect();
    gateway.send(&position(5, 1));
    gateway.barrier();
    let (mut watcher, texts) = watcher(&server, "[5]");
    assert_presence(&texts[0], "5", "live", false);
    gateway.send(&position(6, 1));
    gateway.send(&position(7, 1));
    assert_presence(&watcher.receive(), "5", "unknown", false);
}

#[test]
fn presence_asked_for_later_comes_for_all_follows_in_place_once_and_ends_when_told_to() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    gateway.send(&position(5, 1));
    gateway.barrier();
    let (mut follower, texts) = server.spectator(r#"[5,"6"]"#);
    assert_eq!(texts.len(), 1, "not asked for: {texts:?}");
    follower.send(r#"{"initialRequest":true,"presence":true,"following":[7]}"#);
    let texts = follower.barrier();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert_presence(&texts[0], "5", "live", false);
    assert_presence(&texts[1], r#""6""#, "unknown", false);
    assert_presence(&texts[2], "7", "unknown", false);

    for hello in [
        r#"{"initialRequest":true,"presence":true}"#,
        r#"{"initialRequest":true,"presence":null}"#,
        r#"{"initialRequest":true}"#,
    ] {
        follower.send(hello);
        assert!(follower.barrier().is_empty(), "{hello}: it is told already");
    }
    gateway.send(&position(7, 1));
    assert_presence(&follower.receive(), "7", "live", false);
    assert_eq!(follower.receive(), position(7, 1));

    follower.send(r#"{"initialRequest":true,"presence":false}"#);
    follower.barrier();
    gateway.send(&position(6, 1));
    assert_eq!(follower.receive(), position(6, 1), "no presence any more");
    follower.send(r#"{"follow":[8]}"#);
    assert!(follower.barrier().is_empty());
}

#[test]
fn presence_writes_the_id_as_the_follow_in_force_wrote_it_first() {
    let server = Server::start(&[]);
    for (following, written) in [
        (r#"[5,"5"]"#, "5"),
        (r#"["5",5]"#, r#""5""#),
        (r#"["\u0035",5]"#, r#""5""#),
        ("[-0]", "-0"),
        (r#"["007"]"#, r#""007""#),
        (r#"["a\"\\\u00e4\/ \u2028"]"#, "\"a\\\"\\\\ä/ \u{2028}\""),
    ] {
        let (_, texts) = watcher(&server, following);
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert_presence(&texts[0], written, "unknown", false);
    }
    let (mut watcher, _) = watcher(&server, r#"["5",5]"#);
    watcher.send(r#"{"unfollow":[5]}"#);
    watcher.send(r#"{"follow":[5,"5"]}"#);
    assert_presence(&watcher.receive(), "5", "unknown", false);
    let _runner = server.join(r#""5""#, "[]");
    assert_presence(&watcher.receive(), "5", "unknown", true);
}

#[test]
fn a_runner_is_connected_while_any_connection_says_to_be_it() {
    let server = Server::start(&[]);
    let (mut watcher, _) = watcher(&server, "[5]");
    let first = server.join("5", "[]");
    assert_presence(&watcher.receive(), "5", "unknown", true);
    let mut second = server.join(r#""5""#, "[5]");
    second.barrier();
    drop(first);
    server.wait_for_metric("spectate_connections", 2.0);
    assert!(watcher.barrier().is_empty(), "nothing changed");
    drop(second);
    assert_presence(&watcher.receive(), "5", "unknown", false);
}

#[test]
fn who_did_not_ask_is_told_of_positions_alone() {
    let server = Server::start(&["--stale-after", "5s", "--forget-after", "8s"]);
    let (mut follower, texts) = server.spectator("[5,6]");
    assert!(texts.is_empty());
    let (mut watcher, _) = watcher(&server, "[5]");
    let mut runner = server.join("5", "[5]");
    assert_presence(&watcher.receive(), "5", "unknown", true);
    watcher.hear_nothing_for(PACE);
    runner.send(&position(5, 1));
    assert_presence(&watcher.receive(), "5", "live", true);
    assert_eq!(watcher.receive(), position(5, 1));
    drop(runner);
    assert_presence(&watcher.receive(), "5", "live", false);
    assert_presence(&watcher.receive(), "5", "stale", false);
    assert_presence(&watcher.receive(), "5", "unknown", false);
    assert_eq!(follower.barrier(), [position(5, 1)]);
}

#[test]
fn each_position_comes_and_what_makes_its_runner_live_is_told_before_it() {
    const RUNNERS: u64 = 40;
    let server = Server::start(&[]);
    let everybody: Vec<u64> = (0..RUNNERS).collect();
    let (mut watcher, texts) = watcher(&server, &format!("{everybody:?}"));
    assert_eq!(texts.len(), RUNNERS as usize);
    let mut gateway = server.connect();
    // All in few ticks, with other changes between them.
    let mut burst = Vec::new();
    for lat in 0..3 {
        for user in &everybody {
            burst.extend(text_frame(&position(*user, lat)));
        }
        burst.extend(text_frame(r#"{"follow":[0],"unfollow":[0]}"#));
    }
    gateway.send_raw(&burst);
    let mut next = vec![None; RUNNERS as usize];
    for _ in 0..RUNNERS * 4 {
        let text = watcher.receive();
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        if let Some(user) = json["presence"]["userId"].as_u64() {
            let before = next[user as usize].replace(0);
            assert_eq!(before, None, "{text}: once, before the first position");
        } else {
            let user = json["userId"].as_u64().expect("a position") as usize;
            assert_eq!(json["lat"].as_u64(), next[user], "{text}");
            next[user] = next[user].map(|lat| lat + 1);
        }
    }
    assert!(next.iter().all(|lat| *lat == Some(3)));
    assert!(watcher.barrier().is_empty());
}

#[test]
fn changes_of_follows_in_between_keep_presence_before_the_position() {
    let server = Server::start(&[]);
    let (mut gateway, _) = watcher(&server, "[5,6,7]");
    // All in one turn: each change of follows sends what is owed by then.
    let burst: Vec<u8> = [
        &position(5, 1),
        r#"{"follow":[8]}"#,
        &position(6, 1),
        r#"{"unfollow":[8]}"#,
        &position(5, 2),
        &position(7, 1),
        r#"{"initialRequest":true,"following":[9],"presence":true}"#,
    ]
    .iter()
    .flat_map(|text| text_frame(text))
    .collect();
    gateway.send_raw(&burst);
    let texts = gateway.barrier();
    let at = |text: &str| {
        let mut found = texts
            .iter()
            .enumerate()
            .filter(|(_, other)| other.contains(text));
        let (at, _) = found
            .next()
            .unwrap_or_else(|| panic!("{text} in {texts:?}"));
        assert!(found.next().is_none(), "once: {text} in {texts:?}");
        at
    };
    for (user, lats) in [(5, &[1, 2][..]), (6, &[1]), (7, &[1])] {
        let mut before = at(&format!(r#"{{"presence":{{"userId":{user},"state":"live""#));
        for lat in lats {
            let next = at(&position(user, *lat));
            assert!(before < next, "{texts:?}");
            before = next;
        }
    }
    assert_eq!(texts.len(), 9, "and 8 and 9, who are unknown: {texts:?}");
}

#[test]
fn comings_and_goings_are_told_at_once() {
    const RUNNERS: usize = 10;
    let server = Server::start(&[]);
    let users: Vec<String> = (0..RUNNERS).map(|user| user.to_string()).collect();
    let (mut watcher, _) = watcher(&server, &format!("[{}]", users.join(",")));
    let begin = Instant::now();
    for user in &users {
        let _runner = server.join(user, "[]");
        assert_presence(&watcher.receive(), user, "unknown", true);
    }
    // Those that waited for the sweep would take a second each.
    let passed = begin.elapsed();
    assert!(passed < Duration::from_secs(5), "{passed:?}");
}

#[test]
fn who_comes_and_goes_all_the_time_is_told_of_once_a_second_and_at_last_as_it_is() {
    let server = Server::start(&[]);
    let (mut watcher, _) = watcher(&server, "[5]");
    let begin = Instant::now();
    let mut comings = 0;
    while begin.elapsed() < Duration::from_secs(3) {
        server.join("5", "[]").barrier();
        comings += 1;
    }
    let last = server.join("5", "[]");
    // Until what was held back has been told.
    let mut quiet = server.connect();
    quiet.hear_nothing_for(PACE);
    let told = watcher.barrier();
    println!("{comings} comings, {} told", told.len());
    assert!(comings > 20, "{comings}");
    assert!((3..=8).contains(&told.len()), "{told:?}");
    assert_presence(told.last().expect("some"), "5", "unknown", true);
    drop(last);
    assert_presence(&watcher.receive(), "5", "unknown", false);
}

#[test]
fn a_runner_unfollowed_is_not_told_of_any_more() {
    let server = Server::start(&[]);
    let (mut watcher, _) = watcher(&server, "[5,6,7]");
    watcher.send(r#"{"unfollow":[5]}"#);
    watcher.barrier();
    let _five = server.join("5", "[]");
    let _seven = server.join("7", "[]");
    assert_presence(&watcher.receive(), "7", "unknown", true);
    assert!(watcher.barrier().is_empty());
}

#[test]
fn a_flush_interval_holds_positions_and_not_presence() {
    let server = Server::start(&["--flush-interval", "1m"]);
    let (mut watcher, _) = watcher(&server, "[5]");
    let mut runner = server.join("5", "[]");
    assert_presence(&watcher.receive(), "5", "unknown", true);
    runner.send(&position(5, 1));
    runner.send(&position(5, 2));
    assert_presence(&watcher.receive(), "5", "live", true);
    drop(runner);
    assert_presence(&watcher.receive(), "5", "live", false);
    server.signal(Signal::TERM);
    let (texts, _) = watcher.receive_until_close();
    assert_eq!(texts, [position(5, 1), position(5, 2)]);
}

#[test]
fn presence_of_a_blocked_follower_waits_and_says_what_is_true_when_it_goes() {
    let server = Server::start(&["--stale-after", "60s"]);
    let mut gateway = server.connect();
    let mut slow = follower(&server, &[1, 2, 3]);
    slow.send(r#"{"initialRequest":true,"presence":true}"#);
    // Of these three, the filler and the last word.
    assert_eq!(slow.barrier().len(), 5);
    gateway.send(&position(slow_filler(), 0));
    slow.receive();
    assert_eq!(slow.receive(), position(slow_filler(), 0));
    fall_behind(&server, &mut gateway);
    let mut one = server.join("1", "[]");
    one.send(&position(1, 10));
    one.barrier();
    let two = server.join("2", "[]");
    gateway.send(&position(1, 11));
    gateway.barrier();
    drop(two);
    drop(one);
    server.wait_for_metric("spectate_connections", 2.0);
    slow.send(r#"{"follow":[4],"unfollow":[3]}"#);
    gateway.send(&position(3, 1));
    gateway.barrier();
    let mut texts = Vec::new();
    while texts.len() < 4 {
        let text = slow.receive();
        if !text.starts_with(&format!(r#"{{"userId":{},"#, slow_filler())) {
            texts.push(text);
        }
    }
    assert_presence(&texts[0], "1", "live", false);
    assert_eq!(texts[1], position(1, 11));
    assert_presence(&texts[2], "2", "unknown", false);
    assert_presence(&texts[3], "4", "unknown", false);
    assert!(slow.barrier().is_empty(), "each once, and nothing of 3");
}

fn slow_filler() -> u64 {
    crate::slow::FILLER
}

#[test]
fn an_audience_is_told_on_hello_and_does_not_count_ones_own() {
    let server = Server::start(&[]);
    let (_spectator, _) = server.spectator("[5]");
    let _other = server.join("6", r#"["5",6]"#);
    server.wait_for_metric("spectate_follows", 3.0);
    let (mut runner, text) = asker(&server, "5", "[5]");
    assert_eq!(text, r#"{"audience":2}"#);
    // A second connection of the same runner, and one that says only later that it is one.
    let mut second = server.join("5", "[5,7]");
    second.barrier();
    let mut late = server.connect();
    late.send(r#"{"follow":[5]}"#);
    late.barrier();
    assert_eq!(runner.receive(), r#"{"audience":3}"#);
    late.send(r#"{"initialRequest":true,"userId":"5"}"#);
    assert_eq!(runner.receive(), r#"{"audience":2}"#);
    second.send(r#"{"unfollow":[5]}"#);
    drop(late);
    server.wait_for_metric("spectate_follows", 5.0);
    runner.hear_nothing_for(Duration::from_millis(2500));
    assert_eq!(asker(&server, "8", "[]").1, r#"{"audience":0}"#);
}

#[test]
fn changes_of_an_audience_are_told_once_a_second_and_0_is_told_too() {
    const FOLLOWERS: u64 = 50;
    let server = Server::start(&[]);
    let (mut runner, text) = asker(&server, "5", "[]");
    assert_eq!(text, r#"{"audience":0}"#);
    let begin = Instant::now();
    let hear = |runner: &mut Client, last: u64| {
        let last = format!(r#"{{"audience":{last}}}"#);
        (1..).find(|_| runner.receive() == last).unwrap_or_default()
    };
    let followers: Vec<Client> = (0..FOLLOWERS).map(|_| server.spectator("[5]").0).collect();
    let rising = hear(&mut runner, FOLLOWERS);
    drop(followers);
    let falling = hear(&mut runner, 0);
    // Each but the first comes a second after the one before, or later.
    let messages_max = 1 + begin.elapsed().as_secs();
    assert!(
        rising + falling <= messages_max,
        "{rising} and {falling} messages"
    );
    runner.hear_nothing_for(Duration::from_millis(1500));
}

#[test]
fn an_audience_may_be_asked_for_again_and_ended() {
    let server = Server::start(&[]);
    let (mut runner, text) = asker(&server, "5", "[]");
    assert_eq!(text, r#"{"audience":0}"#);
    let begin = Instant::now();
    for switch in ["true", "false", "true"] {
        runner.send(&format!(r#"{{"initialRequest":true,"audience":{switch}}}"#));
    }
    assert_eq!(runner.receive(), r#"{"audience":0}"#);
    let waited = begin.elapsed();
    assert!(
        waited > Duration::from_millis(900),
        "{waited:?}: once a second"
    );
    runner.send(r#"{"initialRequest":true,"audience":false}"#);
    runner.barrier();
    let (_spectator, _) = server.spectator("[5]");
    runner.hear_nothing_for(Duration::from_millis(2500));
}

#[test]
fn an_audience_needs_a_user_and_the_rest_of_the_hello_is_carried_out() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.send(r#"{"initialRequest":true,"following":[5],"audience":true,"presence":true}"#);
    let texts = client.barrier();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert_presence(&texts[0], "5", "unknown", false);
    assert!(texts[1].contains("bad_id"), "{texts:?}");
    client.send(r#"{"initialRequest":true,"audience":false}"#);
    assert!(client.barrier().is_empty(), "what is off may be ended");
    client.send(r#"{"initialRequest":true,"userId":7}"#);
    client.send(r#"{"initialRequest":true,"audience":true}"#);
    assert_eq!(client.receive(), r#"{"audience":0}"#);
}

#[test]
fn presence_and_audience_are_true_or_false_and_what_is_neither_is_told() {
    let server = Server::start(&[]);
    for value in ["1", "0", r#""true""#, "[]", "{}", "\"\"", "truE"] {
        let mut client = server.join("7", "[]");
        client.send(&format!(
            r#"{{"initialRequest":true,"userId":7,"following":[5],"presence":{value},"audience":true}}"#
        ));
        if value == "truE" {
            assert_eq!(client.receive_error().0, "bad_json");
            continue;
        }
        let texts = client.barrier();
        assert_eq!(texts.len(), 2, "{value}: {texts:?}");
        let audience = texts.iter().any(|text| text == r#"{"audience":0}"#);
        assert!(audience, "{texts:?}");
        let error = texts.iter().find(|text| text.contains("error"));
        let (code, message) = crate::support::error(error.expect("one"));
        assert_eq!(code, "bad_message");
        assert!(
            message.contains("presence must be true or false"),
            "{message}"
        );
        client.send(r#"{"follow":[5],"unfollow":[5]}"#);
        assert!(client.barrier().is_empty(), "no presence: followed already");
    }
}

#[test]
fn the_audience_of_a_blocked_runner_waits_and_is_the_number_by_then() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    let mut slow = follower(&server, &[]);
    slow.send(r#"{"initialRequest":true,"userId":5,"audience":true}"#);
    assert_eq!(slow.receive(), r#"{"audience":0}"#);
    fall_behind(&server, &mut gateway);
    let _spectators: Vec<Client> = (0..3).map(|_| server.spectator("[5]").0).collect();
    // A second runner is told when the first would have been.
    let (mut witness, _) = asker(&server, "6", "[]");
    let (_more, _) = server.spectator("[5,6]");
    assert_eq!(witness.receive(), r#"{"audience":1}"#);
    let filler = format!(r#"{{"userId":{},"#, slow_filler());
    let text = loop {
        let text = slow.receive();
        if !text.starts_with(&filler) {
            break text;
        }
    };
    assert_eq!(text, r#"{"audience":4}"#);
}
