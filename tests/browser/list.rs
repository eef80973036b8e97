//! The list beside the map: one line for each runner, found, sorted, and measured in one's own units.

use std::fmt::Write;

use serde_json::json;

use crate::chromium::Chromium;
use crate::fake::Fake;
use crate::page::{Page, row};
use crate::support::Server;

/// The names in the list that are in sight, in its order.
const NAMES: &str =
    "[...document.querySelectorAll('li:not([hidden]) b')].map(name => name.textContent).join('|')";

fn wait_for_names(page: &Page, names: &str) {
    page.wait_for(&format!("{NAMES} === {names:?}"));
}

/// Has a select choose this.
fn choose(page: &Page, id: &str, value: &str) {
    page.get(&format!(
        "(select => {{ select.value = {value:?}; select.dispatchEvent(new Event('change')); }})
            (document.getElementById({id:?}))"
    ));
}

/// Types over what is looked for.
fn look_for(page: &Page, text: &str) {
    page.get("(ids => { ids.focus(); ids.select(); })(document.getElementById('ids'))");
    page.write(text);
}

/// A server where these runners were heard of once, with these speeds.
fn server_with(runners: &[(&str, &str)]) -> Server {
    let server = Server::start(&["--tiles", "none"]);
    let mut gateway = server.connect();
    for (index, (user, speed)) in runners.iter().enumerate() {
        gateway.send(&format!(
            r#"{{"userId":"{user}","lat":51.5,"lng":-0.{}6,"speed":{speed}}}"#,
            index + 1
        ));
    }
    gateway.barrier();
    server
}

#[test]
fn a_runner_is_one_line_with_the_speed_in_ones_own_unit_which_a_reload_keeps() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = server_with(&[("Anna", "2.5"), ("Ben", "0.2"), ("Chris", "null")]);
    let page = Page::open(chromium, server.address(), "?follow=Anna,Ben,Chris,Dan");
    page.wait_for_text("#count", "3 live, 1 not seen");
    let words = |user: &str| page.text(&format!("{} span", row(user)));
    page.wait_for_text(&row("Anna"), "6:40 /km");
    assert_eq!(words("Ben"), "at\u{a0}rest");
    assert_eq!(words("Chris"), "");
    assert_eq!(words("Dan"), "no position yet");
    page.wait_for("/^\\d+ s$/.test(document.querySelector('[data-user=Anna] small').innerText)");
    assert_eq!(page.text(&format!("{} small", row("Dan"))), "");
    let heights =
        page.get("[...document.querySelectorAll('li')].every(row => row.clientHeight < 50)");
    assert_eq!(heights, true);
    for (unit, anna, ben) in [
        ("min/mile", "10:44 /mile", "at\u{a0}rest"),
        ("km/h", "9.0 km/h", "0.7 km/h"),
        ("mph", "5.6 mph", "0.4 mph"),
        ("knots", "4.9 knots", "0.4 knots"),
    ] {
        choose(&page, "units", unit);
        page.wait_for_text(&row("Anna"), anna);
        page.wait_for_text(&row("Ben"), &ben.replace('\u{a0}', " "));
    }
    page.reload();
    page.wait_for_text(&row("Anna"), "4.9 knots");
    page.assert_no_complaints();
}

#[test]
fn without_storage_choices_hold_until_the_page_is_left() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = server_with(&[("Anna", "2.5")]);
    let page = Page::new(chromium);
    page.at_each_start(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('', 'SecurityError'); } });",
    );
    page.go(&format!("http://{}/?follow=Anna", server.address()));
    page.wait_for_text(&row("Anna"), "6:40 /km");
    choose(&page, "units", "km/h");
    choose(&page, "sort", "speed");
    page.wait_for_text(&row("Anna"), "9.0 km/h");
    page.reload();
    page.wait_for_text(&row("Anna"), "6:40 /km");
    page.assert_no_complaints();
}

