//! Inputs that are nearly right: valid ones by their grammar, and then a few changes.

mod gpx;
mod phones;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use spectate::server::http::{HEAD_BYTES_MAX, HEADERS_MAX};

const HEAD_WORDS: [&str; 22] = [
    "Authorization: Bearer x\r\n",
    "Sec-WebSocket-Protocol: bearer.x.y.z\r\n",
    "Origin: http://x:80\r\n",
    "GET ",
    "HEAD ",
    "OPTIONS ",
    "POST ",
    "/healthz",
    "/readyz?x#y",
    "/metrics",
    " HTTP/1.0\r\n",
    " HTTP/2.0\r\n",
    "Upgrade: h2c, WebSocket\r\n",
    "Connection: keep-alive\r\n",
    "Sec-WebSocket-Version: 8\r\n",
    "Sec-WebSocket-Protocol: chat, spectate.v1\r\n",
    "Origin: null\r\n",
    "Host: a\r\nHost: b\r\n",
    ": ",
    "\r\n\r\n",
    "\n",
    "\0",
];

const VALUES: [&str; 31] = [
    "true",
    "false",
    "null",
    "0",
    "-0",
    "5",
    "-7",
    "007",
    "1.50",
    "2E0",
    "1e999",
    "-1e999",
    "1e-999",
    "90.5",
    "-180.5",
    "361",
    "123456789012345678901234567890",
    "11111111111111111111111111111111111111111111111111111111111111111",
    "\"\"",
    "\"5\"",
    "\"\\u0035\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"\u{85}\"",
    "\"ä\u{1f3c3}\"",
    "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"",
    "\"xääääääääääääääääääääääääääääääääääääääääääääääääääääääää\"",
    "[]",
    "{}",
    "[5,\"5\",null,[5]]",
    "{\"userId\":5}",
];

const OTHER_KEYS: [&str; 15] = [
    "name",
    "goodbye",
    "token",
    "presence",
    "audience",
    "accuracy",
    "altitude",
    "altitudeAccuracy",
    "heading",
    "speed",
    "timestamp",
    "battery",
    "colour",
    "\\u006cat",
    "\\ud800",
];

/// Before, at, near and long after the time at which tokens are shown.
const TIMES: [&str; 8] = [
    "1800000000",
    "1800000000.5",
    "1800000001",
    "1800000030",
    "1800000031",
    "1800003600",
    "1800003600",
    "1800000000000",
];

/// First bytes of frames (RFC 6455, 5.2): a whole text message, and one in parts.
const TEXT: u8 = 0x81;
const BEGIN: u8 = 0x01;
const CONTINUE: u8 = 0x00;
const LAST: u8 = 0x80;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// Those that may come at the wrong time, and those that are always wrong.
const FIRST_BYTES: [u8; 8] = [TEXT, BEGIN, CONTINUE, LAST, 0x88, 0x82, 0xc1, 0x83];

/// Makes inputs out of a seed.
pub(crate) struct Generator(StdRng);

impl Generator {
    pub(crate) fn new(seed: u64) -> Generator {
        Generator(StdRng::seed_from_u64(seed))
    }

    fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    /// True once in so many times.
    fn rarely(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A few changes of the kinds that mistakes and attackers make; often none.
    fn change(&mut self, input: &mut Vec<u8>, words: &[&str]) {
        for _ in 0..self.below(8).saturating_sub(5) {
            let at = self.below(input.len() + 1);
            let end = (at + 1 + self.below(16)).min(input.len());
            match self.below(7) {
                0 if at < end => input[at] ^= 1 << self.below(8),
                1 if at < end => input[at] = self.0.random(),
                2 if at < end => drop(input.drain(at..end)),
                3 if at < end => input.extend_from_within(at..end),
                4 => input.truncate(at),
                _ => {
                    let word = self.pick(words).bytes();
                    input.splice(at..at, word);
                }
            }
        }
    }

    /// A request head.
    pub(crate) fn request_head(&mut self) -> Vec<u8> {
        let mut head = String::new();
        let is_upgrade = self.rarely(2);
        head += self.pick(&["GET", "GET", "GET", "GET", "GET", "HEAD", "OPTIONS", "POST"]);
        head += self.pick(&[
            " /",
            " /map/view.js",
            " /healthz",
            " /readyz",
            " /metrics?x",
            " /track?id=5&lat=1&lon=2&token=x",
            " /track/x?id=5",
            " /ä",
        ]);
        head += " HTTP/1.1\r\nHost: x\r\n";
        if is_upgrade {
            head += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
            head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        }
        for _ in 0..self.below(3) {
            head += self.pick(&[
                "Origin: http://x\r\n",
                "Accept:*/*\r\n",
                "X: \t y \r\n",
                "Accept-Encoding: br,gzip; q=0.5\r\n",
                "If-None-Match: W/\"x\" ,*\r\n",
                "Content-Length: 3\r\n",
                "Transfer-Encoding: chunked\r\n",
                "Expect: 100-continue\r\n",
                "Authorization: Basic Og==\r\n",
                "X-Limit-U: x\r\n",
            ]);
        }
        // Near both limits, in bytes and in lines.
        if self.rarely(20) {
            let bytes = HEAD_BYTES_MAX - head.len() - 4 - self.below(8);
            head += &format!("{:x<bytes$}\r\n", "X:");
        } else if self.rarely(20) {
            head += &"X: y\r\n".repeat(HEADERS_MAX - 6 + self.below(8));
        }
        head += "\r\n";
        let mut head = head.into_bytes();
        self.change(&mut head, &HEAD_WORDS);
        head
    }

    /// A message.
    pub(crate) fn message(&mut self) -> Vec<u8> {
        let mut fields: Vec<(&str, &str)> = Vec::new();
        let user = if self.rarely(3) {
            self.pick(&VALUES)
        } else {
            "5"
        };
        match self.below(14) {
            0 => fields.push(("initialRequest", self.pick(&VALUES))),
            13 => fields.push((
                "goodbye",
                self.pick(&["true", "true", "false", "null", "1"]),
            )),
            12 => fields.push(("ping", self.pick(&["7", "1.50", "-0", "\"7\""]))),
            1..=3 => {
                let list = self.pick(&["[5,6]", "[]", "[5,5.5,\"\"]", "null", "7"]);
                fields.extend([
                    ("initialRequest", "true"),
                    ("userId", user),
                    ("following", list),
                ]);
            }
            4..=6 => fields.extend([("follow", "[7,\"8\"]"), ("unfollow", self.pick(&VALUES))]),
            _ => {
                fields.extend([("userId", user), ("lat", "12.3"), ("lng", "-45.60")]);
                if self.rarely(4) {
                    fields[1].1 = self.pick(&VALUES);
                }
            }
        }
        for _ in 0..self.below(3) {
            fields.push((self.pick(&OTHER_KEYS), self.pick(&VALUES)));
        }
        if self.rarely(30) {
            fields.push(("userId", self.pick(&VALUES)));
        }
        if self.rarely(6) {
            let gone = self.below(fields.len());
            fields.remove(gone);
        }
        let pairs: Vec<String> = fields
            .iter()
            .map(|(key, value)| format!("\"{key}\":{value}"))
            .collect();
        let space = self.pick(&["", "", " ", "\n"]);
        let comma = self.pick(&[",", ", "]);
        let text = match self.below(40) {
            0 => self.pick(&["ping", ""]).to_owned(),
            _ => format!("{{{}}}", pairs.join(comma)),
        };
        let mut text = format!("{space}{text}{space}").into_bytes();
        self.change(&mut text, &VALUES);
        text
    }

    /// A token's header and claims, with a line break between them.
    pub(crate) fn token(&mut self) -> Vec<u8> {
        let mut claims = vec![
            (
                "sub",
                self.pick(&["\"5\"", "\"5\"", "\"\\u0035\"", "5", "\"\""]),
            ),
            ("exp", self.pick(&TIMES)),
        ];
        for _ in 0..self.below(4) {
            let name = self.pick(&["nbf", "follow", "publish", "aud", "iss", "name", "x"]);
            claims.push(match (name, self.rarely(6)) {
                (_, true) => (name, self.pick(&VALUES)),
                ("nbf", _) => (name, self.pick(&TIMES)),
                ("follow" | "publish", _) => (name, self.pick(&["\"*\"", "[6,\"7\"]", "[]"])),
                _ => (name, "\"x\""),
            });
        }
        if self.rarely(8) {
            claims.remove(0);
        }
        let header = self.pick(&[
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"../x"}"#,
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS256","crit":["exp"]}"#,
            r#"{"alg":"RS256"}"#,
        ]);
        let claims: Vec<String> = (claims.iter())
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        let mut token = format!("{header}\n{{{}}}", claims.join(",")).into_bytes();
        self.change(&mut token, &VALUES);
        token
    }

