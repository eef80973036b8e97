//! What the check finds right and wrong.

use super::*;
use crate::simulate::faults::Tally;
use std::time::Duration;

fn counts(ledger: &Ledger) -> Vec<(&'static str, u64)> {
    let wrong = ledger.faults.tallies().filter(|(_, tally)| tally.count > 0);
    wrong
        .map(|(fault, tally)| (fault.title(), tally.count))
        .collect()
}

fn tally(ledger: &Ledger, fault: Fault) -> &Tally {
    let mut tallies = ledger.faults.tallies();
    let (_, tally) = tallies.find(|(kind, _)| *kind == fault).expect("all kinds");
    tally
}

/// Four users; user 2 sent this many positions, and both its followers have them all but
/// for what `tamper` makes of those to user 1.
fn run(sent: usize, tamper: impl Fn(Vec<String>) -> Vec<String>) -> Vec<(&'static str, u64)> {
    let now = Instant::now();
    let mut ledger = Ledger::new(0, 4, Motion::random(7));
    let texts: Vec<String> = (0..sent).map(|_| ledger.publish(2, now)).collect();
    for text in &texts {
        ledger.receive(2, text, now);
    }
    for text in tamper(texts) {
        ledger.receive(1, &text, now);
    }
    ledger.close();
    let missing = tally(&ledger, Fault::Missing).count;
    assert_eq!(ledger.expected() - ledger.arrived(), missing);
    counts(&ledger)
}

#[test]
fn deliveries_in_order_leave_nothing_to_say() {
    assert_eq!(run(5, |texts| texts), []);
}

#[test]
fn a_dropped_delivery_is_missing_wherever_it_stood() {
    for dropped in 0..5 {
        let without = |mut texts: Vec<String>| {
            texts.remove(dropped);
            texts
        };
        assert_eq!(run(5, without), [("missing", 1)], "{dropped}");
    }
    assert_eq!(run(5, |_| Vec::new()), [("missing", 5)]);
}

#[test]
fn a_delivery_that_comes_again_is_doubled_however_late() {
    for doubled in 0..5 {
        let again = |mut texts: Vec<String>| {
            texts.push(texts[doubled].clone());
            texts
        };
        assert_eq!(run(5, again), [("doubled", 1)], "{doubled}");
    }
}

#[test]
fn a_delivery_that_comes_late_is_out_of_order_and_not_missing() {
    let swapped = |mut texts: Vec<String>| {
        texts.swap(1, 2);
        texts
    };
    assert_eq!(run(5, swapped), [("out of order", 1)]);
    let reversed = |texts: Vec<String>| texts.into_iter().rev().collect();
    assert_eq!(run(5, reversed), [("out of order", 4)]);
}

#[test]
fn other_digits_are_wrong_content_even_where_the_number_is_the_same() {
    for (from, to) in [
        (",\"lng\"", "0,\"lng\""),
        ("}", "0}"),
        ("\"lat\":", "\"lat\":1"),
        (":2", ":\"2\""),
    ] {
        let changed = |mut texts: Vec<String>| {
            texts[1] = texts[1].replace(from, to);
            texts
        };
        assert_eq!(
            run(3, changed),
            [("missing", 1), ("wrong content", 1)],
            "{from}"
        );
    }
}

