//! The set-up page, as a runner sees it who scanned a card.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use spectate::auth::{Follow, Grant, Publish, SigningKey};

use crate::chromium::Chromium;
use crate::page::Page;
use crate::scratch::Scratch;
use crate::support::Server;

pub(crate) const SECRET: &[u8] = b"a secret of tests that is long enough";

/// A server that asks for tokens, and its secret.
pub(crate) fn start(name: &str) -> (Server, Scratch) {
    let file = Scratch::new(&format!("setup-{name}"), SECRET);
    let flags = ["--tiles", "none", "--jwt-hs256-secret-file", file.path()];
    (Server::start(&flags), file)
}

/// A token of a runner for so many seconds, less than none for one that has ended.
fn token(id: &str, name: &str, seconds: i64) -> String {
    token_by(SECRET, id, name, seconds)
}

fn token_by(secret: &[u8], id: &str, name: &str, seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_s = now.expect("after 1970").as_secs();
    let grant = Grant {
        user: id.to_owned(),
        publish: Publish::Own,
        follow: Follow::Own,
        name: Some(name.to_owned()),
        expires_at_s: now_s.saturating_add_signed(seconds),
    };
    let key = SigningKey::from_secret(secret).expect("long enough");
    key.mint(&grant, None, None).expect("a grant as it may be")
}

/// The value of each field of an app, and its link.
fn app(page: &Page, name: &str) -> Value {
    page.get(&format!(
        "(app => [app.querySelector('.open').getAttribute('href'), ...Array.from(app.querySelectorAll('input'), input => input.value)])
            (document.querySelector('[data-app={name:?}]'))"
    ))
}

#[test]
fn the_page_says_whose_it_is_and_fills_in_each_app() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (server, _file) = start("whose");
    let token = token("5", "Anna <b> Berg", 3600);
    let fragment = format!("setup#token={token}");
    let page = Page::open(chromium, server.address(), &fragment);
    let origin = format!("http://{}", server.address());
    for _ in 0..2 {
        page.wait_for_text("#whose", "For Anna <b> Berg, id 5. Good until ");
        assert_eq!(page.get("location.href"), format!("{origin}/{fragment}"));
        for (name, address) in [
            ("Traccar Client", format!("{origin}/track?token={token}")),
            ("OwnTracks", format!("{origin}/pub")),
            ("Overland", format!("{origin}/track")),
        ] {
            let app = app(&page, name);
            assert!(
                app[0].as_str().is_some_and(|link| link.contains("://")),
                "{app}"
            );
            assert_eq!(app[1], address, "{name}");
        }
        let gps_logger = app(&page, "GPSLogger");
        assert_eq!(gps_logger[0], Value::Null, "it has no link");
        let begin = format!("{origin}/track?token={token}&lat=%LAT");
        assert!(
            gps_logger[1]
                .as_str()
                .is_some_and(|url| url.starts_with(&begin))
        );
        assert_eq!(app(&page, "Overland")[2], token);
        page.reload();
    }
    page.wait_for_text("#heard", "Nothing came from you yet");
    for url in Page::requests_in(&page.all_events()) {
        assert!(url.starts_with(&origin) && !url.contains(&token), "{url}");
    }
    assert!(!server.log().contains(&token));
    page.assert_no_complaints();
}

#[test]
fn the_test_says_how_long_ago_the_last_position_came() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (server, _file) = start("age");
    let token = token("a, b/ü", "Anna", 3600);
    let page = Page::open(chromium, server.address(), &format!("setup#token={token}"));
    page.wait_for_text("#heard", "Nothing came from you yet");
    let mut runner = server.connect();
    runner.send(&format!(r#"{{"token":"{token}"}}"#));
    runner.send(r#"{"lat":51.5,"lng":-0.16}"#);
    runner.barrier();
    page.wait_for(
        "/^Your last position came [0-4] s ago$/.test(document.getElementById('heard').innerText)",
    );
    page.wait_for("/came [5-9] s ago$/.test(document.getElementById('heard').innerText)");
    runner.send(r#"{"lat":51.6,"lng":-0.16}"#);
    page.wait_for("/came [0-4] s ago$/.test(document.getElementById('heard').innerText)");
    page.offline(true);
    page.wait_for_text("#heard", "No answer from the server. Trying again.");
    page.offline(false);
    page.wait_for_text("#heard", "Your last position came");
}

#[test]
fn nobody_is_asked_while_nobody_looks() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "setup#id=5");
    page.wait_for_text("#heard", "Nothing came from you yet");
    page.get(
        "window.isHidden = true;
         Object.defineProperty(document, 'hidden', { get: () => window.isHidden });
         window.asked = 0;
         const ask = window.fetch;
         window.fetch = (...all) => { window.asked += 1; return ask(...all); };
         0",
    );
    page.wait_ms(4000);
    assert_eq!(page.get("window.asked"), 0);
    page.get("window.isHidden = false; document.dispatchEvent(new Event('visibilitychange'))");
    assert_eq!(page.get("window.asked"), 1);
}

#[test]
fn a_token_that_is_not_good_is_said_at_once() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (server, _file) = start("bad");
    let page = Page::open(
        chromium,
        server.address(),
        &format!("setup#token={}", token("5", "Anna", -60)),
    );
    page.wait_for_text("#problem", "This link ended on ");
    page.wait_for_text("#whose", "For Anna, id 5");
    let is_bare = "!document.getElementById('apps').checkVisibility() && !document.getElementById('heard').checkVisibility() \
                   && !document.getElementById('id-form').checkVisibility()";
    page.wait_for(is_bare);
    let whole = token("5", "Anna", 3600);
    for damaged in [
        &whole[..whole.len() / 2],
        "a.b.c",
        "x",
        "e30.e30.e30",
        "e30.eyJzdWIiOiIiLCJleHAiOjl9.e30",
    ] {
        page.get(&format!("location.hash = 'token={damaged}'"));
        page.wait_for_text("#problem", "This link is damaged");
        page.wait_for(is_bare);
    }
    // Only the server knows its keys.
    let foreign = token_by(b"another secret that is long enough!!", "5", "Anna", 3600);
    page.get(&format!("location.hash = 'token={foreign}'"));
    page.wait_for_text(
        "#heard",
        "The server does not accept your token. Ask for a new card.",
    );
    page.wait_for("!document.getElementById('problem').checkVisibility()");
    page.get(&format!("location.hash = 'token={whole}'"));
    page.wait_for_text("#heard", "Nothing came from you yet");
}

