//! The programs that forward.

use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::process::Command;

use crate::peer::{LaunchOptions, in_path};
use crate::peers::{COLLECTOR, JOB, scrape_config};

/// Label of a series that names its host, and the label that is the same for all hosts.
pub(super) type HostLabels = (&'static str, Option<(&'static str, &'static str)>);

/// A program with one of its settings.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) name: &'static str,
    /// Name of the executable; empty for the collector, which is this executable.
    program: &'static str,
    /// Debian package; empty if none is needed.
    pub(super) package: &'static str,
    /// Path that returns 200 once it is ready.
    pub(super) ready: &'static str,
    pub(super) setting: &'static str,
    pub(super) kind: SenderKind,
    /// Whether losses and stale markers are measured with this setting: once per program.
    pub(super) is_tried: bool,
}

/// What is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SenderKind {
    /// The collector, with this compression.
    Fleetgauge {
        compression: &'static str,
    },
    Vmagent,
    PrometheusAgent,
}

/// All senders, in the order of the tables.
pub(super) fn all() -> Vec<Sender> {
    let fleetgauge = |setting, compression, is_tried| Sender {
        name: "fleetgauge",
        program: "",
        package: "",
        ready: "/readyz",
        setting,
        kind: SenderKind::Fleetgauge { compression },
        is_tried,
    };
    vec![
        fleetgauge("`compression = \"snappy\"`", "snappy", true),
        fleetgauge("default: zstd, because the engine accepts it", "auto", false),
        Sender {
            name: "vmagent",
            program: "vmagent",
            package: "victoria-metrics",
            ready: "/health",
            setting: "default",
            kind: SenderKind::Vmagent,
            is_tried: true,
        },
        Sender {
            name: "Prometheus agent",
            program: "prometheus",
            package: "prometheus",
            ready: "/-/ready",
            setting: "default, `--enable-feature=agent`",
            kind: SenderKind::PrometheusAgent,
            is_tried: true,
        },
    ]
}

impl Sender {
    /// Whether `--only` selects it.
    pub(super) fn is_selected(&self, only: &[String]) -> bool {
        let name = format!("{}: {}", self.name, self.setting).to_lowercase();
        only.is_empty() || only.iter().any(|only| name.contains(&only.to_lowercase()))
    }

    /// Whether it scrapes the hosts.
    pub(super) fn is_scraper(&self) -> bool {
        !matches!(self.kind, SenderKind::Fleetgauge { .. })
    }

    /// Labels that it adds to the series of a host.
    pub(super) fn host_labels(&self) -> HostLabels {
        if self.is_scraper() { ("instance", Some(("job", JOB))) } else { ("agent", None) }
    }

    /// Finds the executable.
    ///
    /// # Errors
    /// Says what to install.
    pub(super) fn find(&self) -> Result<PathBuf, String> {
        if self.program.is_empty() {
            return std::env::current_exe()
                .map_err(|error| format!("cannot find the path of this executable: {error}"));
        }
        in_path(self.program)
            .ok_or_else(|| format!("not installed: apt-get install {}", self.package))
    }

    /// The command that starts this executable, which forwards to `url`.
    ///
    /// # Errors
    /// If a configuration file cannot be written.
    pub(super) fn command(
        &self,
        program: &Path,
        options: &LaunchOptions,
        url: &str,
    ) -> anyhow::Result<Command> {
        let mut command = Command::new(program);
        let file = options.dir.join("config");
        match self.kind {
            SenderKind::Fleetgauge { compression } => {
                let config = format!(
                    "[[remote_write]]\nname = \"engine\"\nurl = \"{url}\"\n\
                     compression = \"{compression}\"\n"
                );
                std::fs::write(&file, config)?;
                let [agents, http] = [options.tcp, options.http].map(|address| address.to_string());
                command.args([COLLECTOR, "--listen", &agents, "--http-listen", &http]);
                command.arg("--config").arg(&file);
                // The shipped unit sets it too. With it, a journal costs CPU and memory.
                command.arg("--state-dir").arg(options.dir.join("state"));
            }
            SenderKind::Vmagent => {
                // JSON is valid YAML.
                std::fs::write(&file, scrape_config(options).to_string())?;
                command.arg(format!("-promscrape.config={}", file.display()));
                command.arg(format!("-httpListenAddr={}", options.http));
                command.arg(format!("-remoteWrite.url={url}"));
                let queue = options.dir.join("queue");
                command.arg(format!("-remoteWrite.tmpDataPath={}", queue.display()));
            }
            SenderKind::PrometheusAgent => {
                let mut config = scrape_config(options);
                config["remote_write"] = json!([{"url": url}]);
                std::fs::write(&file, config.to_string())?;
                command.arg("--enable-feature=agent");
                command.arg(format!("--config.file={}", file.display()));
                command.arg(format!("--web.listen-address={}", options.http));
                let data = options.dir.join("data");
                command.arg(format!("--storage.agent.path={}", data.display()));
            }
        }
        Ok(command)
    }
}
