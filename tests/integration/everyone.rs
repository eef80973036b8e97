//! Following everyone: one follow, whatever it covers.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use spectate::auth::{Follow, Publish};

use crate::access::{self, SECRET, grant, hello, ids, signed};
use crate::scratch::Scratch;
use crate::slow::{FILLER, fall_behind, heavy_position, position};
use crate::support::{Client, Server, assert_last_known, error, narrow_socket, text_frame};

/// After this, presence of anybody may be told again.
const PACE: Duration = Duration::from_millis(1200);

fn open(flags: &[&str]) -> Server {
    Server::start(&[&["--follow-all"], flags].concat())
}

/// A connection that says this, and what it got for it.
fn client(server: &Server, text: &str) -> (Client, Vec<String>) {
    let mut client = server.connect();
    client.send(text);
    let texts = client.barrier();
    (client, texts)
}

const EVERYONE: &str = r#"{"initialRequest":true,"following":"*"}"#;
const EVERYONE_WITH_PRESENCE: &str = r#"{"initialRequest":true,"presence":true,"following":"*"}"#;

fn codes(client: &mut Client, text: &str) -> Vec<String> {
    client.send(text);
    let texts = client.barrier();
    texts.iter().map(|text| error(text).0).collect()
}

/// The fields of a presence message as text, without the age.
fn presence(text: &str) -> &str {
    let rest = text.strip_prefix(r#"{"presence":{"#);
    let rest = rest.unwrap_or_else(|| panic!("no presence: {text}"));
    let end = rest.find(r#","age":"#).unwrap_or(rest.len());
    rest[..end].trim_end_matches('}')
}

#[test]
fn everyone_is_whoever_is_known_and_whoever_comes_later_and_a_newcomer_has_no_age() {
    let server = open(&[]);
    let mut gateway = server.connect();
    gateway.send(&position(5, 1));
    gateway.send(&position(6, 2));
    gateway.barrier();
    let (mut follower, texts) = client(&server, r#"{"follow":"*"}"#);
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert_last_known(&texts[0], &position(5, 1));
    assert_last_known(&texts[1], &position(6, 2));
    for text in [
        position(7, 3),
        position(5, 4),
        r#"{"userId":"7","lat":1,"lng":2}"#.to_owned(),
    ] {
        gateway.send(&text);
        assert_eq!(follower.receive(), text, "live, as its sender wrote it");
    }
    for again in [EVERYONE, r#"{"follow":"*"}"#, r#"{"follow":"\u002a"}"#] {
        follower.send(again);
        assert!(follower.barrier().is_empty(), "{again}: it is a set");
    }
    assert_eq!(server.metric("spectate_follows"), 1.0);
    drop(follower);
    server.wait_for_metric("spectate_follows", 0.0);
}

#[test]
fn presence_comes_first_of_all_who_are_known_declared_or_on_the_roster_and_ids_are_strings() {
    let roster = Scratch::new("everyone", b"id,name,color\n8,Anna,#cc3300\n9,Ben,\n");
    let server = open(&["--roster", roster.path()]);
    let mut gateway = server.connect();
    gateway.send(&position(5, 1));
    gateway.barrier();
    let _declared = server.join("6", "[]");
    // Nobody but a follower knows of 7.
    let (_other, _) = client(&server, r#"{"follow":[7]}"#);
    let (mut follower, texts) = client(&server, EVERYONE_WITH_PRESENCE);
    let told: BTreeSet<&str> = texts[..texts.len() - 1]
        .iter()
        .map(|text| presence(text))
        .collect();
    let unknown = r#""state":"unknown","connected":"#;
    assert_eq!(
        told.into_iter().collect::<Vec<_>>(),
        [
            r#""userId":"5","state":"live","connected":false"#,
            &format!(r#""userId":"6",{unknown}true"#),
            &format!(r##""userId":"8","name":"Anna","color":"#cc3300",{unknown}false"##),
            &format!(r#""userId":"9","name":"Ben",{unknown}false"#),
        ]
    );
    assert_last_known(texts.last().expect("some"), &position(5, 1));

    // Newcomers are told like changes, before their first position.
    let mut runner = server.join("10", "[]");
    assert_eq!(
        presence(&follower.receive()),
        format!(r#""userId":"10",{unknown}true"#)
    );
    follower.hear_nothing_for(PACE);
    runner.send(&position(10, 3));
    assert_eq!(
        presence(&follower.receive()),
        r#""userId":"10","state":"live","connected":true"#
    );
    assert_eq!(follower.receive(), position(10, 3));
    gateway.send(&position(11, 4));
    assert_eq!(
        presence(&follower.receive()),
        r#""userId":"11","state":"live","connected":false"#
    );
    assert_eq!(follower.receive(), position(11, 4));
    follower.hear_nothing_for(PACE);
    drop(runner);
    assert_eq!(
        presence(&follower.receive()),
        r#""userId":"10","state":"live","connected":false"#
    );
}

#[test]
fn who_is_gone_or_has_said_goodbye_is_told_as_unknown() {
    let server = open(&[]);
    let (mut follower, _) = client(&server, EVERYONE_WITH_PRESENCE);
    let runner = server.join("5", "[]");
    assert!(presence(&follower.receive()).ends_with(r#""connected":true"#));
    follower.hear_nothing_for(PACE);
    drop(runner);
    let gone = r#""userId":"5","state":"unknown","connected":false"#;
    assert_eq!(presence(&follower.receive()), gone);
    follower.hear_nothing_for(PACE);
    let mut runner = server.connect();
    // In one piece, so that nothing is told between the two.
    let hello = r#"{"initialRequest":true,"userId":"6","following":[]}"#;
    runner.send_raw(&[text_frame(hello), text_frame(&position(6, 1))].concat());
    assert!(runner.barrier().is_empty());
    assert_eq!(
        presence(&follower.receive()),
        r#""userId":"6","state":"live","connected":true"#
    );
    assert_eq!(follower.receive(), position(6, 1));
    follower.hear_nothing_for(PACE);
    runner.send(r#"{"goodbye":true}"#);
    assert_eq!(
        presence(&follower.receive()),
        r#""userId":"6","state":"unknown","connected":true"#
    );
    // Who follows everyone now is told of those alone who are there.
    let (_, texts) = client(&server, EVERYONE_WITH_PRESENCE);
    assert_eq!(texts.len(), 1, "{texts:?}");
    runner.send(&position(6, 2));
    follower.barrier();
}

#[test]
fn presence_can_be_asked_for_later_and_ended() {
    let server = open(&[]);
    let mut gateway = server.connect();
    gateway.send(&position(5, 1));
    gateway.send(&position(6, 1));
    gateway.barrier();
    let (mut follower, texts) = client(&server, r#"{"follow":"*"}"#);
    assert_eq!(texts.len(), 2);
    follower.send(r#"{"follow":[6]}"#);
    assert!(follower.barrier().is_empty(), "it was followed already");
    follower.send(r#"{"initialRequest":true,"presence":true}"#);
    let mut told: Vec<String> = follower.barrier();
    told.sort_unstable();
    let told: Vec<&str> = told.iter().map(|text| presence(text)).collect();
    let live = r#""state":"live","connected":false"#;
    assert_eq!(
        told,
        [
            format!(r#""userId":"5",{live}"#),
            format!(r#""userId":6,{live}"#)
        ]
    );
    follower.send(r#"{"initialRequest":true,"presence":false}"#);
    assert!(follower.barrier().is_empty());
    let _runner = server.join("5", "[]");
    follower.hear_nothing_for(PACE);
}

#[test]
fn who_is_left_out_is_so_until_followed_by_name_or_by_a_new_everyone() {
    let server = open(&[]);
    let mut gateway = server.connect();
    let (mut follower, _) = client(&server, r#"{"follow":"*"}"#);
    let mut publish = |follower: &mut Client, lat: u64| {
        for user in [5, 6] {
            gateway.send(&position(user, lat));
        }
        gateway.barrier();
        follower.barrier()
    };
    let both = |lat| [position(5, lat), position(6, lat)];
    assert_eq!(publish(&mut follower, 1), both(1));
    // 4 was never heard of.
    follower.send(r#"{"unfollow":[5,4]}"#);
    follower.send(r#"{"unfollow":[5]}"#);
    assert!(follower.barrier().is_empty());
    assert_eq!(server.metric("spectate_follows"), 3.0);
    assert_eq!(publish(&mut follower, 2), [position(6, 2)]);
    follower.send(r#"{"follow":["5"]}"#);
    let texts = follower.barrier();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_last_known(&texts[0], &position(5, 2));
    assert_eq!(server.metric("spectate_follows"), 3.0);
    assert_eq!(publish(&mut follower, 3), both(3));
    follower.send(r#"{"unfollow":[5]}"#);
    assert_eq!(publish(&mut follower, 4), [position(6, 4)]);
    follower.send(r#"{"follow":"*"}"#);
    let texts = follower.barrier();
    assert_eq!(texts.len(), 1, "6 is followed already: {texts:?}");
    assert_last_known(&texts[0], &position(5, 4));
    assert_eq!(server.metric("spectate_follows"), 1.0);
    assert_eq!(publish(&mut follower, 5), both(5));
    // Follows come before unfollows.
    follower.send(r#"{"follow":[6],"unfollow":[6,5]}"#);
    assert!(publish(&mut follower, 6).is_empty());
}

#[test]
fn unfollowing_everyone_ends_follows_by_name_too() {
    let server = open(&[]);
    let mut gateway = server.connect();
    for texts in [
        &[
            r#"{"follow":[5,6,7]}"#,
            r#"{"follow":"*"}"#,
            r#"{"unfollow":[7]}"#,
        ][..],
        &[r#"{"follow":[5,6,7]}"#],
        &[r#"{"follow":"*"}"#],
        &[r#"{"follow":[5,6]}"#, r#"{"follow":"*","unfollow":[8]}"#],
    ] {
        let mut follower = server.connect();
        for text in texts {
            follower.send(text);
        }
        follower.barrier();
        follower.send(r#"{"unfollow":"*"}"#);
        assert!(follower.barrier().is_empty());
        assert_eq!(server.metric("spectate_follows"), 0.0, "{texts:?}");
        for user in 5..9 {
            gateway.send(&position(user, 1));
        }
        gateway.barrier();
        assert!(follower.barrier().is_empty(), "{texts:?}");
        follower.send(r#"{"follow":[5]}"#);
        assert_last_known(&follower.receive(), &position(5, 1));
    }
}

#[test]
fn who_is_followed_by_name_and_as_one_of_everyone_is_heard_of_once() {
    let server = open(&[]);
    let mut gateway = server.connect();
    let (mut follower, _) = client(&server, r#"{"initialRequest":true,"following":[5]}"#);
    follower.send(r#"{"follow":"*"}"#);
    follower.barrier();
    gateway.send(&position(5, 1));
    gateway.barrier();
    assert_eq!(
        follower.barrier(),
        [position(5, 1)],
        "once, for it is one follow"
    );
}

#[test]
fn what_was_held_for_a_follower_of_everyone_goes_out_before_it_follows_nobody() {
    let server = open(&["--flush-interval", "1m"]);
    let mut gateway = server.connect();
    let (mut follower, _) = client(&server, r#"{"follow":"*"}"#);
    gateway.send(&position(5, 1));
    gateway.barrier();
    follower.send(r#"{"unfollow":"*"}"#);
    assert_eq!(follower.receive(), position(5, 1));
    gateway.send(&position(5, 2));
    gateway.barrier();
    assert!(follower.barrier().is_empty());
}

#[test]
fn a_user_may_be_called_star() {
    let server = Server::start(&[]);
    let mut gateway = server.connect();
    let star = r#"{"userId":"*","lat":1,"lng":2}"#;
    let (mut follower, texts) = client(&server, r#"{"follow":["*"]}"#);
    assert!(texts.is_empty(), "{texts:?}");
    gateway.send(star);
    gateway.send(&position(5, 1));
    assert_eq!(follower.receive(), star);
    follower.send(r#"{"unfollow":["*"]}"#);
    assert!(follower.barrier().is_empty());
    gateway.send(star);
    gateway.barrier();
    assert!(follower.barrier().is_empty());
}

#[test]
fn the_audience_of_each_counts_who_follows_everyone() {
    let server = open(&[]);
    let ask = |user: &str| {
        let mut runner = server.connect();
        runner.send(&format!(
            r#"{{"initialRequest":true,"userId":{user},"audience":true}}"#
        ));
        assert_eq!(runner.receive(), r#"{"audience":0}"#);
        runner
    };
    let (mut five, mut six) = (ask("5"), ask("6"));
    let (mut follower, _) = client(&server, r#"{"follow":"*"}"#);
    for runner in [&mut five, &mut six] {
        assert_eq!(runner.receive(), r#"{"audience":1}"#);
    }
    follower.send(r#"{"follow":[5]}"#);
    five.hear_nothing_for(PACE);
    follower.send(r#"{"unfollow":[5]}"#);
    assert_eq!(five.receive(), r#"{"audience":0}"#);
    six.hear_nothing_for(PACE);
    // Its own connection does not count.
    six.send(r#"{"follow":"*"}"#);
    assert_eq!(five.receive(), r#"{"audience":1}"#);
    six.hear_nothing_for(PACE);
    follower.send(r#"{"unfollow":"*"}"#);
    assert_eq!(six.receive(), r#"{"audience":0}"#);
    five.hear_nothing_for(PACE);
}

#[test]
fn it_takes_a_flag_or_a_token_and_else_one_error() {
    let closed = Server::start(&[]);
    let mut follower = closed.connect();
    for text in [EVERYONE, r#"{"follow":"*"}"#] {
        assert_eq!(codes(&mut follower, text), ["not_allowed"]);
    }
    // What stands beside it is carried out.
    let mut gateway = closed.connect();
    gateway.send(&position(5, 1));
    gateway.barrier();
    follower.send(r#"{"initialRequest":true,"userId":7,"presence":true,"following":"*"}"#);
    let texts = follower.barrier();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_eq!(error(&texts[0]).0, "not_allowed");
    assert_eq!(codes(&mut follower, r#"{"follow":"all"}"#), ["bad_message"]);
    assert_eq!(closed.metric("spectate_follows"), 0.0);

    // With keys the token alone decides.
    let (server, _file) = access::start("everyone", &["--follow-all"]);
    let follow = |follow: Follow| signed(&grant("5", follow, Publish::Own), SECRET);
    let list = follow(Follow::Only(ids(&["*", "6"])));
    let mut follower = server.connect();
    assert_eq!(codes(&mut follower, r#"{"follow":"*"}"#), ["unauthorized"]);
    assert_eq!(
        codes(&mut follower, &hello(&list, r#","following":"*""#)),
        ["not_allowed"]
    );
    let all = follow(Follow::Everybody);
    follower.send(&hello(&all, r#","following":"*""#));
    assert!(follower.barrier().is_empty());
    let mut gateway = server.connect();
    gateway.send(&hello(&access::gateway(), ""));
    gateway.send(&position(9, 1));
    gateway.barrier();
    assert_eq!(follower.receive(), position(9, 1));
    follower.send(r#"{"follow":[6]}"#);
    assert!(follower.barrier().is_empty());
    // A renewal to a list ends it, and leaves what is covered.
    assert_eq!(
        codes(&mut follower, &format!(r#"{{"token":"{list}"}}"#)),
        ["not_allowed"]
    );
    assert_eq!(server.metric("spectate_follows"), 1.0);
    gateway.send(&position(9, 2));
    gateway.send(&position(6, 2));
    gateway.barrier();
    assert_eq!(follower.barrier(), [position(6, 2)]);
}

#[test]
fn it_is_one_of_max_follows_and_so_is_each_who_is_left_out() {
    let server = open(&["--max-follows", "3"]);
    let mut follower = server.connect();
    let many = "too_many_follows";
    assert!(codes(&mut follower, r#"{"follow":[1,2,3]}"#).is_empty());
    assert_eq!(codes(&mut follower, r#"{"follow":"*"}"#), [many]);
    assert!(codes(&mut follower, r#"{"unfollow":[3]}"#).is_empty());
    assert!(codes(&mut follower, r#"{"follow":"*"}"#).is_empty());
    // One by name that is left out has a place already, and the other way round.
    assert!(codes(&mut follower, r#"{"unfollow":[1]}"#).is_empty());
    assert_eq!(codes(&mut follower, r#"{"unfollow":[7,8]}"#), [many]);
    assert_eq!(codes(&mut follower, r#"{"follow":[7]}"#), [many]);
    assert!(codes(&mut follower, r#"{"follow":[1]}"#).is_empty());
    assert_eq!(server.metric("spectate_follows"), 3.0);
    let mut gateway = server.connect();
    gateway.send(&position(8, 1));
    assert_eq!(follower.receive(), position(8, 1), "it is still followed");

    let server = open(&["--max-follows-total", "2"]);
    let mut follower = server.connect();
    let (_other, _) = client(&server, r#"{"follow":[1]}"#);
    assert!(codes(&mut follower, r#"{"follow":"*"}"#).is_empty());
    assert_eq!(codes(&mut follower, r#"{"unfollow":[7]}"#), [many]);
    let (_, texts) = client(&server, r#"{"follow":"*"}"#);
    assert_eq!(error(&texts[0]).0, many);
}

#[test]
fn one_that_does_not_read_gets_the_newest_of_each_and_costs_what_it_is_behind_on() {
    const RUNNERS: u64 = 500;
    let server = open(&["--log-level", "warn"]);
    let mut gateway = server.connect();
    let all = |lat: u64| -> Vec<u8> {
        (0..RUNNERS)
            .flat_map(|user| text_frame(&position(user, lat)))
            .collect()
    };
    gateway.send_raw(&all(0));
    gateway.send_raw(&text_frame(&heavy_position(FILLER)));
    gateway.barrier();
    let mut slow = Client::over(narrow_socket(server.address()));
    slow.send(r#"{"follow":"*"}"#);
    for _ in 0..=RUNNERS {
        slow.receive();
    }
    slow.barrier();
    fall_behind(&server, &mut gateway);
    gateway.send_raw(&all(1));
    gateway.barrier();
    let before = server.memory_kib();
    for lat in 2..100 {
        gateway.send_raw(&all(lat));
        gateway.barrier();
    }
    let grown = server.memory_kib().saturating_sub(before);
    assert!(grown < 2048, "{grown} KiB");
    // A newcomer, one who is followed by name now, and one who is left out.
    gateway.send(&position(5000, 7));
    gateway.barrier();
    slow.send(r#"{"follow":[5],"unfollow":[6]}"#);
    server.wait_for_metric("spectate_follows", 3.0);
    let mut seen: Vec<Option<u64>> = vec![None; RUNNERS as usize];
    loop {
        let text = slow.receive();
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert!(json["age"].is_null(), "{text}");
        let user = json["userId"].as_u64().expect("a number");
        if user == 5000 {
            break;
        }
        if user != FILLER {
            let lat = json["lat"].as_u64();
            assert!(seen[user as usize] < lat, "{text}");
            seen[user as usize] = lat;
        }
    }
    for (user, lat) in seen.iter().enumerate() {
        let expected = (user != 6).then_some(99);
        assert_eq!(*lat, expected, "user {user}");
    }
    assert!(slow.barrier().is_empty());
    gateway.send(&position(5, 100));
    assert_eq!(slow.receive(), position(5, 100));
}

#[test]
fn what_is_known_of_many_comes_piece_by_piece_and_who_moves_meanwhile_comes_once() {
    const RUNNERS: u64 = 20_000;
    let server = open(&["--log-level", "warn"]);
    let mut gateway = server.connect();
    let mut burst = Vec::new();
    for user in 0..RUNNERS {
        burst.extend(text_frame(&position(user, 1)));
    }
    gateway.send_raw(&burst);
    gateway.barrier();
    let mut slow = Client::over(narrow_socket(server.address()));
    slow.send(EVERYONE_WITH_PRESENCE);
    server.wait_for_metric("spectate_follows", 1.0);
    // It is behind: the newest positions are those of its follow, with an age.
    burst.clear();
    for user in 0..RUNNERS {
        burst.extend(text_frame(&position(user, 2)));
    }
    gateway.send_raw(&burst);
    gateway.send(&position(RUNNERS, 3));
    gateway.barrier();
    let mut introduced = BTreeSet::new();
    let mut aged = BTreeSet::new();
    let mut newest = vec![0; RUNNERS as usize];
    let mut newcomer = String::new();
    while newest.iter().any(|lat| *lat < 2) || newcomer.is_empty() {
        let text = slow.receive();
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        if let Some(user) = json["presence"]["userId"].as_str() {
            assert!(introduced.insert(user.to_owned()), "{text}");
            continue;
        }
        let user = json["userId"].as_u64().expect("a number");
        assert!(introduced.contains(&user.to_string()), "{text}");
        if user == RUNNERS {
            newcomer = text;
            continue;
        }
        let lat = json["lat"].as_u64().expect("a number");
        let newest = &mut newest[user as usize];
        assert!(*newest < lat, "{text} after {newest}");
        assert_eq!(aged.insert(user), !json["age"].is_null(), "{text}");
        *newest = lat;
    }
    assert_eq!(newcomer, position(RUNNERS, 3));
    assert!(slow.barrier().is_empty());
}

#[test]
fn a_list_of_ids_beside_it_is_a_list() {
    let server = open(&[]);
    let mut text = String::from(r#"{"follow":["*""#);
    for user in 0..50 {
        let _ = write!(text, ",{user}");
    }
    let (_client, texts) = client(&server, &format!("{text}]}}"));
    assert!(texts.is_empty());
    assert_eq!(server.metric("spectate_follows"), 51.0);
}
