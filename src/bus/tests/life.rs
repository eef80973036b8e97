//! The life of a link, against an engine whose every word is in the test.

use super::*;
use crate::bus::resp;

#[test]
fn the_same_is_heard_wherever_the_bytes_of_an_engine_are_cut() {
    let begin = || {
        let mut run = Run::new();
        run.connect();
        run.write();
        run
    };
    // What is said once it is up, and what the engine says to it.
    let ask = |run: &mut Run| {
        let link = &mut run.link;
        let publish = link.publish("spectate:l:5", "spectate:p:5", b"1 position", 60_000);
        publish.expect("room");
        link.subscribe(&["spectate:p:6", "spectate:p:a b*"])
            .expect("room");
        get(link, "spectate:l:6", 6).expect("room");
        get(link, "spectate:l:a b*", 7).expect("room");
        link.unsubscribe(&["spectate:p:6"]).expect("room");
        link.command(&[b"HSET", b"spectate:c:5", b"node", b"1"])
            .expect("room");
        link.ask(&[b"LRANGE", b"spectate:t:6", b"0", b"-1"], Tag(8))
            .expect("room");
        run.write();
    };
    let said = [
        "+OK\r\n:1\r\n",
        &subscribed("subscribe", "spectate:p:6", 1),
        &subscribed("subscribe", "spectate:p:a b*", 2),
        &blob("1 last \r\n of 6"),
        &message("spectate:p:6", "1 first"),
        "_\r\n",
        &message("spectate:p:a b*", "1 second\r\n+OK\r\n"),
        &subscribed("unsubscribe", "spectate:p:6", 1),
        "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
        ">2\r\n+invalidate\r\n*1\r\n+x\r\n",
        "|1\r\n+ttl\r\n:3\r\n*2\r\n+a\r\n+b\r\n",
    ]
    .concat();
    let expected = [
        "6: 1 last \r\n of 6",
        "spectate:p:6: 1 first",
        "7: Null",
        "spectate:p:a b*: 1 second\r\n+OK\r\n",
        "refused: OOM command not allowed when used memory > 'maxmemory'.",
        "8: 2 items",
    ];
    let greeting = greeting();
    for cut in 0..greeting.len() {
        let mut run = begin();
        run.say(&greeting[..cut]);
        assert!(!run.link.is_up(), "cut at {cut}");
        run.say(&greeting[cut..]);
        assert!(run.link.is_up(), "cut at {cut}");
        assert!(run.events.is_empty(), "{:?}", run.events);
    }
    for cut in 0..said.len() {
        let mut run = begin();
        run.say(&greeting);
        ask(&mut run);
        run.say(&said[..cut]);
        run.say(&said[cut..]);
        assert_eq!(run.events, expected, "cut at {cut}");
        assert!(run.link.is_up());
    }
}

#[test]
fn the_greeting_and_the_trial_of_all_rights_are_the_first_write() {
    let mut run = Run::new();
    run.connect();
    let written = run.write();
    let mut words = vec![b"HELLO".as_slice(), b"3", b"AUTH", b"default", b"s3cret"];
    words.extend([&b"SETNAME"[..], b"spectate-1"]);
    let mut hello = Vec::new();
    resp::command(&mut hello, &words);
    assert!(written.as_bytes().starts_with(&hello));
    let needed = crate::bus::rights::needed(&Names::new("spectate").expect("a prefix"));
    let commands = needed
        .split(" +")
        .skip(1)
        .filter(|command| *command != "auth");
    for command in commands {
        assert!(written.to_lowercase().contains(&blob(command)), "{command}");
    }
    // Nothing else is said before the answers.
    let refused = run.link.publish("spectate:l:5", "spectate:p:5", b"1", 1);
    assert_eq!(refused, Err(NotTaken));
    assert_eq!(run.link.subscribe(&["spectate:nodes"]), Err(NotTaken));
}

#[test]
fn a_position_is_set_before_it_is_published_and_both_or_neither_are_taken() {
    let mut run = Run::up();
    run.link
        .publish("spectate:l:5", "spectate:p:5", b"1 x", 60_000)
        .expect("room");
    let mut both = Vec::new();
    resp::command(
        &mut both,
        &[b"SET", b"spectate:l:5", b"1 x", b"PX", b"60000"],
    );
    resp::command(&mut both, &[b"PUBLISH", b"spectate:p:5", b"1 x"]);
    assert_eq!(run.write().as_bytes(), both);
    let payload = [b'x'; 100];
    let mut taken = 0;
    while run
        .link
        .publish("spectate:l:5", "spectate:p:5", &payload, 60_000)
        .is_ok()
    {
        taken += 1;
    }
    assert!((2..=4).contains(&taken), "{taken}");
    assert!(run.link.pending_bytes() <= 1000);
    let written = run.write();
    assert_eq!(written.matches("\r\nSET\r\n").count(), taken);
    assert_eq!(written.matches("\r\nPUBLISH\r\n").count(), taken);
    run.link
        .publish("spectate:l:5", "spectate:p:5", &payload, 60_000)
        .expect("room again");
}

