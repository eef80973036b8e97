//! The state's file and those beside it: `.new` while it is written, `.old` the one before, `.bad`
//! what could not be read, `.lock` while a server has them. Knows nothing of what is in them.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The owner reads and writes: it says where people are.
const MODE: u32 = 0o600;

/// The files, by the name of the one that counts.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    lock: Option<Lock>,
    /// Those that are to be set aside before one is written.
    damaged: Vec<PathBuf>,
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
        Ok(Files {
            path: folder.join(name),
            lock: None,
            damaged: Vec::new(),
        })
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
        unless_missing(fs::remove_file(&new))?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(MODE).open(new)
    }

    /// Has the new file be the one that counts, and that be the old one. At any moment one of
    /// the two is whole.
    pub(super) fn put_in_place(&self) -> io::Result<()> {
        unless_missing(fs::rename(&self.path, self.old()))?;
        fs::rename(self.beside(".new"), &self.path)
    }

    /// Has the disk hold what names the files have.
    pub(super) fn sync_folder(&self) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        File::open(folder)?.sync_all()
    }

    /// Gives back the room of a new file that is not completed.
    pub(super) fn discard(&self) {
        // There may be none.
        let _ = fs::remove_file(self.beside(".new"));
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

fn unless_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
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
