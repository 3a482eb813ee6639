//! Builds templates: applies the rules and sorts labels.

mod columns;

use std::collections::HashMap;

use fleetgauge_proto::Catalog;
use fleetgauge_proto::catalog::{Column, Family, FamilyKind, Table};

use columns::ColumnLabels;

use super::super::metadata::type_number;
use super::super::rules::{AGENT_UP, Blocked, NAME, Rules};
use super::coding::FamilyMetadata;
use super::fixed::{FixedBuilder, Span};
use super::labels::AgentLabels;
use super::template::{
    AgentLabel, ColumnTemplate, Line, Piece, RowLabel, Shape, TableTemplate, Template,
};
use crate::config::Protocol;
use crate::exposition::{KindLines, RENAMED};
use crate::registry::CatalogEntry;

/// Builds the template of a catalog for agents with these labels. `metrics` are renames of metrics
/// that do not apply.
pub(super) fn of_catalog(
    rules: &Rules,
    labels: &str,
    agent: &AgentLabels,
    metrics: Blocked,
    entry: &CatalogEntry,
    protocol: Protocol,
) -> Template {
    let catalog = entry.catalog();
    let prefix = RENAMED.repeat(entry.measured().renames(labels).prefixes);
    let new_name = |(name, _): (&str, _)| catalog.has_label(name).then(|| prefix.clone() + name);
    let renamed: Vec<_> = agent.iter().map(new_name).collect();
    let is_in_catalog = |name: &str| catalog.has_label(name);
    let mut builder = Builder::new(rules, agent, &renamed, metrics, is_in_catalog, protocol);
    let tables = builder.tables(catalog);
    builder.build(agent, tables)
}

/// Builds the template of `fleetgauge_agent_up`: a table of one column.
pub(super) fn of_agent_up(
    rules: &Rules,
    agent: &AgentLabels,
    metrics: Blocked,
    protocol: Protocol,
) -> Template {
    let renamed: Vec<_> = agent.iter().map(|_| None).collect();
    let mut builder = Builder::new(rules, agent, &renamed, metrics, |_| false, protocol);
    let name = rules.rename_metrics().new_name(AGENT_UP, metrics);
    let name = builder.fixed.label(NAME, name);
    let metadata = metadata(FamilyKind::Gauge, "", "");
    let metadata = builder.fixed.metadata(metadata);
    let sequence = builder.sequence(&ColumnLabels::default(), &[], None);
    let (own, parameter) = (Span::default(), Span::default());
    builder.lines.push(Line { name, own, parameter, metadata, sequence, value: None });
    let columns = [ColumnTemplate { offset: 0, width: 0, lines: 0..1 }].into();
    let table = TableTemplate { rows: Box::default(), columns, labels: 0, width: 1 };
    builder.build(agent, vec![table])
}

/// Returns the renames of metrics whose new names are in use by samples of a catalog.
pub(super) fn blocked_metrics(rules: &Rules, catalog: &Catalog) -> Blocked {
    let names = |family: &Family| {
        let lines = family.kind.map(KindLines::of);
        let suffixes = lines.into_iter().flat_map(|lines| {
            lines.parameter.into_iter().map(|own| own.suffix).chain(lines.plain.iter().copied())
        });
        suffixes.map(|suffix| format!("{}{suffix}", family.name)).collect::<Vec<_>>()
    };
    let mut names: Vec<_> = catalog.families.iter().flat_map(names).collect();
    names.sort_unstable();
    let is_sample = |name: &str| names.binary_search_by(|own| (**own).cmp(name)).is_ok();
    rules.rename_metrics().blocked(|name| is_sample(name) && rules.keeps_metric(name))
}

fn metadata<'a>(kind: FamilyKind, help: &'a str, unit: &'a str) -> FamilyMetadata<'a> {
    FamilyMetadata { kind: type_number(kind), help, unit }
}

