//! Log lines on stderr that can neither block nor end the loop: simple_logger prints with
//! `eprintln!`, which waits for a full pipe and panics on a closed one.

use std::io;
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};

use log::{LevelFilter, Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use simple_logger::SimpleLogger;

/// A pipe that polls as writable takes this many bytes without blocking (`PIPE_BUF`, pipe(7)).
const LINE_BYTES_MAX: usize = 4096;

/// What simple_logger puts before a message, at most: time stamp, level and target.
const PREFIX_BYTES_MAX: usize = 128;

struct NonBlocking {
    inner: SimpleLogger,
    dropped: AtomicU64,
}

/// Installs the logger of the process; a second call changes nothing.
pub(crate) fn init(level: LevelFilter) {
    let inner = SimpleLogger::new()
        .with_level(level)
        .with_module_level("mio", LevelFilter::Off)
        .with_module_level("tungstenite", LevelFilter::Off)
        .with_utc_timestamps();
    let logger = NonBlocking {
        inner,
        dropped: AtomicU64::new(0),
    };
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(level);
    }
}

impl NonBlocking {
    /// Writes one line, or says that it could not.
    fn write(&self, record: &Record) -> bool {
        if !stderr_takes_a_line() {
            return false;
        }
        // Between the question and the write the reader may go away, and then eprintln! panics.
        panic::catch_unwind(panic::AssertUnwindSafe(|| self.inner.log(record))).is_ok()
    }
}

fn stderr_takes_a_line() -> bool {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
    // A closed pipe answers OUT and ERR together: only OUT alone takes a line.
    matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1))
        && fds[0].revents() == PollFlags::OUT
}

impl Log for NonBlocking {
    fn enabled(&self, metadata: &Metadata) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            let metadata = Metadata::builder()
                .level(log::Level::Warn)
                .target(module_path!())
                .build();
            let told = self.write(
                &Record::builder()
                    .metadata(metadata)
                    .args(format_args!("log_lines_dropped={dropped}"))
                    .build(),
            );
            if told {
                self.dropped.store(0, Ordering::Relaxed);
            }
        }
        let message = record.args().to_string();
        let cut = message.floor_char_boundary(LINE_BYTES_MAX - PREFIX_BYTES_MAX);
        let written = self.write(
            &Record::builder()
                .metadata(record.metadata().clone())
                .args(format_args!("{}", &message[..cut]))
                .build(),
        );
        if !written {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}
