//! Recorders as they are run, a folder for their files, and a cable that can be cut.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Client, wait_for_exit};
use crate::{WAIT, spectate};

/// A folder for one test, gone when this is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let name = format!("folder-{}-{name}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir(&path).expect("room for a folder");
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file with this content.
    pub(crate) fn with(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, content).expect("room for a file");
        path
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("our folder").flatten();
        let names = entries.map(|entry| entry.file_name().into_string().expect("UTF-8"));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `spectate record`, killed when this is dropped.
pub(crate) struct Recorder {
    child: Child,
    pub(crate) said: Receiver<String>,
}

impl Recorder {
    /// Records into a file from the server at this address.
    pub(crate) fn start(address: SocketAddr, out: &Path, arguments: &[&str]) -> Recorder {
        let url = format!("ws://{address}");
        let mut command = spectate(&["record", "--url", &url, "--out"]);
        command.arg(out).args(arguments).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, said) = channel();
        thread::spawn(move || {
            let lines = stderr.lines().map_while(Result::ok);
            lines.for_each(|line| drop(sender.send(line)));
        });
        Recorder { child, said }
    }

    /// The next line on stderr.
    pub(crate) fn next(&self) -> String {
        self.said.recv_timeout(WAIT).expect("a line")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    pub(crate) fn status(mut self) -> ExitStatus {
        wait_for_exit(&mut self.child)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(self) {
        self.signal(Signal::TERM);
        assert_eq!(self.status().code(), Some(0));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a recording, all whole, each without its time, and their times.
pub(crate) fn recorded(path: &Path) -> Vec<(String, u64)> {
    let text = fs::read_to_string(path).expect("UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    let line = |line: &str| {
        let json: Value = serde_json::from_str(line).expect(line);
        let received = json["received"].as_u64().expect("a time");
        let end = format!(",\"received\":{received}}}");
        let position = line.strip_suffix(&end).expect("the last field");
        (format!("{position}}}"), received)
    };
    text.lines().map(line).collect()
}

/// The positions of a recording.
pub(crate) fn positions(path: &Path) -> Vec<String> {
    let lines = recorded(path).into_iter();
    lines.map(|(position, _)| position).collect()
}

/// Looks until a recording has so many lines; `witness` is any connection.
pub(crate) fn wait_for_lines(path: &Path, count: usize, witness: &mut Client) {
    wait_until(witness, || {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().count() >= count
    });
}

/// Looks until something is so; `witness` is any connection, whose server has its turn meanwhile.
pub(crate) fn wait_until(witness: &mut Client, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < WAIT, "it does not come about");
        witness.barrier();
    }
}

pub(crate) fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_millis() as u64
}

/// What a command printed on stderr.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// A way to a server that can be cut, and is there again at once.
pub(crate) struct Cable {
    pub(crate) address: SocketAddr,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cable {
    pub(crate) fn to(server: SocketAddr) -> Cable {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it listens");
        let ends = Arc::new(Mutex::new(Vec::new()));
        let cable = Cable {
            address,
            ends: Arc::clone(&ends),
        };
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let far = TcpStream::connect(server).expect("the server listens");
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let from = from.try_clone().expect("a descriptor");
                    let to = to.try_clone().expect("a descriptor");
                    thread::spawn(move || copy(from, to));
                }
                ends.lock().expect("no panic").extend([near, far]);
            }
        });
        cable
    }

    pub(crate) fn cut(&self) {
        for end in self.ends.lock().expect("no panic").drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _: io::Result<()> = to.shutdown(Shutdown::Write);
}
