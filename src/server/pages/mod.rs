//! What the server shows to people, and the module that pages elsewhere import: a table of pages and
//! their parts, made and compressed once at the start. Knows no requests, no sockets and nobody's data.

mod map;
mod setup;
pub mod tiles;

use std::fmt;
use std::rc::Rc;

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};

use crate::server::gzip;
use tiles::Tiles;

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The module that pages elsewhere import, and the map too.
const SPECTATE: &str = "/spectate.js";

/// What a browser asks for before one page's script runs in another (Fetch, 3.2.3).
const FOR_ANY_PAGE: &str = "Access-Control-Allow-Origin: *\r\n";

/// Bytes of a hash in an entity tag, far more than two versions of a page need to differ.
const TAG_BYTES: usize = 15;

/// A part of a page as it is written.
struct Part {
    path: &'static str,
    media_type: &'static str,
    text: &'static str,
}

/// A file at the path that it has in this folder.
macro_rules! source {
    ($media_type:expr, $path:literal) => {
        Part {
            path: concat!("/", $path),
            media_type: $media_type,
            text: include_str!($path),
        }
    };
}

/// All that is served. A module imports only modules above it, so there are no circles.
const PARTS: [Part; 45] = [
    Part {
        path: "/",
        media_type: HTML,
        text: include_str!("map/page.html"),
    },
    source!(SCRIPT, "spectate.js"),
    source!(STYLE, "map/style.css"),
    source!(STYLE, "map/panel.css"),
    source!(SCRIPT, "map/dom.js"),
    source!(SCRIPT, "map/world.js"),
    source!(SCRIPT, "map/labels.js"),
    source!(SCRIPT, "map/ids.js"),
    source!(SCRIPT, "map/names.js"),
    source!(SCRIPT, "map/ages.js"),
    source!(SCRIPT, "map/memory.js"),
    source!(SCRIPT, "map/units.js"),
    source!(SCRIPT, "map/speeds.js"),
    source!(SCRIPT, "map/token.js"),
    source!(SCRIPT, "map/frame.js"),
    source!(SCRIPT, "map/colours.js"),
    source!(SCRIPT, "map/link.js"),
    source!(SCRIPT, "map/status.js"),
    source!(SCRIPT, "map/view.js"),
    source!(SCRIPT, "map/course.js"),
    source!(SCRIPT, "map/runners.js"),
    source!(SCRIPT, "map/words.js"),
    source!(SCRIPT, "map/address.js"),
    source!(SCRIPT, "map/chosen.js"),
    source!(SCRIPT, "map/sheet.js"),
    source!(SCRIPT, "map/rows.js"),
    source!(SCRIPT, "map/details.js"),
    source!(SCRIPT, "map/follows.js"),
    source!(SCRIPT, "map/sprites.js"),
    source!(SCRIPT, "map/dots.js"),
    source!(SCRIPT, "map/tags.js"),
    source!(SCRIPT, "map/trails.js"),
    source!(SCRIPT, "map/gestures.js"),
    source!(SCRIPT, "map/ground.js"),
    source!(SCRIPT, "map/draw.js"),
    source!(SCRIPT, "map/list.js"),
    source!(SCRIPT, "map/share.js"),
    source!(SCRIPT, "map/talk.js"),
    source!(SCRIPT, "map/start.js"),
    Part {
        path: "/setup",
        media_type: HTML,
        text: include_str!("setup/page.html"),
    },
    source!(STYLE, "setup/style.css"),
    source!(SCRIPT, "setup/links.js"),
    source!(SCRIPT, "setup/card.js"),
    source!(SCRIPT, "setup/heard.js"),
    source!(SCRIPT, "setup/start.js"),
];

/// Which page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PageId(usize);

impl PageId {
    /// The page at this path, if there is one.
    pub fn at(path: &str) -> Option<PageId> {
        let index = PARTS.iter().position(|source| source.path == path);
        index.map(PageId)
    }
}

impl fmt::Debug for PageId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(PARTS[self.0].path)
    }
}

/// All pages as they are served.
#[derive(Debug)]
pub struct Pages([Page; PARTS.len()]);

impl Pages {
    /// The pages, with these tiles on the map, and the course if there is one. Whom `frame_ancestors`
    /// names may frame it; this is a directive of its policy, and without it all may. Nobody may frame the set-up page.
    pub fn new(tiles: &Tiles, has_course: bool, frame_ancestors: Option<&str>) -> Pages {
        Pages(PARTS.each_ref().map(|source| {
            let Part {
                path,
                media_type,
                text,
            } = source;
            let (headers, text) = match *path {
                "/" => (
                    map::headers(tiles, frame_ancestors),
                    map::html(text, &module_links(&[SPECTATE, "/map/"]), tiles, has_course),
                ),
                "/setup" => (
                    setup::headers(),
                    setup::html(text, &module_links(&["/setup/"])),
                ),
                // Whoever imports it is let in, or not, when it connects.
                SPECTATE => (FOR_ANY_PAGE.to_owned(), (*text).to_owned()),
                _ => (String::new(), (*text).to_owned()),
            };
            let packed = gzip::smallest(text.as_bytes());
            Page::new(media_type, &headers, text.into_bytes(), packed)
        }))
    }

    /// One of them.
    pub fn get(&self, id: PageId) -> &Page {
        &self.0[id.0]
    }
}

/// A page in all encodings that it is sent in.
#[derive(Debug)]
pub struct Page {
    /// The value of `Content-Type`.
    pub media_type: &'static str,
    /// As it is.
    pub plain: Representation,
    /// Compressed.
    pub gzip: Representation,
}

