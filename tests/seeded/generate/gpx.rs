//! GPX files that are nearly right.

use super::Generator;

const COORDINATES: [&str; 14] = [
    "47",
    "47.01",
    "-0",
    "8.123456789012345",
    "90",
    "-90",
    "100",
    "180",
    "-180.5",
    "361",
    "1e999",
    "NaN",
    "",
    "&#52;7",
];

const TIMES: [&str; 8] = [
    "2026-05-01T10:00:00Z",
    "2026-05-01T10:00:01.5+02:00\n",
    "2026-05-01T10:00:02",
    "20260501T100003Z",
    "2026-W18-5T10Z",
    "+12026-05-01T10:00:00Z",
    "noon",
    "",
];

const NAMES: [&str; 6] = [
    "a",
    "Fish & Chips",
    "&lt;&unknown;",
    "<![CDATA[<a>]]>",
    "ä",
    "<b>c</b>",
];

const WORDS: [&str; 20] = [
    "<trk>",
    "</trk>",
    "<trkseg>",
    "</trkseg>",
    "<trkpt lat='1' lon='2'/>",
    "</trkpt>",
    "<rte>",
    "</rte>",
    "<rtept lat='3' lon='4'>",
    "<g:ele>5</g:ele>",
    "<!--",
    "-->",
    "<![CDATA[",
    "<?x",
    "<",
    "&",
    "'",
    "\u{a0}",
    "\u{feff}",
    "<a/>",
];

impl Generator {
    /// A GPX file.
    pub(crate) fn gpx(&mut self) -> Vec<u8> {
        let declaration = self.pick(&[
            "",
            "<?xml version='1.0'?>\n",
            "<?xml version='1.0' encoding='iso-8859-1'?>",
            "<!DOCTYPE gpx [<!ENTITY unknown '&unknown;'>]>",
        ]);
        let mut text = format!("{declaration}<gpx version='1.1'>");
        for _ in 0..1 + self.below(3) {
            let kind = self.pick(&["trk", "trk", "rte", "x"]);
            text += &format!("<{kind}>");
            if self.rarely(3) {
                text += &format!("<name>{}</name>", self.pick(&NAMES));
            }
            for _ in 0..1 + self.below(2) {
                match kind {
                    "rte" => self.points(&mut text, "rtept"),
                    _ => {
                        text += "<trkseg>";
                        self.points(&mut text, "trkpt");
                        text += "</trkseg>";
                    }
                }
            }
            text += &format!("</{kind}>\n");
        }
        text += "</gpx>";
        let mut bytes = match self.below(12) {
            0 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            1 => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            _ => text.into_bytes(),
        };
        self.change(&mut bytes, &WORDS);
        bytes
    }

    fn points(&mut self, text: &mut String, kind: &str) {
        for _ in 0..self.below(4) {
            let good = !self.rarely(4);
            let among = if good {
                &COORDINATES[..4]
            } else {
                &COORDINATES
            };
            let (lat, lon) = (self.pick(among), self.pick(among));
            *text += &format!("<{kind} lat='{lat}' lon=\"{lon}\">");
            if self.rarely(2) {
                *text += &format!("<ele>{}</ele>", self.pick(&COORDINATES));
            }
            if self.rarely(2) {
                *text += &format!("<time>{}</time>", self.pick(&TIMES));
            }
            if self.rarely(8) {
                *text += &format!("<x><name>{}</name></x>", self.pick(&NAMES));
            }
            *text += &format!("</{kind}>");
        }
    }
}
