//! The set-up page's document, and the policy that lets it speak to this server alone and stand in
//! nobody's frame. Knows no sockets, and no token: those stay in the browser.

/// The document, out of its template and the links to its modules.
pub(super) fn html(template: &str, modules: &str) -> String {
    template.replace("{modules}", modules)
}

/// The header lines that go with it, each with its CRLF.
pub(super) fn headers() -> String {
    let policy = [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
        // A page around this one could have its buttons pressed.
        "frame-ancestors 'none'",
    ]
    .join("; ");
    format!("Content-Security-Policy: {policy}\r\nReferrer-Policy: no-referrer\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = include_str!("setup/page.html");

    #[test]
    fn nothing_in_the_document_is_inline_and_its_modules_are_linked_once() {
        let page = html(TEMPLATE, "<link>");
        for inline in ["<style", " style=", "javascript:", "{modules}"] {
            assert!(!page.contains(inline), "{inline}");
        }
        for rest in page.split(" on").skip(1) {
            let word = rest.trim_start_matches(|c: char| c.is_ascii_lowercase());
            assert!(!word.starts_with('='), "on{rest}");
        }
        assert_eq!(page.matches("<link>").count(), 1);
        assert_eq!(page.matches("<script").count(), 1);
        assert!(page.contains("<script type=\"module\" src=\"setup/start.js\"></script>"));
    }

    #[test]
    fn the_policy_names_this_server_alone() {
        let headers = headers();
        for other in ["unsafe", "sha256", "nonce", "*", "http:", "https:"] {
            assert!(!headers.contains(other), "{other} in {headers}");
        }
        assert!(headers.ends_with("\r\n") && !headers.contains("\r\n\r\n"));
    }
}