impl Page {
    /// JSON that is made while the server runs, and may be long.
    pub(crate) fn of_json(text: &str) -> Page {
        let packed = gzip::fast(text.as_bytes());
        Page::new("application/json", "", text.as_bytes().to_vec(), packed)
    }

    /// What is kept to be sent often, also by gzip, with these header lines, each with its CRLF.
    pub(crate) fn new(
        media_type: &'static str,
        headers: &str,
        content: Vec<u8>,
        packed: Vec<u8>,
    ) -> Page {
        let headers = format!("{headers}X-Content-Type-Options: nosniff\r\n");
        let gzip_headers = format!("{headers}Content-Encoding: gzip\r\n");
        Page {
            media_type,
            plain: Representation::new(headers, content),
            gzip: Representation::new(gzip_headers, packed),
        }
    }
}

/// A page in one encoding.
#[derive(Debug)]
pub struct Representation {
    /// Its strong entity tag, with the quotes (RFC 9110, 8.8.3). No other encoding has the same.
    pub etag: String,
    /// Header lines that go with it, each with its CRLF.
    pub headers: String,
    /// Its bytes.
    pub body: Rc<[u8]>,
}

impl Representation {
    fn new(headers: String, body: Vec<u8>) -> Representation {
        let hash = digest(&SHA256, &body);
        let etag = format!(
            "\"{}\"",
            BASE64URL_NOPAD.encode(&hash.as_ref()[..TAG_BYTES])
        );
        Representation {
            headers: format!("{headers}ETag: {etag}\r\n"),
            etag,
            body: body.into(),
        }
    }
}

/// Has a browser ask for all modules below these paths at once, instead of one import after the other.
fn module_links(paths: &[&str]) -> String {
    let is_below = |part: &&Part| paths.iter().any(|path| part.path.starts_with(path));
    let scripts = PARTS.iter().filter(|part| part.media_type == SCRIPT);
    scripts
        .filter(is_below)
        .map(|source| source.path.trim_start_matches('/'))
        .map(|path| format!("<link rel=\"modulepreload\" href=\"{path}\">\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::io::Read;
    use std::path::Path;

    use flate2::read::GzDecoder;

    use super::*;

    /// The paths of the modules that a module imports.
    fn imports(source: &Part) -> Vec<String> {
        let lines = source.text.lines();
        lines
            .filter(|line| line.starts_with("import "))
            .map(|line| {
                let name = line.split('\'').nth(1).expect("a module");
                match (name.strip_prefix("./"), name.strip_prefix("..")) {
                    (Some(beside), _) => {
                        let (folder, _) = source.path.rsplit_once('/').expect("a folder");
                        format!("{folder}/{beside}")
                    }
                    (None, Some(path)) => path.to_owned(),
                    _ => panic!("{line}"),
                }
            })
            .collect()
    }

    fn scripts() -> impl Iterator<Item = &'static Part> {
        PARTS.iter().filter(|source| source.media_type == SCRIPT)
    }

    #[test]
    fn every_module_that_is_imported_is_served_and_every_served_one_is_imported() {
        let served: BTreeSet<String> = scripts().map(|source| source.path.to_owned()).collect();
        let mut imported: BTreeSet<String> = scripts().flat_map(imports).collect();
        for own in ["/map/start.js", "/setup/start.js"] {
            assert!(imported.insert(own.to_owned()), "a page's own");
        }
        assert_eq!(served, imported);
    }

    #[test]
    fn no_module_imports_one_below_it() {
        let mut above = BTreeSet::new();
        for source in scripts() {
            for import in imports(source) {
                assert!(above.contains(&import), "{} imports {import}", source.path);
            }
            above.insert(source.path.to_owned());
        }
    }

    #[test]
    fn every_file_of_the_pages_is_served() {
        let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/pages");
        for page in ["map", "setup"] {
            for entry in fs::read_dir(pages.join(page)).expect("a folder") {
                let name = entry.expect("an entry").file_name();
                let name = name.to_str().expect("UTF-8");
                let is_served = PageId::at(&format!("/{page}/{name}")).is_some();
                assert!(is_served || name == "page.html", "{page}/{name}");
            }
        }
    }

    #[test]
    fn text_becomes_markup_nowhere() {
        for source in PARTS {
            for sink in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
            ] {
                assert!(!source.text.contains(sink), "{} says {sink}", source.path);
            }
        }
    }

    #[test]
    fn a_compressed_page_is_the_same_page_in_fewer_bytes() {
        for Page { plain, gzip, .. } in &Pages::new(&Tiles::None, false, None).0 {
            let mut inflated = Vec::new();
            let read = GzDecoder::new(&gzip.body[..]).read_to_end(&mut inflated);
            read.expect("gzip");
            assert_eq!(inflated, *plain.body);
            assert!(gzip.body.len() < plain.body.len());
        }
    }

    #[test]
    fn entity_tags_are_strong_and_no_two_are_the_same_until_pages_are() {
        let [one, same, other] = ["none", "none", tiles::OPENSTREETMAP]
            .map(|tiles| Pages::new(&Tiles::parse(tiles).expect("tiles"), false, None));
        let tags = |pages: &Pages| -> Vec<String> {
            let pages = pages.0.iter();
            pages
                .flat_map(|page| [page.plain.etag.clone(), page.gzip.etag.clone()])
                .collect()
        };
        assert_eq!(tags(&one), tags(&same));
        assert_ne!(tags(&one)[..2], tags(&other)[..2]);
        let distinct: BTreeSet<String> = tags(&one).into_iter().collect();
        assert_eq!(distinct.len(), 2 * PARTS.len());
        for tag in distinct {
            let inside = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            let inside = inside.expect("quotes, and no W/ before them");
            assert!(!inside.contains(['"', ',', ' ']), "{tag}");
        }
    }
}
