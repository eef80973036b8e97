//! What is drawn on the sheets of the map, as a script sees it that stands between the page and its canvases.

use crate::page::Page;

/// From the start of each page opened from now on, keeps in `drawn` how often each sheet was drawn,
/// and with `tags` and `dots` what the last drawing of the dots' sheet put where.
const RECORD: &str = "
    window.drawn = { times: {}, tags: [], dots: [], said: new Set() };
    const { clearRect, fillText, drawImage } = CanvasRenderingContext2D.prototype;
    const words = new WeakMap();
    Object.assign(CanvasRenderingContext2D.prototype, {
        clearRect(...box) {
            const { id } = this.canvas;
            if (id) drawn.times[id] = (drawn.times[id] ?? 0) + 1;
            if (id === 'dots') Object.assign(drawn, { tags: [], dots: [] });
            if (!id) words.delete(this.canvas);
            clearRect.apply(this, box);
        },
        fillText(text, ...place) {
            if (!this.canvas.id) words.set(this.canvas, [...words.get(this.canvas) ?? [], text]);
            fillText.call(this, text, ...place);
        },
        drawImage(image, ...place) {
            if (this.canvas.id === 'dots') {
                const box = place.slice(-4);
                const [name] = words.get(image) ?? [];
                const { globalAlpha: alpha } = this;
                if (name === undefined) drawn.dots.push({ box, alpha });
                else {
                    drawn.tags.push({ name, box, alpha });
                    drawn.said.add(name);
                }
            }
            drawImage.call(this, image, ...place);
        },
    });";

/// A name, or a dot, on the dots' sheet.
#[derive(Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) name: String,
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) alpha: f64,
}

impl Mark {
    /// Whether two lie on each other, by more than rounding to pixels does.
    pub(crate) fn is_over(&self, other: &Mark) -> bool {
        let apart = |a: f64, a_size: f64, b: f64, b_size: f64| {
            a + a_size <= b + 1.0 || b + b_size <= a + 1.0
        };
        !apart(self.left, self.width, other.left, other.width)
            && !apart(self.top, self.height, other.top, other.height)
    }
}

impl Page {
    /// Has all pages opened from now on say what they draw.
    pub(crate) fn with_record_of_drawing(&self) {
        self.at_each_start(RECORD);
    }

    /// How often a sheet was drawn.
    pub(crate) fn times_drawn(&self, sheet: &str) -> u64 {
        let times = self.get(&format!("drawn.times[{sheet:?}] ?? 0"));
        times.as_u64().expect("a count")
    }

    /// The tags that stand on the map, those that come or go too.
    pub(crate) fn tags(&self) -> Vec<Mark> {
        self.marks("tags")
    }

    /// The dots.
    pub(crate) fn dots(&self) -> Vec<Mark> {
        self.marks("dots")
    }

    fn marks(&self, kind: &str) -> Vec<Mark> {
        let marks = self.get(&format!("drawn.{kind}"));
        let marks = marks.as_array().expect("a list").iter();
        let number = |value: &serde_json::Value| value.as_f64().expect("a number");
        marks
            .map(|mark| Mark {
                name: mark["name"].as_str().unwrap_or_default().to_owned(),
                left: number(&mark["box"][0]),
                top: number(&mark["box"][1]),
                width: number(&mark["box"][2]),
                height: number(&mark["box"][3]),
                alpha: number(&mark["alpha"]),
            })
            .collect()
    }
}
