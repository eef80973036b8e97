//! A headless Chromium, driven by the Chrome DevTools Protocol over a pipe: it ends when the pipe
//! does, whatever becomes of this process.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::{https, needs};

/// Longest wait for an answer of the browser.
const ANSWER: Duration = Duration::from_secs(60);

const PROGRAMS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// Who waits for what the browser says: answers by the number of the command, events by session.
#[derive(Default)]
struct Waiting {
    answers: Mutex<HashMap<u64, Sender<Value>>>,
    events: Mutex<HashMap<String, Sender<Value>>>,
}

/// The browser that all tests share.
pub(crate) struct Chromium {
    commands: Mutex<ChildStdin>,
    waiting: Arc<Waiting>,
    last_id: AtomicU64,
}

impl Chromium {
    /// The browser, where this machine has one.
    pub(crate) fn get() -> Option<&'static Chromium> {
        static CHROMIUM: OnceLock<Chromium> = OnceLock::new();
        let program = needs::program(&PROGRAMS, "chromium")?;
        Some(CHROMIUM.get_or_init(|| Chromium::start(&program)))
    }

    fn start(program: &Path) -> Chromium {
        // It reads its commands from descriptor 3 and writes its answers to descriptor 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"])
            .arg(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
                // A name that is no secure context.
                "--host-resolver-rules=MAP plain.test 127.0.0.1, MAP race.test 127.0.0.1",
                "--remote-debugging-pipe",
            ])
            .arg(format!(
                "--ignore-certificate-errors-spki-list={}",
                https::key_hash()
            ))
            .arg(format!("--user-data-dir={}", profile().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        let waiting = Arc::new(Waiting::default());
        let commands = child.stdin.take().expect("piped");
        let said = child.stdout.take().expect("piped");
        let listener = Arc::clone(&waiting);
        std::thread::spawn(move || {
            listener.listen(said);
            child.wait()
        });
        Chromium {
            commands: Mutex::new(commands),
            waiting,
            last_id: AtomicU64::new(0),
        }
    }

    /// A new tab with storage and permissions of its own.
    pub(crate) fn tab(&'static self) -> Tab {
        let context = self.call("", "Target.createBrowserContext", json!({}));
        let context = text(&context["browserContextId"]);
        let blank = json!({"url": "about:blank", "browserContextId": context});
        let target = self.call("", "Target.createTarget", blank);
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.call("", "Target.attachToTarget", attach);
        let session = text(&attached["sessionId"]);
        let (sender, events) = channel();
        lock(&self.waiting.events).insert(session.clone(), sender);
        let tab = Tab {
            chromium: self,
            session,
            context,
            events,
        };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        tab
    }

    /// What a command of the protocol brings.
    fn call(&self, session: &str, method: &str, parameters: Value) -> Value {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, receiver) = channel();
        lock(&self.waiting.answers).insert(id, sender);
        let mut command = json!({"id": id, "method": method, "params": parameters});
        if !session.is_empty() {
            command["sessionId"] = session.into();
        }
        let mut line = command.to_string().into_bytes();
        line.push(0);
        let mut commands = lock(&self.commands);
        commands.write_all(&line).expect("Chromium runs");
        commands.flush().expect("Chromium runs");
        drop(commands);
        let mut answer = receiver
            .recv_timeout(ANSWER)
            .unwrap_or_else(|_| panic!("Chromium does not answer {method}"));
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].take()
    }
}

impl Waiting {
    /// Brings what the browser says to whom it is for, until it ends.
    fn listen(&self, said: ChildStdout) {
        for message in BufReader::new(said).split(0).map_while(Result::ok) {
            let Ok(message) = serde_json::from_slice::<Value>(&message) else {
                continue;
            };
            let waiting = match message["id"].as_u64() {
                Some(id) => lock(&self.answers).remove(&id),
                None => message["sessionId"]
                    .as_str()
                    .and_then(|session| lock(&self.events).get(session).cloned()),
            };
            if let Some(waiting) = waiting {
                // Whoever waited may have given up.
                let _ = waiting.send(message);
            }
        }
    }
}

/// A page, as a debugger sees it.
pub(crate) struct Tab {
    chromium: &'static Chromium,
    session: String,
    context: String,
    events: Receiver<Value>,
}

impl Tab {
    /// What a command of the protocol brings.
    pub(crate) fn call(&self, method: &str, parameters: Value) -> Value {
        self.chromium.call(&self.session, method, parameters)
    }

    /// The same of the browser, for this tab's context.
    pub(crate) fn call_browser(&self, method: &str, mut parameters: Value) {
        parameters["browserContextId"] = self.context.as_str().into();
        self.chromium.call("", method, parameters);
    }

    /// The value of an expression, or of the promise that it makes.
    pub(crate) fn evaluate(&self, expression: &str) -> Value {
        let mut answer = self.call(
            "Runtime.evaluate",
            json!({
                "expression": expression,
                "awaitPromise": true,
                "returnByValue": true,
                "userGesture": true,
            }),
        );
        let failure = &answer["exceptionDetails"];
        assert!(failure.is_null(), "{expression}: {failure}");
        answer["result"]["value"].take()
    }

    /// What happened since this was last asked: the protocol's events.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.events.try_iter().collect()
    }

    /// The next event, once there is one.
    pub(crate) fn next_event(&self) -> Value {
        let event = self.events.recv_timeout(ANSWER);
        event.unwrap_or_else(|_| panic!("the page does nothing"))
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.call_browser("Target.disposeBrowserContext", json!({}));
        }
        lock(&self.chromium.waiting.events).remove(&self.session);
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// A test that failed while it held the lock is told by itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A fresh folder for the browser; those of runs that are over are removed.
fn profile() -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for entry in fs::read_dir(root).expect("cargo made it").flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix("chromium-"));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    root.join(format!("chromium-{}", std::process::id()))
}
