//! Authentication of HTTP clients and agents, with the real programs and a real Prometheus.

use std::io::Write;
use std::process::Command;

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::programs::{Collector, Program, built, wait_for};
use super::prometheus::{Prometheus, shipped};

const READER: &str = "3c9ca41d9d2e7a4c2b9a8f0b8d4f6f0e";
const AGENT: &str = "0d5f6c1ae0b94f0bb3a94ad1a6f6d5c7";

/// Creates a credentials file with one entry.
pub(crate) fn credential(owner: &str, token: &str) -> NamedTempFile {
    let digest: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "[[credential]]\n{owner}\ntokens = [\"sha256:{digest}\"]").unwrap();
    file
}

/// Creates a file with a token, as an agent or Prometheus reads it.
fn secret(token: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "{token}").unwrap();
    file
}

pub(crate) fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

/// Starts a collector that requires authentication from agents and HTTP clients.
fn guarded(agents: &NamedTempFile, readers: &NamedTempFile) -> Collector {
    let flags = ["--credentials", path(agents), "--http-credentials", path(readers)];
    Collector::start(&flags)
}

fn agent(id: &str, collector: &Collector, token: &NamedTempFile) -> Program {
    let mut command = Command::new(built("fleetgauge-agent"));
    command.args(["--id", id, "--collector", &collector.agents, "--interval", "1s"]);
    command.args(["--token-file", path(token)]);
    Program::start(command)
}

/// Prometheus can scrape with the shipped configuration, by bearer or basic authentication, but not
/// without a credential.
#[test]
#[ignore = "needs prometheus"]
fn prometheus_authenticates_with_the_shipped_configuration() {
    let agents = credential("agent = \"web-1\"", AGENT);
    let readers = credential("user = \"prometheus\"", READER);
    let collector = guarded(&agents, &readers);
    let (token, of_agent) = (secret(READER), secret(AGENT));
    let _agent = agent("web-1", &collector, &of_agent);
    let without = shipped(&collector.http);
    let file = "/etc/prometheus/fleetgauge-token";
    let bearer = without.replace("# authorization:", "authorization:").replace(file, path(&token));
    assert_eq!(bearer.matches(path(&token)).count(), 5, "{bearer}");
    let basic = bearer.replace(
        "authorization: {type: Bearer, credentials_file:",
        "basic_auth: {username: prometheus, password_file:",
    );
    for config in [&bearer, &basic] {
        let prometheus = Prometheus::with(config);
        wait_for("four parts of the page, the roster and the collector's own", 20, || {
            (prometheus.instances("up == 1") == [collector.http.as_str(); 6]).then_some(())
        });
        wait_for("the agent's series", 20, || {
            (prometheus.instances("host_memory_used_bytes") == ["web-1"]).then_some(())
        });
    }
    let prometheus = Prometheus::with(&without);
    wait_for("scrapes that are refused", 20, || {
        (prometheus.instances("up == 0") == [collector.http.as_str(); 2]).then_some(())
    });
    assert_eq!(prometheus.instances("host_memory_used_bytes"), [""; 0]);
}

/// The agent presents the token of its file. If it is rejected, it logs the reason but not the
/// token.
#[test]
#[ignore = "needs the programs"]
fn agent_authenticates_with_its_token_file() {
    let agents = credential("agent = \"web-1\"", AGENT);
    let readers = credential("user = \"prometheus\"", READER);
    let collector = guarded(&agents, &readers);
    let token = secret(AGENT);
    let right = agent("web-1", &collector, &token);
    wait_for("an agent that is let in", 10, || right.log().contains("connected").then_some(()));
    let wrong = agent("web-2", &collector, &token);
    let refused = wait_for("an agent that is refused", 10, || {
        let log = wrong.log();
        log.contains("rejected, unauthorized").then_some(log)
    });
    assert!(refused.contains("give this agent a token or certificate"), "{refused}");
    assert!(!refused.contains(AGENT) && !right.log().contains(AGENT), "{refused}");
}
