//! The names on the map: which are shown, where, and how they come and go.

use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::drawn::Mark;
use crate::fake::{Fake, Visit};
use crate::page::{Page, row};
use crate::support::Server;

/// Follows this many runners, who are here and there around one place in the order of a spiral.
fn crowd(chromium: &'static Chromium, count: u32, motion: &str, apart: f64) -> (Page, Visit) {
    let fake = Fake::start();
    let page = Page::new(chromium);
    page.emulate("prefers-reduced-motion", motion);
    page.with_record_of_drawing();
    let ids: Vec<String> = (1..=count).map(|id| id.to_string()).collect();
    let address = format!("http://{}/?follow={}", fake.address(), ids.join(","));
    page.start(&address);
    let mut visit = fake.accept();
    for id in 1..=count {
        let (angle, far) = (f64::from(id) * 2.4, f64::from(id).sqrt() * apart);
        let (lat, lng) = (51.5 + far * angle.sin(), -0.16 + far * angle.cos());
        say(&mut visit, id, &format!("Runner no. {id}"));
        let heading = f64::from(id * 37 % 360);
        visit.send(
            &json!({"userId": id, "lat": lat, "lng": lng, "heading": heading, "age": 1})
                .to_string(),
        );
    }
    page.wait_for_text("#count", &format!("{count} live"));
    page.wait_for("drawn.tags.length > 0");
    page.wait_until_still();
    (page, visit)
}

fn say(visit: &mut Visit, id: u32, name: &str) {
    let presence =
        json!({"userId": id, "state": "live", "connected": true, "age": 1, "name": name});
    visit.send(&json!({ "presence": presence }).to_string());
}

/// The disc in the middle of a dot's picture.
fn disc(dot: &Mark) -> Mark {
    Mark {
        name: String::new(),
        left: dot.left + dot.width / 2.0 - 8.0,
        top: dot.top + dot.height / 2.0 - 8.0,
        width: 16.0,
        height: 16.0,
        alpha: 1.0,
    }
}

/// What stands in the corners of the map.
fn corners(page: &Page) -> Vec<Mark> {
    let boxes = page.get(
        "['tools', 'scale', 'credit'].map(id => {
            const { left, top, width, height } = document.getElementById(id).getBoundingClientRect();
            return [left, top, width, height];
        }).filter(([, , width]) => width > 0)",
    );
    let boxes: Vec<[f64; 4]> = serde_json::from_value(boxes).expect("boxes");
    let marks = boxes.into_iter().map(|[left, top, width, height]| Mark {
        name: String::new(),
        left,
        top,
        width,
        height,
        alpha: 1.0,
    });
    marks.collect()
}

#[test]
fn no_label_lies_on_another_on_a_dot_or_in_a_corner_that_is_taken() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (page, _visit) = crowd(chromium, 120, "reduce", 0.001);
    let (tags, dots) = (page.tags(), page.dots());
    assert_eq!(dots.len(), 120);
    let taken: Vec<Mark> = dots.iter().map(disc).chain(corners(&page)).collect();
    for (index, tag) in tags.iter().enumerate() {
        let others = tags[index + 1..].iter().chain(&taken);
        let under: Vec<&Mark> = others.filter(|other| tag.is_over(other)).collect();
        assert!(under.is_empty(), "{tag:?} lies on {under:?}");
    }
    // As many as fit, and that is not all.
    assert!((25..120).contains(&tags.len()), "{}", tags.len());
    page.assert_no_complaints();
}

#[test]
fn where_there_is_room_everybody_has_a_label() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (page, _visit) = crowd(chromium, 25, "reduce", 0.001);
    assert_eq!(page.tags().len(), 25);
}

#[test]
fn who_is_chosen_has_a_label_however_many_are_around() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (page, _visit) = crowd(chromium, 80, "reduce", 0.000_001);
    let names = || -> Vec<String> { page.tags().into_iter().map(|tag| tag.name).collect() };
    for user in ["40", "80"] {
        page.click(&format!("{} .runner", row(user)));
        let name = format!("Runner no. {user}");
        page.wait_for(&format!("drawn.tags.some(tag => tag.name === {name:?})"));
    }
    assert!(names().len() < 80, "there is not that much room");
}

