//! `/spectate.js` by itself: what a page hears from it, what it says to the server, and when it comes
//! back.

use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::fake::{Fake, Visit};
use crate::page::Page;

/// What the module says to a server that asks for nothing special.
const HELLO: &str = r#"{"initialRequest":true}"#;

/// A page with nothing but the module, connected with these options to a server that does as it is
/// told. It keeps what it hears in `heard`.
fn connect(page: &Page, fake: &Fake, options: &str) -> Visit {
    start(page, fake, options);
    fake.accept()
}

fn start(page: &Page, fake: &Fake, options: &str) {
    page.at_each_start(&format!(
        "window.heard = [];
        addEventListener('load', async () => {{
            const {{ Spectate }} = await import('/spectate.js');
            window.runners = new Spectate(location.origin, {options});
            for (const type of ['position', 'presence', 'trail', 'audience', 'error', 'link']) {{
                runners.addEventListener(type, ({{ detail }}) => heard.push([type, detail]));
            }}
        }})"
    ));
    page.start(&format!("http://{}/spectate.js", fake.address()));
}

/// Waits until something of this type was heard that it has not forgotten; it forgets all until then.
fn hear(page: &Page, kind: &str) -> Value {
    page.wait_for(&format!("heard.some(([type]) => type === '{kind}')"));
    let index = format!("heard.findIndex(([type]) => type === '{kind}')");
    page.get(&format!("heard.splice(0, {index} + 1).at(-1)[1]"))
}

