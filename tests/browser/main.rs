//! The live map, the set-up page and the module for pages elsewhere in a headless Chromium, served by the real
//! program: what a person sees, and what they can do.

mod access;
mod camera;
#[path = "../certificates.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod certificates;
mod chromium;
mod course;
mod drawn;
mod elsewhere;
mod everyone;
mod fake;
mod fields;
mod frames;
mod https;
mod invite;
mod labels;
mod link;
mod list;
mod look;
#[path = "../integration/markdown.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod markdown;
mod module;
mod motion;
mod names;
#[path = "../needs.rs"]
#[expect(dead_code, reason = "other tests need Python")]
mod needs;
mod page;
mod runners;
#[path = "../tokens/scratch.rs"]
mod scratch;
mod setup;
mod setup_cards;
mod setup_links;
mod sharing;
mod sheet;
#[path = "../integration/support.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod support;
mod tiles;
mod tokens;
mod trails;
mod usage;