#[test]
fn what_is_to_be_mended_is_told_once_and_tried_every_two_seconds_until_it_is() {
    let wrong_password = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    let no_rights = greeting().replacen("+OK\r\n", "-NOPERM this user has no permissions\r\n", 1);
    let no_channel = greeting().replacen(
        &subscribed("subscribe", "spectate:probe:channel", 1),
        "-NOPERM this user has no permissions to access one of the channels\r\n",
        1,
    );
    for (says, mend) in [
        (wrong_password, "--bus-password-file"),
        (
            "-NOAUTH HELLO must be called with the client already authenticated\r\n",
            "--bus-pass",
        ),
        (
            "-ERR unknown command `HELLO`, with args beginning with: `3`\r\n",
            "6.2",
        ),
        (&greeting().replacen("7.0.15", "6.0.16", 1), "6.0.16"),
        (
            &greeting().replacen("standalone", "cluster", 1),
            "cluster mode",
        ),
        (&greeting().replacen("master", "replica", 1), "replica"),
        (
            &no_rights,
            "give it resetchannels &spectate:* ~spectate:* -@all +hello +auth +ping",
        ),
        (&no_channel, "channels"),
    ] {
        let mut run = Run::new();
        run.connect();
        run.say(says);
        assert!(run.link.is_down(), "{says}");
        let Some(News::Down(trouble)) = run.link.news() else {
            panic!("nobody is told of {says}");
        };
        assert!(trouble.to_string().contains(mend), "{trouble}");
        for _ in 0..3 {
            run.pass(2 * SECOND - SECOND / 100);
            assert!(!run.link.is_due(run.now));
            run.pass(SECOND / 100);
            run.connect();
            run.say(says);
            assert_eq!(run.link.news(), None, "told again: {says}");
        }
        run.pass(2 * SECOND);
        run.connect();
        run.greet();
        assert_eq!(run.link.news(), Some(News::Up));
        run.link.failed(trouble.clone(), run.now);
        assert_eq!(
            run.link.news(),
            Some(News::Down(trouble)),
            "it is news again"
        );
    }
}

#[test]
fn an_engine_that_is_not_there_is_tried_soon_and_then_less_often() {
    let mut run = Run::new();
    let refused = || Trouble::Lost("connection refused".to_owned());
    let mut pauses = Vec::new();
    for _ in 0..10 {
        run.link.connecting(run.now);
        run.link.failed(refused(), run.now);
        let retry_at = run.link.deadline().expect("it is tried again");
        pauses.push(retry_at - run.now);
        run.now = retry_at;
        assert!(run.link.is_due(run.now));
    }
    assert!(pauses[0] <= SECOND / 10);
    assert!(pauses.iter().all(|pause| *pause <= 2 * SECOND));
    assert!(pauses[9] >= SECOND);
    assert_eq!(run.link.news(), Some(News::Down(refused())));
    run.link.connecting(run.now);
    run.pass(5 * SECOND);
    assert!(
        matches!(run.link.news(), Some(News::Down(Trouble::Lost(_)))),
        "no endless wait"
    );
}

#[test]
fn who_does_not_shake_hands_is_given_up_after_5_s_however_it_drips() {
    let mut run = Run::new();
    run.link.connecting(run.now);
    run.pass(4 * SECOND);
    run.link.reached(run.now);
    for _ in 0..4 {
        run.pass(SECOND);
        run.link.received(run.now);
        run.link.reached(run.now);
        assert!(run.link.is_connecting());
    }
    assert_eq!(run.link.deadline(), Some(run.now + SECOND));
    run.pass(SECOND);
    assert_eq!(run.link.news(), Some(News::Down(Trouble::NoHandshake)));
}

#[test]
fn a_quiet_engine_is_asked_and_a_silent_one_is_away_after_ten_seconds() {
    let mut run = Run::up();
    for _ in 0..3 {
        assert_eq!(run.link.deadline(), Some(run.now + 5 * SECOND));
        run.pass(5 * SECOND);
        assert_eq!(run.write(), "*1\r\n$4\r\nPING\r\n");
        run.pass(4 * SECOND);
        run.say("+PONG\r\n");
    }
    run.pass(5 * SECOND);
    run.write();
    run.pass(5 * SECOND - SECOND / 100);
    assert!(run.link.is_up());
    assert_eq!(run.link.deadline(), Some(run.now + SECOND / 100));
    run.pass(SECOND / 100);
    assert_eq!(run.link.news(), Some(News::Down(Trouble::Silent)));
    // So is one that takes the connection and says nothing to the greeting.
    let mut run = Run::new();
    run.connect();
    run.write();
    run.pass(5 * SECOND);
    assert_eq!(run.link.news(), Some(News::Down(Trouble::Silent)));
}

