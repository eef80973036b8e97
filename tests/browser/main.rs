//! The live map, the set-up page and the module for pages elsewhere in a headless Chromium, served by the real
//! program: what a person sees, and what they can do.

#[path = "../certificates.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod certificates;
mod chromium;
mod course;
mod elsewhere;
mod fake;
mod fields;
mod https;
mod invite;
mod link;
mod look;
#[path = "../integration/markdown.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod markdown;
mod module;
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
#[path = "../integration/support.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod support;
mod tokens;
mod usage;
