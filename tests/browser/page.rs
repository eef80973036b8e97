//! The map as a person sees and uses it, in a tab.

use std::cell::RefCell;
use std::f64::consts::PI;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::chromium::{Chromium, Tab, text};

/// Longest wait for what a page should come to show, in milliseconds.
const WAIT_MS: u32 = 20_000;

/// The map in a tab.
pub(crate) struct Page {
    pub(crate) tab: Tab,
    events: RefCell<Vec<Value>>,
}

impl Page {
    /// An empty tab.
    pub(crate) fn new(chromium: &'static Chromium) -> Page {
        let page = Page {
            tab: chromium.tab(),
            events: RefCell::default(),
        };
        // The keys and the clipboard are those of the window in front, and there are many.
        page.tab.call(
            "Emulation.setFocusEmulationEnabled",
            json!({"enabled": true}),
        );
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
        self.wait_until_loaded();
    }

    /// Begins to open an address, which is served by whoever calls this.
    pub(crate) fn start(&self, url: &str) {
        let go = format!("location.href = {url:?}");
        self.tab.evaluate(&go);
    }

    /// Opens the same address again.
    pub(crate) fn reload(&self) {
        self.tab.call("Page.reload", json!({}));
        self.wait_until_loaded();
    }

    fn wait_until_loaded(&self) {
        let mut events = self.events.borrow_mut();
        loop {
            let event = self.tab.next_event();
            let is_loaded = event["method"] == "Page.loadEventFired";
            events.push(event);
            if is_loaded {
                return;
            }
        }
    }

    /// All that happened in the tab: the protocol's events.
    pub(crate) fn all_events(&self) -> Vec<Value> {
        let mut events = self.events.borrow_mut();
        events.extend(self.tab.events());
        events.clone()
    }

    /// Asserts that the console saw nothing but talk.
    pub(crate) fn assert_no_complaints(&self) {
        assert_eq!(
            Page::complaints_in(&self.all_events()),
            Vec::<String>::new()
        );
    }

    /// Has a preference of the person be this.
    pub(crate) fn emulate(&self, name: &str, value: &str) {
        let features = json!({"features": [{"name": name, "value": value}]});
        self.tab.call("Emulation.setEmulatedMedia", features);
    }

    /// Takes the network away, or gives it back.
    pub(crate) fn offline(&self, is_offline: bool) {
        self.tab.call(
            "Network.emulateNetworkConditions",
            json!({"offline": is_offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}),
        );
    }

