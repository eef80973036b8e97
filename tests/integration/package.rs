//! What the Debian package installs fits the program: its variables, its unit and its files. Whether it
//! can be installed and removed, tests/package tries.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use spectate::cli::{self, Parsed};

use crate::markdown::top;
use crate::needs;
use crate::printed::said;
use crate::readme::flags;

fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The values of /etc/default/spectate by their flags. Each has a line before it that says what it is.
fn variables() -> BTreeMap<String, String> {
    let (text, mut variables, mut is_told) = (read("src/package/default"), BTreeMap::new(), false);
    for line in text.lines() {
        let variable = line.trim_start_matches('#').strip_prefix("SPECTATE_");
        if let Some((name, value)) = variable.and_then(|variable| variable.split_once('=')) {
            assert!(is_told, "nothing says what {line} is");
            let flag = format!("--{}", name.to_lowercase().replace('_', "-"));
            let before = variables.insert(flag, value.to_owned());
            assert_eq!(before, None, "{line} comes twice");
        }
        is_told = line.starts_with("# ");
    }
    variables
}

#[test]
fn the_services_variables_are_the_flags_of_serve_with_their_defaults() {
    let mut flags = flags("serve");
    // A service has no stdin.
    flags.remove("--end-with-stdin");
    let variables = variables();
    assert!(variables.keys().eq(flags.keys()), "{variables:?} {flags:?}");
    for (flag, default) in flags {
        let value = &variables[&flag];
        let is_default = default.is_none_or(|default| default.contains(' ') || default == *value);
        assert!(is_default, "{flag} has another default: {value}");
    }
}

#[test]
fn the_services_variables_are_good_values() {
    let mut arguments: Vec<OsString> = ["spectate", "serve"].map(OsString::from).into();
    for (flag, value) in variables() {
        match &*value {
            // A switch, which takes no value on the command line.
            "false" => {}
            // Those cannot go with --state.
            _ if flag == "--processes" => {}
            _ => arguments.push(format!("{flag}={value}").into()),
        }
    }
    let parsed = cli::parse(arguments);
    assert!(matches!(parsed, Parsed::Run(_)), "{parsed:?}");
}

#[test]
fn a_stop_by_systemd_is_one_signal_for_each_of_several_processes() {
    assert!(variables().contains_key("--processes"));
    let unit = read("src/package/spectate.service");
    assert!(unit.lines().any(|line| line == "KillMode=mixed"));
}

#[test]
fn systemd_takes_the_unit_and_finds_little_to_say_against_it() {
    let Some(analyze) = needs::program(&["systemd-analyze"], "systemd") else {
        return;
    };
    let unit = read("src/package/spectate.service");
    let installed = "ExecStart=/usr/bin/spectate serve\n";
    assert!(unit.contains(installed));
    let built = format!("ExecStart={} serve\n", env!("CARGO_BIN_EXE_spectate"));
    // Its name has to be that of a unit.
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("unit");
    fs::create_dir_all(&folder).expect("room for a folder");
    let file = folder.join("spectate.service");
    fs::write(&file, unit.replace(installed, &built)).expect("room for a file");
    let mut verify = Command::new(&analyze);
    verify.args(["verify", "--man=no"]).arg(&file);
    assert_eq!(said(&mut verify), "");
    let mut security = Command::new(&analyze);
    // In tenths: 0 to 100.
    security.args(["security", "--offline=true", "--threshold=20", "--no-pager"]);
    said(security.arg(&file));
}

#[test]
fn the_package_has_the_version_of_the_program_and_packs_files_that_are_there() {
    let version = format!("spectate ({}-1) ", env!("CARGO_PKG_VERSION"));
    assert!(
        read("src/package/changelog").starts_with(&version),
        "{version}"
    );
    let manifest = read("Cargo.toml");
    let assets = manifest.lines().filter_map(|line| {
        let asset = line.trim_start().strip_prefix("[\"")?;
        asset.split_once('"').map(|(path, _)| path)
    });
    let script = read("src/package/build.sh");
    let mut count = 0;
    for path in assets {
        match path.strip_prefix("target/release/made-by-src-package-build.sh/") {
            Some(made) => {
                let made = made
                    .replace(".bash", ".$shell")
                    .replace(".zsh", ".$shell")
                    .replace(".fish", ".$shell");
                assert!(
                    script.contains(&format!("\"$made/{made}\"")),
                    "{made} is not made"
                );
            }
            None => assert!(
                path == "target/release/spectate" || top().join(path).is_file(),
                "{path}"
            ),
        }
        count += 1;
    }
    assert!(count >= 10, "{count}");
}

#[test]
fn the_packages_scripts_are_shell() {
    for (shell, scripts) in [
        (
            "sh",
            &[
                "src/package/build.sh",
                "src/package/postrm",
                "src/package/certbot-deploy-hook",
            ][..],
        ),
        (
            "bash",
            &[
                "tests/package/steps.sh",
                "tests/package/trial.sh",
                "tests/package/inside.sh",
                "tests/package/empty-root.sh",
            ],
        ),
    ] {
        for script in scripts {
            said(Command::new(shell).arg("-n").arg(top().join(script)));
        }
    }
}
