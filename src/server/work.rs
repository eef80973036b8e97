//! How much of a tick goes to what takes long: each input has an estimate of its cost, and a tick
//! carries out so many of the costly ones that the others wait for it by milliseconds. The others
//! never wait for a budget.

use super::http::{LINK_BYTES_MAX, Request, Route};
use super::wire::connection::Input;

/// What a tick may spend on costly inputs, in estimated microseconds.
const TICK_US_MAX: u32 = 10_000;

/// A text up to this long is not costly.
const CHEAP_TEXT_BYTES_MAX: usize = 1024;

/// A list of ids up to this long is not costly.
const CHEAP_LIST_BYTES_MAX: usize = 128;

/// Bytes of a list of ids that are read, looked up and followed in a microsecond.
const TEXT_BYTES_PER_US: usize = 16;

/// Follows that end, or whose presence is told, in a microsecond.
const FOLLOWS_PER_US: usize = 3;

/// Presence and last known position of one user, to one who follows everyone from now on.
const EVERYONE_US: usize = 1;

/// A goodbye: what is on its way of all runners is written before it.
const GOODBYE_US: usize = 2000;

/// A trail of 240 points in a message. Of longer ones a tick writes only so many.
const TRAIL_US: usize = 15;

/// A point of a trail in an answer, packed.
const TRAIL_POINT_US: usize = 2;

/// The end of a connection that follows nobody.
const END_US: usize = 20;

/// A position in an answer, packed.
const POSITION_US: usize = 5;

/// A point of a report that was read, with some followers.
const POINT_US: usize = 20;

/// A page or a short text, and a request for it.
const ANSWER_US: usize = 50;

/// A code, and each byte of its link.
const CODE_US: usize = 300;
const CODE_BYTE_US: usize = 3;

/// All counters as text.
const METRICS_US: usize = 200;

/// The signature of a token.
const TOKEN_US: usize = 100;

/// A TLS handshake but for its signature: the exchange of keys, most of all.
const KEY_EXCHANGE_US: u32 = 100;

/// Its signature, by so many bytes of the public key in its DER (RFC 5280, 4.1): by P-256 and Ed25519, by
/// P-384, and by RSA of 2048, of 3072 and of more bits.
const SIGNATURE_US: [(usize, u32); 5] = [
    (100, 25),
    (200, 400),
    (300, 600),
    (430, 2000),
    (usize::MAX, 8000),
];

/// What is left of a tick for costly inputs.
#[derive(Debug, Default)]
pub(super) struct Work {
    left_us: u32,
}

impl Work {
    /// Begins a tick.
    pub(super) fn begin(&mut self) {
        self.left_us = TICK_US_MAX;
    }

    /// Whether another costly input may be carried out in this tick.
    pub(super) fn has_more(&self) -> bool {
        self.left_us > 0
    }

    /// Spends what an input is estimated to cost.
    pub(super) fn spend(&mut self, cost_us: u32) {
        self.left_us = self.left_us.saturating_sub(cost_us);
    }
}

/// What the cost of an input depends on besides itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Whether tokens are verified.
    pub(super) needs_tokens: bool,
    /// Of how many users the input's sender is told.
    pub(super) follows: usize,
    /// Whether the input's sender is told trails.
    pub(super) asks_trails: bool,
    /// How many points a trail may have.
    pub(super) trail_points: usize,
    /// Of how many users there is a last known position.
    pub(super) known: usize,
    /// How many users there are.
    pub(super) runners: usize,
    /// What [`handshake_cost_us`] says of the certificate in force.
    pub(super) handshake_us: u32,
}

