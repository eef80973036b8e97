//! The tracks in the text of a GPX file. Goes through its tags once, and keeps no more of them
//! than which of the elements that count are open.

use std::mem;

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::track::{Fault, Gpx, POINTS_MAX, Point, Track};
use super::value;

/// Deepest nesting of elements that do not count; the files that people have need six.
const DEPTH_MAX: usize = 256;

/// Most characters of the file's own that an explanation repeats.
const EXCERPT_CHARS_MAX: usize = 120;

const DAMAGED: &str = "the gzip data is cut off or damaged";

/// An element that counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Gpx,
    Track,
    Route,
    Segment,
    Point,
    Altitude,
    Time,
    Name,
}

impl Element {
    /// What an element of this name is directly within another; `None` if it does not count.
    fn within(outer: Option<Element>, name: &str) -> Option<Element> {
        Some(match (outer, name) {
            (None, "gpx") => Element::Gpx,
            (Some(Element::Gpx), "trk") => Element::Track,
            (Some(Element::Gpx), "rte") => Element::Route,
            (Some(Element::Track), "trkseg") => Element::Segment,
            (Some(Element::Segment), "trkpt") | (Some(Element::Route), "rtept") => Element::Point,
            (Some(Element::Point), "ele") => Element::Altitude,
            (Some(Element::Point), "time") => Element::Time,
            (Some(Element::Track | Element::Route | Element::Point), "name") => Element::Name,
            _ => return None,
        })
    }

    fn is_value(self) -> bool {
        matches!(self, Element::Altitude | Element::Time | Element::Name)
    }
}

/// How many things of one kind there were, and how many of them were dropped.
#[derive(Default)]
struct Tally {
    all: usize,
    dropped: usize,
    /// Where the first dropped one begins, and what is wrong with it.
    first: Option<(usize, &'static str)>,
}

impl Tally {
    /// Counts one, and hands it on if it is good.
    fn count<T>(&mut self, at: usize, thing: Result<T, &'static str>) -> Option<T> {
        self.all += 1;
        let cause = match thing {
            Ok(thing) => return Some(thing),
            Err(cause) => cause,
        };
        self.dropped += 1;
        self.first.get_or_insert((at, cause));
        None
    }

    fn fault(&self, things: &str, text: &str) -> Option<Fault> {
        let (at, cause) = self.first?;
        let (dropped, all) = (self.dropped, self.all);
        let cause = format!("dropped {dropped} of {all} {things}: {cause}");
        Some(fault(text, at, cause))
    }
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    /// The elements that count and are open, from the outside in.
    open: Vec<Element>,
    /// How many elements are open within those that do not count.
    skipped: usize,
    /// The namespace prefix of the track or point whose values are read. Values of another prefix
    /// are not its own: in GPX 1.0 anybody's elements may stand among them.
    prefix: String,
    /// The text of the value under way, and where that begins.
    value: String,
    value_at: usize,
    /// The point under way, or what is wrong with it, and where that begins.
    point: Option<Result<Point, &'static str>>,
    point_at: usize,
    begins_segment: bool,
    track: Track,
    tracks: Vec<Track>,
    routes: Vec<Track>,
    points: Tally,
    values: Tally,
}

/// The tracks and routes in a text. If the data it was packed in is damaged, that is why
/// it ends.
///
/// # Errors
/// What is wrong, when none of them leads somewhere.
pub(super) fn read(text: &str, is_damaged: bool) -> Result<Gpx, Fault> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    reader.config_mut().allow_dangling_amp = true;
    let mut reading = Reading::default();
    let broken = loop {
        let at = reader.buffer_position() as usize;
        match reader.read_event() {
            Ok(Event::Start(tag)) => match reading.start(&tag, at) {
                Ok(()) => {}
                Err(cause) => break Some((at, cause)),
            },
            Ok(Event::End(_)) => {
                reading.end();
                if reading.open.is_empty() {
                    break None;
                }
            }
            Ok(Event::Text(part)) => reading.text(&part),
            Ok(Event::CData(part)) => reading.text(&part),
            Ok(Event::GeneralRef(reference)) => reading.reference(&reference),
            Ok(Event::Eof) => {
                let tag = if reading.open.is_empty() {
                    "<gpx>"
                } else {
                    "</gpx>"
                };
                break Some((at, format!("the file ends before {tag}")));
            }
            Ok(_) => {}
            Err(error) => {
                let at = reader.error_position() as usize;
                break Some((at, excerpt(&error.to_string())));
            }
        }
    };
    let broken = match broken {
        Some((at, _)) if is_damaged => Some((at, DAMAGED.to_owned())),
        None if is_damaged => Some((text.len(), DAMAGED.to_owned())),
        broken => broken,
    };
    let broken = broken.map(|(at, cause)| fault(text, at, cause));
    reading.finish(text, broken)
}

