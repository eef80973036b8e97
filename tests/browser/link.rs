//! The page's connection: lost and found again, refused, dead without a word.

use std::time::Duration;

use crate::chromium::Chromium;
use crate::fake::Fake;
use crate::page::{Page, row};
use crate::support::{Server, program};

/// What the page says first, unless it has a token.
const HELLO: &str = r#"{"initialRequest":true,"presence":true,"trail":240}"#;

const POSITION: &str = r#"{"userId":5,"lat":51.5,"lng":-0.16}"#;

fn restart(server: Server) -> Server {
    let address = server.address().to_string();
    let (status, ..) = server.stop();
    assert!(status.success());
    Server::run(program(&["serve", "--listen", &address, "--tiles", "none"]))
}

#[test]
fn after_a_restart_of_the_server_the_page_comes_back_and_follows_again() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none", "--drain", "200ms"]);
    server.connect().send(POSITION);
    let page = Page::open(chromium, server.address(), "?follow=5");
    page.wait_for_state("5", "live");
    page.wait_for_text("#link", "Connected");
    page.get(
        "window.said = [];
         new MutationObserver(() => said.push(document.getElementById('link').innerText + document.querySelector('li').innerText))
             .observe(document.getElementById('link'), { subtree: true, childList: true, characterData: true })",
    );
    let server = restart(server);
    page.wait_for(
        "said.some(words => /restarting: what you see is from \\d s ago, trying again in/.test(words))",
    );
    page.wait_for_text("#link", "Connected");
    // The new server knows nothing of the runner; the page still does.
    page.wait_for_state("5", "stale");
    page.wait_for_text(&row("5"), "last seen");
    page.wait_until_still();
    let (x, y) = page.spot(51.5, -0.16);
    assert!(page.pixel(x, y)[3] > 0);
    let mut runner = server.join("5", "[]");
    page.open_details("5");
    page.wait_for_text(&row("5"), "connected, but sends nothing");
    page.wait_for_state("5", "stale");
    runner.send(POSITION);
    page.wait_for_state("5", "live");
    assert_eq!(
        page.get("said.some(words => /restarting[^]*last seen/.test(words))"),
        false
    );
    // Who says goodbye to a server that knows is gone.
    runner.send(r#"{"goodbye":true}"#);
    page.wait_for_state("5", "unknown");
    page.wait_for_a_frame();
    assert_eq!(page.pixel(x, y)[3], 0);
}

#[test]
fn a_server_that_is_gone_is_tried_again_later_each_time_and_at_once_if_asked_to() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let address = fake.address();
    let page = Page::new(chromium);
    page.start(&format!("http://{address}/"));
    let mut visit = fake.accept();
    page.wait_for_text("#link", "Connected");
    visit.receive();
    drop(visit);
    drop(fake);
    page.wait_for_text("#link", "No connection, trying again in");
    // After some failures the wait is long enough to be cut short.
    page.wait_for(
        "/No connection, trying again in [3-8] s/.test(document.getElementById('link').innerText)",
    );
    let server = Server::run(program(&["serve", "--listen", &address.to_string()]));
    page.click("#retry");
    page.wait_for_text("#link", "Connected");
    drop(server);
}

#[test]
fn a_refusal_that_coming_back_does_not_mend_is_told_and_ends_it() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let mut stopped = Vec::new();
    for (code, words) in [
        (4001, "shows nobody without a token"),
        (4002, "Your access has ended"),
        (4003, "no connections from pages at this address"),
        (4077, "refuses this page (4077)"),
    ] {
        let fake = Fake::start();
        let page = Page::new(chromium);
        page.start(&format!("http://{}/", fake.address()));
        fake.accept().close(code);
        page.wait_for_text("#link", words);
        assert!(!page.text("#link").contains("trying again"));
        stopped.push((fake, page));
    }
    // The first time that one comes back, it is after a second at most.
    stopped[0].1.wait_ms(5000);
    for (index, (fake, page)) in stopped.into_iter().enumerate() {
        assert_eq!(
            page.get("document.getElementById('link').dataset.state"),
            "stopped"
        );
        // The same again is offered where it may help, and another token always does.
        let offered = page.get("document.getElementById('retry').checkVisibility()");
        assert_eq!(offered, index == 3);
        if index == 3 {
            page.click("#retry");
        } else {
            page.get("location.hash = '#token=aaaa.bbbb.cccc'");
        }
        let _visit = fake.accept();
        page.wait_for_text("#link", "Connected");
    }
}

#[test]
fn other_ends_are_no_reason_to_stay_away() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    page.start(&format!("http://{}/?follow=5", fake.address()));
    for code in [4201, 1011] {
        let mut visit = fake.accept();
        assert_eq!(visit.receive(), HELLO);
        assert_eq!(visit.receive(), r#"{"follow":["5"]}"#);
        visit.close(code);
    }
    let visit = fake.accept();
    page.wait_for_text("#link", "Connected");
    visit.close(1013);
    page.wait_for_text("#link", "The server is full: what you see is from");
    page.wait_for_text("#link", "trying again in");
}