/// What an input is estimated to cost, in microseconds; 0 if it is not costly.
pub(super) fn cost_us(input: &Input, extent: Extent) -> u32 {
    let Extent {
        needs_tokens,
        follows,
        asks_trails,
        trail_points,
        known,
        runners,
        handshake_us: _,
    } = extent;
    let cost = match input {
        Input::Text(text) => {
            // A key may be written with escapes: lower case letters are U+0061 to U+007A.
            let is_escaped = text.contains("\\u006") || text.contains("\\u007");
            let may_hold = |key: &str| is_escaped || text.contains(key);
            let token_us = if needs_tokens && may_hold("token") {
                TOKEN_US
            } else {
                0
            };
            let presence_us = match follows / FOLLOWS_PER_US {
                us @ 1.. if may_hold("presence") => us,
                _ => 0,
            };
            let names_everyone = ["\"*\"", "\\u002a", "\\u002A"];
            let is_for_everyone =
                may_hold("follow") && names_everyone.iter().any(|name| text.contains(name));
            let everyone_us = match is_for_everyone {
                true => EVERYONE_US * runners + follows / FOLLOWS_PER_US,
                false => 0,
            };
            let goodbye_us = match may_hold("goodbye") {
                true => GOODBYE_US,
                false => 0,
            };
            let begins_trails = may_hold("trail");
            let trails = match begins_trails || (asks_trails && may_hold("follow")) {
                // Those whom it follows already, and those whom it names.
                true if is_for_everyone => follows + runners,
                true => follows * usize::from(begins_trails) + text.matches(',').count(),
                false => 0,
            };
            let text_us = match text.len() {
                0..=CHEAP_LIST_BYTES_MAX => 0,
                ..=CHEAP_TEXT_BYTES_MAX if !may_hold("follow") => 0,
                bytes => bytes / TEXT_BYTES_PER_US,
            };
            token_us + presence_us + everyone_us + goodbye_us + TRAIL_US * trails + text_us
        }
        Input::Request(Request::Upgrade { token, .. }) => {
            ANSWER_US + TOKEN_US * usize::from(needs_tokens && token.is_some())
        }
        // Whoever asks whether the loop turns must not wait for others.
        Input::Request(Request::Plain {
            route: Route::Healthz | Route::Readyz,
            ..
        }) => 0,
        Input::Request(Request::Plain { route, token, .. }) => {
            let route_us = match route {
                Route::Metrics => METRICS_US,
                Route::Qr(query) => CODE_US + CODE_BYTE_US * query.bytes().min(LINK_BYTES_MAX),
                Route::Trail(_) => TRAIL_POINT_US * trail_points,
                Route::Positions(query) if query.is_for_everybody() => POSITION_US * known,
                Route::Positions(query) => POSITION_US * query.count_max(),
                _ => 0,
            };
            ANSWER_US + route_us + TOKEN_US * usize::from(needs_tokens && token.is_some())
        }
        Input::Request(Request::Report(report)) => {
            ANSWER_US
                + report.content.len() / TEXT_BYTES_PER_US
                + TOKEN_US * usize::from(needs_tokens)
        }
        Input::Request(Request::Options { .. }) | Input::Refused(_) => ANSWER_US,
        Input::Expected => TOKEN_US * usize::from(needs_tokens),
        Input::Blocked | Input::TurnOver => 0,
    };
    u32::try_from(cost).unwrap_or(u32::MAX)
}

/// What a turn of a TLS handshake is estimated to cost, in microseconds, with a public key of so many
/// bytes.
pub(super) fn handshake_cost_us(public_key_bytes: usize) -> u32 {
    let mut kinds = SIGNATURE_US.iter();
    let signature = kinds.find(|(bytes_max, _)| public_key_bytes <= *bytes_max);
    KEY_EXCHANGE_US + signature.map_or(0, |(_, us)| *us)
}

/// What it is estimated to cost to relay so many points of a report, in microseconds.
pub(super) fn points_cost_us(points: usize) -> u32 {
    u32::try_from(POINT_US * points).unwrap_or(u32::MAX)
}

