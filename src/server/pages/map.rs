//! The live map: one page, put together once from its parts, with a policy that lets it speak to
//! this server and to its tile server alone. Knows no sockets and nobody's data.

use std::fmt::Write;

use data_encoding::BASE64;
use ring::digest::{SHA256, digest};

/// The tiles that the map has if it is told nothing else. They are to be credited, and asked for
/// with a `Referer` (<https://operations.osmfoundation.org/policies/tiles/>).
pub const OPENSTREETMAP: &str = "https://tile.openstreetmap.org/{z}/{x}/{y}.png";

const OPENSTREETMAP_CREDIT: &str = "© <a href=\"https://www.openstreetmap.org/copyright\" \
     target=\"_blank\" rel=\"noopener\">OpenStreetMap contributors</a>";

const PAGE: &str = include_str!("map/page.html");
const STYLE: &str = include_str!("map/style.css");

/// One module: what stands at its top level is run in this order.
const SCRIPT: &str = concat!(
    include_str!("map/view.js"),
    include_str!("map/runners.js"),
    include_str!("map/link.js"),
    include_str!("map/share.js"),
    include_str!("map/ground.js"),
    include_str!("map/draw.js"),
    include_str!("map/panel.js"),
    include_str!("map/start.js"),
);

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

/// The page as it is served.
#[derive(Clone, Debug)]
pub struct Page {
    /// HTML in UTF-8.
    pub html: String,
    /// Header lines, each with its CRLF.
    pub headers: String,
}

impl Page {
    /// The page with this ground.
    pub fn new(tiles: &Tiles) -> Page {
        let style = tighten(&squeeze(STYLE), &STYLE_PUNCTUATION);
        let script = tighten(&squeeze(SCRIPT), &SCRIPT_OPERATORS);
        let (template, origin, credit) = match tiles {
            Tiles::None => (String::new(), "", String::new()),
            Tiles::At {
                template,
                origin,
                credit,
            } if credit.is_empty() => (
                escape(template),
                origin.as_str(),
                OPENSTREETMAP_CREDIT.to_owned(),
            ),
            Tiles::At {
                template,
                origin,
                credit,
            } => (escape(template), origin.as_str(), escape(credit)),
        };
        let html = squeeze(PAGE)
            .replace("{tiles}", &template)
            .replace("{credit}", &credit)
            .replace("{style}", &style)
            .replace("{script}", &script);
        let policy = [
            "default-src 'none'".to_owned(),
            format!("script-src {}", source(&script)),
            format!("style-src {}", source(&style)),
            // WebSockets of the same host too: 'self' covers wss for https, and ws for http
            // (Content Security Policy 3, "scheme-part matches").
            "connect-src 'self'".to_owned(),
            format!("img-src data: {origin}").trim_end().to_owned(),
            "base-uri 'none'".to_owned(),
            "form-action 'none'".to_owned(),
            "frame-ancestors 'self'".to_owned(),
            // Text becomes markup nowhere.
            "require-trusted-types-for 'script'".to_owned(),
            "trusted-types 'none'".to_owned(),
        ]
        .join("; ");
        // The tile server must learn which site asks, and must not learn who is followed.
        let headers = format!(
            "Content-Security-Policy: {policy}\r\nReferrer-Policy: strict-origin\r\n\
             X-Content-Type-Options: nosniff\r\n"
        );
        Page { html, headers }
    }
}

/// Leaves out what only readers of the source need: indents, blank lines, and comments, which
/// begin at `//` at the start of a line or with spaces around it.
fn squeeze(text: &str) -> String {
    let lines = text.lines().map(str::trim_start);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .fold(String::new(), |mut squeezed, line| {
            squeezed.push_str(line.split(" // ").next().unwrap_or(line));
            squeezed.push('\n');
            squeezed
        })
}

/// What needs no spaces in a style sheet; none of it is in a selector.
const STYLE_PUNCTUATION: [(&str, &str); 6] = [
    (": ", ":"),
    ("; ", ";"),
    (", ", ","),
    (" {", "{"),
    ("{ ", "{"),
    (";}", "}"),
];

/// What needs no spaces in a script; none of it is in a text.
const SCRIPT_OPERATORS: [(&str, &str); 6] = [
    (" => ", "=>"),
    (" === ", "==="),
    (" !== ", "!=="),
    (" && ", "&&"),
    (" || ", "||"),
    (" ?? ", "??"),
];

fn tighten(text: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (loose, tight)| {
        text.replace(loose, tight)
    })
}

/// A source of the policy: this very text (Content Security Policy 3, 2.3.1).
fn source(text: &str) -> String {
    let hash = BASE64.encode(digest(&SHA256, text.as_bytes()).as_ref());
    format!("'sha256-{hash}'")
}

/// Plain text as it stands in HTML, in attributes too.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            // Braces too: what stands in them here is nobody's to replace.
            '&' | '<' | '>' | '"' | '\'' | '{' | '}' => {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(tiles: &str) -> Page {
        Page::new(&Tiles::parse(tiles).expect("tiles"))
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

    #[test]
    fn the_page_is_under_40_kb() {
        let bytes = page(OPENSTREETMAP).html.len();
        assert!(bytes < 40_000, "{bytes} bytes");
    }

    #[test]
    fn the_page_is_all_there_and_nothing_inside_ends_it() {
        let page = page(OPENSTREETMAP);
        for left in ["{style}", "{script}", "{tiles}", "{credit}"] {
            assert!(!page.html.contains(left), "{left}");
        }
        for once in [
            "<script",
            "</script",
            "<style",
            "</style",
            "OpenStreetMap contributors",
        ] {
            assert_eq!(page.html.matches(once).count(), 1, "{once}");
        }
        assert!(page.html.contains(&escape(OPENSTREETMAP)));
        assert!(!super::tests::page("none").html.contains("openstreetmap"));
    }

    #[test]
    fn the_policy_names_the_inline_parts_and_the_tile_server_alone() {
        let with = page("https://t.example:444/a/{z}/{x}/{y}.png <b>\"{script}");
        assert!(with.html.contains("&#60;b&#62;&#34;&#123;script&#125;"));
        assert!(
            with.headers
                .contains("; img-src data: https://t.example:444; ")
        );
        assert!(page("none").headers.contains("; img-src data:; "));
        for (begin, end) in [
            ("<style>", "</style>"),
            ("<script type=\"module\">", "</script>"),
        ] {
            let inline = with
                .html
                .split_once(begin)
                .and_then(|(_, rest)| rest.split_once(end));
            let (inline, _) = inline.expect("it is there");
            assert!(with.headers.contains(&source(inline)), "{begin}");
        }
        for inline in [
            " style=",
            " onclick=",
            " onload=",
            "javascript:",
            "innerHTML",
        ] {
            assert!(!with.html.contains(inline), "{inline}");
        }
        assert!(!with.headers.contains("unsafe"));
        assert!(with.headers.ends_with("\r\n") && !with.headers.contains("\r\n\r\n"));
    }
}
