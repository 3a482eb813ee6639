//! Exporters of Debian. Those of servers run without one: they then report that it is down.

use std::process::Command;

use super::super::http;
use super::super::programs::{Program, free_address, wait_for};

/// An address where nothing listens: port 1 is never assigned to a program that asks for any.
const NO_SERVER: &str = "127.0.0.1:1";

pub(super) struct Exporter {
    pub(super) job: String,
    pub(super) address: String,
    /// Path and query of the page.
    pub(super) path: String,
    pub(super) program: Program,
}

/// Starts all exporters. Killing the first does not affect the others.
pub(super) fn start() -> Vec<Exporter> {
    let database = format!("user:password@({NO_SERVER})/");
    let postgres = format!("postgresql://user:password@{NO_SERVER}/postgres?sslmode=disable");
    let uri = format!("--haproxy.scrape-uri=http://{NO_SERVER}/;csv");
    vec![
        exporter("mysqld", "--web", &[], &[("DATA_SOURCE_NAME", &database)]),
        exporter("postgres", "--web", &[], &[("DATA_SOURCE_NAME", &postgres)]),
        exporter("haproxy", "--web", &[&uri], &[]),
        // Processes of this host come and go, except for this one.
        exporter("process", "-web", &["-procnames", "prometheus-proc"], &[]),
        exporter("node", "--web", &["--collector.disable-defaults", "--collector.loadavg"], &[]),
        blackbox(),
    ]
}

/// Starts an exporter that probes itself.
fn blackbox() -> Exporter {
    let mut exporter =
        exporter("blackbox", "--web", &["--config.file=/etc/prometheus/blackbox.yml"], &[]);
    exporter.path = format!("/probe?module=tcp_connect&target={}", exporter.address);
    exporter
}

/// Starts an exporter. `web` begins the name of the flag for its address.
fn exporter(name: &'static str, web: &str, flags: &[&str], variables: &[(&str, &str)]) -> Exporter {
    let address = free_address();
    let mut command = Command::new(format!("prometheus-{name}-exporter"));
    command.arg(format!("{web}.listen-address={address}")).args(flags);
    command.envs(variables.iter().copied());
    let program = Program::start(command);
    wait_for(name, 20, || http::get(&address, "/metrics", "").ok());
    // `node` is the job of the agent's own series.
    let job = format!("{name}-exporter");
    Exporter { job, address, path: "/metrics".to_owned(), program }
}
