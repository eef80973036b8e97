//! QR codes (ISO/IEC 18004) as SVG. Text in, text out; knows nothing of what a code is for.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc, QrSegment, Version};

/// Light modules around a code (ISO/IEC 18004, 6.3.8).
const QUIET_ZONE_MODULES: i32 = 4;

/// What makes a file of an element that stands in HTML.
const NAMESPACE: &str = "xmlns=\"http://www.w3.org/2000/svg\"";

/// The code of a text as a file; `None` if it takes a larger version than this, from 1 to 40.
pub(crate) fn svg(text: &str, version_max: u8) -> Option<String> {
    let element = svg_in_html(text, version_max)?;
    Some(element.replacen("<svg", &format!("<svg {NAMESPACE}"), 1))
}

/// The same as an element to stand in HTML.
pub(crate) fn svg_in_html(text: &str, version_max: u8) -> Option<String> {
    let segments = [QrSegment::make_bytes(text.as_bytes())];
    let code = QrCode::encode_segments_advanced(
        &segments,
        QrCodeEcc::Medium,
        Version::MIN,
        Version::new(version_max),
        None,
        true,
    );
    code.ok().map(|code| draw(&code))
}

/// One path, with a line for each run of dark modules.
fn draw(code: &QrCode) -> String {
    let size = code.size();
    let mut dark = String::new();
    for y in 0..size {
        let mut x = 0;
        while x < size {
            let run = (x..size).take_while(|&x| code.get_module(x, y)).count() as i32;
            if run > 0 {
                let (left, middle) = (x + QUIET_ZONE_MODULES, y + QUIET_ZONE_MODULES);
                // Writing to a String cannot fail.
                let _ = write!(dark, "M{left} {middle}.5h{run}");
            }
            x += run + 1;
        }
    }
    let side = size + 2 * QUIET_ZONE_MODULES;
    format!(
        "<svg viewBox=\"0 0 {side} {side}\" role=\"img\" aria-label=\"QR code\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path stroke=\"#000\" d=\"{dark}\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The dark modules that a path of ours draws.
    fn drawn(svg: &str, side: i32) -> Vec<Vec<bool>> {
        let mut modules = vec![vec![false; side as usize]; side as usize];
        let path = svg.rsplit_once(" d=\"").map(|(_, path)| path);
        let path = path
            .and_then(|path| path.split('"').next())
            .expect("a path");
        for piece in path.split('M').skip(1) {
            let numbers: Vec<usize> = piece
                .split(|c: char| !c.is_ascii_digit())
                .filter_map(|number| number.parse().ok())
                .collect();
            let [x, y, 5, run] = numbers[..] else {
                panic!("{piece}");
            };
            modules[y][x..x + run].fill(true);
        }
        modules
    }

    #[test]
    fn each_module_is_drawn_with_a_quiet_zone_of_four_around_them() {
        for length in [1, 100, 450, 1000, 1300] {
            let text = "x".repeat(length);
            let code = QrCode::encode_binary(text.as_bytes(), QrCodeEcc::Medium).expect("room");
            let side = code.size() + 8;
            let svg = svg(&text, 40).expect("room");
            assert!(svg.contains(&format!("viewBox=\"0 0 {side} {side}\"")));
            for (y, row) in drawn(&svg, side).into_iter().enumerate() {
                for (x, is_dark) in row.into_iter().enumerate() {
                    // Outside of the code there are only light modules.
                    let module = code.get_module(x as i32 - 4, y as i32 - 4);
                    assert_eq!(is_dark, module, "{x} {y}");
                }
            }
        }
    }

    #[test]
    fn what_takes_a_larger_version_has_no_code() {
        assert!(svg(&"x".repeat(1370), 30).is_some());
        assert!(svg(&"x".repeat(1371), 30).is_none());
        assert!(svg(&"x".repeat(1371), 31).is_some());
    }
}
