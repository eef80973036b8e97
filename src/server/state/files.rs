//! The state's file and those beside it: `.new` while it is written, `.old` the one before, `.bad`
//! what could not be read, `.lock` while a server has them. Knows nothing of what is in them.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The owner reads and writes: it says where people are.
const MODE: u32 = 0o600;

/// A file up to this size is removed at once. For hundreds of megabytes the kernel takes a tenth of a
/// second, in which nobody is served.
const REMOVED_AT_ONCE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes of a larger one that are given back at once.
const GIVEN_BACK_BYTES: u64 = 2 * 1024 * 1024;

/// The files, by the name of the one that counts.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    lock: Option<Lock>,
    /// Those that are to be set aside before one is written.
    damaged: Vec<PathBuf>,
    /// Those that have no name any more, and are still large.
    removed: Vec<File>,
}

impl Files {
    /// Files of this name, of which none need be there.
    ///
    /// # Errors
    /// A line that says why there can be none, and what to mend.
    pub(super) fn named(path: &Path) -> Result<Files, String> {
        let refuse = |reason: &str| format!("{}: {reason}", path.display());
        let resolved = match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_symlink() => {
                fs::canonicalize(path).map_err(|error| match error.kind() {
                    ErrorKind::NotFound => {
                        refuse("this is a link to nothing; remove it, or make what it names")
                    }
                    _ => refuse(&error.to_string()),
                })?
            }
            Ok(_) => path.to_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(refuse(&error.to_string())),
        };
        match fs::metadata(&resolved) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(refuse("this is a folder; name a file in it"));
            }
            Ok(metadata) if !metadata.is_file() => return Err(refuse("this is no regular file")),
            _ => {}
        }
        let Some(name) = resolved.file_name() else {
            return Err(refuse("this is no name of a file"));
        };
        let folder = match resolved.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = fs::canonicalize(folder).map_err(|error| match error.kind() {
            ErrorKind::NotFound => refuse(&format!(
                "there is no folder {}; make it first",
                folder.display()
            )),
            _ => refuse(&error.to_string()),
        })?;
        let files = Files {
            path: folder.join(name),
            lock: None,
            damaged: Vec::new(),
            removed: Vec::new(),
        };
        for path in [files.old(), files.beside(".new")] {
            // No file takes the place of one.
            if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
                return Err(format!(
                    "{}: this is no regular file but a folder; move it away",
                    path.display()
                ));
            }
        }
        Ok(files)
    }

    /// The one that counts.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The one before it.
    pub(super) fn old(&self) -> PathBuf {
        self.beside(".old")
    }

    /// Keeps other servers from them, from now on.
    pub(super) fn lock(&mut self) -> Result<(), TryLockError> {
        if !self.lock.as_ref().is_some_and(Lock::is_in_place) {
            self.lock = Some(Lock::take(self.beside(".lock"))?);
        }
        Ok(())
    }

    /// Gives a damaged one another name, under which there is nothing, and says it.
    ///
    /// # Errors
    /// It cannot be given one now. It is given one before anything is written.
    pub(super) fn set_aside(&mut self, path: PathBuf) -> io::Result<PathBuf> {
        let renamed = self.rename_aside(&path);
        if renamed.is_err() {
            self.damaged.push(path);
        }
        renamed
    }

    /// A new file to write.
    pub(super) fn create(&mut self) -> io::Result<File> {
        self.lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another server keeps its state there"),
            TryLockError::Error(error) => error,
        })?;
        while let Some(path) = self.damaged.last() {
            self.rename_aside(path)?;
            self.damaged.pop();
        }
        let new = self.beside(".new");
        // What is left of one that was not completed, or a link that leads elsewhere.
        self.remove(&new)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(MODE).open(new)
    }

    /// Has the new file be the one that counts, and that be the old one. At any moment one of
    /// the two is whole.
    pub(super) fn put_in_place(&mut self) -> io::Result<()> {
        let old = self.old();
        if fs::symlink_metadata(&self.path).is_ok() {
            // A rename onto it would have ext4 write the other at once (ext4(5), auto_da_alloc).
            self.remove(&old)?;
            fs::rename(&self.path, old)?;
        }
        fs::rename(self.beside(".new"), &self.path)
    }

    /// Has the disk hold what names the files have.
    pub(super) fn sync_folder(&self) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        File::open(folder)?.sync_all()
    }

    /// Gives back the room of a new file that is not completed.
    pub(super) fn discard(&mut self) {
        // The next one finds it.
        let _ = self.remove(&self.beside(".new"));
    }

    /// Whether some of what was removed still takes room.
    pub(super) fn has_removed(&self) -> bool {
        !self.removed.is_empty()
    }

    /// Gives back some of that room.
    pub(super) fn give_back(&mut self) {
        let Some(file) = self.removed.last() else {
            return;
        };
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        if bytes <= GIVEN_BACK_BYTES || file.set_len(bytes - GIVEN_BACK_BYTES).is_err() {
            self.removed.pop();
        }
    }

    /// Removes a file, if it is there. A large one loses its name, and its room later.
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let is_large = fs::symlink_metadata(path)
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() > REMOVED_AT_ONCE_BYTES_MAX);
        let mut options = OpenOptions::new();
        let held = is_large.then(|| options.write(true).open(path).ok());
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // One that somebody gave another name is theirs.
        let is_nobodys = |file: &File| file.metadata().is_ok_and(|metadata| metadata.nlink() == 0);
        self.removed.extend(held.flatten().filter(is_nobodys));
        Ok(())
    }

    fn rename_aside(&self, path: &Path) -> io::Result<PathBuf> {
        let mut to = self.beside(".bad");
        let mut number = 0;
        while fs::symlink_metadata(&to).is_ok() {
            number += 1;
            to = self.beside(&format!(".bad.{number}"));
        }
        fs::rename(path, &to)?;
        Ok(to)
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = OsString::from(&self.path);
        path.push(ending);
        path.into()
    }
}

