//! The map of a server that asks for tokens: out of the link, through a reload, renewed, ended.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use spectate::auth::{Follow, Grant, Publish, SigningKey};

use crate::chromium::Chromium;
use crate::fake::Fake;
use crate::page::{Page, row};
use crate::scratch::Scratch;
use crate::support::Server;

const SECRET: &[u8] = b"a secret of tests that is long enough";

/// A server that asks for tokens, and its secret.
fn start(name: &str) -> (Server, Scratch) {
    let file = Scratch::new(name, SECRET);
    let flags = ["--tiles", "none", "--jwt-hs256-secret-file", file.path()];
    (Server::start(&flags), file)
}

/// A token of user 5, who may follow 6, for so many seconds.
fn token(seconds: u64) -> String {
    token_of("5", &["6"], Publish::Own, seconds)
}

fn token_of(user: &str, follow: &[&str], publish: Publish, seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now: Duration = now.expect("after 1970");
    let grant = Grant {
        user: user.to_owned(),
        publish,
        follow: Follow::Only(follow.iter().map(ToString::to_string).collect()),
        name: None,
        expires_at_s: now.as_secs() + seconds,
    };
    let key = SigningKey::from_secret(SECRET).expect("long enough");
    key.mint(&grant, None, None).expect("a grant as it may be")
}

#[test]
fn a_token_in_the_fragment_goes_out_of_sight_and_outlives_a_reload() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (server, _file) = start("fragment");
    let token = token(3600);
    let page = Page::open(
        chromium,
        server.address(),
        &format!("?follow=6,7#token={token}"),
    );
    page.wait_for_text("#note", "your token does not let you follow \"7\"");
    page.wait_for_text(&row("7"), "you may not follow this one");
    page.wait_for_text(&row("6"), "no position yet");
    assert_eq!(
        page.get("location.href"),
        format!("http://{}/?follow=6,7", server.address())
    );
    page.reload();
    page.wait_for_text("#note", "your token does not let you follow \"7\"");
    page.wait_for_text("#link", "Connected");
    // The token says who one is.
    page.click("summary");
    assert_eq!(
        page.get(
            "[document.getElementById('me').value, document.getElementById('me').readOnly].join()"
        ),
        "5,true"
    );
    page.allow_geolocation();
    page.measure(51.5, -0.16, 7.0);
    page.click("#share-form button");
    page.wait_for_state("5", "live");
    page.wait_for_text("#audience", "Nobody is watching");
    assert_eq!(
        page.get("location.href"),
        format!("http://{}/?follow=6,7,5", server.address())
    );
    assert!(!server.log().contains(&token));
}

#[test]
fn without_a_token_the_page_says_that_one_is_needed() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (server, _file) = start("none");
    let page = Page::open(chromium, server.address(), "?follow=6");
    // At once, although the server waits for one for a while; and once.
    page.wait_for_text("#link", "shows nobody without a token");
    assert_eq!(page.get("document.getElementById('note').hidden"), true);
    assert_eq!(page.get("document.getElementById('retry').hidden"), true);
    // Followed later, a link with a token is all it takes.
    page.get(&format!("location.hash = '#token={}'", token(3600)));
    page.wait_for_text("#link", "Connected");
    page.wait_for_text("li", "no position yet");
    assert_eq!(page.get("location.hash"), "");
}

#[test]
fn a_token_that_is_not_good_is_told_and_not_tried_again() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (server, _file) = start("forged");
    let page = Page::open(chromium, server.address(), "?follow=6#token=aaaa.bbbb.cccc");
    page.wait_for_text("#link", "The server does not accept the token of this link");
    let page = Page::open(
        chromium,
        server.address(),
        &format!("?follow=6#token={}", token(0)),
    );
    page.wait_for_text("#link", "Your access has ended");
    assert_eq!(
        page.get("sessionStorage.getItem('token')"),
        serde_json::Value::Null
    );
    page.get(&format!("location.hash = '#token={}'", token(3600)));
    page.wait_for_text("#link", "Connected");
}

#[test]
fn a_renewed_token_keeps_the_connection_beyond_the_end_of_the_first() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (server, _file) = start("renewed");
    let page = Page::open(
        chromium,
        server.address(),
        &format!("?follow=6#token={}", token(10)),
    );
    page.wait_for_text("li", "no position yet");
    let ends = Page::open(
        chromium,
        server.address(),
        &format!("?follow=6#token={}", token(10)),
    );
    ends.wait_for_text("li", "no position yet");
    page.get(&format!("location.hash = '#token={}'", token(3600)));
    page.wait_for("location.hash === ''");
    ends.wait_for_text("#link", "Your access has ended");
    page.wait_ms(1200);
    assert_eq!(page.text("#link span"), "Connected");
    assert_eq!(server.metric("spectate_connections"), 1.0);
}