#[test]
fn another_users_position_is_foreign_and_one_never_sent_is_wrong() {
    let (now, mut ledger) = (Instant::now(), Ledger::new(0, 4, Motion::random(7)));
    let text = ledger.publish(0, now);
    ledger.receive(0, &text, now);
    ledger.receive(2, &text, now);
    ledger.receive(1, &text, now);
    ledger.receive(3, r#"{"userId":4,"lat":1,"lng":2}"#, now);
    ledger.receive(3, r#"{"userId":3,"lat":1,"lng":2}"#, now);
    assert_eq!(counts(&ledger), [("foreign", 2), ("wrong content", 2)]);
}

#[test]
fn errors_and_strange_messages_are_told_and_last_known_positions_are_not() {
    let (now, mut ledger) = (Instant::now(), Ledger::new(0, 2, Motion::random(7)));
    ledger.receive(0, r#"{"userId":1,"lat":1,"lng":2,"age":0.1}"#, now);
    ledger.receive(
        0,
        r#"{"error":{"code":"too_fast","message":"slow down"}}"#,
        now,
    );
    ledger.receive(1, r#"{"audience":1}"#, now);
    assert_eq!(counts(&ledger), [("unexpected", 1), ("error", 1)]);
    assert_eq!(
        tally(&ledger, Fault::Error).examples,
        ["to user 0: too_fast: slow down"]
    );
}

#[test]
fn room_ends_at_the_window_and_comes_back_with_the_last_follower() {
    let (now, mut ledger) = (Instant::now(), Ledger::new(0, 2, Motion::random(7)));
    let mut texts = Vec::new();
    while ledger.has_room(1) {
        texts.push(ledger.publish(1, now));
    }
    assert_eq!(texts.len(), ledger.motion.in_flight_per_user_max());
    ledger.receive(1, &texts[0], now);
    assert!(!ledger.has_room(1) && ledger.has_room(0));
    ledger.receive(0, &texts[0], now);
    assert!(ledger.has_room(1));
}

#[test]
fn latency_runs_from_when_a_position_was_due() {
    let (due, mut ledger) = (Instant::now(), Ledger::new(0, 1, Motion::random(7)));
    let text = ledger.publish(0, due);
    ledger.receive(0, &text, due + Duration::from_millis(1));
    assert_eq!(ledger.latency_us().max(), 1000);
    assert_eq!(ledger.arrived(), 1);
}

#[test]
fn a_lost_connection_leaves_nothing_outstanding_but_misses_its_deliveries() {
    let (now, mut ledger) = (Instant::now(), Ledger::new(0, 2, Motion::random(7)));
    let text = ledger.publish(1, now);
    ledger.disconnect(0);
    ledger.disconnect(0);
    assert_eq!(ledger.outstanding(), 1);
    ledger.receive(1, &text, now);
    assert_eq!(ledger.outstanding(), 0);
    ledger.close();
    assert_eq!(counts(&ledger), [("missing", 1)]);
}

#[test]
fn gaps_beyond_those_remembered_are_still_counted() {
    let (now, mut ledger) = (Instant::now(), Ledger::new(0, 1, Motion::random(7)));
    for number in 0..2 * GAPS_MAX + 100 {
        let text = ledger.publish(0, now);
        if number % 2 == 1 {
            ledger.receive(0, &text, now);
        }
    }
    ledger.close();
    assert_eq!(counts(&ledger), [("missing", GAPS_MAX as u64 + 50)]);
}

#[test]
fn ids_begin_with_any_number() {
    let (now, mut ledger) = (Instant::now(), Ledger::new(100, 2, Motion::random(7)));
    for user in [1, 0, 1] {
        let text = ledger.publish(user, now);
        assert!(text.starts_with(&format!("{{\"userId\":{},", 100 + user)));
        for follower in followers(user) {
            ledger.receive(follower, &text, now);
        }
    }
    assert_eq!(counts(&ledger), []);
    ledger.receive(0, r#"{"userId":99,"lat":1,"lng":2}"#, now);
    ledger.receive(0, r#"{"userId":0,"lat":1,"lng":2}"#, now);
    assert_eq!(counts(&ledger), [("foreign", 2)]);
    assert_eq!(
        tally(&ledger, Fault::Foreign).examples[0],
        r#"user 100 got {"userId":99,"lat":1,"lng":2}"#
    );
}

#[test]
fn ids_are_in_use_once_more_came_than_can_be_ours_in_other_words() {
    let (now, mut ledger) = (Instant::now(), Ledger::new(5, 3, Motion::random(7)));
    let other = |id: usize| format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#);
    let texts: Vec<String> = (0..2).map(|_| ledger.publish(1, now)).collect();
    ledger.receive(1, &other(6), now);
    ledger.receive(1, &other(6), now);
    assert_eq!(ledger.in_use(), None, "both may be ours");
    ledger.receive(1, &texts[0], now);
    assert_eq!(ledger.in_use(), Some((6, 6)), "one of two is not");
    ledger.receive(1, &other(7), now);
    ledger.receive(2, &other(8), now);
    assert_eq!(ledger.in_use(), Some((6, 8)));
}

#[test]
fn positions_that_a_server_changes_are_no_use_of_ids() {
    let (now, mut ledger) = (Instant::now(), Ledger::new(0, 2, Motion::random(7)));
    for _ in 0..20 {
        let text = ledger.publish(1, now).replace("\"lat\":", "\"lat\":1");
        ledger.receive(0, &text, now);
        ledger.receive(1, &text, now);
    }
    assert_eq!(ledger.in_use(), None);
    ledger.close();
    assert_eq!(counts(&ledger), [("missing", 40), ("wrong content", 40)]);
}

#[test]
fn a_latitude_that_is_refused_is_told_apart_where_there_was_one_beyond_a_pole() {
    let refusal = r#"{"error":{"code":"bad_position","message":"lat"}}"#;
    let now = Instant::now();
    let mut ledger = Ledger::new(0, 1, Motion::random(7));
    ledger.receive(0, refusal, now);
    assert!(ledger.is_refused() && ledger.faults.is_empty());
    let mut ledger = Ledger::new(0, 1, Motion::random_on_earth(7));
    ledger.receive(0, refusal, now);
    assert!(!ledger.is_refused());
    assert_eq!(counts(&ledger), [("error", 1)]);
}
