//! Runs the commands of the book as a reader would: page by page, in one shell each, from top to
//! bottom. Only addresses and directories differ.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::blocks::{Block, blocks};
use crate::programs::{Collector, Program, agent, built, free_address, repository, wait_for};

/// Pages whose commands are run by the tests below.
pub(super) const PAGES: [&str; 13] = [
    "demo.md",
    "get-started.md",
    "high-availability.md",
    "http.md",
    "install.md",
    "moving-from-pushgateway.md",
    "operate.md",
    "pages.md",
    "prometheus.md",
    "remote-write.md",
    "secure.md",
    "troubleshoot.md",
    "upgrade.md",
];

/// What precedes the commands. A reader repeats a command whose answer is not there yet: `again`
/// does that, with a deadline. curl fails if the answer is not a success.
const PRELUDE: &str = r#"set -euo pipefail
curl() { command curl --fail "$@"; }
export -f curl
again() {
    local end=$((SECONDS + 90))
    until bash -euo pipefail "$1"; do
        if ((SECONDS > end)); then echo "TIMEOUT: $(cat "$1")" >&2; exit 1; fi
        sleep 0.2
    done
}
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
"#;

/// A text of the book, and what stands for it in the test.
type Replacement<'a> = (&'a str, &'a str);

/// Runs the commands of a page in a directory. Panics if one fails.
fn run(page: &str, directory: &Path, replaced: &[Replacement<'_>], variables: &[Replacement<'_>]) {
    let mut script = PRELUDE.to_owned();
    for (number, block) in blocks(page).iter().filter(|block| block.is_run()).enumerate() {
        let file = format!("block-{number}.sh");
        std::fs::write(directory.join(&file), commands(block, replaced)).unwrap();
        // A block that asks may be repeated. Others are part of the same shell.
        let command = if block.text.starts_with("curl ") { "again" } else { "source" };
        writeln!(script, "{command} ./{file}").unwrap();
    }
    let programs = built("fleetgauge-collector").parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&path)));
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(directory).env("PATH", path.unwrap());
    let output = std::fs::File::create(directory.join("output")).unwrap();
    shell.stdout(output.try_clone().unwrap()).stderr(output).stdin(Stdio::null());
    let status = shell.envs(variables.iter().copied()).status().unwrap();
    let output = std::fs::read_to_string(directory.join("output")).unwrap();
    assert!(status.success(), "{page}: {status}\n{output}");
}

/// The commands of a block for this test.
fn commands(block: &Block, replaced: &[Replacement<'_>]) -> String {
    replaced.iter().fold(block.text.clone(), |text, (from, to)| text.replace(from, to))
}

/// Replaces the addresses of the book by those of a collector.
fn addresses<'a>(agents: &'a str, http: &'a str) -> [Replacement<'a>; 2] {
    [("127.0.0.1:45678", agents), ("127.0.0.1:1234", http)]
}

/// An agent has been killed, and an engine does not answer: every question has an answer.
#[test]
#[ignore = "needs bash and curl"]
fn commands_that_ask_a_collector_work() {
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("collector.toml");
    let engine = format!("[[remote_write]]\nurl = \"http://{}/\"\n", free_address());
    std::fs::write(&settings, engine).unwrap();
    let collector = Collector::start(&["--config", settings.to_str().unwrap()]);
    let _db = agent("db-1", &collector, "basic");
    let mut web = agent("web-1", &collector, "basic");
    wait_for("two agents", 30, || collector.get("/api/agents", "").contains("web-1").then_some(()));
    web.kill();
    let replaced = addresses(&collector.agents, &collector.http);
    for (page, answer) in [
        ("http.md", "host_cpu_usage_ratio{agent=\"db-1\"}"),
        ("pages.md", "\"id\":\"web-1\""),
        ("remote-write.md", "fleetgauge_remote_write_requests_total{"),
        ("troubleshoot.md", " db-1\n"),
        ("upgrade.md", concat!("1 \"version\":\"", env!("CARGO_PKG_VERSION"), "\"")),
    ] {
        run(page, directory.path(), &replaced, &[]);
        let output = std::fs::read_to_string(directory.path().join("output")).unwrap();
        assert!(output.contains(answer), "{page}: {output}");
    }
}

