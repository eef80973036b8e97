//! Requests of tracker apps that are nearly right.

use spectate::phones::LIST_POSITIONS_MAX;

use super::{Generator, VALUES};

const NAMES: [&str; 33] = [
    "id",
    "deviceid",
    "device",
    "userId",
    "ser",
    "aid",
    "u",
    "lat",
    "latitude",
    "lon",
    "lng",
    "longitude",
    "location",
    "timestamp",
    "time",
    "timeoff",
    "bearing",
    "heading",
    "dir",
    "direction",
    "cog",
    "altitude",
    "alt",
    "accuracy",
    "acc",
    "hacc",
    "hdop",
    "vacc",
    "batt",
    "speed",
    "speed_unit",
    "spd",
    "spd_kph",
];

const PAIR_VALUES: [&str; 24] = [
    "",
    "5",
    "05",
    "%2B5.50",
    "+5",
    ".5",
    "5.",
    "-1",
    "-0.0",
    "90.5",
    "180",
    "361",
    "1e999",
    "1E2",
    "NaN",
    "60.0,30.0",
    "mps",
    "kmh",
    "2016-03-05T21:24:29.949%2B02:00",
    "2014-06-04+09:10:11",
    "1442068686579",
    "1377177267",
    "%ff",
    "0.12345678901234567890123456789012345",
];

const KEYS: [&str; 26] = [
    "acc",
    "alt",
    "vac",
    "cog",
    "vel",
    "tst",
    "batt",
    "topic",
    "timestamp",
    "speed",
    "course",
    "heading",
    "accuracy",
    "altitude",
    "altitude_accuracy",
    "horizontal_accuracy",
    "vertical_accuracy",
    "battery_level",
    "device_id",
    "unique_id",
    "userId",
    "battery",
    "_type",
    "location",
    "lat",
    "lng",
];

const TIMES: [&str; 8] = [
    "\"2015-10-01T08:00:00-0700\"",
    "\"2025-06-15T13:45:12.862Z\"",
    "\"2025-06-15 13:45:12\"",
    "1736161169",
    "1736161169000",
    "1736161169.25",
    "\"\"",
    "\"noon\"",
];

const WORDS: [&str; 18] = [
    "\n",
    "&",
    "=",
    "%",
    "+",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "\"_type\":\"location\",",
    "\"location\":",
    "\"locations\":[",
    "\"lat\":1,\"lng\":2,",
    "&lat=1&lon=2",
    "\\ud800",
    "\u{e4}",
];

impl Generator {
    /// A request of a tracker app: three lines for its head, and the content.
    pub(crate) fn request_of_phone(&mut self) -> Vec<u8> {
        let query = match self.below(3) {
            0 => self.pairs(),
            1 => self.pick(&["", "u=jane&d=3s", "token=x"]).to_owned(),
            _ => String::new(),
        };
        let limit_user = self.pick(&["", "", "", "jane"]);
        let basic_user = self.pick(&["", "", "basic"]);
        let body = match self.below(8) {
            0 => String::new(),
            1 => self.pairs(),
            2 => self.owntracks(),
            3 => self.traccar(),
            4 => self.overland(),
            5 => self.own(),
            6 if self.rarely(4) => {
                let count = LIST_POSITIONS_MAX - 2 + self.below(5);
                list(&vec![r#"{"lat":1,"lng":2}"#.to_owned(); count])
            }
            6 => {
                let count = self.below(5);
                list(&(0..count).map(|_| self.own()).collect::<Vec<_>>())
            }
            _ => self.pick(&VALUES).to_owned(),
        };
        let mut request = format!("{query}\n{limit_user}\n{basic_user}\n{body}").into_bytes();
        self.change(&mut request, &WORDS);
        request
    }

    fn pairs(&mut self) -> String {
        let mut pairs = ["id=anna", "lat=42.06288", "lon=-88.23412"]
            .map(str::to_owned)
            .to_vec();
        for _ in 0..self.below(6) {
            pairs.push(format!("{}={}", self.pick(&NAMES), self.pick(&PAIR_VALUES)));
        }
        for _ in 0..self.below(3) {
            let gone = self.below(pairs.len());
            pairs.remove(gone);
        }
        pairs.join("&")
    }

    /// An object of these fields and a few others, sometimes without one of them.
    fn object(&mut self, fields: &[(&str, &str)]) -> String {
        let mut fields: Vec<String> = (fields.iter())
            .map(|(key, value)| format!("\"{key}\":{value}"))
            .collect();
        for _ in 0..self.below(4) {
            let value = match self.rarely(3) {
                true => self.pick(&VALUES),
                false => self.pick(&TIMES),
            };
            fields.push(format!("\"{}\":{value}", self.pick(&KEYS)));
        }
        if self.rarely(8) {
            let gone = self.below(fields.len());
            fields.remove(gone);
        }
        let comma = self.pick(&[",", ", ", ",\n"]);
        format!("{{{}}}", fields.join(comma))
    }

    fn owntracks(&mut self) -> String {
        let kind = self.pick(&[
            "\"location\"",
            "\"location\"",
            "\"location\"",
            "\"lwt\"",
            "7",
        ]);
        let time = self.pick(&TIMES);
        self.object(&[
            ("_type", kind),
            ("lat", "48.85833"),
            ("lon", "2.29513"),
            ("tst", time),
        ])
    }

    fn traccar(&mut self) -> String {
        let coords = self.object(&[("latitude", "37.4219983"), ("longitude", "-122.084")]);
        let time = self.pick(&TIMES);
        let battery = self.object(&[("level", "0.97")]);
        let fields = [
            ("coords", coords.as_str()),
            ("timestamp", time),
            ("battery", &battery),
        ];
        let location = self.object(&fields);
        self.object(&[("location", &location), ("device_id", "\"48241179\"")])
    }

    fn feature(&mut self) -> String {
        let kind = self.pick(&[
            "\"Point\"",
            "\"Point\"",
            "\"Point\"",
            "\"LineString\"",
            "null",
        ]);
        let place = self.pick(&[
            "[-122.030581,37.331800]",
            "[2,1,99]",
            "[\"2\",1]",
            "[181,1]",
            "[2]",
            "{}",
        ]);
        let geometry = self.object(&[("type", kind), ("coordinates", place)]);
        let time = self.pick(&TIMES);
        let properties = self.object(&[("timestamp", time), ("device_id", "\"anna\"")]);
        self.object(&[
            ("type", "\"Feature\""),
            ("geometry", &geometry),
            ("properties", &properties),
        ])
    }

    fn overland(&mut self) -> String {
        let count = self.below(4);
        let queue = list(&(0..count).map(|_| self.feature()).collect::<Vec<_>>());
        let current = match self.rarely(3) {
            true => self.feature(),
            false => "null".to_owned(),
        };
        self.object(&[("locations", &queue), ("current", &current)])
    }

    fn own(&mut self) -> String {
        let user = self.pick(&["5", "\"5\"", "\"anna\"", "5.0", "null"]);
        self.object(&[("userId", user), ("lat", "1.50"), ("lng", "-2E0")])
    }
}

fn list(values: &[String]) -> String {
    format!("[{}]", values.join(","))
}
