//! What the demo prints first: the address to open, and what to try.

use std::net::SocketAddr;

use super::clock::DAY;
use super::history::History;
use super::host_agent::{HostAgent, RESTART_DELAY};
use crate::cli::DemoArgs;

/// Returns the text.
pub(super) fn text(
    args: &DemoArgs,
    http: SocketAddr,
    history: Option<&History>,
    agent: &HostAgent<'_>,
) -> String {
    let (host, count) = (&agent.id, args.agents);
    let pid = agent.pid().map_or_else(|| "?".to_owned(), |pid| pid.to_string());
    let cpu = if args.classic { "cpu" } else { "host_cpu_usage_ratio" };
    let history =
        history.map_or_else(String::new, |history| format!("  history  {}\n", history.graph(cpu)));
    let (day, delay) = (DAY.as_secs() / 60, RESTART_DELAY.as_secs());
    format!(
        "
  Open     http://{http}/

  This host ({host}) and {count} simulated hosts report to a collector. A day of the
  simulated hosts takes {day} minutes; what happens to them is printed below.

{history}  series   curl -s http://{http}/metrics/agents | grep '^{cpu}{{'
  kill     kill -9 {pid}     the agent of this host: its series are gone at the next scrape
                            and back {delay} s later
  stop     Ctrl-C
"
    )
}
