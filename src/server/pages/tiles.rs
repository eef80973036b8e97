//! What lies under the runners on the map, as it is told on the command line. Knows no page.

/// The tiles that the map has if it is told nothing else. They are to be credited, and asked for
/// with a `Referer` (<https://operations.osmfoundation.org/policies/tiles/>).
pub const OPENSTREETMAP: &str = "https://tile.openstreetmap.org/{z}/{x}/{y}.png";

/// The last zoom of tiles of which nothing is said: the last of OpenStreetMap's.
const USUAL_ZOOM_MAX: u8 = 19;

/// The last zoom that anybody has tiles of.
const ZOOM_MAX: u8 = 24;

/// What lies under the runners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tiles {
    /// A plain grid.
    None,
    /// Raster tiles of 256 pixels in Web Mercator.
    At {
        /// The URL of a tile, with `{z}`, `{x}` and `{y}`.
        template: String,
        /// The last zoom that there are tiles of.
        zoom_max: u8,
        /// The scheme, host and port in it.
        origin: String,
        /// Whom to credit for them, in plain text; empty for OpenStreetMap.
        credit: String,
    },
}

impl Tiles {
    /// Reads `none`, or a URL template, perhaps with a space and a credit behind it. Its `{z}` may
    /// name the last zoom that there are tiles of: `{z:17}`.
    ///
    /// # Errors
    /// A line that says what to type instead.
    pub fn parse(text: &str) -> Result<Tiles, String> {
        if text == "none" {
            return Ok(Tiles::None);
        }
        let refuse = |what: &str| Err(format!("{text:?} {what} (try {OPENSTREETMAP}, or none)"));
        let (template, credit) = text.trim().split_once(' ').unwrap_or((text, ""));
        let (template, zoom_max) = match split_zoom(template) {
            Ok(parts) => parts,
            Err(zoom) => {
                return refuse(&format!(
                    "is no tile URL: {zoom:?} is no zoom, which is 0 to {ZOOM_MAX}, as in {{z:17}}"
                ));
            }
        };
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
        let origin = format!("{scheme}://{host}");
        Ok(Tiles::At {
            template,
            zoom_max,
            origin,
            credit: credit.trim().to_owned(),
        })
    }
}

/// A template with a plain `{z}`, and the last zoom of its tiles; or what stands in the place of that.
fn split_zoom(template: &str) -> Result<(String, u8), &str> {
    let named = template
        .split_once("{z:")
        .and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    let Some((before, (zoom, after))) = named else {
        return Ok((template.to_owned(), USUAL_ZOOM_MAX));
    };
    let is_number = zoom.bytes().all(|byte| byte.is_ascii_digit());
    match zoom.parse() {
        Ok(zoom_max) if is_number && zoom_max <= ZOOM_MAX => {
            Ok((format!("{before}{{z}}{after}"), zoom_max))
        }
        _ => Err(zoom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_zoom_of_the_tiles_stands_in_the_template_or_is_the_usual_one() {
        for (text, zoom) in [
            (OPENSTREETMAP, 19),
            ("https://t.example/{z:17}/{x}/{y}.png", 17),
            ("https://t.example/{z:0}/{x}/{y}.png © Someone", 0),
            ("https://t.example/{z:24}/{x}/{y}.png", 24),
        ] {
            let Ok(Tiles::At {
                template, zoom_max, ..
            }) = Tiles::parse(text)
            else {
                panic!("{text} is refused");
            };
            assert_eq!(zoom_max, zoom);
            assert!(template.contains("/{z}/{x}/{y}.png"), "{template}");
        }
        for zoom in ["", "25", "-1", "+1", "1.5", "zoom", "256"] {
            let text = format!("https://t.example/{{z:{zoom}}}/{{x}}/{{y}}.png");
            let refusal = Tiles::parse(&text).expect_err(&text);
            let reason = format!("{zoom:?} is no zoom, which is 0 to 24, as in {{z:17}}");
            assert!(refusal.contains(&reason), "{refusal}");
        }
    }

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
            ("https://t.example/{z:17/{x}/", "\"17/{x\" is no zoom"),
            ("https://t.example/{z}/{x}.png", "it needs {y} once"),
            (
                "https://t.example/{z:17}/{z}/{x}/{y}.png",
                "it needs {z} once",
            ),
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
