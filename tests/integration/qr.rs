//! `/qr`: links of this server as codes to scan, and no others.

use std::io::Write;

use qrcodegen::{QrCode, QrCodeEcc};

use crate::access;
use crate::pages::{Answer, get};
use crate::support::{Answer as Text, Server};

/// The links of this host are the server's own, in these tests.
const OWN: &str = "http://test/?follow=5,6";

fn path_of(link: &str) -> String {
    let encoded = percent_encoding::utf8_percent_encode(link, percent_encoding::NON_ALPHANUMERIC);
    format!("/qr?text={encoded}")
}

/// How many modules are on a side, with the light ones around, and how many of them are dark.
fn size(svg: &str) -> (i32, i32) {
    let side = svg.split("viewBox=\"0 0 ").nth(1);
    let side = side.and_then(|rest| rest.split(' ').next()?.parse().ok());
    let path = svg.rsplit(" d=\"").next().expect("a path");
    let runs = path.split("5h").skip(1).map(|rest| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
        digits
            .and_then(|run| run.parse::<i32>().ok())
            .expect("a run")
    });
    (side.unwrap_or_else(|| panic!("{svg}")), runs.sum())
}

#[test]
fn a_link_of_this_server_is_drawn_with_a_quiet_zone() {
    let server = Server::start(&[]);
    let long = format!("https://test/#follow={}", "5,".repeat(489));
    for link in [OWN, "https://TEST/setup", long.as_str()] {
        let answer = get(&server, &path_of(link), "");
        assert_eq!(answer.status(), "200", "{}", answer.text());
        assert_eq!(answer.header("Content-Type"), Some("image/svg+xml"));
        assert_eq!(answer.header("Cache-Control"), Some("no-store"));
        assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
        let svg = answer.text();
        assert!(
            svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" ")
                && svg.ends_with("</svg>")
        );
        let code = QrCode::encode_binary(link.as_bytes(), QrCodeEcc::Medium).expect("room");
        let modules = (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y)));
        let dark = modules.filter(|(x, y)| code.get_module(*x, *y)).count() as i32;
        assert_eq!(size(&svg), (code.size() + 8, dark), "{link}");
        let packed = get(&server, &path_of(link), "Accept-Encoding: gzip\r\n");
        assert_eq!(packed.text(), svg);
        assert_eq!(packed.header("Content-Encoding"), Some("gzip"));
        let head = Answer::to(&server, "HEAD", &path_of(link), "");
        assert_eq!((head.head, head.body.len()), (answer.head, 0));
    }
    let post = Answer::to(&server, "POST", &path_of(OWN), "");
    assert_eq!(post.status(), "405");
}

#[test]
fn what_is_no_link_of_this_server_or_has_a_token_is_400_and_one_line() {
    let server = Server::start(&[]);
    for path in [
        "/qr".to_owned(),
        "/qr?text=".to_owned(),
        format!("/qr?text={OWN}&panel=none"),
        path_of("http://elsewhere.example/?follow=5"),
        path_of("http://test:8080/"),
        path_of("http://test@elsewhere.example/"),
        path_of("hello"),
        path_of("http://test/#token=secret.of.anna"),
        path_of("http://test/?token=secret.of.anna"),
        path_of("http://test/#%74oken=secret.of.anna"),
        path_of(&format!("http://test/{}", "x".repeat(989))),
    ] {
        let answer = get(&server, &path, "");
        assert_eq!(answer.status(), "400", "{path}");
        let line = answer.text();
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(!line.contains("secret"), "{line}");
    }
    let (_, _, log) = server.stop();
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn the_host_is_the_one_that_the_request_names() {
    let server = Server::start(&[]);
    let address = server.address().to_string();
    let ask = |host: &str, link: &str| {
        let request = format!("GET {} HTTP/1.1\r\n{host}\r\n", path_of(link));
        Text::to(server.socket(), request.as_bytes()).status
    };
    let (host, link) = (format!("Host: {address}\r\n"), format!("http://{address}/"));
    assert_eq!(ask(&host, &link), 200);
    assert_eq!(ask("Host: race.example\r\n", &link), 400);
    assert_eq!(ask("Host: race.example\r\n", "https://race.example/"), 200);
    let mut socket = server.socket();
    let request = format!("GET {} HTTP/1.0\r\n\r\n", path_of(&link));
    socket.write_all(request.as_bytes()).expect("it reads");
    assert_eq!(Text::read(&mut socket).status, 400);
}

#[test]
fn links_are_drawn_without_a_token_where_tokens_are_asked_for() {
    let (server, _file) = access::start("qr", &[]);
    assert_eq!(get(&server, &path_of(OWN), "").status(), "200");
}
