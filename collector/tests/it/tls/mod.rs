//! TLS on the agent port.

mod hostile;
mod http;
mod mixed_up;
mod mutual;
mod reload;
mod settings;
mod tokens;

use crate::support::agent::{Agent, identity};
use crate::support::collector::Collector;
use crate::support::frames::gauges;
use crate::support::secure::{Site, config};

#[test]
fn agent_over_tls_is_exposed() {
    let site = Site::new();
    let collector = Collector::with(config(site.flags()));
    let catalog = gauges(&["fg_a", "fg_b"]);
    let mut agent = Agent::secure(collector.agents, &site.client(None));
    agent.send(&identity("web-01").hello(&catalog));
    agent.expect_welcome(&catalog);
    agent.report(&[1.0, 2.0]);
    assert_eq!(collector.page().values_of("web-01"), [1.0, 2.0]);
    agent.report(&[3.0, 4.0]);
    assert_eq!(collector.page().values_of("web-01"), [3.0, 4.0]);
}
