//! On what conditions a page is asked for: in which encoding, and only if it is not held already.
//! Knows no sockets and nobody's data.

/// What a request says about the page that it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    takes_gzip: bool,
    /// The entity tags of what the asker holds.
    held: Vec<Vec<u8>>,
}

impl Conditions {
    /// Reads the items of `Accept-Encoding` and of `If-None-Match`, over all lines of these names.
    pub fn new<'h>(
        accept_encoding: impl Iterator<Item = &'h [u8]>,
        if_none_match: impl Iterator<Item = &'h [u8]>,
    ) -> Conditions {
        Conditions {
            takes_gzip: takes_gzip(accept_encoding),
            held: if_none_match.map(<[u8]>::to_vec).collect(),
        }
    }

    /// Whether gzip is welcome, and no less so than no encoding at all.
    pub fn takes_gzip(&self) -> bool {
        self.takes_gzip
    }

    /// Whether the asker holds what has this tag, by the weak comparison (RFC 9110, 13.1.2).
    pub fn hold(&self, etag: &str) -> bool {
        // In a list a star is a piece of a tag that had commas in it. Ours have none.
        self.held == [b"*"]
            || self.held.iter().any(|tag| {
                let opaque = tag.strip_prefix(b"W/").unwrap_or(tag);
                opaque == etag.as_bytes()
            })
    }
}

/// RFC 9110, 12.5.3. Who names no encoding gets none.
fn takes_gzip<'h>(items: impl Iterator<Item = &'h [u8]>) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for item in items {
        let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let coding = parts.next().unwrap_or_default().to_ascii_lowercase();
        let place = match &coding[..] {
            b"gzip" | b"x-gzip" => &mut gzip,
            b"identity" => &mut identity,
            b"*" => &mut any,
            _ => continue,
        };
        *place = Some(parts.next().map_or(1.0, weight));
    }
    let gzip = gzip.or(any).unwrap_or(0.0);
    gzip > 0.0 && gzip >= identity.or(any).unwrap_or(0.0)
}

/// The weight that `q=` gives (RFC 9110, 12.4.2). What is none refuses.
fn weight(parameter: &[u8]) -> f32 {
    let value = match parameter {
        [b'q' | b'Q', b'=', value @ ..] => str::from_utf8(value).ok(),
        _ => None,
    };
    let weight = value.and_then(|value| value.parse().ok());
    weight
        .filter(|weight| (0.0..=1.0).contains(weight))
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(list: &str) -> impl Iterator<Item = &[u8]> {
        list.split(',').map(|item| item.trim().as_bytes())
    }

    #[test]
    fn gzip_goes_to_who_takes_it_and_does_not_like_it_plain_better() {
        for (accepted, gzip) in [
            ("gzip", true),
            ("GZip", true),
            ("x-gzip", true),
            ("deflate, gzip, br, zstd", true),
            ("gzip;q=1.000", true),
            ("gzip; q=0.001", true),
            ("gzip ;Q=0.5", true),
            ("gzip;q=0.5, identity;q=0.5", true),
            ("*", true),
            ("br, *;q=0.1", true),
            ("identity;q=0, gzip;q=0.1", true),
            (", ,gzip", true),
            ("", false),
            ("identity", false),
            ("br, deflate", false),
            ("gzip2, agzip", false),
            ("gzip;q=0", false),
            ("gzip;q=0.000", false),
            ("*;q=0", false),
            ("gzip;q=0, *", false),
            ("*, gzip;q=0", false),
            ("gzip;q=0.5, identity", false),
            ("gzip;q=0.5, *;q=0.8", false),
            ("gzip;q=", false),
            ("gzip;q=nan", false),
            ("gzip;q=-1", false),
            ("gzip;q=2", false),
            ("gzip;level=9", false),
        ] {
            let conditions = Conditions::new(items(accepted), items(""));
            assert_eq!(conditions.takes_gzip(), gzip, "{accepted}");
        }
        assert!(!Conditions::new([].into_iter(), [].into_iter()).takes_gzip());
    }

    #[test]
    fn a_page_is_held_by_who_names_its_tag_or_a_lone_star() {
        for (held, is_held) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("\"x\", W/\"y\", \"abc\"", true),
            ("*", true),
            ("", false),
            ("\"x\"", false),
            ("abc", false),
            ("\"ABC\"", false),
            ("w/\"abc\"", false),
            ("\"abc", false),
            ("\"x,*,y\"", false),
            ("\"x\", *", false),
        ] {
            let conditions = Conditions::new(items(""), items(held));
            assert_eq!(conditions.hold("\"abc\""), is_held, "{held}");
        }
        assert!(!Conditions::new([].into_iter(), [].into_iter()).hold("\"abc\""));
    }
}
