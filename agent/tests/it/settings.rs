//! Bad settings end with exit code 64 and a sentence that helps.

use std::process::Output;

use assert_cmd::Command;

fn agent(args: &[&str]) -> Output {
    Command::cargo_bin("fleetgauge-agent").unwrap().args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_bad_flag_exits_64_and_says_what_is_right() {
    let out = agent(&["--id", "x", "--interval", "0s"]);
    assert_eq!(out.status.code(), Some(64));
    assert_eq!(
        text(&out.stderr),
        "fleetgauge-agent: --interval: \"0s\" is not an interval. Give one from 1s to 5m, such as \
         15s or 1500ms.\n"
    );
    assert!(out.stdout.is_empty());
}

#[test]
fn an_unknown_flag_exits_64() {
    let out = agent(&["--intervall", "15s"]);
    assert_eq!(out.status.code(), Some(64));
    assert!(text(&out.stderr).contains("'--intervall'"), "{}", text(&out.stderr));
}

#[test]
fn an_unknown_key_in_the_file_exits_64_with_its_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "id = 'x'\ncolector = 'c:1'\n").unwrap();
    let out = agent(&["--check", "--config", file.path().to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(64));
    assert!(text(&out.stderr).contains("line 2: unknown field `colector`"));
}

#[test]
fn a_bad_variable_exits_64_under_its_name() {
    let out = Command::cargo_bin("fleetgauge-agent")
        .unwrap()
        .args(["--id", "x", "--check"])
        .env("FLEETGAUGE_METRICS", "everything")
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(64));
    assert!(text(&out.stderr).starts_with("fleetgauge-agent: FLEETGAUGE_METRICS: \"everything\""));
}

#[test]
fn check_says_what_the_settings_come_to_and_exits() {
    let out =
        agent(&["--check", "--id", "web-1", "--collector", "c.example:1", "--interval", "2m"]);
    assert_eq!(out.status.code(), Some(0));
    assert_eq!(text(&out.stdout), "web-1 reports to c.example:1 every 120s\n");
}

#[test]
fn version_and_help_are_not_errors() {
    let version = agent(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    let expected = format!("fleetgauge-agent {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&version.stdout), expected);
    let help = agent(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("FLEETGAUGE_COLLECTOR"));
}

#[test]
fn a_settings_file_that_is_endless_or_no_file() {
    let mut endless = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut endless, "#".repeat((1 << 20) + 1).as_bytes()).unwrap();
    for (path, problem) in [
        (endless.path().to_str().unwrap(), "more than 1048576 bytes"),
        ("/", "is not a file"),
        ("/nonexistent.toml", "cannot be read"),
    ] {
        let out = agent(&["--check", "--config", path]);
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(64), "{said}");
        assert!(said.contains(path) && said.contains(problem), "{said}");
    }
}