/// Where the labels go, by the page's own module: as `[name, side]`.
fn placed(page: &Page, spots: &Value, taken: &Value) -> Value {
    page.get(&format!(
        "import('/map/labels.js').then(({{ placeLabels }}) =>
            [...placeLabels({spots}, {taken}, {{ width: 400, height: 400 }})].map(([spot, side]) => [spot.name, side]))"
    ))
}

#[test]
fn a_label_goes_right_left_above_or_below_and_stays_where_it_is_while_it_fits() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "");
    let spot = |name: &str, px: u32, py: u32, side: Value| json!({"name": name, "px": px, "py": py, "width": 60, "height": 20, "side": side, "isNeeded": false});
    let wall = |left: u32, top: u32, width: u32, height: u32| json!({"left": left, "top": top, "width": width, "height": height});
    let middle = || json!([spot("a", 200, 200, Value::Null)]);
    let right = wall(215, 190, 10, 20);
    let left = wall(150, 190, 10, 20);
    let above = wall(195, 165, 10, 10);
    let below = wall(195, 225, 10, 10);
    for (taken, expected) in [
        (json!([]), json!([["a", "right"]])),
        (json!([right]), json!([["a", "left"]])),
        (json!([right, left]), json!([["a", "above"]])),
        (json!([right, left, above]), json!([["a", "below"]])),
        (json!([right, left, above, below]), json!([])),
    ] {
        assert_eq!(placed(&page, &middle(), &taken), expected, "{taken}");
    }
    // It stays on its side, though another one is the first to be tried.
    for side in ["left", "above", "below"] {
        let spots = json!([spot("a", 200, 200, side.into())]);
        assert_eq!(placed(&page, &spots, &json!([])), json!([["a", side]]));
    }
    let spots = json!([spot("a", 200, 200, "left".into())]);
    assert_eq!(
        placed(&page, &spots, &json!([left])),
        json!([["a", "right"]])
    );
    // Nor does it leave the sheet, or go over one that was placed before it.
    let spots = json!([
        spot("a", 380, 200, Value::Null),
        spot("b", 310, 200, Value::Null)
    ]);
    assert_eq!(
        placed(&page, &spots, &json!([])),
        json!([["a", "left"], ["b", "left"]])
    );
}

#[test]
fn a_long_name_is_cut_between_what_a_person_sees_as_characters() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let (page, mut visit) = crowd(chromium, 1, "reduce", 0.001);
    let letters = "n".repeat(23);
    // Three people, joined to one family.
    let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f466}";
    for (name, shown) in [
        (format!("{letters}{family}"), format!("{letters}{family}")),
        (
            format!("{letters}{family}{family}"),
            format!("{letters}{family}\u{2026}"),
        ),
        (format!("{letters}nn"), format!("{letters}n\u{2026}")),
    ] {
        say(&mut visit, 1, &name);
        page.wait_for(&format!("drawn.tags[0]?.name === {shown:?}"));
    }
}

#[test]
fn labels_come_by_a_fade_and_at_once_for_who_wants_no_motion() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    for (motion, fades) in [("no-preference", true), ("reduce", false)] {
        let (page, mut visit) = crowd(chromium, 3, motion, 0.001);
        page.get(
            "window.alphas = new Set();
            (function look() {
                for (const { name, alpha } of drawn.tags) if (name === 'Runner no. 2') alphas.add(alpha);
                requestAnimationFrame(look);
            })()",
        );
        let unknown = json!({"userId": 2, "state": "unknown", "connected": false});
        visit.send(&json!({ "presence": unknown }).to_string());
        page.wait_for_state("2", "unknown");
        page.wait_for("!drawn.tags.some(({ name }) => name === 'Runner no. 2')");
        page.get("alphas.clear()");
        say(&mut visit, 2, "Runner no. 2");
        visit.send(&json!({"userId": 2, "lat": 51.501, "lng": -0.16}).to_string());
        page.wait_for("alphas.has(1)");
        let between = page.get("[...alphas].filter(alpha => alpha < 1).length > 0");
        assert_eq!(between, fades, "{motion}");
    }
}
