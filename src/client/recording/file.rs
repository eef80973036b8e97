//! The file that a recorder writes: its alone, whole after a crash, begun anew in every period.
//! Must never know where the lines come from.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::lines::Lines;
use super::newest::Newest;
use super::{LINE_BYTES_MAX, can_begin, parse};
use crate::client::{plain, tell};
use crate::date;

/// Where people were is nobody else's to read.
const MODE: u32 = 0o600;
/// How much of a recording is read at the start to know what was recorded last of each user: some
/// 150,000 lines.
const TAIL_BYTES: u64 = 16 * 1024 * 1024;
/// Longest time that lines wait to be synced to the disk.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// How much is read at once in search of the last newline.
const SEARCH_BYTES: usize = 64 * 1024;

/// A recording that grows.
#[derive(Debug)]
pub(in crate::client) struct RecordingFile {
    path: PathBuf,
    file: File,
    /// How long it is.
    bytes: u64,
    /// When lines were written first that are not synced.
    unsynced_since: Option<Instant>,
    rotation: Option<Rotation>,
}

/// When a file is full: whenever the unix time is a multiple of the period.
#[derive(Clone, Copy, Debug)]
struct Rotation {
    period_ms: u64,
    /// The number of the period whose lines the file has.
    current: u64,
}

impl RecordingFile {
    /// Opens a recording to go on with it, or begins one; a last line that is torn is cut off.
    ///
    /// # Errors
    /// A line that names the file, when it is no file, another recorder's, or cannot be written.
    pub(in crate::client) fn open(
        path: &Path,
        period: Option<Duration>,
        now_ms: u64,
    ) -> Result<RecordingFile, String> {
        let file = lock(path)?;
        // Where a link stands its file is to be renamed.
        let path = fs::canonicalize(path).map_err(|error| refusal(path, &error))?;
        let bytes = mend(&file, &path)?;
        let rotation = period.map(|period| {
            let period_ms = (period.as_millis() as u64).max(1);
            let begun_ms = match bytes {
                0 => now_ms,
                _ => modified_ms(&file).unwrap_or(now_ms),
            };
            Rotation {
                period_ms,
                current: begun_ms / period_ms,
            }
        });
        Ok(RecordingFile {
            path,
            file,
            bytes,
            unsynced_since: None,
            rotation,
        })
    }

    /// What was recorded last of each user, by the end of this file and of the one before it.
    ///
    /// # Errors
    /// A line that names the file which cannot be read.
    pub(in crate::client) fn newest(&self) -> Result<Newest, String> {
        let mut newest = Newest::default();
        for path in last_rotated(&self.path).iter().chain([&self.path]) {
            note_tail(path, &mut newest).map_err(|error| refusal(path, &error))?;
        }
        Ok(newest)
    }

    /// Appends a line that ends in a newline.
    ///
    /// # Errors
    /// A line for people, when the disk is full or broken; what is in the file is whole then.
    pub(in crate::client) fn append(&mut self, line: &str, now: Instant) -> Result<(), String> {
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            // What went in of the line goes out again, if the disk still does that.
            let _ = self.file.set_len(self.bytes);
            let reason = refusal(&self.path, &error);
            return Err(format!("{reason}; recorded up to here"));
        }
        self.bytes += line.len() as u64;
        self.unsynced_since.get_or_insert(now);
        Ok(())
    }

    /// Begins a new file and syncs this one, if it is time to.
    ///
    /// # Errors
    /// A line for people, when the disk does not do it.
    pub(in crate::client) fn keep(&mut self, now: Instant, now_ms: u64) -> Result<(), String> {
        if let Some(rotation) = &mut self.rotation {
            let period = now_ms / rotation.period_ms;
            if period > rotation.current {
                rotation.current = period;
                self.rotate(now_ms)?;
            }
        }
        match self.unsynced_since {
            Some(since) if now >= since + SYNC_INTERVAL => {
                self.sync()?;
                self.return_to_name()
            }
            _ => Ok(()),
        }
    }

    /// When [`keep`](Self::keep) has something to do.
    pub(in crate::client) fn next_due(&self, now: Instant, now_ms: u64) -> Option<Instant> {
        let rotation = self.rotation.map(|rotation| {
            let end_ms = (rotation.current + 1) * rotation.period_ms;
            now + Duration::from_millis(end_ms.saturating_sub(now_ms))
        });
        let sync = self.unsynced_since.map(|since| since + SYNC_INTERVAL);
        rotation.into_iter().chain(sync).min()
    }

    /// Has the disk keep what is written.
    ///
    /// # Errors
    /// A line for people, when it does not.
    pub(in crate::client) fn sync(&mut self) -> Result<(), String> {
        if self.unsynced_since.take().is_some() {
            let synced = self.file.sync_data();
            synced.map_err(|error| refusal(&self.path, &error))?;
        }
        Ok(())
    }

    /// If somebody removed or renamed the file, what comes goes into a new one of its name.
    fn return_to_name(&mut self) -> Result<(), String> {
        if !has_name(&self.file, &self.path) {
            tell(&format!(
                "{}: is there no more; begun anew",
                self.path.display()
            ));
            self.begin_anew()?;
        }
        Ok(())
    }

    fn rotate(&mut self, now_ms: u64) -> Result<(), String> {
        if self.bytes == 0 {
            return Ok(());
        }
        self.sync()?;
        let renamed = free_name(&self.path, now_ms);
        fs::rename(&self.path, &renamed).map_err(|error| refusal(&self.path, &error))?;
        self.begin_anew()
    }

    /// Goes on in the file of its name: a new one, if nobody was faster.
    fn begin_anew(&mut self) -> Result<(), String> {
        self.file = lock(&self.path)?;
        self.bytes = mend(&self.file, &self.path)?;
        Ok(())
    }
}

