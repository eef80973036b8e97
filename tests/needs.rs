//! What tests need beyond a Rust toolchain. Where it is missing, a test fails if `CI` is set, and
//! says that it did not run elsewhere: none passes by not running.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// The first of these programs that there is; `package` is Debian's name for it.
pub(crate) fn program(names: &[&str], package: &str) -> Option<PathBuf> {
    or_say(find(names), names[0], &format!("apt-get install {package}"))
}

/// The same, where none is needed.
pub(crate) fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where Debian has programs that it keeps out of the `PATH` of those who are not root.
    let folders: Vec<_> = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .collect();
    let files = (names.iter()).flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.into_iter().find(|file| file.is_file())
}

/// A Python that has these modules, which Debian's `packages` bring.
pub(crate) fn python(modules: &str, packages: &str) -> Option<&'static str> {
    let found = ["/usr/bin/python3", "python3"].into_iter().find(|python| {
        let import = Command::new(python)
            .args(["-c", &format!("import {modules}")])
            .output();
        import.is_ok_and(|output| output.status.success())
    });
    let what = format!("Python with {modules}");
    or_say(found, &what, &format!("apt-get install {packages}"))
}

/// What is needed, if it is there. If not, a line says so, and how to mend it.
pub(crate) fn or_say<T>(found: Option<T>, what: &str, mend: &str) -> Option<T> {
    if found.is_none() {
        let line = format!("no {what} here; try: {mend}");
        let ci = std::env::var_os("CI").unwrap_or_default();
        assert!(ci.is_empty(), "{line}");
        let thread = std::thread::current();
        let line = format!("NOT RUN: {}: {line}\n", thread.name().unwrap_or("a test"));
        // Around the capture of the test harness, which would keep it from being read.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    found
}