/// An empty file that says that the others are taken. The kernel lets go of it with its process,
/// however that ends.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    fn take(path: PathBuf) -> Result<Lock, TryLockError> {
        // To open a pipe may take for ever.
        if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            let reason = format!("{} is no regular file", path.display());
            return Err(TryLockError::Error(io::Error::other(reason)));
        }
        loop {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(MODE);
            let file = options.open(&path).map_err(TryLockError::Error)?;
            file.try_lock()?;
            let lock = Lock {
                path: path.clone(),
                file,
            };
            // Whoever had it until now may have removed it meanwhile.
            if lock.is_in_place() {
                return Ok(lock);
            }
        }
    }

    /// Whether it is what others find under its name.
    fn is_in_place(&self) -> bool {
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let (ours, there) = (self.file.metadata(), fs::metadata(&self.path));
        ours.is_ok_and(|ours| there.is_ok_and(|there| identity(ours) == identity(there)))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.is_in_place() {
            // One that stays behind is in nobody's way.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE_BYTES: u64 = REMOVED_AT_ONCE_BYTES_MAX + 5 * GIVEN_BACK_BYTES;

    /// Files in a folder of their own, of which the old one and the one that counts are this large.
    fn files(name: &str, bytes: u64) -> Files {
        let name = format!("spectate-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("room for a folder");
        let mut files = Files::named(&folder.join("state")).expect("a folder that is there");
        for path in [files.path().to_owned(), files.old()] {
            let file = File::create(path).expect("room for a file");
            file.set_len(bytes).expect("a file with a hole");
        }
        files.create().expect("room for a new one");
        files
    }

    fn clear(files: Files) {
        let folder = files.path.parent().expect("a folder").to_owned();
        drop(files);
        fs::remove_dir_all(folder).expect("our folder");
    }

    fn length(path: &Path) -> u64 {
        fs::metadata(path).expect("it is there").len()
    }

    #[test]
    fn a_large_file_that_goes_gives_its_room_back_little_by_little() {
        let mut files = files("large", LARGE_BYTES);
        files.put_in_place().expect("our folder");
        assert_eq!(
            (length(&files.path), length(&files.old())),
            (0, LARGE_BYTES)
        );
        let mut steps = 0;
        while files.has_removed() {
            files.give_back();
            steps += 1;
        }
        assert_eq!(steps, LARGE_BYTES.div_ceil(GIVEN_BACK_BYTES));
        clear(files);
    }

    #[test]
    fn a_small_file_goes_at_once() {
        let mut files = files("small", REMOVED_AT_ONCE_BYTES_MAX);
        files.put_in_place().expect("our folder");
        assert!(!files.has_removed());
        clear(files);
    }

    #[test]
    fn a_file_that_somebody_gave_another_name_stays_whole() {
        let mut files = files("linked", LARGE_BYTES);
        let copy = files.beside(".copy");
        fs::hard_link(files.old(), &copy).expect("our folder");
        files.put_in_place().expect("our folder");
        assert!(!files.has_removed());
        assert_eq!(length(&copy), LARGE_BYTES);
        clear(files);
    }

    #[test]
    fn without_a_file_that_counts_the_old_one_stays() {
        let mut files = files("old", 7);
        fs::remove_file(&files.path).expect("it is there");
        files.put_in_place().expect("our folder");
        assert_eq!((length(&files.path), length(&files.old())), (0, 7));
        clear(files);
    }
}
