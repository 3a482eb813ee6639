//! Settings of the command: exit codes, `--check`, help and log format.

use std::io::Write;
use std::process::Output;

use assert_cmd::Command;
use tempfile::NamedTempFile;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("fleetgauge-agent").unwrap();
    command.args(arguments);
    command
}

fn agent(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn file(content: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

/// Returns the errors of a command that exits with 64.
fn errors(output: &Output) -> &str {
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{errors}");
    assert!(output.stdout.is_empty() && !errors.contains("panicked"), "{errors}");
    errors
}

#[test]
fn invalid_flag_exits_64_and_says_what_is_right() {
    let output = agent(&["--id", "x", "--interval", "0s"]);
    let expected = "fleetgauge-agent: --interval=\"0s\": must be between 1s and 5m\n";
    assert_eq!(errors(&output), expected);
}

#[test]
fn unknown_flag_exits_64_and_names_the_nearest() {
    let output = agent(&["--intervall", "15s"]);
    let errors = errors(&output);
    assert!(errors.contains("'--intervall'") && errors.contains("'--interval'"), "{errors}");
}

#[test]
fn unknown_key_and_variable_exit_64_together() {
    let file = file("id = 'x'\ncolector = 'c:1'\n");
    let mut command = command(&["--check", "--config", file.path().to_str().unwrap()]);
    let output = command.env("FLEETGAUGE_METRICKS", "basic").output().unwrap();
    let errors = errors(&output);
    let expected = "line 2: colector: unknown setting; did you mean collector?";
    assert!(errors.contains(expected), "{errors}");
    assert!(errors.contains("did you mean FLEETGAUGE_METRICS?"), "{errors}");
}

#[test]
fn check_prints_the_settings_and_where_they_were_set() {
    let file = file("interval = '2m'\n\n[labels]\ndc = 'fra'\n");
    let path = file.path().to_str().unwrap();
    let mut command = command(&["--check", "--config", path, "--id", "web-1"]);
    let variables =
        [("FLEETGAUGE_COLLECTOR", "c.example:1"), ("FLEETGAUGE_TOKEN", "hunter2hunter2hunter2")];
    let output = command.envs(variables).output().unwrap();
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(printed.starts_with("# agent id: web-1\n"), "{printed}");
    for (setting, origin) in [
        ("collector = [\"c.example:1\"]", "# environment variable FLEETGAUGE_COLLECTOR"),
        ("id = \"web-1\"", "# flag --id"),
        ("interval = \"2m\"", &format!("# {path} line 1")),
        ("metrics = [\"basic\", \"node\"]", "# default"),
        ("labels = { dc = \"fra\" }", &format!("# {path} line 3")),
        ("# token is set and not shown", "# environment variable FLEETGAUGE_TOKEN"),
    ] {
        let is_line = |line: &str| line.starts_with(setting) && line.ends_with(origin);
        assert!(printed.lines().any(is_line), "{setting} {origin}: {printed}");
    }
    assert!(!printed.contains("hunter2"), "{printed}");
    assert_eq!(text(&output.stderr), "fleetgauge-agent: all settings are valid\n");
}

#[test]
fn version_and_help_exit_0() {
    let version = agent(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    let expected = format!("fleetgauge-agent {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&version.stdout), expected);
    let (short, long) = (agent(&["-h"]), agent(&["--help"]));
    let (short, long) = (text(&short.stdout), text(&long.stdout));
    for heading in ["Reporting:", "Authentication:", "TLS:", "Logging:"] {
        assert!(short.contains(heading) && long.contains(heading), "{heading}: {short}");
    }
    assert!(long.contains("Examples:") && !short.contains("Examples:"), "{short}");
    assert!(long.contains("FLEETGAUGE_INTERVAL"), "{long}");
}

#[test]
fn settings_file_that_is_endless_or_no_file_exits_64() {
    let endless = file(&"#".repeat((1 << 20) + 1));
    for (path, problem) in [
        (endless.path().to_str().unwrap(), "has more than 1048576 bytes"),
        ("/", "is not a file"),
        ("/nonexistent.toml", "cannot be read"),
    ] {
        let output = agent(&["--check", "--config", path]);
        let errors = errors(&output);
        assert!(errors.contains(path) && errors.contains(problem), "{errors}");
    }
}