#[test]
fn a_speed_that_no_device_told_is_that_of_the_last_positions_and_says_so() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    page.start(&format!("http://{}/?follow=5,6,7", fake.address()));
    let mut visit = fake.accept();
    // 0.0001° of latitude are 11.1 m.
    for (second, north) in [(0, 0), (5, 1), (10, 2)] {
        for (user, step, accuracy) in [(5, 1e-4, 3), (6, 1e-4, 40), (7, 1.0, 3)] {
            let position = json!({
                "userId": user, "lat": 51.5 + step * f64::from(north), "lng": -0.16,
                "accuracy": accuracy, "timestamp": 1_700_000_000_000_i64 + second * 1000,
            });
            visit.send(&position.to_string());
        }
    }
    // 2.22 m/s; what lies within the accuracy is no way, and nobody runs 1° in 5 s.
    page.wait_for_text(&row("5"), "≈ 7:30 /km");
    page.open_details("5");
    page.wait_for_text(&row("5"), "≈ 7:30 /km, by the last positions");
    for user in ["6", "7"] {
        page.wait_for_state(user, "live");
        assert_eq!(page.text(&format!("{} span", row(user))), "", "{user}");
    }
}

#[test]
fn typing_finds_names_and_ids_and_offers_to_follow_who_is_not_there() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = server_with(&[("Jörg Ångström", "1"), ("Anna", "2"), ("117", "3")]);
    let page = Page::new(chromium);
    page.emulate("prefers-reduced-motion", "reduce");
    page.go(&format!(
        "http://{}/?follow=J%C3%B6rg%20%C3%85ngstr%C3%B6m,Anna,117",
        server.address()
    ));
    wait_for_names(&page, "117|Anna|Jörg Ångström");
    let offer = "(button => button.hidden ? '' : button.textContent)(document.getElementById('follow-typed'))";
    look_for(&page, "ANGSTROM");
    wait_for_names(&page, "Jörg Ångström");
    // Enter takes whom it found, and does not follow a stranger of that id.
    page.press("Enter");
    page.wait_for("document.querySelector('li.selected b').textContent === 'Jörg Ångström'");
    page.wait_for("document.activeElement.matches('.selected .runner')");
    look_for(&page, "Anna");
    wait_for_names(&page, "Anna");
    assert_eq!(page.get(offer), "");
    look_for(&page, "nobody at all");
    wait_for_names(&page, "");
    page.wait_for("document.getElementById('nobody').checkVisibility()");
    look_for(&page, "17");
    wait_for_names(&page, "117");
    assert_eq!(page.get(offer), "Follow \u{2068}17\u{2069}");
    page.press("Enter");
    wait_for_names(&page, "117|Anna|Jörg Ångström|17");
    assert_eq!(page.get("document.getElementById('ids').value"), "");
    look_for(&page, "ann");
    wait_for_names(&page, "Anna");
    page.click("#follow-typed");
    page.wait_for(&format!("document.querySelector({:?})", row("ann")));
    page.assert_no_complaints();
}

#[test]
fn the_list_is_in_the_order_that_was_chosen_with_those_without_a_position_last() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = server_with(&[("10", "3"), ("9", "null"), ("b", "5"), ("Á", "4")]);
    let rest = "?follow=zoe,10,b,Á,9,1";
    let page = Page::open(chromium, server.address(), rest);
    wait_for_names(&page, "9|10|Á|b|1|zoe");
    choose(&page, "sort", "speed");
    wait_for_names(&page, "b|Á|10|9|1|zoe");
    page.reload();
    wait_for_names(&page, "b|Á|10|9|1|zoe");
    assert_eq!(page.get("document.getElementById('sort').value"), "speed");

    let fake = Fake::start();
    let page = Page::new(chromium);
    page.start(&format!("http://{}/?follow=a,b,c", fake.address()));
    let mut visit = fake.accept();
    for (user, age) in [("a", 50), ("b", 20), ("c", 35)] {
        visit.send(&json!({"userId": user, "lat": 1, "lng": 2, "age": age}).to_string());
    }
    wait_for_names(&page, "a|b|c");
    choose(&page, "sort", "heard");
    wait_for_names(&page, "b|c|a");
}