/// Token of an operator with all rights.
const OPERATOR: &str = "a-token-of-an-operator";

/// A killed host is deleted from the roster, and a collector asks its agents to leave.
#[test]
#[ignore = "needs bash and curl"]
fn operator_retires_a_host_and_drains_a_collector() {
    let directory = tempfile::tempdir().unwrap();
    let readers = directory.path().join("readers.toml");
    let digest = Sha256::digest(OPERATOR);
    let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let entry = format!("[[credential]]\nuser = \"ops\"\ntokens = [\"sha256:{digest}\"]\n");
    std::fs::write(&readers, entry + "may_forget = true\nmay_drain = true\n").unwrap();
    std::fs::set_permissions(&readers, Permissions::from_mode(0o600)).unwrap();
    std::fs::write(directory.path().join("ops.token"), OPERATOR).unwrap();
    let collector = Collector::start(&["--http-credentials", readers.to_str().unwrap()]);
    let mut db = agent("db-1", &collector, "basic");
    let _web = agent("web-1", &collector, "basic");
    let has_logged =
        |text: &str| wait_for(text, 30, || collector.program.log().contains(text).then_some(()));
    has_logged("agent connected agent=db-1");
    has_logged("agent connected agent=web-1");
    db.kill();
    has_logged("agent disconnected agent=db-1");
    let replaced =
        [("c2.example.com:1234", &*collector.http), ("127.0.0.1:1234", &*collector.http)];
    run("operate.md", directory.path(), &replaced, &[]);
    has_logged("departed agent deleted agent=db-1");
    run("high-availability.md", directory.path(), &replaced, &[]);
    has_logged("agents asked to leave");
}

#[test]
#[ignore = "needs bash and openssl"]
fn commands_that_secure_a_fleet_make_valid_files() {
    let directory = tempfile::tempdir().unwrap();
    run("secure.md", directory.path(), &[], &[]);
}

#[test]
#[ignore = "needs bash and openssl"]
fn five_commands_secure_a_fleet() {
    let directory = tempfile::tempdir().unwrap();
    let block = &blocks("secure.md").into_iter().find(|block| block.text.contains("# 5.")).unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("five.sh"), &block.text).unwrap();
    let mut shell = Command::new("bash");
    let programs = built("fleetgauge-collector").parent().unwrap().display().to_string();
    let search = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    shell.args(["-eu", "five.sh"]).current_dir(directory.path()).env("PATH", search);
    let done = shell.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let (certificate, key) = (path("collector.pem"), path("collector.key"));
    let credentials = path("credentials.toml");
    let collector = Collector::start(&[
        "--tls-certificate",
        &certificate,
        "--tls-key",
        &key,
        "--credentials",
        &credentials,
    ]);
    let (token, authority) = (path("agents.token"), path("ca.pem"));
    let flags = ["--token-file", &token, "--tls-ca", &authority, "--interval", "1s"];
    let _web = crate::programs::agent_with("web-7", &collector, &flags);
    let other = crate::programs::agent_with("db-7", &collector, &flags);
    wait_for("the agent's series", 30, || {
        collector.get("/metrics", "").contains("agent=\"web-7\"").then_some(())
    });
    wait_for("the rejection of an id that the token does not allow", 30, || {
        other.log().contains("unauthorized").then_some(())
    });
    assert!(!collector.get("/metrics", "").contains("agent=\"db-7\""));
}

