//! A registry with a fleet of agents.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use fleetgauge_collector::limits::memory_budget::MemoryBudget;
use fleetgauge_collector::peers::handle::ConnectionHandle;
use fleetgauge_collector::registry::{
    CatalogLimits, CatalogPin, PendingAgent, PendingValues, RegisteredAgent, Registry,
};
use fleetgauge_proto::report::{EncodedValues, is_absent};
use fleetgauge_proto::{AgentId, Catalog, Limits, catalog};

use crate::Hosts;

const ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));

/// A registry and its agents.
#[derive(Debug)]
pub struct Fleet {
    /// The registry.
    pub registry: Registry,
    /// The agents that [`Fleet::new`] connected, by number.
    pub agents: Vec<Arc<RegisteredAgent>>,
    hosts: Hosts,
    catalog: CatalogPin,
}

impl Fleet {
    /// Creates a registry with this many agents with six gauges, each with different values.
    ///
    /// # Panics
    /// If the registry refuses an agent.
    #[must_use]
    pub fn new(agents: usize) -> Self {
        Self::of(Hosts::Gauges, agents)
    }

    /// Creates a registry with an agent on each of this many hosts.
    ///
    /// # Panics
    /// If the registry refuses an agent.
    #[must_use]
    pub fn of(hosts: Hosts, agents: usize) -> Self {
        let registry = Registry::new(
            CatalogLimits { catalogs: 16, bytes: 1 << 20 },
            Default::default(),
            Arc::new(MemoryBudget::new(usize::MAX)),
        );
        let message = hosts.catalog();
        let (frame, fingerprint) = catalog::encode(&message).expect("the catalog fits a frame");
        let legal = Catalog::try_new(&message, &Limits::default()).expect("the catalog is legal");
        let pinned = registry.catalogs().intern(fingerprint, legal, frame.len());
        let catalog = pinned.expect("an empty store has room");
        let mut fleet = Self { registry, agents: Vec::new(), hosts, catalog };
        fleet.agents = (0..agents).map(|number| fleet.connect(number)).collect();
        fleet
    }

    /// Connects the agent with this number.
    ///
    /// # Panics
    /// If another host holds its id.
    #[must_use]
    pub fn connect(&self, number: usize) -> Arc<RegisteredAgent> {
        let values = self.pending_values(number);
        let entered = self.registry.enter(&pending(number), values, number as u64);
        entered.expect("the id is free").agent
    }

    /// Returns the rows and values of the agent with this number, as from its first frames.
    fn pending_values(&self, number: usize) -> PendingValues {
        let page = self.hosts.page(number, 0);
        let mut pending = PendingValues::empty();
        let set = self.registry.set_catalog(&mut pending, 0, self.catalog.clone());
        set.expect("memory is unlimited");
        for change in self.hosts.rows(&page) {
            let changed = self.registry.change_rows(&mut pending, &[change], &Limits::default());
            changed.expect("the rows are legal");
        }
        let mut encoded = EncodedValues::default();
        encoded.encode_all(&page.values, pending.layout().shape());
        pending.apply(&encoded.values()).expect("the values have the shape of the rows");
        pending
    }

    /// Returns the number of samples of all agents.
    #[must_use]
    pub fn samples(&self) -> usize {
        // The hosts differ in the values, not in the number of series.
        let is_present = |value: &&f64| !is_absent(**value);
        self.agents.len() * self.hosts.page(0, 0).values.iter().filter(is_present).count()
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
