//! Where agents are after a rolling restart: each on one page, and some on every page.

use std::net::SocketAddr;

use fleetgauge_page::{Item, ReadResult, Reader};

use super::ForwardRun;
use super::failure::ForwardFailure;
use crate::cli::forward_args::ForwardArgs;
use crate::judge::finding::Finding;
use crate::scrape::{self, Encoding, ScrapeError};
use crate::sim_values::{AGENT, agent_number};

/// Path of the page with the series of agents.
const PATH: &str = "/metrics/agents";
/// Name of the pages in findings.
const WHEN: &str = "on the pages of all collectors";

impl ForwardRun {
    /// Checks that each agent is on the page of exactly one collector.
    pub(super) async fn check_pages(&mut self, args: &ForwardArgs) -> anyhow::Result<()> {
        self.run.settle().await?;
        let mut times = vec![0; args.fleet.agents as usize];
        let mut failures = Vec::new();
        for collector in 0..self.run.fleet.collectors.len() {
            let http = self.run.fleet.collectors[collector].http;
            match agents_of(http, args).await {
                Ok(agents) if agents.is_empty() => {
                    failures.push(ForwardFailure::EmptyPage { collector });
                }
                Ok(agents) => {
                    self.run.fleet.verdict.checked("pages", 1);
                    for agent in agents {
                        times.get_mut(agent as usize).into_iter().for_each(|times| *times += 1);
                    }
                }
                Err(error) => {
                    let why = error.to_string();
                    self.run.fleet.verdict.add(WHEN, [Finding::ScrapeFailed { why }]);
                }
            }
        }
        let on_pages = (0..).zip(times).filter(|(_, pages)| *pages != 1);
        failures.extend(on_pages.map(|(agent, pages)| ForwardFailure::OnPages { agent, pages }));
        self.run.fleet.verdict.add(WHEN, failures);
        Ok(())
    }
}

/// Returns the numbers of the agents on a collector's page.
async fn agents_of(http: SocketAddr, args: &ForwardArgs) -> Result<Vec<u32>, ScrapeError> {
    let profile = args.fleet.hosts.profile;
    let name = profile.lasting_sample();
    let mut agents = Vec::new();
    let mut on_item = |read: ReadResult<'_>| {
        if let Ok(Item::Sample(sample)) = read
            && sample.name == name
        {
            agents.extend(sample.labels.get(AGENT).and_then(agent_number));
        }
    };
    let mut reader = Reader::default();
    let series = u64::from(args.fleet.agents) * profile.series() as u64;
    let timeout = scrape::judged_timeout(series);
    let on_piece = |piece: &[u8]| reader.push(piece, &mut on_item);
    scrape::fetch_as(http, PATH, Encoding::Plain, timeout, on_piece).await?;
    reader.finish(&mut on_item);
    Ok(agents)
}