/// What the end of a connection with so many follows is estimated to cost, in microseconds.
pub(super) fn end_cost_us(follows: usize) -> u32 {
    u32::try_from(END_US + follows / FOLLOWS_PER_US).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::http::{Head, parse};

    fn text(bytes: usize) -> Input {
        Input::Text("x".repeat(bytes).into())
    }

    fn extent(needs_tokens: bool, follows: usize) -> Extent {
        Extent {
            needs_tokens,
            follows,
            asks_trails: false,
            trail_points: 240,
            known: 0,
            runners: 0,
            handshake_us: 0,
        }
    }

    /// The cost of a request for this.
    fn request_us(target: &str, extent: Extent) -> u32 {
        let head = parse(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        let Head::Complete(head) = head else {
            panic!("{head:?}");
        };
        cost_us(&Input::Request(head.request), extent)
    }

    #[test]
    fn a_trail_over_http_costs_what_it_may_be_long() {
        let us = |trail_points| {
            let extent = Extent {
                trail_points,
                ..extent(false, 0)
            };
            request_us("/trail?id=5", extent)
        };
        assert!((300..1000).contains(&us(240)));
        // One of the longest is packed in as much time as a tick has.
        assert!(us(10_000) >= TICK_US_MAX);
    }

    #[test]
    fn a_tick_has_room_for_few_of_the_largest_codes() {
        let head = |length: usize| {
            let link = format!("http://h/{}", "x".repeat(length));
            request_us(&format!("/qr?text={link}"), extent(false, 0))
        };
        assert!((300..500).contains(&head(20)));
        assert!((3000..4000).contains(&head(900)));
        assert_eq!(head(1000), head(10_000));
    }

    #[test]
    fn a_tick_has_room_for_many_handshakes_by_p_256_and_for_one_by_rsa_of_4096_bits() {
        // As OpenSSL writes them: Ed25519, P-256, P-384, RSA of 2048, 3072 and 4096 bits.
        let costs = [44, 91, 120, 294, 422, 550].map(handshake_cost_us);
        assert_eq!(costs, [125, 125, 500, 700, 2100, 8100]);
        assert!(TICK_US_MAX / costs[1] >= 50 && TICK_US_MAX / costs[5] == 1);
    }

    #[test]
    fn short_messages_cost_nothing_and_a_tick_has_room_for_few_of_the_longest() {
        assert_eq!(cost_us(&text(45), extent(true, 0)), 0);
        assert_eq!(cost_us(&text(CHEAP_TEXT_BYTES_MAX), extent(false, 0)), 0);
        assert!(cost_us(&Input::Text(r#"{"token":"a.b.c"}"#.into()), extent(true, 0)) > 0);
        assert_eq!(
            cost_us(
                &Input::Text(r#"{"token":"a.b.c"}"#.into()),
                extent(false, 0)
            ),
            0
        );
        let escaped = r#"{"\u0074oken":"a.b.c"}"#;
        assert!(cost_us(&Input::Text(escaped.into()), extent(true, 0)) > 0);
        let list = |key: &str| format!(r#"{{"{key}":[{}1]}}"#, "1,".repeat(200));
        for key in ["follow", "unfollow", "f\\u006fllow"] {
            assert!(
                cost_us(&Input::Text(list(key).into()), extent(false, 0)) > 0,
                "{key}"
            );
        }
        let hello = |follows| {
            let text = r#"{"initialRequest":true,"presence":true}"#;
            cost_us(&Input::Text(text.into()), extent(false, follows))
        };
        assert_eq!(hello(0), 0);
        assert!(hello(1000) > 100 && end_cost_us(1000) > 100);
        let crowded = Extent {
            runners: 6000,
            ..extent(false, 0)
        };
        for (text, is_costly) in [
            (r#"{"follow":"*"}"#, true),
            (r#"{"initialRequest":true,"following":"\u002A"}"#, true),
            (r#"{"unfollow":"*"}"#, true),
            (r#"{"goodbye":true}"#, true),
            (r#"{"follow":[5]}"#, false),
            (r#"{"\u0067oodbye":true}"#, true),
            (r#"{"userId":"M\u00fcller","lat":1,"lng":2}"#, false),
        ] {
            let cost = cost_us(&Input::Text(text.into()), crowded);
            assert_eq!(cost > 1000, is_costly, "{text}");
        }
        let asking = Extent {
            asks_trails: true,
            ..extent(false, 100)
        };
        for (text, extent, trails) in [
            (
                r#"{"initialRequest":true,"trail":60}"#,
                extent(false, 100),
                // Those whom it follows, and as many as it may name.
                101,
            ),
            (r#"{"follow":[1,2,3,4,5,6]}"#, asking, 5),
            (r#"{"follow":[1,2,3,4,5,6]}"#, extent(false, 100), 0),
            (r#"{"userId":5,"lat":1,"lng":2}"#, asking, 0),
        ] {
            let cost = cost_us(&Input::Text(text.into()), extent) as usize;
            let expected = TRAIL_US * trails..TRAIL_US * (trails + 1);
            assert!(expected.contains(&cost), "{text}: {cost}");
        }
        let mut work = Work::default();
        work.begin();
        let mut longest = 0;
        while work.has_more() {
            work.spend(cost_us(&text(64 * 1024), extent(false, 0)));
            longest += 1;
        }
        assert_eq!(longest, 3);
    }
}
