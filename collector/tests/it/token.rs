//! `fleetgauge-collector token`, and the commands in the documentation that make tokens.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::support::agent::{Agent, identity};
use crate::support::command::{Process, command};
use crate::support::frames::gauges;
use crate::support::http;
use crate::support::secrets::{Files, entry};

fn token(arguments: &[&str]) -> Output {
    command(&[&["token"], arguments].concat()).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Runs shell commands in a directory, with the program in the path.
fn shell(commands: &str, folder: &Path) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_fleetgauge-collector")).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let all = std::iter::once(program.to_owned()).chain(std::env::split_paths(&path));
    let mut shell = Command::new("sh");
    shell.args(["-ec", commands]).current_dir(folder);
    shell.env("PATH", std::env::join_paths(all).unwrap()).output().unwrap()
}

/// Returns the commands in `docs/secure.md` that make tokens.
fn documented() -> String {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/secure.md");
    let guide = fs::read_to_string(guide).unwrap();
    let block = guide.split("\n```sh\n").find(|block| block.starts_with("umask 077\n"));
    block.unwrap().split("\n```").next().unwrap().to_owned()
}

/// The collector accepts the tokens of agents and of HTTP users. It rejects an agent's token on the
/// HTTP port.
#[test]
fn documented_commands_make_valid_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let done = shell(&documented(), folder.path());
    assert!(done.status.success(), "{}", text(&done.stderr));
    let path = |name: &str| folder.path().join(name).display().to_string();
    let made = |name: &str| fs::read_to_string(path(name)).unwrap().trim_end().to_owned();
    let (agents, readers) = (path("credentials.toml"), path("readers.toml"));
    let flags = ["--credentials", &agents, "--http-credentials", &readers];
    let process = Process::start(&flags);

    let catalog = gauges(&["load"]);
    let (web, db) = (made("web-1.token"), made("db.token"));
    let _web =
        Agent::join(process.agents, &identity("web-1").with_credential(&web), &catalog, &[1.0]);
    let _db = Agent::join(process.agents, &identity("db-7").with_credential(&db), &catalog, &[1.0]);
    let reader = made("prometheus.token");
    let basic = |pair: String| format!("Authorization: Basic {}", BASE64_STANDARD.encode(pair));
    for (authorization, status) in [
        (format!("Authorization: Bearer {reader}"), 200),
        (basic(format!("prometheus:{reader}")), 200),
        (basic("prometheus:".to_owned()), 401),
        (format!("Authorization: Bearer {web}"), 401),
    ] {
        let answer = http::request(process.http, "GET", "/metrics", &[&authorization]);
        assert_eq!(answer.status, status, "{authorization}");
    }
}

#[test]
fn token_is_on_stdout_and_its_entry_on_stderr() {
    let made = token(&["--agent", "web-1"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let (secret, written) = (text(&made.stdout), text(&made.stderr));
    let secret = secret.strip_suffix('\n').unwrap();
    assert!(secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()), "{secret}");
    assert_eq!(written.trim(), entry("agent = \"web-1\"", &[secret], "").trim());
    assert_ne!(token(&["--agent", "web-1"]).stdout, made.stdout, "the token is not random");
}

#[test]
fn token_file_is_private_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web-1.token");
    let write = ["--agent", "web-1", "--write", path.to_str().unwrap()];
    let made = token(&write);
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = fs::read_to_string(&path).unwrap();
    assert_eq!(text(&made.stdout).trim(), entry("agent = \"web-1\"", &[secret.trim()], "").trim());
    assert!(made.stderr.is_empty(), "{}", text(&made.stderr));

    let again = token(&write);
    assert_eq!((again.status.code(), &*again.stdout), (Some(1), &b""[..]));
    assert!(text(&again.stderr).contains("exists and may hold a token in use; remove it"));
    assert_eq!(fs::read_to_string(&path).unwrap(), secret);
}

/// The entry does not fit on the disk. A token without an entry must not remain.
#[cfg(target_os = "linux")]
#[test]
fn token_file_is_removed_if_its_entry_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web-1.token");
    let mut full = command(&["token", "--agent", "web-1", "--write", path.to_str().unwrap()]);
    full.stdout(fs::File::create("/dev/full").unwrap()).stderr(Stdio::piped());
    let made = full.output().unwrap();
    assert_eq!(made.status.code(), Some(1));
    assert!(text(&made.stderr).contains("cannot write the entry to standard output"));
    assert!(!path.exists());
}

/// The token cannot be written to the file, which exists by then and is empty.
#[test]
fn token_file_is_removed_if_it_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    // The maximum file size is zero. A write is an error and no signal.
    let limited = "trap '' XFSZ; ulimit -f 0; fleetgauge-collector token --agent a --write a.token";
    let made = shell(limited, folder.path());
    assert_eq!((made.status.code(), &*made.stdout), (Some(1), &b""[..]));
    let said = text(&made.stderr);
    assert!(
        said.contains("cannot write the token to a.token") && said.contains("removed"),
        "{said}"
    );
    assert!(!folder.path().join("a.token").exists());
}

#[test]
fn token_rejects_names_that_are_invalid_in_credentials_files() {
    for (arguments, said) in [
        (&["--agent", "my pc"][..], "agent id \"my pc\" is invalid"),
        (&["--agent", "*-fra"], "a pattern may have one *, at its end"),
        (&["--agent", ""], "agent id \"\" is invalid"),
        (&["--user", ""], "user \"\" is empty"),
        (&["--user", "a:b"], "user \"a:b\" is empty, or has a colon"),
        (&[], "--agent"),
        (&["--agent", "a", "--user", "b"], "cannot be used with"),
        (&["--agent", "a", "--listen", "127.0.0.1:1"], "unexpected argument '--listen'"),
    ] {
        let made = token(arguments);
        assert_eq!((made.status.code(), &*made.stdout), (Some(64), &b""[..]), "{arguments:?}");
        assert!(text(&made.stderr).contains(said), "{}", text(&made.stderr));
    }
}

#[test]
fn help_of_token_names_program_and_subcommand() {
    let help = command(&["--help"]).output().unwrap();
    let help = text(&help.stdout);
    assert!(help.starts_with("Receive the reports of agents"), "{help}");
    assert!(help.contains("token  Generate a random token"), "{help}");
    let help = token(&["--help"]);
    assert!(text(&help.stdout).contains("token [OPTIONS] <--agent <ID>|--user <NAME>>"));
}

/// The digest is that of a token file that was missing or empty.
#[test]
fn digest_of_an_empty_secret_is_rejected_at_start() {
    let files = Files::new();
    for (flag, name) in [("--credentials", "agent = 'a'"), ("--http-credentials", "user = 'a'")] {
        let more = entry(&name.replace("'a'", "'b'"), &["a token"], "") + &entry(name, &[""], "");
        let file = files.write("file", &more);
        let checked = command(&["--check", flag, file.to_str().unwrap()]).output().unwrap();
        let said = text(&checked.stderr);
        assert_eq!(checked.status.code(), Some(64), "{said}");
        assert!(
            said.contains("file, line 5: a token is the SHA-256 of an empty or blank string"),
            "{said}"
        );
        assert!(said.contains("fleetgauge-collector token"), "{said}");
    }
}
