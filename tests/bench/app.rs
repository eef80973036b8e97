//! What tracker apps send, and the same positions as our own messages. Fields and heads are those of
//! the apps; the places are made of the runner and a number, as in every other scenario.

use std::io::Write;

use crate::wire;

/// Milliseconds of `2026-01-01T00:00:00Z`; each number is a millisecond later, so that no position is
/// late.
const FIRST_MS: u64 = 1_767_225_600_000;

const MS_PER_DAY: u64 = 86_400_000;

/// Whose way to write is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum App {
    /// Traccar Client from version 9 on: an object of some 400 bytes.
    Traccar,
    /// OsmAnd: pairs in the query.
    OsmAnd,
}

impl App {
    pub(crate) fn words(self) -> &'static str {
        match self {
            App::Traccar => "JSON of Traccar Client",
            App::OsmAnd => "pairs of OsmAnd",
        }
    }

    /// Where metrics say that such positions come from.
    pub(crate) fn source(self) -> &'static str {
        match self {
            App::Traccar => "traccar",
            App::OsmAnd => "osmand",
        }
    }

    /// Appends a request: where the runner is for the `number`th time.
    pub(crate) fn append_report(self, runner: u32, number: u64, out: &mut Vec<u8>) {
        let id = wire::id(runner);
        let (lat, lng) = place(number);
        // Writes into a Vec cannot fail.
        match self {
            App::Traccar => {
                let time = time(number);
                let body = format!(
                    r#"{{"location":{{"timestamp":"{time}","coords":{{"latitude":{lat},"longitude":{lng},"accuracy":4.6,"speed":3.1,"heading":271.5,"altitude":24.7}},"is_moving":true,"odometer":1042.5,"event":"motionchange","battery":{{"level":0.87,"is_charging":false}},"activity":{{"type":"running"}},"extras":{{}},"_":"&id={id}&lat={lat}&lon={lng}&timestamp={time}&"}},"device_id":"{id}"}}"#
                );
                let _ = write!(
                    out,
                    "POST / HTTP/1.1\r\nContent-Type: application/json; charset=utf-8\r\n\
                     Content-Length: {}\r\nHost: localhost\r\nConnection: Keep-Alive\r\n\
                     Accept-Encoding: gzip\r\nUser-Agent: okhttp/3.14.9\r\n\r\n{body}",
                    body.len()
                );
            }
            App::OsmAnd => {
                let ms = FIRST_MS + number;
                let _ = write!(
                    out,
                    "GET /?lat={lat}&lon={lng}&timestamp={ms}&hdop=4.5&altitude=24.7&speed=6.0\
                     &bearing=271.5&id={id} HTTP/1.1\r\nUser-Agent: OsmAnd\r\nHost: localhost\r\n\
                     Connection: Keep-Alive\r\nAccept-Encoding: gzip\r\n\r\n"
                );
            }
        }
    }

    /// The message that says the same, and to the followers in the same bytes.
    pub(crate) fn position(self, runner: u32, number: u64) -> String {
        let (id, (lat, lng), ms) = (wire::id(runner), place(number), FIRST_MS + number);
        let head = format!("{{\"userId\":\"{id}\",\"lat\":{lat},\"lng\":{lng}");
        match self {
            App::Traccar => format!(
                "{head},\"accuracy\":4.6,\"altitude\":24.7,\"heading\":271.5,\"speed\":3.1,\
                 \"timestamp\":{ms},\"battery\":0.87}}"
            ),
            // Its accuracy is a multiple of the dilution, and its knots are metres a second here.
            App::OsmAnd => format!(
                "{head},\"accuracy\":22.5,\"altitude\":24.7,\"heading\":271.5,\"speed\":3.087,\
                 \"timestamp\":{ms}}}"
            ),
        }
    }
}

/// Latitude and longitude, with the number in their digits.
fn place(number: u64) -> (String, String) {
    (
        format!("45.{:06}", number / 1_000_000),
        format!("12.{:06}", number % 1_000_000),
    )
}

/// The time in ISO 8601. The month is longer than any run.
fn time(number: u64) -> String {
    let ms = number % MS_PER_DAY;
    format!(
        "2026-01-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        1 + number / MS_PER_DAY,
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1000 % 60,
        ms % 1000
    )
}
