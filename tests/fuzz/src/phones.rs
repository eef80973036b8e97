//! Any bytes as a request to the door for phones.

use std::time::Duration;

use serde_json::Value;
use spectate::dialect::Dialect;
use spectate::fix::{Bounds, Extra, Fix};
use spectate::phones::{
    self as door, Batch, Friend, LIST_POSITIONS_MAX, Posted, Report, Unreadable, answer_friends,
    has_coordinates, has_id,
};
use spectate::protocol::{ClientMessage, decode, encode_position};
use spectate::user::{Known, Written, is_id};

/// Longest line for a sender, in bytes.
const LINE_BYTES_MAX: usize = 512;

/// Fewest bytes of a body in which a point fits beside others, with its comma.
const POINT_BYTES_MIN: usize = 2;

/// An input as a request: three lines for what stands in the head, and the content.
pub fn posted<T>(bytes: &[u8], take: impl FnOnce(&Posted) -> T) -> T {
    let mut parts = bytes.splitn(4, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let [query, limit_user, basic_user] = [part(), part(), part()].map(String::from_utf8_lossy);
    let user = |user| Some(user).filter(|user: &&str| !user.is_empty());
    take(&Posted {
        query: &query,
        limit_user: user(&limit_user),
        basic_user: user(&basic_user),
        body: part(),
    })
}

fn read(posted: &Posted) -> Result<Batch, Unreadable> {
    door::read(posted, Bounds::Finite)
}

/// Tries one input.
pub fn run(bytes: &[u8]) {
    posted(bytes, try_request);
}

fn try_request(posted: &Posted) {
    has_id(posted.query);
    match read(posted) {
        Ok(batch) => check(posted, &batch),
        Err(unreadable) => {
            let line = unreadable.to_string();
            assert!((1..=LINE_BYTES_MAX).contains(&line.len()), "{line}");
            assert!(!line.contains(['\r', '\n']), "{line}");
            if let Unreadable::TooMany(count) = unreadable {
                assert!(count > LIST_POSITIONS_MAX);
            }
        }
    }
    check_other_ways(posted);
}

/// Which of the ways to speak the content has by its first byte.
fn first(posted: &Posted) -> Option<u8> {
    let mut bytes = posted.body.iter().copied();
    bytes.find(|byte| !b" \t\r\n".contains(byte))
}

fn check(posted: &Posted, batch: &Batch) {
    let is_json = matches!(first(posted), Some(b'{' | b'['));
    assert!(is_json || matches!(batch.dialect, Dialect::Osmand | Dialect::OwnTracks));
    let is_long = batch.reports.len() > 1;
    assert!(batch.is_batch || !is_long);
    assert!(batch.reports.len() <= 1 + posted.body.len() / POINT_BYTES_MIN);
    assert!(batch.dialect != Dialect::Json || batch.reports.len() <= LIST_POSITIONS_MAX);
    assert!(batch.id.is_none() || batch.reports.is_empty());
    let times: Vec<f64> = batch.reports.iter().map(time_ms).collect();
    assert!(times.is_sorted(), "{times:?}");
    for report in &batch.reports {
        match &report.fix {
            Ok(fix) => check_fix(batch.dialect, report.id.as_deref().unwrap_or("5"), fix),
            Err(refusal) => assert!(refusal.to_string().len() <= LINE_BYTES_MAX),
        }
    }
    if batch.dialect == Dialect::Json && !batch.is_batch {
        check_own(posted, &batch.reports[0]);
    }
}

fn time_ms(report: &Report) -> f64 {
    let fix = report.fix.as_ref().ok();
    match fix.and_then(|fix| fix.value(Extra::Timestamp)) {
        Some(time) if time < 1e11 => time * 1000.0,
        Some(time) => time,
        None => f64::INFINITY,
    }
}

/// A fix that is relayed is a position again, and what an app says is also one for a map.
fn check_fix(dialect: Dialect, id: &str, fix: &Fix) {
    assert!(dialect == Dialect::Json || fix.is_wgs84(), "{fix:?}");
    for field in [
        Extra::Heading,
        Extra::Speed,
        Extra::Accuracy,
        Extra::Battery,
    ] {
        assert!(fix.value(field).is_none_or(|value| value >= 0.0), "{fix:?}");
    }
    let user = if is_id(id) { id } else { "5" };
    let known = Known {
        user,
        written: &Written::as_string(user),
        fix,
        age: Duration::ZERO,
        dialect,
    };
    let mut relayed = Vec::new();
    encode_position(&known, &mut relayed);
    let relayed = String::from_utf8(relayed).expect("text");
    let object: Value = serde_json::from_str(&relayed).expect("JSON");
    assert_eq!(object["userId"], user);
    let Ok(ClientMessage::Position(again)) = decode(&relayed, Bounds::Finite) else {
        panic!("no position: {relayed}")
    };
    assert_eq!(again.fix, *fix);
    let friend = Friend {
        id: user,
        name: Some(id),
        fix,
        received_unix_s: 7,
    };
    let answer = answer_friends([friend].into_iter());
    let friends: Value = serde_json::from_str(&answer.body).expect("JSON");
    let count = friends.as_array().expect("a list").len();
    assert_eq!(count, if fix.is_wgs84() { 2 } else { 0 });
}

/// A position of ours is what it would be on a WebSocket.
fn check_own(posted: &Posted, report: &Report) {
    let text = str::from_utf8(posted.body).expect("JSON is UTF-8");
    match decode(text, Bounds::Finite) {
        Ok(ClientMessage::Position(publication)) => {
            assert_eq!(report.fix.as_ref(), Ok(&publication.fix));
            let user = publication.user.as_ref().map(|user| user.text());
            assert_eq!(report.id.as_deref(), user);
        }
        Ok(ClientMessage::Hello(_)) => {}
        Ok(other) => panic!("{other:?} is {report:?}"),
        Err(refusal) => {
            let is_nobody = report.id.as_deref().is_some_and(|id| !is_id(id));
            assert!(report.fix.as_ref() == Err(&refusal) || is_nobody);
        }
    }
}

/// White space around the content means nothing, nor does it whether pairs come in a query or as
/// a form.
fn check_other_ways(posted: &Posted) {
    let spaced = [b"\r\n ", posted.body, b"\t\n"].concat();
    let spaced = Posted {
        body: &spaced,
        ..*posted
    };
    match (read(posted), read(&spaced)) {
        // The parser says where.
        (Err(Unreadable::Malformed(_)), Err(Unreadable::Malformed(_))) => {}
        (left, right) => assert_eq!(left, right),
    }
    let in_query = Posted {
        body: b"",
        ..*posted
    };
    let in_form = Posted {
        query: "",
        body: posted
            .query
            .trim_matches([' ', '\t', '\r', '\n'])
            .as_bytes(),
        ..*posted
    };
    if has_coordinates(posted.query) && posted.query.trim() == posted.query {
        let read_query = read(&in_query).expect("coordinates");
        assert_eq!(read_query.reports.len(), 1);
        if !matches!(first(&in_form), Some(b'{' | b'[')) {
            assert_eq!(read(&in_form), Ok(read_query));
        }
    }
}