/// Opens a file, or makes it, for one recorder alone.
fn lock(path: &Path) -> Result<File, String> {
    let refuse = |error: io::Error| refusal(path, &error);
    loop {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(MODE);
        let file = options.open(path).map_err(refuse)?;
        if !file.metadata().map_err(refuse)?.is_file() {
            return Err(format!("{}: is no regular file", path.display()));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "{}: another recorder is writing it: give this one a file of its own",
                    path.display()
                ));
            }
            Err(TryLockError::Error(error)) => return Err(refuse(error)),
        }
        // Another recorder may have renamed it in between.
        if has_name(&file, path) {
            return Ok(file);
        }
    }
}

/// Whether this is the file of that name.
fn has_name(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let opened = file.metadata().map(identity);
    let named = fs::metadata(path).map(identity);
    matches!((opened, named), (Ok(opened), Ok(named)) if opened == named)
}

/// Has the file end with a whole line; says how long it is then.
fn mend(file: &File, path: &Path) -> Result<u64, String> {
    let refuse = |error: io::Error| refusal(path, &error);
    let bytes = file.metadata().map_err(refuse)?.len();
    let begin = last_line_begin(file, bytes).map_err(refuse)?;
    if begin == bytes {
        return Ok(bytes);
    }
    let length = (bytes - begin).min(LINE_BYTES_MAX as u64 + 1);
    let mut line = vec![0; length as usize];
    file.read_exact_at(&mut line, begin).map_err(refuse)?;
    if parse(&line).is_ok() {
        // Only its newline is missing.
        let mut end = file;
        end.write_all(b"\n").map_err(refuse)?;
        return Ok(bytes + 1);
    }
    // After a crash of the machine there may be zeros where nothing was written yet.
    if !can_begin(&line) && line[0] != 0 {
        return Err(format!(
            "{}: does not end as a recording does: give another file",
            path.display()
        ));
    }
    file.set_len(begin).map_err(refuse)?;
    tell(&format!(
        "{}: cut off a torn last line of {} bytes",
        path.display(),
        bytes - begin
    ));
    Ok(begin)
}

/// Where the last line begins: behind the last newline.
fn last_line_begin(file: &File, bytes: u64) -> io::Result<u64> {
    let mut end = bytes;
    let mut chunk = vec![0; SEARCH_BYTES];
    while end > 0 {
        let begin = end.saturating_sub(SEARCH_BYTES as u64);
        let chunk = &mut chunk[..(end - begin) as usize];
        file.read_exact_at(chunk, begin)?;
        if let Some(at) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

fn note_tail(path: &Path, newest: &mut Newest) -> io::Result<()> {
    let mut file = File::open(path)?;
    let begin = file.metadata()?.len().saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(begin))?;
    let mut lines = Lines::new(BufReader::with_capacity(SEARCH_BYTES, file));
    if begin > 0 {
        lines.skip()?;
    }
    while let Some(line) = lines.next()? {
        if let Ok(recorded) = line.content {
            newest.note(recorded.user.text(), &recorded.seen, recorded.received_ms);
        }
    }
    Ok(())
}

fn modified_ms(file: &File) -> Option<u64> {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    let since_1970 = modified.ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(since_1970.as_millis() as u64)
}

/// The name of a file that is full: with the time behind it, and a number if there is one already.
fn free_name(path: &Path, now_ms: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(date::basic(now_ms));
    let numbered = (1u64..).map(|number| {
        let mut name = name.clone();
        name.push(format!(".{number}"));
        name
    });
    let mut names = [name.clone()].into_iter().chain(numbered);
    let is_free = |name: &OsString| fs::symlink_metadata(name).is_err();
    PathBuf::from(names.find(is_free).unwrap_or_default())
}

/// The newest of the files that were renamed, by their names.
fn last_rotated(path: &Path) -> Option<PathBuf> {
    let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
    let entries = fs::read_dir(folder).ok()?.flatten();
    let rotated = entries.filter_map(|entry| {
        let file_name = entry.file_name();
        let stamp = file_name.to_str()?.strip_prefix(name)?.strip_prefix('.')?;
        let (time, number) = stamp.split_once('.').unwrap_or((stamp, "0"));
        let is_time = time.len() == date::basic(0).len() && time.ends_with('Z');
        let key = (time.to_owned(), number.parse::<u64>().ok()?);
        is_time.then(|| (key, entry.path()))
    });
    rotated.max().map(|(_, path)| path)
}

fn refusal(path: &Path, error: &io::Error) -> String {
    format!("{}: {}", path.display(), plain(error))
}
