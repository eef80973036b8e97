//! Cards to print: one for each runner, with the QR code of the link that sets a phone up. Text in,
//! one page of HTML out; knows no keys and no files.

use std::fmt::Write as _;

use crate::qr;

/// Largest code on a card: at 55 mm across, a module of version 30 has 0.4 mm.
const VERSION_MAX: u8 = 30;

/// Two beside each other; a row is never on two sheets, whatever the paper.
const CARDS_IN_ROW: usize = 2;

/// Nothing but the page's own style, whatever a name might hold.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

const STYLE: &str = "\
@page { margin: 10mm; }
* { box-sizing: border-box; margin: 0; }
body { font: 11pt/1.35 system-ui, sans-serif; color: #000; background: #fff; max-width: 190mm; margin: auto; }
.row { display: flex; break-inside: avoid; }
.card { width: 50%; min-height: 84mm; padding: 4mm; border: .3mm dashed #777; margin: 0 -.3mm -.3mm 0;
  display: flex; flex-direction: column; align-items: center; text-align: center; overflow-wrap: anywhere; }
h2 { font-size: 13pt; line-height: 1.2; }
h2, p { max-width: 100%; flex: none; }
svg { width: 55mm; height: 55mm; flex: none; margin: auto; }
.id, .host { font-size: 9pt; }
.host { font-weight: 600; }
.until { font-size: 8pt; }
";

/// What stands on a card.
pub(super) struct Card<'a> {
    /// The display name.
    pub(super) name: &'a str,
    /// The text of the user id.
    pub(super) id: &'a str,
    /// The link that the code holds.
    pub(super) link: String,
}

/// A page with these cards, for a server of this host (and port), good until this date.
///
/// # Errors
/// When a link has more bytes than a code on a card can hold.
pub(super) fn page(cards: &[Card], host: &str, until: &str) -> Result<String, String> {
    let (host, until) = (escape(host), escape(until));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Cards for {host}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
    );
    for row in cards.chunks(CARDS_IN_ROW) {
        page.push_str("<div class=\"row\">\n");
        for card in row {
            let (name, id) = (escape(card.name), escape(card.id));
            let code = code(&card.link)?;
            // Writing to a String cannot fail.
            let _ = write!(
                page,
                "<section class=\"card\">\n<h2><bdi>{name}</bdi></h2>\n\
                 <p class=\"id\">id <bdi>{id}</bdi></p>\n{code}\n\
                 <p class=\"host\">{host}</p>\n\
                 <p class=\"until\">Scan with your phone. Good until {until}</p>\n</section>\n"
            );
        }
        page.push_str("</div>\n");
    }
    page.push_str("</body>\n</html>\n");
    Ok(page)
}

/// The QR code of a text, as SVG.
fn code(text: &str) -> Result<String, String> {
    qr::svg_in_html(text, VERSION_MAX).ok_or_else(|| {
        format!(
            "a link of {} bytes is too long for a code on a card: try --follow '*', \
             or another kind of key",
            text.len()
        )
    })
}

/// Plain text as it stands in HTML, in attributes too.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' => {
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

    #[test]
    fn a_link_is_in_a_code_or_said_to_be_too_long() {
        assert!(code(&"x".repeat(1370)).is_ok());
        let refused = code(&"x".repeat(1371)).expect_err("too long");
        assert!(refused.contains("1371 bytes"), "{refused}");
        assert!(!refused.contains("xxx"));
    }

    #[test]
    fn what_the_roster_says_is_text_and_never_markup() {
        let card = Card {
            name: "<script>alert('1')</script> & \"Co\"",
            id: "<b>",
            link: "https://race.example.com/setup#token=a.b.c".to_owned(),
        };
        let page = page(&[card], "race.example.com<", "2026-12-05 22:00 UTC").expect("short");
        for markup in ["<script", "<b>", "& \"", "'1'", ".com<<"] {
            assert!(!page.contains(markup), "{markup}");
        }
        assert!(
            page.contains("&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62; &#38; &#34;Co&#34;")
        );
        assert!(!page.contains("token"));
        // Nothing is asked for anywhere.
        assert!(!page.contains("src=") && !page.contains("href="));
    }

    #[test]
    fn rows_hold_two_cards() {
        let cards: Vec<Card> = (0..5)
            .map(|_| Card {
                name: "Anna",
                id: "5",
                link: "https://race.example.com/setup".to_owned(),
            })
            .collect();
        let page = page(&cards, "race.example.com", "2026-12-05 22:00 UTC").expect("short");
        assert_eq!(page.matches("class=\"row\"").count(), 3);
        assert_eq!(page.matches("<section").count(), 5);
        assert_eq!(page.matches("<svg").count(), 5);
    }
}