#[test]
#[ignore = "needs bash and curl"]
fn commands_that_install_show_a_host_and_name_those_that_are_missing() {
    let directory = tempfile::tempdir().unwrap();
    let (agents, http) = (free_address(), free_address());
    std::fs::write(directory.path().join("expected"), "my-host\nnot-installed\n").unwrap();
    let variables = [
        ("FLEETGAUGE_LISTEN", &*agents),
        ("FLEETGAUGE_HTTP_LISTEN", &*http),
        ("FLEETGAUGE_EXPECTED_AGENTS", "expected"),
        ("FLEETGAUGE_RETURN_TIMEOUT", "1s"),
    ];
    run("install.md", directory.path(), &addresses(&agents, &http), &variables);
    let output = std::fs::read_to_string(directory.path().join("output")).unwrap();
    assert!(output.contains("host_cpu_usage_ratio{agent=\"my-host\",role=\"db\"}"), "{output}");
    assert!(output.contains("{agent=\"not-installed\",reason=\"never_seen\"} 1"), "{output}");
}

#[test]
#[ignore = "needs bash"]
fn job_that_wrote_a_file_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().to_str().unwrap();
    let replaced = ("/var/lib/fleetgauge-textfile", at);
    run("moving-from-pushgateway.md", directory.path(), &[replaced], &[]);
    let settings = directory.path().join("agent.toml");
    let of_page = blocks("moving-from-pushgateway.md").into_iter();
    let table = of_page.filter(|block| block.language() == "toml").map(|block| block.text);
    std::fs::write(&settings, table.collect::<String>().replace(replaced.0, at)).unwrap();
    let collector = Collector::start(&[]);
    let flags = ["--config", settings.to_str().unwrap(), "--interval", "1s"];
    let _agent = crate::programs::agent_with("host", &collector, &flags);
    wait_for("the series of the file", 30, || {
        let page = collector.get("/metrics/agents", "");
        let mut series = page.lines().filter(|line| line.starts_with("backup_size_bytes{"));
        series.any(|line| line.contains("job=\"backup\"") && line.ends_with(" 4096")).then_some(())
    });
}

/// The story of the demo takes some time to reach an event, so the commands are repeated.
#[test]
#[ignore = "needs bash and curl"]
fn commands_about_the_demo_work_while_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    let (agents, http) = (free_address(), free_address());
    let mut demo = Command::new(built("fleetgauge-loadtest"));
    demo.args(["demo", "--listen", &agents, "--http", &http]);
    let _demo = Program::start(demo);
    run("demo.md", directory.path(), &addresses(&agents, &http), &[]);
}

/// The shipped configuration and alerts, with intervals of a second.
fn put_deploy(directory: &Path, http: &str) {
    let to = directory.join("deploy/prometheus");
    std::fs::create_dir_all(&to).unwrap();
    for name in ["prometheus.yml", "rules.yml"] {
        let file = std::fs::read_to_string(repository("deploy/prometheus").join(name)).unwrap();
        let file = file.replace("127.0.0.1:1234", http).replace("_interval: 15s", "_interval: 1s");
        std::fs::write(to.join(name), file.replace("for: 1m", "for: 1s")).unwrap();
    }
}

#[test]
#[ignore = "needs bash and promtool"]
fn installed_configuration_of_prometheus_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    let installed = directory.path().join("etc");
    std::fs::create_dir(&installed).unwrap();
    symlink(repository("deploy"), directory.path().join("deploy")).unwrap();
    let replaced = [("/etc/prometheus", installed.to_str().unwrap())];
    run("prometheus.md", directory.path(), &replaced, &[]);
}

#[test]
#[ignore = "needs bash, curl and prometheus"]
fn reader_gets_from_nothing_to_the_first_alert() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start(&[]);
    let _demo = agent("web-01.demo", &collector, "basic");
    put_deploy(directory.path(), &collector.http);
    std::fs::create_dir_all(directory.path().join("target/release")).unwrap();
    let program = directory.path().join("target/release/fleetgauge-agent");
    symlink(built("fleetgauge-agent"), program).unwrap();
    let prometheus = free_address();
    let [agents, http] = addresses(&collector.agents, &collector.http);
    let replaced = [agents, http, ("127.0.0.1:9099", &*prometheus)];
    run("get-started.md", directory.path(), &replaced, &[]);
    wait_for("the end of the agent after its Bye", 30, || {
        (!collector.get("/metrics/roster", "").contains("my-first-host")).then_some(())
    });
}
