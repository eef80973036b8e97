//! Pages of other sites, word for word as the manuals have them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use crate::chromium::Chromium;
use crate::markdown::{Manual, PROTOCOL, README, SERVER};
use crate::page::Page;
use crate::support::Server;

const POSITION: &str = r#"{"userId":5,"lat":51.5,"lng":-0.16}"#;

/// The address of the server in the manuals.
const WRITTEN: &str = "127.0.0.1:8080";

/// The blocks of code in this section, with the address of the server that runs.
fn blocks(manual: &str, heading: &str, language: &str, server: SocketAddr) -> Vec<String> {
    let manual = Manual::read(manual);
    let section = Manual {
        path: heading.to_owned(),
        text: manual.section(heading).text.to_owned(),
    };
    let blocks = section.blocks().into_iter();
    blocks
        .filter(|block| block.language == language)
        .inspect(|block| assert!(block.code.contains(WRITTEN), "{}", block.code))
        .map(|block| block.code.replace(WRITTEN, &server.to_string()))
        .collect()
}

/// Another site.
struct Site(TcpListener);

impl Site {
    fn new() -> Site {
        Site(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    fn origin(&self) -> String {
        let address = self.0.local_addr().expect("it listens");
        format!("http://{address}")
    }

    /// Answers everything with this page, for as long as the tests run.
    fn serve(self, html: String) {
        std::thread::spawn(move || {
            for mut socket in self.0.incoming().flatten() {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && socket.read_exact(&mut byte).is_ok() {
                    head.push(byte[0]);
                }
                let length = html.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{html}"
                );
                // Browsers open connections that they do not need.
                let _ = socket.write_all(answer.as_bytes());
            }
        });
    }
}

#[test]
fn the_page_of_the_readme_follows_somebody_and_comes_back_by_itself() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let site = Site::new();
    let origin = site.origin();
    let flags = ["--allow-origin", &origin, "--drain", "5s"];
    let server = Server::start(&flags);
    let address = server.address();
    let [html] = &blocks(README, "Follow somebody", "html", address)[..] else {
        panic!("one page");
    };
    assert!(html.lines().count() <= 15, "{html}");
    site.serve(html.clone());
    let page = Page::new(chromium);
    page.go(&origin);
    page.wait_for_text("body", "open");
    server.connect().send(POSITION);
    page.wait_for_text("body", "5: 51.5, -0.16");
    page.assert_no_complaints();
    let (status, ..) = server.stop();
    assert!(status.success());
    // 1012, and 1006 once it has tried to come back too early.
    page.wait_for_text("body", "waiting 10");
    let listen = address.to_string();
    let flags = ["--allow-origin", &origin, "--listen", &listen];
    let server = Server::start(&flags);
    page.wait_for_text("body", "open");
    server.connect().send(POSITION);
    page.wait_for_text("body", "5: 51.5, -0.16");
}

#[test]
fn a_site_that_is_not_named_is_told_so() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let site = Site::new();
    let origin = site.origin();
    let server = Server::start(&[]);
    site.serve(blocks(README, "Follow somebody", "html", server.address()).concat());
    let page = Page::new(chromium);
    page.go(&origin);
    page.wait_for_text("body", "ended 4003");
}

#[test]
fn the_page_of_the_protocol_shares_where_the_device_is() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let site = Site::new();
    let origin = site.origin();
    let server = Server::start(&["--allow-origin", &origin]);
    let heading = "The module for pages";
    let [script] = &blocks(PROTOCOL, heading, "js", server.address())[..] else {
        panic!("one script");
    };
    site.serve(format!(
        "<!doctype html><script type=\"module\">{script}</script>"
    ));
    let page = Page::new(chromium);
    page.allow_geolocation();
    page.measure(51.5, -0.16, 7.0);
    page.at_each_start("window.said = []; console.log = (...words) => said.push(words.join(' '));");
    let (mut follower, _) = server.spectator(r#"["anna"]"#);
    page.go(&origin);
    let position = follower.receive();
    for part in [r#""userId":"anna""#, r#""lat":51.5,"#, r#""accuracy":7"#] {
        assert!(position.contains(part), "{position}");
    }
    page.wait_for("said.includes('1 watch')");
    page.wait_for("said.some(words => words.startsWith('open'))");
    page.assert_no_complaints();
}

#[test]
fn the_script_of_the_protocol_follows_somebody() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    let server = Server::start(&["--tiles", "none"]);
    let [script] = &blocks(PROTOCOL, "Three messages", "js", server.address())[..] else {
        panic!("one script");
    };
    let page = Page::open(chromium, server.address(), "");
    page.get("window.said = []; console.log = (...words) => said.push(words.join(' ')); 0");
    page.get(script);
    server.wait_for_metric("spectate_follows", 2.0);
    server.connect().send(POSITION);
    page.wait_for("said.includes('5: 51.5, -0.16')");
}

#[test]
fn a_site_that_is_named_frames_the_map_of_the_manual_and_no_other_does() {
    let Some(chromium) = Chromium::get() else {
        return;
    };
    for is_named in [true, false] {
        let site = Site::new();
        let origin = site.origin();
        let named = ["--tiles", "none", "--allow-origin", &origin];
        let server = Server::start(&named[..if is_named { 4 } else { 2 }]);
        site.serve(blocks(SERVER, "The map in a frame", "html", server.address()).concat());
        let page = Page::new(chromium);
        page.go(&origin);
        if is_named {
            server.wait_for_metric("spectate_follows", 2.0);
        } else {
            page.wait_for("document.querySelector('iframe').contentDocument === null");
            let refused = Page::complaints_in(&page.all_events());
            assert!(
                refused.iter().any(|line| line.contains("frame-ancestors")),
                "{refused:?}"
            );
        }
    }
}
