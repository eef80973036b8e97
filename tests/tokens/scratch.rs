//! Files that tests make.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A file for one test, gone when this is dropped; nobody else may read it.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str, content: &[u8]) -> Scratch {
        let name = format!("scratch-{}-{name}", std::process::id());
        let scratch = Scratch(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        scratch.write(content);
        scratch.set_mode(0o600);
        scratch
    }

    pub(crate) fn write(&self, content: &[u8]) {
        fs::write(&self.0, content).expect("room for a file");
    }

    pub(crate) fn set_mode(&self, mode: u32) {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(&self.0, permissions).expect("our file");
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
