//! A test that misses what it needs does not pass by not running.

use std::process::Command;

#[test]
fn a_test_without_its_program_fails_where_ci_is_set_and_elsewhere_says_that_it_did_not_run() {
    let name = "metrics::promtool_finds_nothing_to_say_against_the_metrics";
    let run = |ci: &str| {
        let this = std::env::current_exe().expect("proc(5)");
        let output = Command::new(this)
            .args(["--exact", name])
            .env("PATH", "/nowhere")
            .env("CI", ci)
            .output()
            .expect("it ran once");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).expect("UTF-8");
        (output.status.success(), said)
    };
    let line = "no promtool here; try: apt-get install prometheus";
    let (passed, said) = run("true");
    assert!(!passed && said.contains(line), "{said}");
    let (passed, said) = run("");
    assert!(passed && said.contains("1 passed"), "{said}");
    assert!(said.contains(&format!("NOT RUN: {name}: {line}")), "{said}");
}
