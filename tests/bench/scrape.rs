//! What a server says of itself, as Prometheus reads it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The metrics at one moment.
pub(crate) struct Scrape(String);

impl Scrape {
    /// What a server says.
    pub(crate) fn read(server: SocketAddr) -> Result<Scrape, String> {
        let words = |error: std::io::Error| format!("metrics: {error}");
        let mut stream = TcpStream::connect(server).map_err(words)?;
        let request = b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).map_err(words)?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(words)?;
        Ok(Scrape(text))
    }

    /// Of the first sample that begins so.
    pub(crate) fn value(&self, name: &str) -> f64 {
        let mut lines = self.0.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.split(' ').nth(1)?.parse().ok());
        value.unwrap_or(0.0)
    }

    /// All of it.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.lines()
    }
}
