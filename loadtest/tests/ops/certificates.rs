//! Runs the documented commands that make certificates.

use std::path::Path;
use std::process::Command;

use super::programs::{Collector, Program, agent_with, wait_for};

/// The block of commands in docs/secure.md that starts with `begin`.
pub(crate) fn commands(begin: &str) -> String {
    super::book::blocks::commands("secure.md", begin)
}

pub(crate) fn run(commands: &str, folder: &Path) {
    let done = Command::new("sh").args(["-ec", commands]).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{commands}\n{}", String::from_utf8_lossy(&done.stderr));
}

/// Returns TLS flags with the files in this folder: certificate and key of `own`, and `ca.pem` for
/// the flag `authority`.
fn settings(folder: &Path, own: &str, authority: &str) -> Vec<String> {
    [("tls-certificate", format!("{own}.pem")), ("tls-key", format!("{own}.key"))]
        .into_iter()
        .chain([(authority, "ca.pem".to_owned())])
        .map(|(flag, file)| format!("--{flag}={}", folder.join(file).display()))
        .collect()
}

fn start(folder: &Path, more: &[String]) -> (Collector, Program) {
    let flags = [&settings(folder, "collector", "tls-client-ca"), more].concat();
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let collector = Collector::start(&flags);
    let own = settings(folder, "web-01", "tls-ca");
    let own: Vec<_> = own.iter().map(String::as_str).chain(["--interval", "1s"]).collect();
    let agent = agent_with("web-01", &collector, &own);
    (collector, agent)
}

#[test]
#[ignore = "needs openssl"]
fn documented_commands_issue_and_revoke_certificates() {
    let folder = tempfile::tempdir().unwrap();
    run(&commands("# The authority."), folder.path());
    let (collector, agent) = start(folder.path(), &[]);
    wait_for("the agent's series", 20, || {
        collector.get("/metrics", "").contains("agent=\"web-01\"").then_some(())
    });
    drop((collector, agent));
    run(&commands("touch index.txt"), folder.path());
    let revoked = format!("--tls-crl={}", folder.path().join("agents.crl").display());
    let (collector, _agent) = start(folder.path(), &[revoked]);
    wait_for("the agent is refused", 20, || {
        collector.program.log().contains("Revoked").then_some(())
    });
    assert!(!collector.get("/metrics", "").contains("agent=\"web-01\""));
}
