//! How a position was said. Knows nothing of the requests themselves.

/// The languages in which positions come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A message of ours over WebSocket.
    WebSocket,
    /// Names and values in a query or a form: OsmAnd, GPSLogger, Traccar Client up to version 8.
    Osmand,
    /// The JSON of Traccar Client from version 9 on.
    Traccar,
    /// The JSON of OwnTracks.
    OwnTracks,
    /// The JSON of Overland.
    Overland,
    /// Our own positions over HTTP.
    Json,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 6] = [
        Dialect::WebSocket,
        Dialect::Osmand,
        Dialect::Traccar,
        Dialect::OwnTracks,
        Dialect::Overland,
        Dialect::Json,
    ];

    /// The word for it in metrics and answers.
    pub fn word(self) -> &'static str {
        match self {
            Dialect::WebSocket => "websocket",
            Dialect::Osmand => "osmand",
            Dialect::Traccar => "traccar",
            Dialect::OwnTracks => "owntracks",
            Dialect::Overland => "overland",
            Dialect::Json => "json",
        }
    }
}
