//! Templates that are in use.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap};

use super::super::rules::{Blocked, Rules};
use super::builder;
use super::labels::AgentLabels;
use super::template::Template;
use crate::config::Protocol;
use crate::registry::{CatalogEntry, Layout};

/// Maximum number of templates. A fleet has some catalogs, and some sets of label names.
pub(super) const MAX_TEMPLATES: usize = 1024;
/// Maximum memory of all templates, in bytes; one that is larger is the only one. That of
/// node_exporter takes some 100 kB.
pub(super) const MAX_TEMPLATE_BYTES: usize = 32 << 20;
/// Maximum number of catalogs whose sample names were compared with the new names of metrics; then
/// the results are dropped. As many as a large collector stores.
pub(super) const MAX_CATALOGS: usize = 4096;

/// A catalog, or `None` for `fleetgauge_agent_up`; the hash of the names of the agent's labels; and
/// the renames of metrics that do not apply.
type Key = (Option<u64>, u64, Blocked);

/// The most recently used templates.
#[derive(Debug, Default)]
pub(super) struct TemplateCache {
    /// Hashes label names. Its key is random, so that no agent can choose names with equal hashes.
    hasher: DefaultHashBuilder,
    templates: HashMap<Key, CachedTemplate>,
    /// Memory of the templates, in bytes.
    bytes: usize,
    /// Logical clock: counts uses.
    moment: u64,
    /// By key of the catalog: renames of metrics whose new names are in use.
    blocked: HashMap<u64, Blocked>,
}

#[derive(Debug, Default)]
struct CachedTemplate {
    template: Template,
    bytes: usize,
    last_used: u64,
}

impl TemplateCache {
    /// Returns the renames of metrics whose new names are in use by samples of a layout.
    pub(super) fn blocked_metrics(&mut self, rules: &Rules, layout: &Layout) -> Blocked {
        if rules.rename_metrics().is_empty() {
            return Blocked::default();
        }
        if self.blocked.len() >= MAX_CATALOGS {
            self.blocked.clear();
        }
        let mut of_catalog = |entry: &CatalogEntry| {
            let build = || builder::blocked_metrics(rules, entry.catalog());
            *self.blocked.entry(entry.key()).or_insert_with(build)
        };
        layout.catalogs().fold(Blocked::default(), |all, entry| all.and(of_catalog(entry)))
    }

    /// Returns the template of a catalog, or of `fleetgauge_agent_up` without one. `labels` are
    /// those of the agent, `agent` the parsed ones, `metrics` renames that do not apply.
    pub(super) fn template(
        &mut self,
        rules: &Rules,
        labels: &str,
        agent: &AgentLabels,
        metrics: Blocked,
        catalog: Option<&CatalogEntry>,
        protocol: Protocol,
    ) -> &mut Template {
        let hash = self.hasher.hash_one(agent.names());
        let key = (catalog.map(CatalogEntry::key), hash, metrics);
        let is_same = |known: &CachedTemplate| *known.template.names == *agent.names();
        if !self.templates.get(&key).is_some_and(is_same) {
            let template = match catalog {
                Some(entry) => builder::of_catalog(rules, labels, agent, metrics, entry, protocol),
                None => builder::of_agent_up(rules, agent, metrics, protocol),
            };
            self.insert(key, template);
        }
        self.moment += 1;
        let cached = self.templates.entry(key).or_default();
        cached.last_used = self.moment;
        &mut cached.template
    }

    /// Adds a template, and evicts the least recently used ones beyond the limits.
    fn insert(&mut self, key: Key, template: Template) {
        let bytes = template.bytes();
        self.remove(&key);
        while self.templates.len() >= MAX_TEMPLATES || self.bytes + bytes > MAX_TEMPLATE_BYTES {
            let oldest = self.templates.iter().min_by_key(|(_, cached)| cached.last_used);
            let Some((&oldest, _)) = oldest else { break };
            self.remove(&oldest);
        }
        self.bytes += bytes;
        self.templates.insert(key, CachedTemplate { template, bytes, last_used: self.moment });
    }

    fn remove(&mut self, key: &Key) {
        if let Some(removed) = self.templates.remove(key) {
            self.bytes = self.bytes.saturating_sub(removed.bytes);
        }
    }
}

#[cfg(test)]
impl TemplateCache {
    /// Returns the number of templates and their memory in bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.templates.len(), self.bytes)
    }

    /// Returns the number of catalogs whose sample names were compared.
    pub(super) fn compared_catalogs(&self) -> usize {
        self.blocked.len()
    }
}
