//! The engine of `forward`: a receiver in this process, and the collectors' settings for it.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use fleetgauge_collector::config::Compression;
use fleetgauge_receiver::{Labels, Receiver, ReceiverSettings, SharedLedger};
use tempfile::{NamedTempFile, TempDir};

use crate::cli::forward_args::{ForwardArgs, Trouble};
use crate::fault::judge_fault::{self, JudgeFault};
use crate::host_profile::HostProfile;
use crate::scrape::TOKEN_DIGEST;
use crate::sim_values::{AGENT, agent_name};

/// Agent whose series the engine refuses.
pub(super) const POISONED_AGENT: u32 = 0;

/// The engine.
pub(super) struct Engine {
    pub(super) receiver: Receiver,
    settings: TempDir,
    /// Readable only by the owner, as collectors require.
    users: NamedTempFile,
}

impl Engine {
    /// Starts the receiver, and writes the settings of the collectors.
    pub(super) async fn start(args: &ForwardArgs) -> anyhow::Result<Self> {
        let ledger = SharedLedger::new(args.engine_size().limits());
        let receiver = Receiver::start_with(ledger, ReceiverSettings::default())?;
        if args.has(Trouble::PoisonedSeries) {
            let metric = poisoned_metric(args.fleet.hosts.profile);
            let agent = agent_name(POISONED_AGENT);
            receiver.faults().poison(400, move |labels: Labels<'_>| {
                labels.metric() == metric && labels.get(AGENT) == Some(&agent)
            });
        }
        if args.in_order_only {
            receiver.faults().in_order_only(400);
        }
        let (mut url, mut compression) = (receiver.url(), args.compression);
        if let Some(fault) = args.judge_fault.filter(|fault| *fault != JudgeFault::NoDrain) {
            let proxy = judge_fault::start(fault, receiver.address()).await?;
            url = url.replace(&receiver.address().to_string(), &proxy.to_string());
            // The proxy knows no other.
            compression = Compression::Snappy;
        }
        let (settings, users) = (tempfile::tempdir()?, NamedTempFile::new()?);
        let mut engine = Self { receiver, settings, users };
        let compression = format!("{compression:?}").to_lowercase();
        let out_of_order = args.out_of_order;
        let text = format!(
            "[[remote_write]]\nname = \"engine\"\nurl = \"{url}\"\n\
             compression = \"{compression}\"\nout_of_order = {out_of_order}\n"
        );
        std::fs::write(engine.settings_file(), text).context("cannot write settings")?;
        let users = format!(
            "[[credential]]\nuser = \"loadtest\"\ntokens = [\"sha256:{TOKEN_DIGEST}\"]\nmay_drain \
             = true\n"
        );
        engine.users.write_all(users.as_bytes()).context("cannot write users")?;
        Ok(engine)
    }

    fn settings_file(&self) -> PathBuf {
        self.settings.path().join("collector.toml")
    }

    /// Flags of collectors that forward to this engine, and whose agents the load test may drain.
    pub(super) fn flags(&self) -> [String; 2] {
        [
            format!("--config={}", self.settings_file().display()),
            format!("--http-credentials={}", self.users.path().display()),
        ]
    }
}

/// Metric that the engine refuses from one agent.
pub(super) fn poisoned_metric(profile: HostProfile) -> String {
    profile.lasting_sample()
}