impl Reading {
    /// # Errors
    /// Why nothing behind this is read.
    fn start(&mut self, tag: &BytesStart, at: usize) -> Result<(), String> {
        let (name, prefix) = tag.name().decompose();
        let prefix = prefix.as_ref().map_or("", |prefix| prefix.as_ref());
        let element = match self.skipped {
            0 => Element::within(self.open.last().copied(), name.as_ref()),
            _ => None,
        };
        let Some(element) = element.filter(|it| !it.is_value() || prefix == self.prefix) else {
            if self.open.is_empty() {
                let name = excerpt(name.as_ref());
                return Err(format!("the outermost element is <{name}>, not <gpx>"));
            }
            self.skipped += 1;
            return match self.skipped {
                ..=DEPTH_MAX => Ok(()),
                _ => Err(format!("more than {DEPTH_MAX} elements in each other")),
            };
        };
        self.open.push(element);
        if element.is_value() {
            self.value.clear();
            self.value_at = at;
            return Ok(());
        }
        prefix.clone_into(&mut self.prefix);
        match element {
            Element::Segment | Element::Route => self.begins_segment = true,
            Element::Point if self.points.all == POINTS_MAX => {
                return Err(format!("there are more than {POINTS_MAX} points"));
            }
            Element::Point => (self.point, self.point_at) = (Some(point(tag)), at),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) {
        if self.skipped > 0 {
            self.skipped -= 1;
            return;
        }
        match self.open.pop() {
            Some(Element::Point) => self.end_point(),
            Some(way @ (Element::Track | Element::Route)) => self.end_way(way),
            Some(value) if value.is_value() => self.end_value(value),
            _ => {}
        }
    }

    fn end_point(&mut self) {
        let Some(point) = self.point.take() else {
            return;
        };
        if let Some(point) = self.points.count(self.point_at, point) {
            if mem::take(&mut self.begins_segment) {
                self.track.begins.push(self.track.points.len());
            }
            self.track.points.push(point);
        }
    }

    fn end_way(&mut self, way: Element) {
        let track = mem::take(&mut self.track);
        if track.leads_somewhere() {
            match way {
                Element::Route => self.routes.push(track),
                _ => self.tracks.push(track),
            }
        }
    }

    /// An empty value is one that nobody gave.
    fn end_value(&mut self, element: Element) {
        let text = self.value.trim_ascii();
        if text.is_empty() {
            return;
        }
        let (at, values) = (self.value_at, &mut self.values);
        match (&mut self.point, element) {
            (Some(Ok(point)), Element::Altitude) => {
                point.altitude = values.count(at, value::altitude(text));
            }
            (Some(Ok(point)), Element::Time) => point.at_s = values.count(at, value::time(text)),
            (Some(Ok(point)), Element::Name) => point.name = Some(text.into()),
            (None, Element::Name) => self.track.name = Some(text.into()),
            _ => {}
        }
    }

    fn text(&mut self, part: &str) {
        if self.skipped == 0 && self.open.last().is_some_and(|element| element.is_value()) {
            self.value.push_str(part);
        }
    }

    /// One of XML's own five, or a character by its number; any other is kept as it is written.
    fn reference(&mut self, reference: &BytesRef) {
        if let Ok(Some(char)) = reference.resolve_char_ref() {
            self.text(char.encode_utf8(&mut [0; 4]));
        } else if let Some(text) = resolve_predefined_entity(reference) {
            self.text(text);
        } else {
            self.text(&format!("&{};", &**reference));
        }
    }

    /// # Errors
    /// As [`read`].
    fn finish(mut self, text: &str, broken: Option<Fault>) -> Result<Gpx, Fault> {
        let is_begun = broken.is_none() || !self.open.is_empty();
        while let Some(element) = self.open.pop() {
            if matches!(element, Element::Track | Element::Route) {
                self.end_way(element);
            }
        }
        self.tracks.append(&mut self.routes);
        let points = self.points.fault("points", text);
        if self.tracks.is_empty() {
            let nothing = "no track or route with two different points";
            return Err(match broken.or(points) {
                Some(fault) if is_begun => fault.followed_by(nothing),
                Some(fault) => fault,
                None => Fault {
                    line: None,
                    cause: nothing.to_owned(),
                },
            });
        }
        let broken = broken.map(|it| it.followed_by("only what is complete before is used"));
        let values = self.values.fault("elevations and times", text);
        Ok(Gpx {
            is_whole: broken.is_none(),
            tracks: self.tracks,
            flaws: [broken, points, values].into_iter().flatten().collect(),
        })
    }
}

/// # Errors
/// What is wrong with the coordinates of the point that begins with this tag.
fn point(tag: &BytesStart) -> Result<Point, &'static str> {
    let (mut lat, mut lng) = (Err("lat is missing"), Err("lon is missing"));
    // That another attribute comes twice spoils nothing.
    for attribute in tag.attributes().with_checks(false).flatten() {
        let value = || attribute.normalized_value(XmlVersion::Implicit1_0);
        match attribute.key.as_ref() {
            "lat" => lat = value().map_or(Err(value::LAT), |text| value::lat(text.trim_ascii())),
            "lon" => lng = value().map_or(Err(value::LON), |text| value::lng(text.trim_ascii())),
            _ => {}
        }
    }
    Ok(Point {
        lat: lat?,
        lng: lng?,
        altitude: None,
        at_s: None,
        name: None,
    })
}

fn fault(text: &str, at: usize, cause: String) -> Fault {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = Some(1 + before.iter().filter(|byte| **byte == b'\n').count());
    Fault { line, cause }
}

/// The beginning of a text that may hold the file's own words.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