#[test]
fn after_a_renewal_that_covers_less_nobody_is_live_whom_the_page_is_not_told_of() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (server, _file) = start("narrower");
    let mut gateway = server.connect();
    let all = token_of("0", &[], Publish::Everybody, 3600);
    gateway.send(&format!(r#"{{"token":"{all}"}}"#));
    let positions = [6, 7].map(|user| format!(r#"{{"userId":{user},"lat":51.5,"lng":-0.16}}"#));
    positions.iter().for_each(|text| gateway.send(text));
    gateway.barrier();
    let wide = token_of("5", &["6", "7"], Publish::Own, 3600);
    let page = Page::open(
        chromium,
        server.address(),
        &format!("?follow=6,7#token={wide}"),
    );
    page.wait_for_state("6", "live");
    page.wait_for_state("7", "live");
    page.get(&format!("location.hash = '#token={}'", token(3600)));
    page.wait_for_state("7", "stale");
    page.wait_for_text("#note", "does not let you follow");
    positions.iter().for_each(|text| gateway.send(text));
    page.wait_for_state("6", "live");
    page.wait_for_state("7", "stale");
    // And the other way round.
    let wide = token_of("5", &["7", "6"], Publish::Own, 3000);
    page.get(&format!("location.hash = '#token={wide}'"));
    page.wait_for_state("7", "live");
    page.wait_for_state("6", "live");
}

#[test]
fn sharing_ends_with_the_token_that_let_one_share() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (server, _file) = start("share-ends");
    let page = Page::open(chromium, server.address(), &format!("#token={}", token(10)));
    page.allow_geolocation();
    page.measure(51.5, -0.16, 7.0);
    page.click("summary");
    page.click("#share-form button");
    page.wait_for_text("#sharing", "Nobody is watching");
    page.wait_for_text("#link", "Your access has ended");
    page.wait_for("document.getElementById('sharing').hidden && !document.getElementById('share-form').hidden");
}

#[test]
fn who_may_not_send_positions_does_not_seem_to_share() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (server, _file) = start("share-denied");
    let token = token_of("5", &[], Publish::Nobody, 3600);
    let page = Page::open(chromium, server.address(), &format!("#token={token}"));
    page.allow_geolocation();
    page.measure(51.5, -0.16, 7.0);
    page.click("summary");
    page.click("#share-form button");
    page.wait_for_text("#note", "does not let you send positions");
    page.wait_for("document.getElementById('sharing').hidden && !document.getElementById('share-form').hidden");
}

#[test]
fn one_shares_as_whom_the_token_names_to_the_last_space_and_digit() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    for (sub, id) in [
        (r#"" Anna ""#, " Anna "),
        ("12345678901234567890123", "12345678901234567890123"),
    ] {
        let claims = BASE64URL_NOPAD.encode(format!(r#"{{"exp":1,"sub":{sub}}}"#).as_bytes());
        let fake = Fake::start();
        let page = Page::new(chromium);
        page.start(&format!(
            "http://{}/?follow=#token=e30.{claims}.e30",
            fake.address()
        ));
        let mut visit = fake.accept();
        page.wait_for_text("#link", "Connected");
        visit.receive();
        page.allow_geolocation();
        page.click("summary");
        page.click("#share-form button");
        assert_eq!(visit.receive(), format!(r#"{{"follow":["{id}"]}}"#));
        assert_eq!(visit.receive(), r#"{"ping":1}"#);
        visit.send(r#"{"pong":1}"#);
        let hello: serde_json::Value = serde_json::from_str(&visit.receive()).expect("JSON");
        assert_eq!(hello["userId"], id);
        assert_eq!(
            page.get("document.getElementById('sharing-as').innerText"),
            id
        );
    }
}

#[test]
fn nobody_hears_of_it_when_a_token_is_renewed() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (server, _file) = start("renewed-quietly");
    let page = Page::open(
        chromium,
        server.address(),
        &format!("?follow=6#token={}", token(3000)),
    );
    page.open_details("6");
    page.wait_for_text("li", "not connected to the server");
    let mut runner = server.connect();
    let own = token_of("6", &[], Publish::Own, 3600);
    runner.send(&format!(
        r#"{{"initialRequest":true,"token":"{own}","audience":true}}"#
    ));
    assert_eq!(runner.receive(), r#"{"audience":1}"#);
    // An audience is told once a second at most: the next change would be told at once.
    runner.hear_nothing_for(Duration::from_millis(1100));
    runner.send(r#"{"lat":51.5,"lng":-0.16}"#);
    page.wait_for_state("6", "live");
    page.get(&format!("location.hash = '#token={}'", token(3600)));
    page.wait_for("location.hash === ''");
    runner.hear_nothing_for(Duration::from_millis(1500));
    page.wait_for_state("6", "live");
}
