//! The links that set apps up, letter by letter, and whether what the apps take out of them is what
//! was put in. The apps' formats are named where the links are made.

use data_encoding::BASE64;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::page::Page;
use crate::support::Server;

const ORIGIN: &str = "https://race.example.com:8443";

/// What needs escapes in one place or another.
const AWKWARD: &str = "a b+c&d=%AC#ü/?";

/// What the page makes of a runner, for one app.
fn app(page: &Page, function: &str, id: &str, token: Option<&str>) -> Value {
    let runner = json!({"origin": ORIGIN, "id": id, "token": token});
    page.get(&format!(
        "import('/setup/links.js').then(links => links.{function}({runner}))"
    ))
}

/// The pairs of a link's query, decoded.
fn query(link: &Value) -> Vec<(String, String)> {
    let link = link.as_str().expect("a link");
    let (_, query) = link.split_once('?').expect("a query");
    let decode = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().expect("UTF-8");
        text.into_owned()
    };
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

fn value(link: &Value, key: &str) -> String {
    let mut pairs = query(link).into_iter();
    let pair = pairs.find(|(name, _)| name == key);
    pair.unwrap_or_else(|| panic!("{key} in {link}")).1
}

fn page() -> Option<(Page, Server)> {
    let chromium = Chromium::get()?;
    let server = Server::start(&["--tiles", "none"]);
    let page = Page::open(chromium, server.address(), "setup");
    Some((page, server))
}

#[test]
fn traccar_client_has_address_and_id_in_its_link_and_the_token_in_the_address() {
    let Some((page, _server)) = page() else {
        return;
    };
    let app = |id, token| app(&page, "traccarClient", id, token);
    assert_eq!(
        app("5", Some("aa.b-.c_"))["link"],
        "org.traccar.client://config?url=https%3A%2F%2Frace.example.com%3A8443%2Ftrack%3Ftoken%3Daa.b-.c_\
         &id=5&accuracy=highest&interval=10&distance=0&buffer=true&stop_detection=false"
    );
    assert_eq!(
        app("5", None)["link"],
        "org.traccar.client://config?url=https%3A%2F%2Frace.example.com%3A8443%2Ftrack\
         &id=5&accuracy=highest&interval=10&distance=0&buffer=true&stop_detection=false"
    );
    let awkward = app(AWKWARD, Some("a+/=&"));
    assert_eq!(value(&awkward["link"], "id"), AWKWARD);
    let url = format!("{ORIGIN}/track?token=a%2B%2F%3D%26");
    assert_eq!(value(&awkward["link"], "url"), url);
    assert_eq!(
        awkward["fields"],
        json!([["Server URL", url], ["Device identifier", AWKWARD]])
    );
}

