//! The engine of `forward`: a receiver in this process, and the collectors' settings for it.

use std::path::PathBuf;

use anyhow::Context;
use fleetgauge_receiver::{Labels, Receiver, ReceiverSettings};
use tempfile::TempDir;

use crate::cli::forward_args::{ForwardArgs, Trouble};
use crate::fault::judge_fault;
use crate::host_profile::HostProfile;
use crate::sim_values::{AGENT, agent_name};

/// Agent whose series the engine refuses.
pub(super) const POISONED_AGENT: u32 = 0;

/// The engine.
pub(super) struct Engine {
    pub(super) receiver: Receiver,
    settings: TempDir,
}

impl Engine {
    /// Starts the receiver, and writes the settings of the collectors.
    pub(super) async fn start(args: &ForwardArgs) -> anyhow::Result<Self> {
        let receiver = Receiver::start(ReceiverSettings::default())?;
        if args.has(Trouble::PoisonedSeries) {
            let metric = poisoned_metric(args.fleet.hosts.profile);
            let agent = agent_name(POISONED_AGENT);
            receiver.faults().poison(400, move |labels: Labels<'_>| {
                labels.metric() == metric && labels.get(AGENT) == Some(&agent)
            });
        }
        let (mut url, mut compression) = (receiver.url(), "auto");
        if let Some(fault) = args.judge_fault {
            let proxy = judge_fault::start(fault, receiver.address()).await?;
            url = url.replace(&receiver.address().to_string(), &proxy.to_string());
            compression = "snappy";
        }
        let settings = tempfile::tempdir()?;
        let engine = Self { receiver, settings };
        let text = format!(
            "[[remote_write]]\nname = \"engine\"\nurl = \"{url}\"\ncompression = \"{compression}\"\n"
        );
        std::fs::write(engine.settings_file(), text).context("cannot write settings")?;
        Ok(engine)
    }

    fn settings_file(&self) -> PathBuf {
        self.settings.path().join("collector.toml")
    }

    /// Flag of collectors that forward to this engine.
    pub(super) fn flag(&self) -> String {
        format!("--config={}", self.settings_file().display())
    }
}

/// Metric that the engine refuses from one agent.
pub(super) fn poisoned_metric(profile: HostProfile) -> String {
    profile.lasting_sample()
}