/// The names of an agent's label, and their places among the encoded labels of the agent.
struct AgentNames<'a> {
    /// Its name in the agent's labels.
    declared: &'a str,
    /// Its name on most series; `None` if it is dropped.
    plain: Option<(&'a str, usize)>,
    /// Its name on series with another label of the declared name.
    renamed: Option<(&'a str, usize)>,
}

/// A label that each series of an agent can have.
enum Source<'a> {
    /// The label of the agent with this index.
    Own(usize),
    /// An external label with this value.
    External(&'a str),
}

/// Names of the samples of a family; `None` if they are not forwarded.
struct FamilyNames {
    kind: FamilyKind,
    metadata: Span,
    parameter: Option<Span>,
    plain: Vec<Option<Span>>,
}

struct Builder<'a> {
    rules: &'a Rules,
    /// Renames of labels and of metrics that do not apply.
    blocked: Blocked,
    metrics: Blocked,
    agent_names: Vec<AgentNames<'a>>,
    /// Names of external labels with the indexes of their encoded labels.
    external: Vec<(&'a str, usize)>,
    agent: Vec<AgentLabel>,
    fixed: FixedBuilder,
    sequences: Vec<Box<[Piece]>>,
    known: HashMap<Box<[Piece]>, u32>,
    lines: Vec<Line>,
}

impl<'a> Builder<'a> {
    /// `renamed` are the names of the agent's labels on series with a label of the same name.
    fn new(
        rules: &'a Rules,
        agent: &'a AgentLabels,
        renamed: &'a [Option<String>],
        metrics: Blocked,
        is_in_catalog: impl Fn(&str) -> bool,
        protocol: Protocol,
    ) -> Self {
        let is_used = |name: &str| {
            let is_renamed = || renamed.iter().any(|own| own.as_deref() == Some(name));
            (is_in_catalog(name) || agent.iter().any(|(own, _)| own == name) || is_renamed())
                && !rules.drops_label(name)
        };
        let blocked = rules.rename_labels().blocked(is_used);
        let mut builder = Self {
            rules,
            blocked,
            metrics,
            agent_names: Vec::new(),
            external: Vec::new(),
            agent: Vec::new(),
            fixed: FixedBuilder::new(protocol),
            sequences: Vec::new(),
            known: HashMap::new(),
            lines: Vec::new(),
        };
        builder.add_agent_labels(agent, renamed);
        builder
    }

    /// Adds the labels of the agent and external labels, sorted by name, so that most series have
    /// them in one piece. Labels with new names follow.
    fn add_agent_labels(&mut self, agent: &'a AgentLabels, renamed: &'a [Option<String>]) {
        let own = agent.iter().enumerate();
        let own = own.filter_map(|(index, (name, _))| Some((self.name(name)?, Source::Own(index))));
        let external = self.rules.external_labels();
        let external = external.map(|(name, value)| (name, Source::External(value)));
        let mut labels: Vec<_> = own.chain(external).collect();
        labels.sort_by_key(|(name, _)| *name);
        let names = agent.iter().map(|(declared, _)| declared);
        self.agent_names =
            names.map(|declared| AgentNames { declared, plain: None, renamed: None }).collect();
        for (name, source) in labels {
            let place = self.agent.len();
            match source {
                Source::Own(index) => {
                    self.add_own(name, index);
                    self.agent_names[index].plain = Some((name, place));
                }
                Source::External(value) => {
                    let span = self.fixed.label(name, value);
                    self.agent.push(AgentLabel::External(span));
                    self.external.push((name, place));
                }
            }
        }
        for (index, renamed) in renamed.iter().enumerate() {
            if let Some(name) = renamed.as_deref().and_then(|name| self.name(name)) {
                self.agent_names[index].renamed = Some((name, self.agent.len()));
                self.add_own(name, index);
            }
        }
    }

    fn add_own(&mut self, name: &str, index: usize) {
        let name = self.fixed.label_name(name);
        self.agent.push(AgentLabel::Own { name, index });
    }

    /// Returns the name under which a label is forwarded; `None` if it is dropped.
    fn name<'n>(&self, name: &'n str) -> Option<&'n str>
    where
        'a: 'n,
    {
        let kept = !self.rules.drops_label(name);
        kept.then(|| self.rules.rename_labels().new_name(name, self.blocked))
    }

    fn tables(&mut self, catalog: &Catalog) -> Vec<TableTemplate> {
        let families: Vec<_> = catalog.families.iter().map(|own| self.family(own)).collect();
        catalog.tables.iter().map(|table| self.table(table, &families)).collect()
    }

    fn family(&mut self, family: &Family) -> Option<FamilyNames> {
        let kind = family.kind?;
        let lines = KindLines::of(kind);
        let mut name = |suffix: &str| {
            let name = format!("{}{suffix}", family.name);
            let name = self.rules.keeps_metric(&name).then_some(name)?;
            let name = self.rules.rename_metrics().new_name(&name, self.metrics);
            Some(self.fixed.label(NAME, name))
        };
        let parameter = lines.parameter.and_then(|own| name(own.suffix));
        let plain = lines.plain.iter().map(|suffix| name(suffix)).collect();
        let metadata = self.fixed.metadata(metadata(kind, &family.help, &family.unit));
        Some(FamilyNames { kind, metadata, parameter, plain })
    }

    fn table(&mut self, table: &Table, families: &[Option<FamilyNames>]) -> TableTemplate {
        let declared = table.row_labels.iter().enumerate();
        let mut names: Vec<(&str, usize)> =
            declared.filter_map(|(index, name)| Some((self.name(name)?, index))).collect();
        names.sort_unstable();
        let row = |&(name, index): &(&str, usize)| {
            let place = self.external.iter().find(|external| external.0 == name);
            let external = place.and_then(|(_, place)| match self.agent.get(*place) {
                Some(AgentLabel::External(span)) => Some(*span),
                _ => None,
            });
            let name = self.fixed.label_name(name);
            RowLabel { name, index, external }
        };
        let rows = names.iter().map(row).collect();
        let names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
        let mut columns = Vec::new();
        for column in &table.columns {
            let Some(Some(family)) = families.get(column.family) else { continue };
            let start = self.lines.len();
            self.column(table, column, family, &names);
            let lines = start..self.lines.len();
            if !lines.is_empty() {
                let Column { offset, width, .. } = *column;
                columns.push(ColumnTemplate { offset, width, lines });
            }
        }
        let (labels, width) = (table.row_labels.len(), table.width);
        TableTemplate { rows, columns: columns.into(), labels, width }
    }

    fn build(self, agent: &AgentLabels, tables: Vec<TableTemplate>) -> Template {
        let shape = Shape {
            agent: self.agent.into(),
            sequences: self.sequences.into(),
            tables: tables.into(),
            lines: self.lines.into(),
        };
        let fixed = self.fixed.build(shape.lines.len());
        Template { names: agent.names().into(), fixed, shape }
    }
}
