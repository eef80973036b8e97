//! The way that the runners take: a GPX file to the answer that has it drawn on maps, made once and
//! held. Knows no requests and no sockets.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use log::{error, info, warn};

use super::gzip;
use super::pages::Page;
use crate::gpx::{self, FILE_BYTES_MAX, Track};
use crate::protocol::{Way, encode_way};

/// Most points of a course: a day of one a second. More would be a burden to the phones that draw
/// them, and to those who wait while it is read.
pub(super) const COURSE_POINTS_MAX: usize = 100_000;

/// Most characters of a name.
const NAME_CHARS_MAX: usize = 200;

const GEO_JSON: &str = "application/geo+json";

/// A course, and where it is read again.
#[derive(Debug)]
pub(super) struct Course {
    file: PathBuf,
    drawn: Drawn,
}

/// A course as it is answered.
#[derive(Debug)]
struct Drawn {
    points: usize,
    length_m: f64,
    page: Page,
    /// What of the file could not be used.
    flaws: Vec<String>,
}

impl Course {
    /// The first track of a file that leads somewhere, or the first such route.
    ///
    /// # Errors
    /// A line for the operator.
    pub(super) fn load(file: &Path) -> Result<Course, String> {
        let course = Course {
            file: file.to_owned(),
            drawn: draw(file)?,
        };
        course.warn_of_flaws();
        Ok(course)
    }

    /// Reads it again. If the file cannot be used it stays as it is.
    pub(super) fn reload(&mut self) {
        let drawn = match fs::metadata(&self.file) {
            // The loop would wait for whoever writes into a pipe.
            Ok(metadata) if !metadata.is_file() => {
                Err(format!("cannot read {}: no file", self.file.display()))
            }
            _ => draw(&self.file),
        };
        match drawn {
            Ok(drawn) => {
                self.drawn = drawn;
                self.warn_of_flaws();
                let Drawn {
                    points, length_m, ..
                } = self.drawn;
                info!("reload course points={points} length_m={length_m:.0}");
            }
            Err(line) => error!("reload error=\"{line}\" course=unchanged"),
        }
    }

    /// What `/course` answers.
    pub(super) fn page(&self) -> &Page {
        &self.drawn.page
    }

    fn warn_of_flaws(&self) {
        for flaw in &self.drawn.flaws {
            warn!("course {}: {flaw}", self.file.display());
        }
    }
}

fn draw(file: &Path) -> Result<Drawn, String> {
    let shown = file.display();
    let bytes = bytes_of(file).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let (page, track, flaws) =
        page_of(&bytes).map_err(|cause| format!("{shown} is no course: {cause}"))?;
    Ok(Drawn {
        points: track.points().len(),
        length_m: track.length_m(),
        page,
        flaws,
    })
}

/// No more of a file than shows that it is too large.
fn bytes_of(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(file)?;
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn page_of(bytes: &[u8]) -> Result<(Page, Track, Vec<String>), String> {
    // Their words may be the file's own, whatever those would do to a terminal.
    let told = |fault: &gpx::Fault| fault.to_string().escape_debug().to_string();
    let gpx = gpx::read(bytes).map_err(|fault| told(&fault))?;
    let flaws: Vec<String> = gpx.flaws.iter().map(told).collect();
    if !gpx.is_whole {
        // Half a course would be a wrong one.
        return Err(flaws.join("; "));
    }
    let track = gpx.tracks.into_iter().next().unwrap_or_default();
    let points = track.points().len();
    if points > COURSE_POINTS_MAX {
        return Err(format!(
            "it has {points} points, and at most {COURSE_POINTS_MAX} are drawn: have it simplified"
        ));
    }
    let name = track.name.as_deref().map(shown_name);
    let way = Way {
        name: name.as_deref(),
        length_m: track.length_m(),
        gaps: track.gaps(),
    };
    let places = track.points().iter().map(|point| (point.lat, point.lng));
    let text = encode_way(way, places);
    // Connections wait while it is read again.
    let packed = gzip::fast(&text);
    Ok((Page::new(GEO_JSON, "", text, packed), track, flaws))
}

/// A name in one line of a bounded length.
fn shown_name(name: &str) -> String {
    let words: Vec<&str> = name.split(|c: char| c.is_control()).collect();
    words.join(" ").chars().take(NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(gpx: &str) -> Result<String, String> {
        let (page, ..) = page_of(gpx.as_bytes())?;
        Ok(String::from_utf8(page.plain.body.to_vec()).expect("UTF-8"))
    }

    #[test]
    fn a_name_is_one_line_of_a_bounded_length() {
        let way = r#"<trkseg><trkpt lat="1" lon="2"/><trkpt lat="1" lon="3"/></trkseg>"#;
        let long = format!(
            "<gpx><trk><name>{}\n\"9&amp;</name>{way}</trk></gpx>",
            "ä".repeat(150)
        );
        let text_of_long = text(&long).expect("a course");
        let told = format!(r#""name":"{} \"9&","length":"#, "ä".repeat(150));
        assert!(text_of_long.contains(&told), "{text_of_long}");
        let longer = long.replace('ä', "öü");
        let told = format!(r#""name":"{}","#, "öü".repeat(100));
        assert!(text(&longer).expect("a course").contains(&told));
    }

    #[test]
    fn more_points_than_are_drawn_are_refused_and_as_many_fit_into_what_is_counted_for_them() {
        // The longest that there are.
        let pair = r#"<trkpt lat="-1.2345678901234567e-300" lon="-1.2345678901234561e-300"/><trkpt lat="-89.12345678901234" lon="-179.12345678901234"/>"#;
        let file = |pairs| {
            format!(
                "<gpx><rte>{}</rte></gpx>",
                pair.replace("trk", "rte").repeat(pairs)
            )
        };
        let (page, track, _) = page_of(file(COURSE_POINTS_MAX / 2).as_bytes()).expect("as many");
        assert_eq!(track.points().len(), COURSE_POINTS_MAX);
        let held = page.plain.body.len() + page.gzip.body.len();
        assert!(held < COURSE_POINTS_MAX * 80, "{held}");
        let refused = text(&file(COURSE_POINTS_MAX / 2 + 1)).expect_err("more");
        assert!(refused.contains("100002 points"), "{refused}");
    }
}