/// Waits until the connection is in this state.
fn hear_link(page: &Page, state: &str) -> Value {
    loop {
        let link = hear(page, "link");
        if link["state"] == state {
            return link;
        }
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[test]
fn each_message_of_the_server_is_an_event_with_its_content() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    let mut visit = connect(&page, &fake, "{ following: [5, '6', 9] }");
    let (connecting, open) = (hear(&page, "link"), hear(&page, "link"));
    assert_eq!(
        [connecting, open],
        ["connecting", "open"].map(|state| json!({"state": state, "code": null, "retryIn": null}))
    );
    let position =
        json!({"userId": 5, "lat": 1.5, "lng": -2, "timestamp": 1_714_470_000_000_u64, "age": 3});
    let presence = json!({"userId": "6", "name": "Anna", "state": "stale", "connected": true});
    let trail = json!({"userId": 9, "points": [[1, 2, 3], [1, 2, 4, 5]]});
    let error = json!({"code": "bad_id", "message": "what?"});
    visit.send(&position.to_string());
    // A server may say more than this module knows of, and others say anything.
    for strange in [r#"{"weather":"fine"}"#, "null", "5", "[]", "fine"] {
        visit.send(strange);
    }
    for (kind, content) in [
        ("presence", &presence),
        ("trail", &trail),
        ("audience", &json!(0)),
        ("error", &error),
    ] {
        visit.send(&json!({ kind: content }).to_string());
    }
    assert_eq!(hear(&page, "position"), position);
    assert_eq!(hear(&page, "presence"), presence);
    assert_eq!(hear(&page, "trail"), trail);
    assert_eq!(hear(&page, "audience"), 0);
    assert_eq!(hear(&page, "error"), error);
    page.assert_no_complaints();
}

#[test]
fn no_digit_of_an_id_is_lost() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    const LONG: &str = "12345678901234567890123";
    let mut visit = connect(&page, &fake, &format!("{{ following: ['{LONG}', 7] }}"));
    visit.send(&format!(r#"{{"userId":{LONG},"lat":1,"lng":2}}"#));
    visit.send(&format!(
        r#"{{"presence":{{"userId":{LONG},"state":"live","connected":true}}}}"#
    ));
    visit.send(r#"{"userId":7,"lat":1,"lng":2}"#);
    assert_eq!(hear(&page, "position")["userId"], LONG);
    assert_eq!(hear(&page, "presence")["userId"], LONG);
    assert_eq!(hear(&page, "position")["userId"], 7);
}

#[test]
fn the_options_are_said_to_each_connection() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    let options = "{ following: ['a'], token: 't', presence: true, audience: true, trail: 60,
        userId: 5, name: 'Anna' }";
    let mut visit = connect(&page, &fake, options);
    for _ in 0..2 {
        let hello: Value = serde_json::from_str(&visit.receive()).expect("JSON");
        let expected = json!({
            "initialRequest": true, "token": "t", "presence": true, "audience": true, "trail": 60,
            "userId": 5, "name": "Anna",
        });
        assert_eq!(hello, expected);
        assert_eq!(visit.receive(), r#"{"follow":["a"]}"#);
        visit.close(4201);
        hear_link(&page, "waiting");
        page.get("dispatchEvent(new Event('online'))");
        visit = fake.accept();
    }
    // What it says later of itself holds for the next connections too.
    visit.receive();
    visit.receive();
    hear_link(&page, "open");
    page.get("runners.hello({ name: 'Bo', trail: 0 })");
    assert_eq!(
        visit.receive(),
        r#"{"initialRequest":true,"name":"Bo","trail":0}"#
    );
    // A connection cannot take back who it is.
    page.get("runners.hello({ userId: null, audience: false })");
    let mut visit = fake.accept();
    let hello: Value = serde_json::from_str(&visit.receive()).expect("JSON");
    let expected = json!({"initialRequest": true, "token": "t", "presence": true, "name": "Bo"});
    assert_eq!(hello, expected);
}

#[test]
fn whom_it_follows_it_follows_again_and_nobody_else_is_heard_of() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    let mut visit = connect(&page, &fake, "{}");
    assert_eq!(visit.receive(), HELLO);
    hear_link(&page, "open");
    page.get("runners.follow([5, 'a'])");
    assert_eq!(visit.receive(), r#"{"follow":[5,"a"]}"#);
    page.get("runners.unfollow(['5'])");
    assert_eq!(visit.receive(), r#"{"unfollow":["5"]}"#);
    // What was under way by then.
    visit.send(r#"{"userId":5,"lat":1,"lng":2}"#);
    visit.send(r#"{"userId":"a","lat":1,"lng":2}"#);
    assert_eq!(hear(&page, "position")["userId"], "a");
    page.get("runners.follow('*')");
    assert_eq!(visit.receive(), r#"{"follow":"*"}"#);
    page.get("runners.unfollow([7])");
    assert_eq!(visit.receive(), r#"{"unfollow":[7]}"#);
    visit.send(r#"{"userId":"7","lat":1,"lng":2}"#);
    visit.send(r#"{"userId":"8","lat":1,"lng":2}"#);
    assert_eq!(hear(&page, "position")["userId"], "8");
    visit.close(1011);
    hear_link(&page, "waiting");
    // What is said meanwhile is said once there is somebody to hear it.
    page.get("runners.follow([...Array(300).keys()].map(id => `x${id}`))");
    let mut visit = fake.accept();
    assert_eq!(visit.receive(), HELLO);
    assert_eq!(visit.receive(), r#"{"follow":"*"}"#);
    assert!(visit.receive().starts_with(r#"{"follow":["a","x0","x1","#));
    assert!(visit.receive().ends_with(r#","x298","x299"]}"#));
    assert_eq!(visit.receive(), r#"{"unfollow":[7]}"#);
    hear_link(&page, "open");
    page.get("runners.unfollow('*')");
    assert_eq!(visit.receive(), r#"{"unfollow":"*"}"#);
    visit.close(1011);
    let mut visit = fake.accept();
    assert_eq!(visit.receive(), HELLO);
    hear_link(&page, "open");
    page.get("runners.goodbye()");
    assert_eq!(visit.receive(), r#"{"goodbye":true}"#);
    page.assert_no_complaints();
}

#[test]
fn the_close_code_says_when_it_comes_back() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    let mut visit = connect(&page, &fake, "{}");
    // Nothing but whoever comes back has it tried, however slow this machine is.
    page.get(
        "(later => { window.setTimeout = (act, ms) => later(act, ms < 400 ? ms : 100 * ms); })(setTimeout)",
    );
    for code in [1011, 4201, 1006, 4202, 1001] {
        match code {
            1006 => drop(visit),
            code => visit.close(code),
        }
        let waiting = hear_link(&page, "waiting");
        assert_eq!(waiting["code"], code);
        // Whoever comes back to the page has it tried at once, and that is no failure.
        let retry_in = number(&waiting["retryIn"]);
        assert!((500.0..=1000.0).contains(&retry_in), "{retry_in}");
        page.get("document.dispatchEvent(new Event('visibilitychange'))");
        visit = fake.accept();
        hear_link(&page, "open");
    }
    visit.close(1013);
    let waiting = hear_link(&page, "waiting");
    assert!((4000.0..=8000.0).contains(&number(&waiting["retryIn"])));
    page.get("dispatchEvent(new Event('online'))");
    let mut waits = Vec::new();
    for _ in 0..8 {
        let visit = fake.accept();
        hear_link(&page, "open");
        visit.close(1012);
        waits.push(number(&hear_link(&page, "waiting")["retryIn"]));
        page.get("dispatchEvent(new Event('online'))");
    }
    assert!(
        waits.iter().all(|ms| (0.0..5000.0).contains(ms)),
        "{waits:?}"
    );
    assert!(
        waits.iter().any(|ms| *ms > 1000.0) && waits[0] != waits[1],
        "{waits:?}"
    );
}

#[test]
fn while_nobody_answers_it_tries_later_each_time() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    let visit = connect(&page, &fake, "{}");
    hear_link(&page, "open");
    drop(visit);
    drop(fake);
    for least in [500.0, 1000.0, 2000.0] {
        let waiting = hear_link(&page, "waiting");
        assert_eq!(waiting["code"], 1006);
        let retry_in = number(&waiting["retryIn"]);
        assert!(
            (least..=2.0 * least).contains(&retry_in),
            "{retry_in} {least}"
        );
    }
}

#[test]
fn some_close_codes_end_it() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    for code in [1002, 1003, 1007, 1008, 1009, 4000, 4001, 4002, 4003, 4099] {
        let fake = Fake::start();
        let page = Page::new(chromium);
        connect(&page, &fake, "{ token: 't' }").close(code);
        let ended = json!({"state": "ended", "code": code, "retryIn": null});
        assert_eq!(hear_link(&page, "ended"), ended);
        page.get("dispatchEvent(new Event('online'))");
        page.get("document.dispatchEvent(new Event('visibilitychange'))");
        assert_eq!(page.get("heard"), json!([]), "{code}");
        // Who insists may.
        page.get("runners.reconnect()");
        let mut visit = fake.accept();
        assert_eq!(visit.receive(), r#"{"initialRequest":true,"token":"t"}"#);
        hear_link(&page, "open");
        page.get("runners.close()");
    }
}

#[test]
fn a_token_is_renewed_on_the_open_connection_and_after_its_end_on_a_new_one() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    let mut visit = connect(&page, &fake, "{ following: [5], token: 'a' }");
    hear_link(&page, "open");
    assert_eq!(visit.receive(), r#"{"initialRequest":true,"token":"a"}"#);
    assert_eq!(visit.receive(), r#"{"follow":[5]}"#);
    page.get("runners.renew('b')");
    assert_eq!(visit.receive(), r#"{"token":"b"}"#);
    // It may cover more.
    assert_eq!(visit.receive(), r#"{"follow":[5]}"#);
    // The first ended before the second came: that was no answer to the second.
    visit.close(4002);
    let mut visit = fake.accept();
    assert_eq!(visit.receive(), r#"{"initialRequest":true,"token":"b"}"#);
    assert!(visit.receive().contains("follow"));
    hear_link(&page, "open");
    for (code, token) in [(4002, "c"), (4001, "d")] {
        visit.close(code);
        assert_eq!(hear_link(&page, "ended")["code"], code);
        page.get(&format!("runners.renew('{token}')"));
        assert_eq!(page.get("heard[0][1].state"), "connecting", "at once");
        visit = fake.accept();
        let hello = format!(r#"{{"initialRequest":true,"token":"{token}"}}"#);
        assert_eq!(visit.receive(), hello);
        assert_eq!(visit.receive(), r#"{"follow":[5]}"#);
        hear_link(&page, "open");
    }
    // One that is forgotten brings nobody in.
    visit.close(4002);
    hear_link(&page, "ended");
    page.get("runners.renew(null)");
    assert_eq!(page.get("heard"), json!([]));
}

#[test]
fn what_is_closed_stays_closed() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    let mut visit = connect(&page, &fake, "{ following: [5] }");
    hear_link(&page, "open");
    visit.receive();
    visit.receive();
    page.get("runners.close()");
    visit.hear_close();
    let ended = json!({"state": "ended", "code": 1000, "retryIn": null});
    assert_eq!(hear(&page, "link"), ended);
    page.get("runners.follow([6]); runners.close(); dispatchEvent(new Event('online'))");
    assert_eq!(page.get("runners.send({ lat: 1, lng: 2 })"), false);
    assert_eq!(page.get("runners.ping()"), false);
    assert_eq!(page.get("heard"), json!([]));
    // And so does one that was closed before it was open.
    let closed = page.get(
        "import('/spectate.js').then(({ Spectate }) => new Promise(done => {
            const early = new Spectate(location.origin), states = [];
            early.addEventListener('link', ({ detail }) => states.push(detail.state));
            early.close();
            setTimeout(() => done(states));
        }))",
    );
    assert_eq!(closed, json!(["ended"]));
}

#[test]
fn a_connection_that_does_not_open_in_10_s_is_given_up() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    page.with_clock_that_skips();
    start(&page, &fake, "{}");
    let _silent = fake.leave_waiting();
    hear_link(&page, "connecting");
    page.get("window.skip = 8000");
    page.wait_ms(1200);
    assert_eq!(page.get("heard"), json!([]));
    page.get("window.skip = 11_000");
    assert_eq!(hear_link(&page, "waiting")["code"], 1006);
    let _visit = fake.accept();
    hear_link(&page, "open");
}

#[test]
fn one_that_is_quiet_is_asked_and_one_that_does_not_answer_is_replaced() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    page.with_clock_that_skips();
    let mut visit = connect(&page, &fake, "{ following: [5] }");
    visit.receive();
    visit.receive();
    hear_link(&page, "open");
    page.get("window.skip = 21_000");
    assert_eq!(visit.receive(), r#"{"ping":1}"#);
    visit.send(r#"{"pong":1}"#);
    // Who comes back to a page looks at it sooner.
    page.wait_ms(700);
    page.get("window.skip = 28_000; document.dispatchEvent(new Event('visibilitychange'))");
    assert_eq!(visit.receive(), r#"{"ping":2}"#);
    page.get("window.skip = 39_000");
    let mut next = fake.accept();
    assert_eq!(next.receive(), HELLO);
    assert_eq!(next.receive(), r#"{"follow":[5]}"#);
}

#[test]
fn after_a_sleep_of_the_machine_it_connects_anew() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    let _visit = connect(&page, &fake, "{}");
    hear_link(&page, "open");
    page.get("(now => { Date.now = () => now() + 60_000; })(Date.now)");
    let _next = fake.accept();
    hear_link(&page, "open");
}

#[test]
fn an_answer_to_a_ping_says_that_all_before_it_is_carried_out() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    let mut visit = connect(&page, &fake, "{}");
    hear_link(&page, "open");
    visit.receive();
    page.get("runners.follow('*'); runners.ping().then(answer => heard.push(['pong', answer])); 0");
    assert_eq!(visit.receive(), r#"{"follow":"*"}"#);
    assert_eq!(visit.receive(), r#"{"ping":1}"#);
    let refused = json!({"code": "bad_message", "message": "no list"});
    visit.send(&json!({ "error": refused }).to_string());
    visit.send(r#"{"pong":1}"#);
    page.wait_for("heard.length === 2");
    assert_eq!(
        page.get("heard.splice(0)"),
        json!([["error", refused], ["pong", true]])
    );
    page.get("runners.ping().then(answer => heard.push(['pong', answer])); 0");
    visit.receive();
    visit.close(1011);
    assert_eq!(hear(&page, "pong"), false);
}

#[test]
fn of_what_nobody_took_the_last_position_of_each_user_is_sent_by_the_next_connection() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    let mut visit = connect(&page, &fake, "{ following: [5] }");
    hear_link(&page, "open");
    visit.receive();
    visit.receive();
    assert_eq!(
        page.get("runners.send({ userId: 5, lat: 1, lng: 2 })"),
        true
    );
    assert_eq!(visit.receive(), r#"{"userId":5,"lat":1,"lng":2}"#);
    visit.close(1011);
    hear_link(&page, "waiting");
    for position in [
        "{ userId: 5, lat: 3, lng: 4 }",
        "{ userId: 6, lat: 5, lng: 6 }",
        "{ userId: '5', lat: 7, lng: 8 }",
    ] {
        assert_eq!(page.get(&format!("runners.send({position})")), false);
    }
    let mut visit = fake.accept();
    assert_eq!(visit.receive(), HELLO);
    assert_eq!(visit.receive(), r#"{"follow":[5]}"#);
    assert_eq!(visit.receive(), r#"{"userId":"5","lat":7,"lng":8}"#);
    assert_eq!(visit.receive(), r#"{"userId":6,"lat":5,"lng":6}"#);
    // Once, and not on behalf of who is somebody else by then, or has gone.
    for leave in [
        "runners.hello({ userId: 7 }); runners.send({ lat: 1, lng: 2 }); runners.hello({ userId: 8 })",
        "runners.send({ lat: 1, lng: 2 }); runners.goodbye()",
    ] {
        visit.close(1011);
        hear_link(&page, "waiting");
        page.get(leave);
        visit = fake.accept();
        assert!(visit.receive().contains(r#""userId":8"#));
        assert_eq!(visit.receive(), r#"{"follow":[5]}"#);
        hear_link(&page, "open");
        page.get("runners.ping(); 0");
        assert!(visit.receive().starts_with(r#"{"ping":"#));
    }
}

#[test]
fn of_trails_it_asks_for_what_it_missed() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    let mut visit = connect(&page, &fake, "{ following: [5, 6], trail: 60 }");
    const WHOLE: &str = r#"{"initialRequest":true,"trail":60}"#;
    for _ in 0..2 {
        // Nothing was seen yet, so everything is missing.
        assert_eq!(visit.receive(), WHOLE);
        assert_eq!(visit.receive(), r#"{"follow":[5,6]}"#);
        visit.close(1011);
        hear_link(&page, "waiting");
        visit = fake.accept();
    }
    visit.receive();
    visit.receive();
    visit.send(r#"{"trail":{"userId":5,"points":[[1,2,1714470000000],[1,2,1714470030000]]}}"#);
    hear(&page, "trail");
    // A time in seconds.
    visit.send(r#"{"userId":5,"lat":1,"lng":2,"timestamp":1714470060}"#);
    visit.send(r#"{"userId":5,"lat":1,"lng":2,"timestamp":1714470050000}"#);
    hear(&page, "position");
    hear(&page, "position");
    visit.close(1011);
    hear_link(&page, "waiting");
    page.get("runners.follow([7])");
    let mut visit = fake.accept();
    assert_eq!(visit.receive(), HELLO);
    // Of 6 and 7 nothing was seen.
    assert_eq!(
        visit.receive(),
        r#"{"initialRequest":true,"trail":60,"since":1714470055000,"following":[5]}"#
    );
    assert_eq!(visit.receive(), r#"{"follow":[6,7]}"#);
    hear_link(&page, "open");
    // A clock that is ahead is not believed, and who is followed anew has come a long way.
    let now = number(&page.get("Date.now()"));
    visit.send(r#"{"userId":6,"lat":1,"lng":2,"timestamp":4102444800000}"#);
    hear(&page, "position");
    page.get("runners.unfollow([5]); runners.follow([5])");
    visit.close(1011);
    hear_link(&page, "waiting");
    let mut visit = fake.accept();
    assert_eq!(visit.receive(), HELLO);
    let hello: Value = serde_json::from_str(&visit.receive()).expect("JSON");
    assert_eq!(hello["following"], json!([6]));
    let since = number(&hello["since"]) + 5000.0;
    assert!((now..now + 60_000.0).contains(&since), "{since} {now}");
    assert_eq!(visit.receive(), r#"{"follow":[7,5]}"#);
}

#[test]
fn addresses_of_servers_are_taken_as_people_write_them() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let fake = Fake::start();
    let page = Page::new(chromium);
    let _visit = connect(&page, &fake, "{}");
    hear_link(&page, "open");
    page.get(
        "window.WebSocket = class extends EventTarget {
            constructor(url) { super(); window.dialled = url; }
            close() {}
        }; 0",
    );
    let dial = |url: &str, options: &str| {
        page.get(&format!(
            "import('/spectate.js').then(({{ Spectate }}) => {{
                window.dialled = null;
                try {{ new Spectate({url:?}, {options}).close() }} catch (error) {{ return error.name }}
                return dialled;
            }})"
        ))
    };
    for (url, dialled) in [
        ("ws://race.example", "ws://race.example/"),
        ("wss://race.example/live?a=b", "wss://race.example/live?a=b"),
        ("http://race.example:8080", "ws://race.example:8080/"),
        ("https://race.example/#follow=5", "wss://race.example/"),
        ("ftp://race.example", "TypeError"),
        ("http://", "TypeError"),
    ] {
        assert_eq!(dial(url, "{}"), dialled, "{url}");
    }
    // The letters of a word are a list too.
    assert_eq!(
        dial("ws://race.example", "{ following: '56' }"),
        "TypeError"
    );
}