#[test]
fn own_tracks_has_a_whole_configuration_in_its_link() {
    let Some((page, _server)) = page() else {
        return;
    };
    let app = |id, token| app(&page, "ownTracks", id, token);
    let configuration = |id, token| -> Value {
        let link = &app(id, token)["link"];
        let begin = "owntracks:///config?inline=";
        assert!(
            link.as_str().is_some_and(|link| link.starts_with(begin)),
            "{link}"
        );
        // As Android decodes it: by URLDecoder, for which a plus is a space.
        assert!(!link.to_string().contains('+'));
        let inline = value(link, "inline");
        let bytes = BASE64.decode(inline.as_bytes()).expect("Base64, padded");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    assert_eq!(
        app("5", None)["link"],
        "owntracks:///config?inline=eyJfdHlwZSI6ImNvbmZpZ3VyYXRpb24iLCJtb2RlIjozLCJ1cmwiOiJodHRwczovL3JhY2UuZXhhbXBsZS5jb206ODQ0My9wdWIiLCJhdXRoIjpmYWxzZSwidXNlcm5hbWUiOiI1IiwicGFzc3dvcmQiOiIiLCJkZXZpY2VJZCI6InBob25lIiwibW9uaXRvcmluZyI6MiwibG9jYXRvckludGVydmFsIjoxMCwibG9jYXRvckRpc3BsYWNlbWVudCI6MTB9"
    );
    let expected = json!({
        "_type": "configuration", "mode": 3, "url": format!("{ORIGIN}/pub"), "auth": true,
        "username": "anna", "password": "aa.b-.c_", "deviceId": "phone", "tid": "na",
        "monitoring": 2, "locatorInterval": 10, "locatorDisplacement": 10,
    });
    assert_eq!(configuration("anna", Some("aa.b-.c_")), expected);
    // Which names can be the user of a Basic password, and of a header.
    for (id, token, username) in [
        ("a b/&=#", Some("t"), "a b/&=#"),
        ("a:b", Some("t"), "runner"),
        ("a:b", None, "a:b"),
        ("\u{fc}", Some("t"), "runner"),
        (" a", Some("t"), "runner"),
        ("a ", Some("t"), "runner"),
    ] {
        assert_eq!(configuration(id, token)["username"], username, "{id}");
    }
    for id in ["\u{fc}", " a", "a "] {
        let cannot = app(id, None);
        assert_eq!(cannot["link"], Value::Null);
        assert_eq!(
            cannot["before"],
            "It cannot send this id. Take another app."
        );
        assert_eq!(cannot["fields"], json!([]));
    }
    let any = configuration(AWKWARD, Some("\u{fc}\u{3ff}\u{fbff}~>?"));
    assert_eq!(any["password"], "\u{fc}\u{3ff}\u{fbff}~>?");
}

#[test]
fn overland_has_address_token_and_id_in_its_link() {
    let Some((page, _server)) = page() else {
        return;
    };
    let app = |id, token| app(&page, "overland", id, token);
    assert_eq!(
        app("5", Some("aa.b-.c_"))["link"],
        "overland://setup?url=https%3A%2F%2Frace.example.com%3A8443%2Ftrack&token=aa.b-.c_&device_id=5"
    );
    assert_eq!(
        app("5", None)["link"],
        "overland://setup?url=https%3A%2F%2Frace.example.com%3A8443%2Ftrack&device_id=5"
    );
    let awkward = app(AWKWARD, Some("a+/=&"));
    assert_eq!(value(&awkward["link"], "device_id"), AWKWARD);
    assert_eq!(value(&awkward["link"], "token"), "a+/=&");
    // It takes a plus for a plus, and others for a space.
    assert!(!awkward["link"].to_string().contains('+'));
}

#[test]
fn gps_logger_has_no_link_and_an_address_to_paste() {
    let Some((page, _server)) = page() else {
        return;
    };
    let app = |id, token| app(&page, "gpsLogger", id, token);
    let behind = "&lat=%LAT&lon=%LON&time=%TIME&alt=%ALT&acc=%ACC&dir=%DIR&spd=%SPD&batt=%BATT";
    for (id, token, who) in [
        ("5", Some("aa.b-.c_"), "token=aa.b-.c_"),
        (AWKWARD, Some("aa.b-.c_"), "token=aa.b-.c_"),
        ("5", None, "id=5"),
        ("A.b_c~d-E", None, "id=A.b_c~d-E"),
        // Not %E2%82%ACc, in which the app would see its own %ACC.
        ("\u{20ac}c", None, "id=%e2%82%ac%63"),
        ("a b", None, "id=%61%20%62"),
    ] {
        let app = app(id, token);
        assert_eq!(app["link"], Value::Null);
        assert_eq!(
            app["fields"],
            json!([["URL", format!("{ORIGIN}/track?{who}{behind}")]])
        );
    }
}

#[test]
fn every_app_says_what_to_do_and_names_itself_once() {
    let Some((page, _server)) = page() else {
        return;
    };
    let apps = page.get(&format!(
        "import('/setup/links.js').then(links => links.apps({{ origin: {ORIGIN:?}, id: '5', token: 'a.b.c' }}))"
    ));
    let apps = apps.as_array().expect("a list");
    let names: Vec<&str> = apps.iter().filter_map(|app| app["name"].as_str()).collect();
    assert_eq!(
        names,
        ["Traccar Client", "OwnTracks", "Overland", "GPSLogger"]
    );
    for app in apps {
        for key in ["phones", "after", "where", "site"] {
            assert!(
                app[key].as_str().is_some_and(|text| !text.is_empty()),
                "{key}: {app}"
            );
        }
        let fields = app["fields"].as_array().expect("a list");
        let holds_token = fields
            .iter()
            .any(|field| field.to_string().contains("a.b.c"));
        assert!(holds_token, "{app}");
    }
}
