//! Printed cards: what a camera reads on them is what sets a phone up.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};
use spectate::auth::{Keys, VerifyingKey};

use crate::camera::read_codes;
use crate::chromium::{Chromium, text};
use crate::needs;
use crate::page::Page;
use crate::scratch::Scratch;
use crate::setup::{SECRET, start};
use crate::support::program;

/// The page of cards that a roster becomes.
fn cards(name: &str, roster: &str, url: &str, secret: &Scratch) -> Scratch {
    let roster = Scratch::new(&format!("{name}.csv"), roster.as_bytes());
    let page = Scratch::new(&format!("{name}.html"), b"");
    let flags = ["token", "--roster", roster.path(), "--out", page.path()];
    let mut token = program(&[&flags[..], &["--url", url]].concat());
    let output = token
        .args(["--jwt-hs256-secret-file", secret.path()])
        .output();
    let output = output.expect("it starts");
    assert!(output.status.success(), "{output:?}");
    page
}

#[test]
fn a_camera_reads_on_each_card_the_link_that_sets_up_its_phone() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let Some(zbarimg) = needs::program(&["zbarimg"], "zbar-tools") else {
        return;
    };
    let (server, secret) = start("cards");
    let url = format!("http://{}", server.address());
    let long = "\u{1f3c3}".repeat(16);
    let names = [
        ("5", "Anna Berg"),
        ("a,b", "J\u{f6}rg <i>\u{d6}</i> & Co"),
        (&long, &long),
    ];
    let rows = names.map(|(id, name)| format!("\"{id}\",\"{name}\"\n"));
    let file = cards(
        "cards",
        &format!("id,name\n{}", rows.concat()),
        &url,
        &secret,
    );
    let page = Page::new(chromium);
    page.go(&format!("file://{}", file.path()));
    assert_eq!(
        page.get("[...document.querySelectorAll('h2')].map(h2 => h2.innerText)"),
        json!(names.map(|(_, name)| name))
    );
    // As sharp as a printer of 300 dots an inch.
    page.tab.call(
        "Emulation.setDeviceMetricsOverride",
        json!({"width": 800, "height": 1000, "deviceScaleFactor": 3, "mobile": false}),
    );
    let read = read_codes(&page, &zbarimg, "cards.png");
    let mut links: Vec<&str> = read.lines().collect();
    links.sort_by_key(|link| link.len());
    assert_eq!(links.len(), names.len(), "{read}");

    let keys = Keys::new(
        vec![VerifyingKey::from_secret(SECRET).expect("long enough")],
        None,
        None,
    );
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_s = now.expect("after 1970").as_secs();
    for (link, (id, name)) in links.into_iter().zip(names) {
        let token = link
            .strip_prefix(&format!("{url}/setup#token="))
            .expect(link);
        let grant = keys.grant(token, now_s).expect("good");
        assert_eq!(grant.user, id);
        let left_s = grant.expires_at_s - now_s;
        assert!((7 * 86_400 - 60..=7 * 86_400).contains(&left_s), "{left_s}");
        let claims = token.split('.').nth(1).expect("claims");
        let claims = BASE64URL_NOPAD.decode(claims.as_bytes()).expect("Base64");
        let claims: Value = serde_json::from_slice(&claims).expect("JSON");
        assert_eq!(claims["name"], name);
        let phone = Page::new(chromium);
        phone.go(link);
        phone.wait_for_text("#whose", &format!("For {name}, id {id}. Good until "));
        phone.wait_for_text("#heard", "Nothing came from you yet");
    }
}

#[test]
fn three_rows_of_cards_are_on_a_sheet_and_none_is_on_two() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let secret = Scratch::new("sheets-key", SECRET);
    let rows: String = (0..12).map(|id| format!("{id},Runner {id}\n")).collect();
    let file = cards(
        "sheets",
        &format!("id,name\n{rows}"),
        "https://race.example.com",
        &secret,
    );
    let page = Page::new(chromium);
    page.go(&format!("file://{}", file.path()));
    let rows = page.get(
        "[...document.querySelectorAll('.row')].map(row => getComputedStyle(row).breakInside)",
    );
    assert_eq!(rows, json!(vec!["avoid"; 6]));
    for (width, height) in [(8.27, 11.69), (8.5, 11.0)] {
        let paper = json!({"paperWidth": width, "paperHeight": height, "preferCSSPageSize": true});
        let printed = page.tab.call("Page.printToPDF", paper);
        let pdf = BASE64
            .decode(text(&printed["data"]).as_bytes())
            .expect("Base64");
        let pdf = String::from_utf8_lossy(&pdf);
        let sheets = pdf.matches("/Type /Page").count() - pdf.matches("/Type /Pages").count();
        assert_eq!(sheets, 2, "{width} by {height} inches");
    }
    fs::metadata(file.path()).expect("still there");
    page.assert_no_complaints();
}