#[test]
fn a_connection_that_died_without_a_word_is_found_out_and_replaced() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    page.with_clock_that_skips();
    page.start(&format!("http://{}/?follow=5,6", fake.address()));
    let mut visit = fake.accept();
    for _ in 0..3 {
        visit.receive();
    }
    visit.send(POSITION);
    page.wait_for_state("5", "live");
    page.get("window.skip = 21_000");
    assert_eq!(visit.receive(), r#"{"ping":2}"#);
    // An answer, whatever it is, is a sign of life.
    visit.send(POSITION);
    page.wait_for("/^\\d s$/.test(document.querySelector('.runner small').innerText)");
    page.get("window.skip = 42_000");
    assert_eq!(visit.receive(), r#"{"ping":3}"#);
    page.get("window.skip = 53_000");
    let mut next = fake.accept();
    assert_eq!(next.receive(), HELLO);
    assert_eq!(next.receive(), r#"{"follow":["5","6"]}"#);
    page.wait_for_text("#link", "Connected");
}

#[test]
fn a_connection_is_kept_as_long_as_its_pings_are_answered() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    page.with_clock_that_skips();
    page.start(&format!("http://{}/?follow=undefined", fake.address()));
    let mut visit = fake.accept();
    for _ in 0..2 {
        visit.receive();
    }
    let answers = [
        |n| format!(r#"{{"pong":{n}}}"#),
        |n| format!(r#"{{"pong":{n},"more":[]}}"#),
        // Of a server that is older than the page.
        |_| r#"{"error":{"code":"bad_message","message":"what?"}}"#.to_owned(),
        // Of one that is younger.
        |_| r#"{"weather":"fine"}"#.to_owned(),
    ];
    for (n, answer) in (1..).zip(answers) {
        assert_eq!(visit.receive(), format!(r#"{{"ping":{n}}}"#));
        visit.send(&answer(n));
        // To hear the answer takes no time by a clock that jumps.
        page.wait_ms(700);
        page.get(&format!("window.skip = {}", n * 21_000));
    }
    assert_eq!(visit.receive(), r#"{"ping":5}"#);
    assert_eq!(page.text("#link span"), "Connected");
    assert_eq!(page.get("document.getElementById('note').hidden"), true);
    page.wait_for_text(&row("undefined"), "nothing heard yet");
    page.assert_no_complaints();
}

#[test]
fn a_connection_that_nobody_answers_is_given_up_and_tried_again() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    page.with_clock_that_skips();
    page.start(&format!("http://{}/", fake.address()));
    let _silent = fake.leave_waiting();
    page.wait_for_text("#link", "Connecting");
    page.get("window.skip = 3000");
    page.wait_ms(1200);
    assert_eq!(page.text("#link span"), "Connecting");
    page.get("window.skip = 11_000");
    page.wait_for_text("#link", "No connection, trying again in");
    let _silent_too = fake.leave_waiting();
    page.wait_for_text("#link", "Connecting again");
    page.get("window.skip = 22_000");
    page.wait_for_text("#link", "No connection, trying again in");
    let _visit = fake.accept();
    page.wait_for_text("#link", "Connected");
}

#[test]
fn a_runner_does_not_hear_of_it_when_a_quiet_page_asks_for_a_sign_of_life() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::new(chromium);
    page.with_clock_that_skips();
    page.go(&format!("http://{}/?follow=5", server.address()));
    page.wait_for_state("5", "unknown");
    page.open_details("5");
    page.wait_for_text(&row("5"), "not connected to the server");
    let mut runner = server.connect();
    runner.send(r#"{"initialRequest":true,"userId":5,"audience":true}"#);
    assert_eq!(runner.receive(), r#"{"audience":1}"#);
    // An audience is told once a second at most: the next change would be told at once.
    runner.hear_nothing_for(Duration::from_millis(1100));
    page.wait_for_text(&row("5"), "connected, but sends nothing");
    page.get(
        "(send => {
            window.sent = 0;
            WebSocket.prototype.send = function (text) { sent += 1; send.call(this, text); };
        })(WebSocket.prototype.send)",
    );
    page.get("window.skip = 21_000");
    page.wait_for("sent");
    runner.hear_nothing_for(Duration::from_millis(1500));
    assert_eq!(page.text("#link span"), "Connected");
}

#[test]
fn without_a_network_nobody_goes_stale_and_the_page_says_how_old_it_all_is() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    server.connect().send(POSITION);
    let page = Page::new(chromium);
    page.with_clock_that_skips();
    page.go(&format!("http://{}/?follow=5", server.address()));
    page.wait_for_state("5", "live");
    let is_muted = "document.documentElement.classList.contains('lost')";
    assert_eq!(page.get(is_muted), false);
    page.offline(true);
    page.wait_for_text("#link", "No connection: what you see is from");
    page.get("window.skip = 180_000");
    page.wait_for_text("#link", "No connection: what you see is from 3 min ago");
    page.wait_for_text(&row("5"), "3 min");
    page.wait_for_state("5", "live");
    assert_eq!(page.get(is_muted), true);
    page.wait_for("document.getElementById('news').textContent.includes('No connection')");
    let news = page.text("#news");
    assert!(!news.contains("stale"), "{news}");
    page.offline(false);
    page.wait_for_text("#link", "Connected");
    page.wait_for_state("5", "live");
    page.wait_for("/^\\d+ s$/.test(document.querySelector('.runner small').innerText)");
    assert_eq!(page.get(is_muted), false);
}

#[test]
fn what_the_server_refuses_is_told_in_its_words() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none", "--max-follows", "2"]);
    let page = Page::open(chromium, server.address(), "?follow=5,6,7");
    page.wait_for_text(
        "#note",
        "The server says: a connection follows at most 2 users",
    );
    page.click("#note button");
    page.wait_for("document.getElementById('note').hidden");
}
