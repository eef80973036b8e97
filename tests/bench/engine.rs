//! A Redis for the bus of nodes under measurement: it keeps nothing, in a folder of its own. What nodes
//! say to it, it does not know.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use crate::machine::Cores;
use crate::redis::{self, By};

/// Where Debian and others put it.
const PROGRAMS: [&str; 2] = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"];

/// A running engine, killed when it is dropped, and its folder with it.
pub(crate) struct Engine {
    child: Child,
    port: u16,
    folder: PathBuf,
}

/// A line that says what to install, if that is needed.
pub(crate) fn missing() -> Option<String> {
    (program().is_none())
        .then(|| "no redis-server here; try: apt-get install redis-server".to_owned())
}

fn program() -> Option<&'static Path> {
    let mut programs = PROGRAMS.iter().map(Path::new);
    programs.find(|program| program.is_file())
}

impl Engine {
    /// Starts one on the load's core: that of the server is for nodes.
    pub(crate) fn start(cores: Cores) -> Result<Engine, String> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = folder.join(format!("bench-redis-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| format!("redis-server: {error}"))?;
        let flags = ["--dir".to_owned(), folder.display().to_string()];
        cores.pin_to_load();
        let program = program().ok_or("redis-server is gone")?;
        let (child, port) =
            redis::run_anywhere(program, By::Tcp, &flags).ok_or("redis-server does not start")?;
        Ok(Engine {
            child,
            port,
            folder,
        })
    }

    /// What `--bus` is given.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