#[test]
fn an_integer_as_sub_keeps_all_of_its_digits() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (server, _file) = start("integer");
    let digits = "12345678901234567890123";
    let claims = format!(r#"{{"exp":4000000000,"sub":{digits}}}"#);
    let claims = data_encoding::BASE64URL_NOPAD.encode(claims.as_bytes());
    let page = Page::open(
        chromium,
        server.address(),
        &format!("setup#token=e30.{claims}.e30"),
    );
    page.wait_for_text("#whose", &format!("For {digits}. Good until "));
    assert_eq!(app(&page, "Overland")[3], digits);
}

#[test]
fn without_a_token_the_page_asks_for_an_id() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "setup");
    page.wait_for("document.getElementById('id-form').checkVisibility() && !document.getElementById('apps').checkVisibility()");
    page.click("#mine");
    page.write(" a&b c ");
    page.press("Enter");
    page.wait_for_text("#whose", "For a&b c.");
    assert_eq!(page.get("location.hash"), "#id=a%26b+c");
    for _ in 0..2 {
        assert_eq!(
            app(&page, "Overland").as_array().map(Vec::len),
            Some(3),
            "no field for a token"
        );
        assert_eq!(
            app(&page, "Traccar Client")[1],
            format!("http://{}/track", server.address())
        );
        page.reload();
        page.wait_for_text("#whose", "For a&b c.");
    }
    server
        .connect()
        .send(r#"{"userId":"a&b c","lat":51.5,"lng":-0.16}"#);
    page.wait_for_text("#heard", "Your last position came");
    page.assert_no_complaints();
    // Where tokens are asked for, an id is not enough.
    let (strict, _file) = start("strict");
    let page = Page::open(chromium, strict.address(), "setup#id=5");
    page.wait_for_text(
        "#heard",
        "This server asks for a token. Scan the code on your card.",
    );
}

#[test]
fn what_is_typed_by_hand_can_be_copied() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "setup#id=5");
    page.allow(&["clipboardReadWrite", "clipboardSanitizedWrite"]);
    page.click("[data-app=Overland] summary");
    page.click("[data-app=Overland] button");
    page.wait_for_text("[data-app=Overland] button", "Copied");
    let address = format!("http://{}/track", server.address());
    assert_eq!(page.get("navigator.clipboard.readText()"), address);
    page.wait_for_text("[data-app=Overland] button", "Copy");
    // Without a secure context there is no clipboard: the text is chosen, for the person to copy.
    let port = server.address().port();
    page.go(&format!("http://plain.test:{port}/setup#id=5"));
    page.click("[data-app=Overland] summary");
    page.click("[data-app=Overland] button");
    page.wait_for("getSelection().toString() === 'http://plain.test:' + location.port + '/track'");
}

#[test]
fn nothing_is_cut_off_on_the_smallest_phone() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (server, _file) = start("small");
    let (id, name) = ("W".repeat(64), "M".repeat(64));
    let page = Page::new(chromium);
    let url = format!(
        "http://{}/setup#token={}",
        server.address(),
        token(&id, &name, 3600)
    );
    for width in [320, 360, 1280] {
        page.resize(width, 720);
        page.go("about:blank");
        page.go(&url);
        page.wait_for_text("#heard", "Nothing came from you yet");
        page.get(
            "document.querySelectorAll('details').forEach(details => { details.open = true; })",
        );
        assert_eq!(
            page.get("document.documentElement.scrollWidth <= innerWidth"),
            true,
            "{width}"
        );
        let least = page.get(
            "Math.min(...Array.from(document.querySelectorAll('.open[href], button'), element => element.getBoundingClientRect().height)
                .filter(height => height > 0))",
        );
        assert!(least.as_f64().is_some_and(|least| least >= 40.0), "{least}");
    }
}

#[test]
fn in_the_dark_the_words_are_light() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "setup#id=5");
    let colours = "(style => [style.color, style.backgroundColor])(getComputedStyle(document.documentElement)).join(' on ')";
    assert_eq!(page.get(colours), "rgb(27, 29, 33) on rgb(255, 255, 255)");
    page.emulate("prefers-color-scheme", "dark");
    assert_eq!(page.get(colours), "rgb(236, 238, 241) on rgb(23, 25, 29)");
}
