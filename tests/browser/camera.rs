//! What a camera reads on the screen: the codes on a page, by zbar.

use std::path::Path;
use std::process::Command;

use data_encoding::BASE64;
use serde_json::json;

use crate::chromium::text;
use crate::page::Page;
use crate::scratch::Scratch;

/// The texts of all codes in the window, a line each.
pub(crate) fn read_codes(page: &Page, zbarimg: &Path, name: &str) -> String {
    let shot = page
        .tab
        .call("Page.captureScreenshot", json!({"format": "png"}));
    let image = BASE64.decode(text(&shot["data"]).as_bytes());
    let image = Scratch::new(name, &image.expect("Base64"));
    let read = Command::new(zbarimg)
        .args(["--quiet", "--raw", image.path()])
        .output();
    String::from_utf8(read.expect("it starts").stdout).expect("UTF-8")
}