#[test]
fn nothing_moves_away_under_a_mouse_or_the_keyboard() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = server_with(&[("5", "2"), ("6", "1")]);
    let mut gateway = server.connect();
    let page = Page::open(chromium, server.address(), "?follow=5,6");
    choose(&page, "sort", "speed");
    wait_for_names(&page, "5|6");
    let mut overtake = |speed: u32| {
        gateway.send(&format!(
            r#"{{"userId":"6","lat":51.5,"lng":-0.26,"speed":{speed}}}"#
        ));
        // Longer than from one sorting to the next.
        page.wait_ms(4500);
    };
    let (x, y) = (1150.0, 215.0);
    let is_on = page.get(&format!(
        "document.elementFromPoint({x}, {y}).closest('li') !== null"
    ));
    assert_eq!(is_on, true);
    page.mouse("mouseMoved", x, y, 0);
    overtake(8);
    assert_eq!(page.get(NAMES), "5|6");
    page.mouse("mouseMoved", 300.0, 300.0, 0);
    wait_for_names(&page, "6|5");
    page.get("document.getElementById('units').focus()");
    page.press("Tab");
    assert_eq!(page.get("document.activeElement.className"), "runner");
    overtake(1);
    assert_eq!(page.get(NAMES), "6|5");
    page.get("document.getElementById('map').focus()");
    wait_for_names(&page, "5|6");
}

#[test]
fn of_a_thousand_rows_only_those_in_sight_are_written_all_the_time_and_none_is_forgotten() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    let mut ids = String::new();
    for id in 0..1000 {
        let _ = write!(ids, "{id},");
    }
    page.start(&format!("http://{}/#follow={ids}", fake.address()));
    let mut visit = fake.accept();
    for id in 0..1000 {
        let position = json!({"userId": id, "lat": 51.5, "lng": -0.16, "speed": 3});
        visit.send(&position.to_string());
    }
    page.wait_for_text("#count", "1000 live");
    // What is out of sight has no inner text.
    page.wait_for("document.querySelector('[data-user=\"999\"]').textContent.includes('5:33')");
    page.wait_ms(1500);
    // Every second all ages change.
    let written = page.get(
        "new Promise(done => {
            const rows = new Map(), begun = performance.now();
            const watch = new MutationObserver(changes => {
                for (const { target } of changes) {
                    const { user } = target.parentElement.closest('li').dataset;
                    rows.set(user, (rows.get(user) ?? 0) + 1);
                }
            });
            watch.observe(document.getElementById('runners'), { subtree: true, childList: true, characterData: true });
            setTimeout(() => {
                watch.disconnect();
                const often = [...rows.values()].filter(times => times > 2).length;
                done([often, rows.has('999') || rows.size > 900]);
            }, 6500);
        })",
    );
    let often = written[0].as_u64().expect("a number");
    assert!((5..100).contains(&often), "{written}");
    assert_eq!(written[1], true, "{written}");
    // The last one is where the keyboard looks for it.
    page.get("document.querySelector('#runners li:last-child .runner').focus()");
    page.press("Enter");
    page.wait_for_text(&row("999"), "51.50000, -0.16000");
    page.wait_for(
        "document.querySelector('li.selected').getBoundingClientRect().bottom < innerHeight",
    );
}

#[test]
fn a_row_that_is_taken_opens_what_is_known_and_brings_its_runner_into_sight() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let mut runner = server.join("5", "[]");
    runner.send(r#"{"lat":51.5,"lng":-0.16,"altitude":31.6,"battery":0.25,"heading":225}"#);
    runner.barrier();
    let page = Page::new(chromium);
    page.emulate("prefers-reduced-motion", "reduce");
    page.go(&format!("http://{}/?follow=5", server.address()));
    page.wait_for_state("5", "live");
    page.wait_until_still();
    for _ in 0..12 {
        page.get("document.getElementById('map').focus()");
        page.press("ArrowRight");
    }
    page.wait_for_a_frame();
    assert!(page.spot(51.5, -0.16).0 < 0.0);
    page.open_details("5");
    page.wait_for_a_frame();
    let (x, y) = page.spot(51.5, -0.16);
    assert_eq!(page.pixel(x, y), page.list_colour("5"));
    assert_eq!(
        page.get("document.querySelector('.runner').ariaExpanded"),
        "true"
    );
    for words in ["south-west", "32 m", "25 %", "connected"] {
        page.wait_for_text(&row("5"), words);
    }
    let last = page.get("[...document.querySelectorAll('dd')].at(-1).innerText");
    assert_eq!(last, "51.50000, -0.16000");
    page.click(&format!("{} .runner", row("5")));
    page.wait_for("document.querySelector('.more') === null");
    assert_eq!(
        page.get("document.querySelector('.runner').ariaExpanded"),
        "false"
    );
}
