//! The simulated fleet of the demo: what each host reports.

use fleetgauge_agent::catalogs::Catalogs;
use fleetgauge_agent::metrics::{MetricSet, Selection};
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::{AgentId, StaticLabels};

use super::clock::Clock;
use super::node_template::{NodeTemplate, NodeValues};
use super::roster::Roster;
use super::sim_host::SimHost;
use crate::engine::{FleetModel, ReportValues};

/// The series of the simulated hosts.
#[derive(Debug)]
pub(super) enum Series {
    /// The gauges of a metric set.
    Gauges(MetricSet),
    /// Those of this host.
    Node(NodeTemplate),
}

/// The simulated fleet.
pub(super) struct DemoFleet {
    clock: Clock,
    roster: Roster,
    catalogs: Catalogs,
    series: Series,
    hosts: Vec<ReportingHost>,
}

struct ReportingHost {
    host: SimHost,
    node: NodeValues,
    /// Values of the last report.
    reported: Vec<f64>,
}

impl DemoFleet {
    pub(super) fn new(series: Series, clock: Clock, roster: Roster, seed: u64) -> Self {
        let catalogs = match &series {
            Series::Gauges(set) => Selection::of(*set).catalogs().clone(),
            Series::Node(template) => template.catalogs().clone(),
        };
        let host = |agent| ReportingHost {
            host: SimHost::new(agent, roster, seed),
            node: match &series {
                Series::Gauges(_) => NodeValues::default(),
                Series::Node(template) => template.start(seed ^ u64::from(agent)),
            },
            reported: Vec::new(),
        };
        let hosts = (0..roster.count).map(host).collect();
        Self { clock, roster, catalogs, series, hosts }
    }
}

impl FleetModel for DemoFleet {
    fn id(&self, agent: u32) -> AgentId {
        self.roster.id(agent)
    }

    fn labels(&self, agent: u32) -> StaticLabels {
        self.roster.labels(agent)
    }

    fn catalogs(&self) -> Catalogs {
        self.catalogs.clone()
    }

    fn write_values(&mut self, agent: u32, _: u64, before: Option<u64>, out: &mut ReportValues) {
        let ReportingHost { host, node, reported } = &mut self.hosts[agent as usize];
        host.advance(self.clock.now());
        let is_first = before.is_none();
        match &self.series {
            Series::Gauges(set) => {
                let readings = host.readings();
                let value = |metric: &fleetgauge_agent::metrics::Metric| metric.value(&readings);
                let values = set.metrics().iter().map(|metric| value(metric).unwrap_or(ABSENT));
                let values: Vec<_> = values.collect();
                out.set_single_row(before.map(|_| &reported[..]), &values);
            }
            Series::Node(template) => {
                out.clear();
                let name = self.roster.id(agent);
                template.write_rows(name.as_str(), is_first, out);
                template.write_values(host, node, out);
                match before {
                    Some(_) => out.before.extend_from_slice(reported),
                    None => out.before.resize(out.values.len(), ABSENT),
                }
            }
        }
        reported.clone_from(&out.values);
    }
}
