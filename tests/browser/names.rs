//! What runners are called on the map, in the list and in what is spoken.

use serde_json::json;

use crate::chromium::Chromium;
use crate::fake::Fake;
use crate::page::{Page, row};
use crate::scratch::Scratch;
use crate::support::Server;

#[test]
fn runners_have_the_names_and_colours_of_the_roster_wherever_they_are_shown() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let rows = "id,name,color\n5,Anna Berg,#cc3300\n6,Ben,\n";
    let roster = Scratch::new("map-names.csv", rows.as_bytes());
    let server = Server::start(&["--tiles", "none", "--roster", roster.path()]);
    let mut gateway = server.connect();
    for (user, lat) in [(5, 51.5), (6, 51.51), (7, 51.52)] {
        gateway.send(&format!(r#"{{"userId":{user},"lat":{lat},"lng":-0.16}}"#));
    }
    gateway.barrier();
    let page = Page::new(chromium);
    page.with_record_of_drawing();
    page.go(&format!("http://{}/?follow=5,6,7", server.address()));
    page.wait_for_text(&format!("{} b", row("5")), "Anna Berg");
    page.wait_for_text(&format!("{} b", row("6")), "Ben");
    page.wait_for_text(&format!("{} b", row("7")), "7");
    let labels = |user: &str| {
        page.open_details(user);
        page.get(&format!(
            "[...document.querySelectorAll('{} .more button')].map(button => button.ariaLabel)",
            row(user)
        ))
    };
    let id = "[...document.querySelectorAll('dt')].find(what => what.innerText === 'Id')?.nextSibling.innerText";
    page.open_details("7");
    assert_eq!(page.get(id), json!(null));
    page.open_details("5");
    assert_eq!(page.get(id), "5");
    page.wait_for_text(&row("5"), "51.50000, -0.16000");
    let expected = |who: &str| {
        let who = format!("\u{2068}{who}\u{2069}");
        json!([
            format!("Keep in the centre: {who}"),
            format!("Unfollow {who}")
        ])
    };
    assert_eq!(labels("5"), expected("Anna Berg"));
    assert_eq!(labels("7"), expected("7"));

    page.wait_until_still();
    let tags = page.get("[...drawn.said].sort()");
    assert_eq!(tags, json!(["7", "Anna Berg", "Ben"]));
    let (x, y) = page.spot(51.5, -0.16);
    let own = [0xcc, 0x33, 0x00, 0xff];
    assert_eq!((page.pixel(x, y), page.list_colour("5")), (own, own));
    let (x, y) = page.spot(51.51, -0.16);
    assert_eq!(page.pixel(x, y), page.list_colour("6"));
    page.assert_no_complaints();
}

#[test]
fn a_name_comes_and_goes_with_presence_and_its_marks_turn_nothing_else_round() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    page.emulate("prefers-reduced-motion", "reduce");
    page.start(&format!("http://{}/?follow=5", fake.address()));
    let mut visit = fake.accept();
    let mut say = |state: &str, name: Option<&str>| {
        let mut presence = json!({"userId": 5, "state": state, "connected": true, "age": 1});
        if let Some(name) = name {
            presence["name"] = name.into();
        }
        visit.send(&json!({ "presence": presence }).to_string());
    };
    let wait_for_title = |who: &str| {
        page.open_details("5");
        page.wait_for(&format!(
            "document.querySelector('.centre').ariaLabel === 'Keep in the centre: \u{2068}{who}\u{2069}'"
        ));
    };
    say("live", None);
    wait_for_title("5");
    // What would end the isolation, begin another direction, or another paragraph.
    say("stale", Some("\u{5d0}\u{2069}\u{202e}\u{2029}Anna"));
    wait_for_title("\u{5d0} Anna");
    page.wait_for(
        "document.getElementById('news').textContent === '\u{2068}\u{5d0} Anna\u{2069} is stale.'",
    );
    // Who sees the row sees it in an element that is a paragraph of its own.
    assert_eq!(
        page.get("getComputedStyle(document.querySelector('li b')).display"),
        "block"
    );
    say("live", Some("<i>Ben</i>"));
    wait_for_title("<i>Ben</i>");
    assert_eq!(page.text("li b"), "<i>Ben</i>");
    say("live", None);
    wait_for_title("5");
    page.wait_for("![...document.querySelectorAll('dt')].some(what => what.textContent === 'Id')");
}