    /// A plan for a connection, as bytes that say one.
    pub(crate) fn plan(&mut self) -> Vec<u8> {
        let mut plan = vec![self.0.random()];
        let is_calm = !self.rarely(3);
        let mut in_message = false;
        for _ in 0..self.below(60) {
            let first = match (self.below(6), in_message) {
                _ if !is_calm && self.rarely(8) => self.pick(&FIRST_BYTES),
                (0, _) => PING,
                (1, _) => PONG,
                (2, true) => CONTINUE,
                (_, true) => LAST,
                (2, false) => BEGIN,
                (_, false) => TEXT,
            };
            let payload = self.payload(first, is_calm);
            let length = payload.len() as u8;
            match self.below(12) {
                0 if !is_calm => plan.extend([7, first, length]),
                1 if !is_calm => plan.extend([0, length]),
                2 if !is_calm && self.rarely(4) => plan.extend([21, first, length]),
                2 if !is_calm => plan.extend([6, first, self.0.random(), length]),
                3 if matches!(first, TEXT | PING | PONG) => {
                    plan.extend([5, first, self.0.random(), length])
                }
                4..8 => plan.extend([2, first, length]),
                8 if self.rarely(4) => {
                    self.congestion(&mut plan);
                    continue;
                }
                8 if self.rarely(8) => {
                    plan.extend([17 + self.below(2) as u8, self.0.random()]);
                    continue;
                }
                _ => {
                    // What the loop and the socket do.
                    let operation = 8 + self.below(9) as u8;
                    plan.extend([operation, self.0.random()]);
                    // A position has a length too.
                    plan.extend(matches!(operation, 12 | 13).then(|| self.0.random::<u8>()));
                    continue;
                }
            }
            plan.extend_from_slice(&payload);
            in_message = matches!(first, BEGIN | CONTINUE) || in_message && first != LAST;
        }
        if self.rarely(4) {
            plan.extend([19, self.below(2) as u8]);
        }
        if !is_calm {
            self.change(&mut plan, &["\u{1}\0", "\n\u{7f}", "\u{5}\u{9}"]);
        }
        plan
    }

    /// A plan for a connection by TLS: of which kind, how it is cut, what is changed on the way.
    pub(crate) fn plan_by_tls(&mut self) -> Vec<u8> {
        let kind = self.below(16) as u8;
        let piece_bytes = match self.rarely(2) {
            true => 0,
            false => self.0.random(),
        };
        let mut plan = vec![kind, piece_bytes];
        if kind < 2 {
            // No TLS at all, or the beginning of some.
            plan.extend_from_slice(self.pick(&[
                &b"\x16\x03\x01"[..],
                b"\x16\x03\x03\0\x04\x01",
                b"GET / ",
            ]));
            plan.extend((0..self.below(600)).map(|_| self.0.random::<u8>()));
            return plan;
        }
        if kind >= 8 {
            let changes = 1 + self.below(3);
            plan.push(changes as u8);
            // The record, the change, where and to what.
            for _ in 0..changes {
                plan.extend([self.below(12) as u8, self.0.random()]);
                plan.extend([self.0.random::<u8>(), self.0.random()]);
            }
        }
        plan.extend(self.plan());
        plan
    }

    /// A socket that takes little at a time, and positions and errors that pile up before it.
    fn congestion(&mut self, plan: &mut Vec<u8>) {
        const ROOM: u8 = 10;
        const FLUSH: u8 = 11;
        const POSITION: u8 = 12;
        const ERROR: u8 = 16;
        let has_errors = self.rarely(8);
        for _ in 0..8 {
            if has_errors {
                plan.extend([ROOM, 0, FLUSH, 0, ERROR, 255, ERROR, 255]);
                continue;
            }
            for _ in 0..self.below(4) {
                plan.extend([POSITION, self.0.random(), self.below(8) as u8]);
            }
            plan.extend([ROOM, self.below(40) as u8, FLUSH, 0]);
        }
    }

    /// What a frame with this first byte carries: less than 126 bytes, mostly text.
    fn payload(&mut self, first: u8, is_calm: bool) -> Vec<u8> {
        match self.below(6) {
            _ if first == 0x88 => vec![0x03, 0xe8 + self.below(16) as u8],
            0 => Vec::new(),
            1 if !is_calm => (0..self.below(8)).map(|_| self.0.random()).collect(),
            2 => "ä".repeat(self.below(60)).into_bytes(),
            _ => {
                let text = String::from_utf8_lossy(&self.message()).into_owned();
                text[..text.floor_char_boundary(125)].into()
            }
        }
    }
}
