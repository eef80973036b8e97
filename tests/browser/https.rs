//! The map by https, from the server itself: on a name that is no secure context without it.

use std::sync::LazyLock;

use rcgen::{KeyPair, PublicKeyData};

use crate::certificates::Ca;
use crate::chromium::Chromium;
use crate::page::Page;
use crate::support::Server;

/// The key of all servers here: the browser takes any certificate for it.
static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().expect("random numbers"));

/// What the browser knows it by.
pub(crate) fn key_hash() -> String {
    let key = KEY.subject_public_key_info();
    let hash = ring::digest::digest(&ring::digest::SHA256, &key);
    data_encoding::BASE64.encode(hash.as_ref())
}

#[test]
fn by_https_a_phone_shares_its_position_which_plain_http_does_not_allow() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let ca = Ca::new("https");
    let pair = ca.issue_for("https", 90, &KEY);
    let server = Server::start(&[&pair.flags()[..], &["--tiles", "none"]].concat());
    let (mut follower, _) = server.spectator(r#"["me"]"#);
    let [plain, tls] = [0, 1].map(|at| server.addresses()[at].port());
    let page = Page::new(chromium);
    page.go(&format!("http://plain.test:{plain}/"));
    assert_eq!(page.get("isSecureContext"), false);
    page.go(&format!("https://race.test:{tls}/"));
    assert_eq!(page.get("isSecureContext"), true);
    page.allow_geolocation();
    page.measure(51.5, -0.16, 7.0);
    page.click("summary");
    page.click("#me");
    page.write("me");
    page.press("Enter");
    page.wait_for_text("#sharing", "Sharing as me");
    page.wait_for_text("#audience", "1 is watching");
    let position = follower.receive();
    assert!(
        position.starts_with(r#"{"userId":"me","lat":51.5,"lng":-0.16"#),
        "{position}"
    );
    page.wait_for_state("me", "live");
    page.assert_no_complaints();
}
