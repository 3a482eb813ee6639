//! `fleetgauge-agent join` on files that are not those of the service.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;

/// Runs `join` with a file and further arguments.
fn join(file: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("fleetgauge-agent").unwrap();
    command.arg("join").args(arguments).arg("--config").arg(file).output().unwrap()
}

fn errors(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn shipped_settings_get_the_collector_and_keep_everything_else() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.toml");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/agent.toml");
    fs::copy(&shipped, &file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let joined = join(&file, &["collector.example.com:45678"]);
    assert!(joined.status.success(), "{}", errors(&joined));
    let expected = fs::read_to_string(&shipped).unwrap().replace(
        "#collector = [\"127.0.0.1:45678\"]",
        "collector = [\"collector.example.com:45678\"]",
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "a temporary file is left");

    // Again, with two.
    assert!(join(&file, &["a.example.com:1", "b.example.com:1"]).status.success());
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("\ncollector = [\"a.example.com:1\", \"b.example.com:1\"]\n"), "{text}");
}

#[test]
fn file_that_would_be_invalid_stays_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.toml");
    // The first line of a list of several lines cannot be replaced alone.
    let before = "collector = [\n  \"a:1\",\n]\n";
    fs::write(&file, before).unwrap();
    let joined = join(&file, &["b:1"]);
    assert_eq!(joined.status.code(), Some(64), "{}", errors(&joined));
    assert!(errors(&joined).contains("is unchanged; set collector with an editor"));
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "a temporary file is left");
}

#[test]
fn invalid_collector_exits_64_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.toml");
    for collector in ["no-port", "a:1\"]\nid = \"x", ""] {
        let joined = join(&file, &[collector]);
        assert_eq!(joined.status.code(), Some(64), "{collector}: {}", errors(&joined));
        assert!(!file.exists(), "{collector}");
    }
}