    /// Has the monotonic clock of pages opened from now on be ahead by `skip` milliseconds.
    pub(crate) fn with_clock_that_skips(&self) {
        self.at_each_start(
            "{
                const now = performance.now.bind(performance);
                window.skip = 0;
                performance.now = () => now() + window.skip;
            }",
        );
    }

    /// Runs this at the start of each page opened from now on, before the page's own scripts.
    pub(crate) fn at_each_start(&self, script: &str) {
        self.tab.call(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({ "source": script }),
        );
    }

    /// Lets the page know where the device is.
    pub(crate) fn allow_geolocation(&self) {
        self.allow(&["geolocation"]);
    }

    /// Grants permissions.
    pub(crate) fn allow(&self, permissions: &[&str]) {
        let permissions = json!({"permissions": permissions});
        self.tab
            .call_browser("Browser.grantPermissions", permissions);
    }

    /// Does not let the page know where the device is.
    pub(crate) fn deny_geolocation(&self) {
        let denied = json!({"permission": {"name": "geolocation"}, "setting": "denied"});
        self.tab.call_browser("Browser.setPermission", denied);
    }

    /// Where the device is, and how exactly that is known, in metres.
    pub(crate) fn measure(&self, lat: f64, lng: f64, accuracy: f64) {
        let place = json!({"latitude": lat, "longitude": lng, "accuracy": accuracy});
        self.tab.call("Emulation.setGeolocationOverride", place);
    }

    /// The size of the window, in CSS pixels.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        self.resize_on(width, height, 1);
    }

    /// The same on a screen with so many pixels per CSS pixel.
    pub(crate) fn resize_on(&self, width: u32, height: u32, scale: u32) {
        self.tab.call(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 500}),
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

    /// Lets so many milliseconds go by in the page.
    pub(crate) fn wait_ms(&self, ms: u32) {
        self.get(&format!("new Promise(done => setTimeout(done, {ms}))"));
    }

    /// Waits until the map has been where it is for some frames.
    pub(crate) fn wait_until_still(&self) {
        self.get(
            "new Promise(done => {
                let last = '', frames = 0, turn = 0, timer = 0;
                (function look() {
                    const { lat, lng, zoom } = document.getElementById('map').dataset;
                    const now = [lat, lng, zoom].join();
                    if (now !== last) {
                        frames = 0;
                        turn = Infinity;
                        clearTimeout(timer);
                        // The page looks after the view twice a second, on a busy machine before this too.
                        timer = setTimeout(() => { turn = frames; }, 600);
                    }
                    last = now;
                    frames += 1;
                    if (frames > 40 && frames > turn + 2) done();
                    else requestAnimationFrame(look);
                })();
            })",
        );
    }

    /// Waits until what was done is drawn, where motion is reduced and nothing takes time.
    pub(crate) fn wait_for_a_frame(&self) {
        self.get(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))",
        );
    }

    /// The colour of a runner in the list.
    pub(crate) fn list_colour(&self, user: &str) -> [u8; 4] {
        let selector = format!("{} i", row(user));
        let colour = text(&self.get(&format!(
            "getComputedStyle(document.querySelector({selector:?})).borderTopColor"
        )));
        let parts: Vec<u8> = colour
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|part| part.parse().ok())
            .collect();
        match parts[..] {
            [red, green, blue] => [red, green, blue, 255],
            _ => panic!("{colour}"),
        }
    }

    /// Waits until the text of an element contains this.
    pub(crate) fn wait_for_text(&self, selector: &str, part: &str) {
        self.wait_for(&format!(
            "document.querySelector({selector:?})?.innerText.replaceAll('\u{a0}', ' ').includes({part:?})"
        ));
    }

    /// Opens what is known of a runner in the list.
    pub(crate) fn open_details(&self, user: &str) {
        self.wait_for(&format!("document.querySelector({:?})", row(user)));
        let is_open = format!(
            "document.querySelector({:?}) !== null",
            format!("{} .more", row(user))
        );
        if self.get(&is_open) == false {
            self.click(&format!("{} .runner", row(user)));
        }
        self.wait_for(&is_open);
    }

    /// Waits until a runner in the list has this state.
    pub(crate) fn wait_for_state(&self, user: &str, state: &str) {
        self.wait_for(&format!(
            "document.querySelector({:?})",
            format!("{}[data-state={state}]", row(user))
        ));
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
            "Escape" => 27,
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
        let [x, y] = [0, 1].map(|index: usize| place[index].as_f64().expect("a number"));
        self.mouse("mousePressed", x, y, 1);
        self.mouse("mouseReleased", x, y, 1);
    }

    /// An event of the mouse, at this place of the window.
    pub(crate) fn mouse(&self, kind: &str, x: f64, y: f64, clicks: u32) {
        self.tab.call(
            "Input.dispatchMouseEvent",
            json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": clicks}),
        );
    }

    /// Where a place is on the map, in pixels of the map.
    pub(crate) fn spot(&self, lat: f64, lng: f64) -> (f64, f64) {
        let view = self.get(
            "(map => [...['lat', 'lng', 'zoom'].map(key => Number(map.dataset[key])), map.clientWidth, map.clientHeight])
                (document.getElementById('map'))",
        );
        let number = |index: usize| view[index].as_f64().expect("a number");
        let world = 256.0 * number(2).exp2();
        let across = |lng: f64| lng / 360.0 + 0.5;
        let down = |lat: f64| 0.5 - lat.to_radians().tan().asinh() / (2.0 * PI);
        (
            number(3) / 2.0 + (across(lng) - across(number(1))) * world,
            number(4) / 2.0 + (down(lat) - down(number(0))) * world,
        )
    }

    /// Red, green, blue and opacity of the dots' sheet at these pixels.
    pub(crate) fn pixel(&self, x: f64, y: f64) -> [u8; 4] {
        self.pixel_of("dots", x, y)
    }

    /// The same of any sheet.
    pub(crate) fn pixel_of(&self, sheet: &str, x: f64, y: f64) -> [u8; 4] {
        let pixel = self.get(&format!(
            "[...document.getElementById({sheet:?}).getContext('2d').getImageData({}, {}, 1, 1).data]",
            x.round(),
            y.round()
        ));
        let part = |index: usize| {
            pixel[index]
                .as_u64()
                .and_then(|part| u8::try_from(part).ok())
        };
        [0, 1, 2, 3].map(|index| part(index).expect("a byte"))
    }

    /// Red, green, blue and opacity of the window as a person sees it, at these pixels of the page.
    pub(crate) fn pixel_on_screen(&self, x: f64, y: f64) -> [u8; 4] {
        let clip = json!({"x": x.round(), "y": y.round(), "width": 1, "height": 1, "scale": 1});
        let shot = self
            .tab
            .call("Page.captureScreenshot", json!({"clip": clip}));
        let pixel = self.get(&format!(
            "new Promise(done => {{
                const image = new Image();
                image.onload = () => {{
                    const canvas = document.createElement('canvas');
                    const sheet = canvas.getContext('2d');
                    sheet.drawImage(image, 0, 0);
                    done([...sheet.getImageData(0, 0, 1, 1).data]);
                }};
                image.src = 'data:image/png;base64,{}';
            }})",
            text(&shot["data"])
        ));
        serde_json::from_value(pixel).expect("four bytes")
    }

    /// The errors that the browser's console has seen so far, and uncaught exceptions.
    pub(crate) fn complaints_in(events: &[Value]) -> Vec<String> {
        // How often tests read pixels is nothing that the page could mend.
        let is_our_own = |text: &Value| text.as_str().is_some_and(|text| text.contains("readback"));
        let is_bad = |event: &Value| {
            let (method, parameters) = (&event["method"], &event["params"]);
            method == "Runtime.exceptionThrown"
                || (method == "Runtime.consoleAPICalled" && parameters["type"] != "log")
                || (method == "Log.entryAdded"
                    && parameters["entry"]["level"] != "info"
                    && !is_our_own(&parameters["entry"]["text"]))
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
