//! A registry with a fleet of agents.

use std::sync::Arc;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use fleetgauge_collector::limits::memory_budget::MemoryBudget;
use fleetgauge_collector::peers::handle::ConnectionHandle;
use fleetgauge_collector::registry::{
    PendingAgent, Pinned, RegisteredAgent, Registry, SchemaLimits,
};
use fleetgauge_proto::message::{Family, Schema as SchemaMessage, Series};
use fleetgauge_proto::report::{Values, write_all};
use fleetgauge_proto::schema::{self, FamilyKind};
use fleetgauge_proto::{AgentId, Limits, Schema};

/// Series per agent: the size of the basic metric set.
pub const SERIES: usize = 6;

const FAMILIES: [(&str, &str); SERIES] = [
    ("host_cpu_usage_ratio", "ratio"),
    ("host_filesystem_usage_ratio", "ratio"),
    ("host_memory_available_bytes", "bytes"),
    ("host_memory_total_bytes", "bytes"),
    ("host_memory_usage_ratio", "ratio"),
    ("host_memory_used_bytes", "bytes"),
];

/// Returns the message with a schema of six gauges.
#[must_use]
pub fn schema() -> SchemaMessage<'static> {
    let family = |(name, unit)| Family {
        name,
        kind: FamilyKind::Gauge as u8,
        unit,
        help: "A gauge of the basic metric set.",
    };
    let series = |family| Series { family, width: 1, parameters: Vec::new(), labels: Vec::new() };
    SchemaMessage {
        stream: 0,
        families: FAMILIES.into_iter().map(family).collect(),
        series: (0..SERIES as u32).map(series).collect(),
    }
}

const ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));

/// A registry and its agents.
#[derive(Debug)]
pub struct Fleet {
    /// The registry.
    pub registry: Registry,
    /// The agents that [`Fleet::new`] connected, by number.
    pub agents: Vec<Arc<RegisteredAgent>>,
    schema: Pinned,
}

impl Fleet {
    /// Creates a registry with this many agents, each with different values.
    ///
    /// # Panics
    /// If the registry refuses an agent.
    #[must_use]
    pub fn new(agents: usize) -> Self {
        let registry = Registry::new(
            SchemaLimits { schemas: 16, bytes: 1 << 20 },
            Default::default(),
            Arc::new(MemoryBudget::new(usize::MAX)),
        );
        let message = schema();
        let (frame, fingerprint) = schema::encode(&message).expect("six gauges fit a frame");
        let legal = Schema::try_new(&message, &Limits::default()).expect("six gauges are legal");
        let pinned = registry.schemas().intern(fingerprint, legal, frame.len());
        let schema = pinned.expect("an empty store has room");
        let mut fleet = Self { registry, agents: Vec::new(), schema };
        fleet.agents = (0..agents).map(|number| fleet.connect(number)).collect();
        fleet
    }

    /// Connects the agent with this number.
    ///
    /// # Panics
    /// If another host holds its id.
    #[must_use]
    pub fn connect(&self, number: usize) -> Arc<RegisteredAgent> {
        let values = values(number);
        let entered = self.registry.enter(
            &pending(number),
            self.schema.entry(),
            &Values::All(&values),
            number as u64,
        );
        entered.expect("the id is free").agent
    }

    /// Disconnects the agent with this number. Returns whether it was connected.
    #[must_use]
    pub fn disconnect(&self, number: usize) -> bool {
        self.registry.leave(&id(number), number as u64)
    }
}

fn id(number: usize) -> AgentId {
    AgentId::try_new(&format!("web-{number:06}.example")).expect("a legal id")
}

fn pending(number: usize) -> PendingAgent {
    let id = id(number);
    PendingAgent {
        labels: format!("agent=\"{id}\"").into(),
        id,
        host_nonce: [1; 16],
        handle: ConnectionHandle::new(number as u64, ADDRESS, u64::MAX),
    }
}

/// Encoded, realistic values of an agent: three ratios and three sizes in bytes.
fn values(number: usize) -> Vec<u8> {
    let share = (number % 997) as f64 / 997.0;
    let total = 68_719_476_736.0;
    let used = (total * share).floor();
    let mut bytes = Vec::new();
    write_all(&[share * 0.9, share, total - used, total, used / total, used], &mut bytes);
    bytes
}
