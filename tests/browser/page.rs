//! The map as a person sees and uses it, in a tab.

use std::f64::consts::PI;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::chromium::{Chromium, Tab, text};

/// Longest wait for what a page should come to show, in milliseconds.
const WAIT_MS: u32 = 20_000;

/// The map in a tab.
pub(crate) struct Page {
    pub(crate) tab: Tab,
}

impl Page {
    /// An empty tab.
    pub(crate) fn new(chromium: &'static Chromium) -> Page {
        let page = Page {
            tab: chromium.tab(),
        };
        page.resize(1280, 800);
        page
    }

    /// The map of a server, with this behind the slash.
    pub(crate) fn open(chromium: &'static Chromium, server: SocketAddr, rest: &str) -> Page {
        let page = Page::new(chromium);
        page.go(&format!("http://{server}/{rest}"));
        page
    }

    /// Opens an address.
    pub(crate) fn go(&self, url: &str) {
        let answer = self.tab.call("Page.navigate", json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        self.tab.wait_for_event("Page.loadEventFired");
    }

    /// The size of the window, in CSS pixels.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        self.tab.call(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}),
        );
    }

    /// The value of an expression.
    pub(crate) fn get(&self, expression: &str) -> Value {
        self.tab.evaluate(expression)
    }

    /// The text of the first element that a selector finds.
    pub(crate) fn text(&self, selector: &str) -> String {
        text(&self.get(&format!("document.querySelector({selector:?}).innerText")))
    }

    /// Waits until an expression is true, and says its value.
    pub(crate) fn wait_for(&self, expression: &str) -> Value {
        let outcome = self.get(&format!(
            "new Promise(done => {{
                const end = performance.now() + {WAIT_MS};
                const look = () => {{
                    const value = {expression};
                    if (value || performance.now() > end) done([value, document.body.innerText]);
                    else setTimeout(look, 20);
                }};
                look();
            }})"
        ));
        let isnt = [Value::Null, false.into(), "".into(), 0.into()].contains(&outcome[0]);
        assert!(!isnt, "never: {expression}\n{}", outcome[1]);
        outcome[0].clone()
    }

    /// Waits until the text of an element contains this.
    pub(crate) fn wait_for_text(&self, selector: &str, part: &str) {
        self.wait_for(&format!(
            "document.querySelector({selector:?})?.innerText.includes({part:?})"
        ));
    }

    /// Waits until a runner in the list has this state.
    pub(crate) fn wait_for_state(&self, user: &str, state: &str) {
        self.wait_for(&format!("document.querySelector({:?})", format!("{}[data-state={state}]", row(user))));
    }

    /// Presses a key, with the modifiers that the protocol numbers.
    pub(crate) fn press(&self, key: &str) {
        let text = match key {
            "Enter" => "\r",
            key if key.chars().count() == 1 => key,
            _ => "",
        };
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            " " => 32,
            _ => 0,
        };
        self.tab.call(
            "Input.dispatchKeyEvent",
            json!({"type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code}),
        );
        self.tab.call(
            "Input.dispatchKeyEvent",
            json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}),
        );
    }

    /// Types text where the focus is.
    pub(crate) fn write(&self, text: &str) {
        self.tab.call("Input.insertText", json!({"text": text}));
    }

    /// Clicks in the middle of an element.
    pub(crate) fn click(&self, selector: &str) {
        let place = self.get(&format!(
            "(() => {{
                const element = document.querySelector({selector:?});
                element.scrollIntoView({{ block: 'nearest' }});
                const box = element.getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"
        ));
        self.mouse("mousePressed", &place[0], &place[1], 1);
        self.mouse("mouseReleased", &place[0], &place[1], 1);
    }

    /// An event of the mouse, at this place of the window.
    pub(crate) fn mouse(&self, kind: &str, x: impl Into<Value> + Clone, y: impl Into<Value> + Clone, clicks: u32)
    {
        let (x, y): (Value, Value) = (x.into(), y.into());
        self.tab.call(
            "Input.dispatchMouseEvent",
            json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": clicks}),
        );
    }

    /// Where a place is on the map, in pixels of the map.
    pub(crate) fn spot(&self, lat: f64, lng: f64) -> (f64, f64) {
        let view = self.get("[...['lat', 'lng', 'zoom'].map(key => Number(map.dataset[key])), map.clientWidth, map.clientHeight]");
        let number = |index: usize| view[index].as_f64().expect("a number");
        let world = 256.0 * number(2).exp2();
        let across = |lng: f64| lng / 360.0 + 0.5;
        let down = |lat: f64| 0.5 - lat.to_radians().tan().asinh() / (2.0 * PI);
        (
            number(3) / 2.0 + (across(lng) - across(number(1))) * world,
            number(4) / 2.0 + (down(lat) - down(number(0))) * world,
        )
    }

    /// The colours red, green, blue and opacity of the dots' sheet at these pixels.
    pub(crate) fn pixel(&self, x: f64, y: f64) -> [u8; 4] {
        let pixel = self.get(&format!(
            "[...dots.getContext('2d').getImageData({}, {}, 1, 1).data]",
            x.round(),
            y.round()
        ));
        let part = |index: usize| pixel[index].as_u64().and_then(|part| u8::try_from(part).ok());
        [0, 1, 2, 3].map(|index| part(index).expect("a byte"))
    }

    /// The errors that the browser's console has seen so far, and uncaught exceptions.
    pub(crate) fn complaints_in(events: &[Value]) -> Vec<String> {
        let is_bad = |event: &Value| {
            let (method, parameters) = (&event["method"], &event["params"]);
            method == "Runtime.exceptionThrown"
                || (method == "Runtime.consoleAPICalled" && parameters["type"] != "log")
                || (method == "Log.entryAdded" && parameters["entry"]["level"] != "info")
        };
        let bad = events.iter().filter(|event| is_bad(event));
        bad.map(|event| event["params"].to_string()).collect()
    }

    /// The addresses of all that was asked for over the network.
    pub(crate) fn requests_in(events: &[Value]) -> Vec<String> {
        let urls = events.iter().filter_map(|event| {
            let parameters = &event["params"];
            match event["method"].as_str()? {
                "Network.requestWillBeSent" => parameters["request"]["url"].as_str(),
                "Network.webSocketCreated" => parameters["url"].as_str(),
                _ => None,
            }
        });
        urls.filter(|url| !url.starts_with("data:"))
            .map(str::to_owned)
            .collect()
    }
}

/// The selector of a runner in the list.
pub(crate) fn row(user: &str) -> String {
    format!("[data-user=\"{user}\"]")
}
