//! Links that show everyone, and what becomes of them where that is not allowed.

use serde_json::json;

use crate::chromium::Chromium;
use crate::fake::Fake;
use crate::page::{Page, row};
use crate::scratch::Scratch;
use crate::support::Server;

#[test]
fn a_link_without_anybody_shows_everyone_who_is_there_and_who_comes() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let rows = "id,name\n7,Zoe\n8,Anna Berg\n";
    let roster = Scratch::new("map-everyone.csv", rows.as_bytes());
    let server = Server::start(&["--tiles", "none", "--follow-all", "--roster", roster.path()]);
    let mut gateway = server.connect();
    gateway.send(r#"{"userId":5,"lat":51.5,"lng":-0.16}"#);
    gateway.barrier();
    for rest in ["", "?follow=*", "#follow=*"] {
        let page = Page::open(chromium, server.address(), rest);
        page.wait_for_text("#count", "1 live, 2 not seen");
        page.wait_for(
            "[...document.querySelectorAll('li b')].map(name => name.textContent).join() === '5,Anna Berg,Zoe'",
        );
        assert_eq!(
            page.get("location.href"),
            format!("http://{}/{rest}", server.address())
        );
        assert_eq!(
            page.get("document.getElementById('hint').checkVisibility()"),
            false
        );
        page.assert_no_complaints();
    }
    let page = Page::open(chromium, server.address(), "?follow=*");
    page.wait_for_text("#count", "1 live, 2 not seen");
    gateway.send(r#"{"userId":8,"lat":51.5,"lng":-0.16}"#);
    gateway.send(r#"{"userId":"late","lat":51.5,"lng":-0.16}"#);
    page.wait_for_state("8", "live");
    page.wait_for_state("late", "live");
    // Who is left out does not come back by itself, and the link is the same.
    page.open_details("5");
    page.click(".unfollow");
    gateway.send(r#"{"userId":5,"lat":51.6,"lng":-0.16}"#);
    gateway.send(r#"{"userId":"later","lat":51.5,"lng":-0.16}"#);
    page.wait_for_state("later", "live");
    assert_eq!(
        page.get(&format!("document.querySelector({:?})", row("5"))),
        json!(null)
    );
    assert_eq!(page.get("location.search"), "?follow=*");
    // Who is named besides is in the link.
    page.click("#ids");
    page.write("17");
    page.press("Enter");
    page.wait_for(&format!("document.querySelector({:?})", row("17")));
    assert_eq!(page.get("location.search"), "?follow=*,17");
}

#[test]
fn who_comes_before_the_first_runner_is_told_that_nobody_is_here_yet() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none", "--follow-all"]);
    let page = Page::open(chromium, server.address(), "");
    page.wait_for_text("#hint", "Nobody is here yet");
    page.wait_for_text("#count", "Nobody yet");
    server
        .connect()
        .send(r#"{"userId":5,"lat":51.5,"lng":-0.16}"#);
    page.wait_for_state("5", "live");
    page.wait_for("!document.getElementById('hint').checkVisibility()");
}

#[test]
fn where_everyone_may_not_be_followed_a_link_without_anybody_asks_for_ids() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    server
        .connect()
        .send(r#"{"userId":5,"lat":51.5,"lng":-0.16}"#);
    let page = Page::open(chromium, server.address(), "");
    page.wait_for("document.getElementById('hint').checkVisibility()");
    assert!(page.text("#hint").contains("Type the id of a runner"));
    assert_eq!(page.text("#count"), "Nobody followed");
    assert_eq!(page.get("document.getElementById('note').hidden"), true);
    page.click("#ids");
    page.write("5");
    page.press("Enter");
    page.wait_for_state("5", "live");
    assert_eq!(page.get("location.search"), "?follow=5");
    // A link that says everyone says that it does not show them, and shows the others.
    let page = Page::open(chromium, server.address(), "?follow=*,5");
    page.wait_for_text("#note", "not everyone may be followed here");
    page.wait_for_state("5", "live");
    assert_eq!(page.get("location.search"), "?follow=*,5");
    page.assert_no_complaints();
}

#[test]
fn a_server_that_does_not_know_of_everyone_is_one_that_does_not_allow_it() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    page.start(&format!("http://{}/", fake.address()));
    let mut visit = fake.accept();
    visit.receive();
    assert_eq!(visit.receive(), r#"{"follow":"*"}"#);
    assert_eq!(visit.receive(), r#"{"ping":1}"#);
    visit.send(r#"{"error":{"code":"bad_message","message":"follow must be a list of user ids"}}"#);
    visit.send(r#"{"pong":1}"#);
    page.wait_for("document.getElementById('hint').checkVisibility()");
    assert_eq!(page.get("document.getElementById('note').hidden"), true);
}

#[test]
fn the_user_who_is_called_by_a_star_is_not_everyone() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none", "--follow-all"]);
    let mut gateway = server.connect();
    for id in ["*", "5"] {
        gateway.send(&format!(r#"{{"userId":"{id}","lat":51.5,"lng":-0.16}}"#));
    }
    gateway.barrier();
    let page = Page::open(chromium, server.address(), "?follow=%2A");
    page.wait_for_state("*", "live");
    page.wait_for_text("#count", "1 live");
    assert_eq!(page.get("location.search"), "?follow=%2A");
    // Nobody is everyone, once somebody was meant.
    page.open_details("*");
    page.click(".unfollow");
    page.wait_for("document.getElementById('hint').checkVisibility()");
    page.reload();
    page.wait_for_text("#link", "Connected");
    page.wait_for_text("#count", "Nobody followed");
}
