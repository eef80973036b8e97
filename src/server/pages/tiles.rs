//! What lies under the runners on the map, as it is told on the command line. Knows no page.

/// The tiles that the map has if it is told nothing else. They are to be credited, and asked for
/// with a `Referer` (<https://operations.osmfoundation.org/policies/tiles/>).
pub const OPENSTREETMAP: &str = "https://tile.openstreetmap.org/{z}/{x}/{y}.png";

/// What lies under the runners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tiles {
    /// A plain grid.
    None,
    /// Raster tiles of 256 pixels in Web Mercator.
    At {
        /// The URL of a tile, with `{z}`, `{x}` and `{y}`.
        template: String,
        /// The scheme, host and port in it.
        origin: String,
        /// Whom to credit for them, in plain text; empty for OpenStreetMap.
        credit: String,
    },
}

impl Tiles {
    /// Reads `none`, or a URL template, perhaps with a space and a credit behind it.
    ///
    /// # Errors
    /// A line that says what to type instead.
    pub fn parse(text: &str) -> Result<Tiles, String> {
        if text == "none" {
            return Ok(Tiles::None);
        }
        let refuse = |what: &str| Err(format!("{text:?} {what} (try {OPENSTREETMAP}, or none)"));
        let (template, credit) = text.trim().split_once(' ').unwrap_or((text, ""));
        let mut bare = template.to_owned();
        for part in ["{z}", "{x}", "{y}"] {
            if template.matches(part).count() != 1 {
                return refuse(&format!("is no tile URL: it needs {part} once"));
            }
            bare = bare.replace(part, "0");
        }
        let is_plain = |c: char| c.is_ascii_graphic() && !"\"'<>\\^`{|}".contains(c);
        if let Some(c) = bare.chars().find(|c| !is_plain(*c)) {
            return refuse(&format!("is no tile URL: {c:?} cannot stand in it"));
        }
        let Some((scheme @ ("http" | "https"), rest)) = template.split_once("://") else {
            return refuse("is no tile URL: it must begin with http:// or https://");
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if host.is_empty() || !host.chars().all(is_host) {
            return refuse("is no tile URL: it needs a plain host name");
        }
        Ok(Tiles::At {
            template: template.to_owned(),
            origin: format!("{scheme}://{host}"),
            credit: credit.trim().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_taken_or_refused_in_words() {
        assert_eq!(Tiles::parse("none"), Ok(Tiles::None));
        for (text, origin, credit) in [
            (OPENSTREETMAP, "https://tile.openstreetmap.org", ""),
            (
                "http://[::1]:8081/{z}/{x}/{y}.png?k=1&l=2",
                "http://[::1]:8081",
                "",
            ),
            (
                "https://t.example/{z}/{y}/{x} © Someone & Co",
                "https://t.example",
                "© Someone & Co",
            ),
        ] {
            let Ok(Tiles::At {
                origin: o,
                credit: c,
                ..
            }) = Tiles::parse(text)
            else {
                panic!("{text} is refused");
            };
            assert_eq!((o.as_str(), c.as_str()), (origin, credit));
        }
        for (text, reason) in [
            ("", "it needs {z} once"),
            ("off", "it needs {z} once"),
            ("https://t.example/{z}/{x}.png", "it needs {y} once"),
            (
                "https://{s}.t.example/{z}/{x}/{y}.png",
                "'{' cannot stand in it",
            ),
            ("https://t.example/{z}/{x}/{y}\"", "'\"' cannot stand in it"),
            (
                "ftp://t.example/{z}/{x}/{y}",
                "must begin with http:// or https://",
            ),
            ("/{z}/{x}/{y}.png", "must begin with http:// or https://"),
            ("https:///{z}/{x}/{y}.png", "plain host name"),
            ("https://t.example;x/{z}/{x}/{y}.png", "plain host name"),
            ("https://me@t.example/{z}/{x}/{y}.png", "plain host name"),
            ("https://{z}{x}{y}/", "plain host name"),
        ] {
            let refusal = Tiles::parse(text).expect_err(text);
            assert!(refusal.contains(reason), "{refusal}");
        }
    }
}