#[test]
fn a_node_that_was_stopped_cuts_no_good_connection() {
    let mut run = Run::up();
    run.pass(5 * SECOND);
    run.write();
    // Stopped for a minute; the clock is looked at before the socket is.
    run.now += 60 * SECOND;
    run.link.tick(run.now);
    assert!(run.link.is_up());
    run.say("+PONG\r\n");
    run.link.tick(run.now);
    assert!(run.link.is_up());
    // And one that was stopped before it could ask.
    run.pass(5 * SECOND);
    run.pass(60 * SECOND);
    assert!(run.link.is_up());
    run.write();
    run.say("+PONG\r\n");
    run.pass(SECOND);
    assert!(run.link.is_up());
}

#[test]
fn after_a_break_nothing_of_before_is_waited_for_or_written() {
    let mut run = Run::up();
    get(&mut run.link, "spectate:l:5", 1).expect("room");
    run.write();
    get(&mut run.link, "spectate:l:6", 2).expect("room");
    run.link.failed(Trouble::Lost("reset".to_owned()), run.now);
    assert_eq!(run.link.pending_bytes(), 0);
    run.say("$1\r\nx\r\n");
    assert!(run.events.is_empty(), "the connection is gone");
    run.pass(SECOND / 10);
    run.connect();
    run.greet();
    get(&mut run.link, "spectate:l:7", 3).expect("room");
    run.write();
    run.say("$1\r\ny\r\n");
    assert_eq!(run.events, ["3: y"]);
}

#[test]
fn what_an_engine_cannot_have_meant_ends_the_link() {
    for nonsense in [
        "+OK\r\n",
        ":1\r\n",
        "HTTP/1.1 400 Bad Request\r\n",
        "$99999999999\r\n",
        &subscribed("subscribe", "spectate:p:5", 1),
    ] {
        let mut run = Run::up();
        run.say(nonsense);
        assert_eq!(
            run.link.news(),
            Some(News::Down(Trouble::Malformed)),
            "{nonsense}"
        );
    }
    let mut run = Run::up();
    run.link.subscribe(&["spectate:p:5"]).expect("room");
    run.say("+OK\r\n");
    assert_eq!(run.link.news(), Some(News::Down(Trouble::Malformed)));
}

#[test]
fn what_is_too_large_takes_the_place_of_its_answer_and_the_link_stays_up() {
    let mut run = Run::up();
    get(&mut run.link, "spectate:l:5", 1).expect("room");
    get(&mut run.link, "spectate:l:6", 2).expect("room");
    let large = blob(&"x".repeat(2_000_000));
    run.say(&format!(
        ">3\r\n{}{}{large}",
        blob("message"),
        blob("spectate:nodes")
    ));
    run.say(&large);
    run.say(&blob("y"));
    assert_eq!(run.events, ["1: TooLarge { is_push: false }", "2: y"]);
    assert!(run.link.is_up());
}

#[test]
fn errors_that_are_about_the_whole_engine_end_the_link_whatever_was_asked() {
    for (error, is_to_be_mended) in [
        (
            "-READONLY You can't write against a read only replica.\r\n",
            true,
        ),
        ("-NOPERM no permissions\r\n", true),
        ("-LOADING Redis is loading the dataset in memory\r\n", false),
    ] {
        for is_question in [false, true] {
            let mut run = Run::up();
            match is_question {
                true => get(&mut run.link, "spectate:l:5", 1).expect("room"),
                false => run.link.publish("k", "c", b"1", 1).expect("room"),
            }
            run.say(error);
            let Some(News::Down(trouble)) = run.link.news() else {
                panic!("{error}");
            };
            assert_eq!(trouble.is_to_be_mended(), is_to_be_mended);
            assert!(run.events.is_empty());
        }
    }
    let mut run = Run::up();
    run.say("-ERR max number of clients reached\r\n");
    assert!(matches!(
        run.link.news(),
        Some(News::Down(Trouble::Busy(_)))
    ));
    // Of a subscription to several nobody knows which are left.
    let mut run = Run::up();
    run.link
        .subscribe(&["spectate:p:5", "spectate:p:6"])
        .expect("room");
    run.say("-ERR what\r\n");
    assert!(matches!(
        run.link.news(),
        Some(News::Down(Trouble::Busy(_)))
    ));
}

#[test]
fn an_error_to_a_question_is_its_answer() {
    let mut run = Run::up();
    get(&mut run.link, "spectate:c:5", 9).expect("room");
    run.say("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    assert!(run.events[0].starts_with("9: Error("), "{:?}", run.events);
    assert!(run.link.is_up());
}

#[test]
fn an_engine_that_is_full_is_up_nevertheless() {
    let mut run = Run::new();
    run.connect();
    run.write();
    run.say(&greeting().replacen("+OK\r\n", "-OOM command not allowed\r\n", 1));
    assert_eq!(run.link.news(), Some(News::Up));
}
