//! The live map's document: its HTML with the tiles in it, and the policy that lets it speak to this
//! server and to its tile server alone. Knows no sockets and nobody's data.

use std::fmt::Write;

use super::tiles::Tiles;

const OPENSTREETMAP_CREDIT: &str = "© <a href=\"https://www.openstreetmap.org/copyright\" \
     target=\"_blank\" rel=\"noopener\">OpenStreetMap contributors</a>";

/// The document, out of its template and the links to its modules. Where there is no course it does
/// not ask for one: browsers complain of each answer that is an error.
pub(super) fn html(template: &str, modules: &str, tiles: &Tiles, has_course: bool) -> String {
    let (url, zoom, credit) = match tiles {
        Tiles::None => Default::default(),
        Tiles::At {
            template,
            zoom_max,
            credit,
            ..
        } => {
            let credit = match credit.as_str() {
                "" => OPENSTREETMAP_CREDIT.to_owned(),
                credit => escape(credit),
            };
            (escape(template), zoom_max.to_string(), credit)
        }
    };
    template
        .replace("{modules}", modules)
        .replace("{tiles}", &url)
        .replace("{zoom}", &zoom)
        .replace("{course}", if has_course { "course" } else { "" })
        .replace("{credit}", &credit)
}

/// The header lines that go with it, each with its CRLF.
pub(super) fn headers(tiles: &Tiles, frame_ancestors: Option<&str>) -> String {
    let origin = match tiles {
        Tiles::None => "",
        Tiles::At { origin, .. } => origin,
    };
    let img_src = format!("img-src data: {origin}");
    let mut policy = vec![
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        // WebSockets of the same host too: 'self' covers wss for https, and ws for http
        // (Content Security Policy 3, "scheme-part matches").
        "connect-src 'self'",
        img_src.trim_end(),
        "base-uri 'none'",
        "form-action 'none'",
        // Text becomes markup nowhere.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ];
    policy.extend(frame_ancestors);
    let policy = policy.join("; ");
    // The tile server must learn which site asks, and must not learn who is followed.
    format!("Content-Security-Policy: {policy}\r\nReferrer-Policy: strict-origin\r\n")
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
    use super::super::tiles::OPENSTREETMAP;
    use super::*;

    const TEMPLATE: &str = include_str!("map/page.html");

    fn tiles(text: &str) -> Tiles {
        Tiles::parse(text).expect("tiles")
    }

    fn page(text: &str) -> String {
        html(TEMPLATE, "<link>", &tiles(text), true)
    }

    #[test]
    fn the_document_is_filled_in_and_credits_its_tiles_once() {
        let page = page(OPENSTREETMAP);
        for left in ["{modules}", "{tiles}", "{zoom}", "{course}", "{credit}"] {
            assert!(TEMPLATE.contains(left) && !page.contains(left), "{left}");
        }
        assert_eq!(page.matches("OpenStreetMap contributors").count(), 1);
        assert!(page.contains(&escape(OPENSTREETMAP)));
        assert!(!super::tests::page("none").contains("openstreetmap"));
        assert!(page.contains(" data-tiles-zoom=\"19\""));
        assert!(page.contains(" data-course=\"course\""));
        let without = html(TEMPLATE, "", &Tiles::None, false);
        assert!(without.contains(" data-course=\"\""));
    }

    #[test]
    fn what_the_operator_writes_about_tiles_is_text_and_never_markup() {
        let page = page("https://t.example/{z}/{x}/{y}.png?a&b <b>\"'{tiles}&{modules}");
        assert!(page.contains(
            "data-tiles=\"https://t.example/&#123;z&#125;/&#123;x&#125;/&#123;y&#125;.png?a&#38;b\""
        ));
        assert!(
            page.contains(">&#60;b&#62;&#34;&#39;&#123;tiles&#125;&#38;&#123;modules&#125;</p>")
        );
        assert_eq!(page.matches("<link>").count(), 1);
    }

    #[test]
    fn the_policy_names_this_server_and_the_tile_server_and_nothing_inline() {
        let with = headers(
            &tiles("https://t.example:444/a/{z}/{x}/{y}.png"),
            Some("frame-ancestors 'self'"),
        );
        for source in [
            " default-src 'none'; ",
            " script-src 'self'; ",
            " style-src 'self'; ",
            " connect-src 'self'; ",
            " img-src data: https://t.example:444; ",
            " trusted-types 'none'; ",
            " frame-ancestors 'self'\r\n",
        ] {
            assert!(with.contains(source), "{source} in {with}");
        }
        let all_may_frame = headers(&Tiles::None, None);
        assert!(all_may_frame.contains("; img-src data:; "));
        assert!(!all_may_frame.contains("frame-ancestors"));
        for inline in ["unsafe", "sha256", "nonce", "*"] {
            assert!(!with.contains(inline), "{inline} in {with}");
        }
        assert!(with.ends_with("\r\n") && !with.contains("\r\n\r\n"));
    }

    #[test]
    fn nothing_in_the_document_is_inline() {
        let page = page(OPENSTREETMAP);
        for inline in ["<style", " style=", "javascript:"] {
            assert!(!page.contains(inline), "{inline}");
        }
        for rest in page.split(" on").skip(1) {
            let word = rest.trim_start_matches(|c: char| c.is_ascii_lowercase());
            assert!(!word.starts_with('='), "on{rest}");
        }
        assert_eq!(page.matches("<script").count(), 1);
        assert!(page.contains("<script type=\"module\" src=\"map/start.js\"></script>"));
    }
}
