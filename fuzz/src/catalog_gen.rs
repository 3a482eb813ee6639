//! Generates catalogs and labels: mostly valid, and often in conflict with each other.

use arbitrary::{Arbitrary, Result, Unstructured};
use fleetgauge_proto::Limits;
use fleetgauge_proto::message::{Catalog, Column, Family, Label, Table};

/// Family names. Some conflict, depending on the kinds of the families.
const NAMES: [&str; 16] = [
    "a",
    "a_total",
    "a_bucket",
    "a_count",
    "a_sum",
    "a_info",
    "a_created",
    "b_bytes",
    "b_bytes_total",
    "b_seconds",
    "b:a_total",
    "_",
    "z9",
    "ram",
    "process_cpu_seconds_total",
    "fleetgauge",
];
const UNITS: [&str; 6] = ["", "", "bytes", "seconds", "total", "a"];
/// Help texts and label values.
pub(crate) const TEXTS: [&str; 10] =
    ["", "plain", "\\", "\"", "\n", "\\n", "a\\\"b\nc", "\r", "ü \u{2028}\0", "} 1 # EOF"];
const LABEL_NAMES: [&str; 6] = ["a", "b", "_c", "le", "B", "agent_a"];
/// Metric kinds of generated families: all known ones, histogram twice, and an unknown one.
const KINDS: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 3, 200];
const BOUNDS: [f64; 9] = [-1e300, -1.0, 0.0, 0.005, 0.25, 0.5, 1.0, 16_777_217.0, 1e300];

/// A catalog that owns its texts, unlike [`Catalog`], and has no slot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Declared {
    pub(crate) families: Vec<DeclaredFamily>,
    pub(crate) tables: Vec<DeclaredTable>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeclaredFamily {
    pub(crate) name: String,
    pub(crate) kind: u8,
    pub(crate) unit: String,
    pub(crate) help: String,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct DeclaredTable {
    pub(crate) row_labels: Vec<String>,
    pub(crate) columns: Vec<DeclaredColumn>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeclaredColumn {
    pub(crate) family: u32,
    pub(crate) width: u32,
    pub(crate) decimals: u8,
    pub(crate) parameters: Vec<f64>,
    pub(crate) labels: Labels,
}

/// The catalogs of an agent's first slots, chosen from three.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(crate) struct CatalogChoice(pub(crate) u8);

impl CatalogChoice {
    /// Number of catalogs to choose from.
    pub(crate) const CHOICES: usize = 3;

    /// Returns the slots with the index of their catalog. Each pair of bits chooses the catalog of
    /// a slot; 0 ends the list.
    pub(crate) fn slots(self) -> impl Iterator<Item = (u8, usize)> {
        let digits = (0..4).map(move |slot| (slot, usize::from(self.0 >> (2 * slot) & 3)));
        digits.map_while(|(slot, digit)| Some((slot, digit.checked_sub(1)?)))
    }
}

/// Label names and values of an agent or a column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Labels(pub(crate) Vec<(String, String)>);

impl Declared {
    pub(crate) fn of(catalog: &Catalog<'_>) -> Self {
        let family = |family: &Family<'_>| DeclaredFamily {
            name: family.name.to_owned(),
            kind: family.kind,
            unit: family.unit.to_owned(),
            help: family.help.to_owned(),
        };
        let label = |label: &Label<'_>| (label.name.to_owned(), label.value.to_owned());
        let column = |column: &Column<'_>| DeclaredColumn {
            family: column.family,
            width: column.width,
            decimals: column.decimals,
            parameters: column.parameters.clone(),
            labels: Labels(column.labels.iter().map(label).collect()),
        };
        let table = |table: &Table<'_>| DeclaredTable {
            row_labels: table.row_labels.iter().map(|name| (*name).to_owned()).collect(),
            columns: table.columns.iter().map(column).collect(),
        };
        Self {
            families: catalog.families.iter().map(family).collect(),
            tables: catalog.tables.iter().map(table).collect(),
        }
    }

    /// Drops families, tables and columns until the catalog is valid.
    pub(crate) fn legal(self) -> Self {
        let mut legal = Self { families: Vec::new(), tables: Vec::new() };
        let mut indices = vec![None; self.families.len()];
        for DeclaredTable { row_labels, columns } in self.tables {
            legal.tables.push(DeclaredTable { row_labels, columns: Vec::new() });
            for column in columns {
                let at = column.family as usize;
                if let Some(family) = self.families.get(at) {
                    indices[at] = legal.try_add(family, indices[at], column);
                }
            }
            if legal.tables.last().is_some_and(|table| table.columns.is_empty()) {
                legal.tables.pop();
            }
        }
        legal
    }

    /// Adds a column to the last table if the catalog is still valid then. `known` is the index of
    /// its family if an earlier column has added it. Returns the family's index, or `None` if it is
    /// not in the catalog.
    fn try_add(
        &mut self,
        family: &DeclaredFamily,
        known: Option<usize>,
        column: DeclaredColumn,
    ) -> Option<usize> {
        let index = known.unwrap_or(self.families.len());
        if known.is_none() {
            self.families.push(family.clone());
        }
        let column = DeclaredColumn { family: index as u32, ..column };
        self.tables.last_mut()?.columns.push(column);
        let limits = Limits::default();
        if fleetgauge_proto::Catalog::try_new(&self.message(0), &limits).is_ok() {
            return Some(index);
        }
        self.tables.last_mut()?.columns.pop();
        if known.is_none() {
            self.families.pop();
        }
        known
    }

    pub(crate) fn message(&self, slot: u8) -> Catalog<'_> {
        Catalog {
            stream: 0,
            slot,
            families: self.families.iter().map(DeclaredFamily::message).collect(),
            tables: self.tables.iter().map(DeclaredTable::message).collect(),
        }
    }
}

impl DeclaredFamily {
    fn message(&self) -> Family<'_> {
        let Self { name, kind, unit, help } = self;
        Family { name, kind: *kind, unit, help }
    }
}

impl DeclaredTable {
    fn message(&self) -> Table<'_> {
        Table {
            row_labels: self.row_labels.iter().map(String::as_str).collect(),
            columns: self.columns.iter().map(DeclaredColumn::message).collect(),
        }
    }

    /// Number of values of a row.
    pub(crate) fn width(&self) -> usize {
        self.columns.iter().map(|column| column.width as usize).sum()
    }
}

impl DeclaredColumn {
    fn message(&self) -> Column<'_> {
        let Self { family, width, decimals, parameters, labels } = self;
        let (parameters, labels) = (parameters.clone(), labels.message());
        Column { family: *family, width: *width, decimals: *decimals, parameters, labels }
    }
}

impl Labels {
    pub(crate) fn message(&self) -> Vec<Label<'_>> {
        self.0.iter().map(|(name, value)| Label { name, value }).collect()
    }

    /// Returns the labels that pages show: those whose value is not empty.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        let shown = self.0.iter().filter(|(_, value)| !value.is_empty());
        shown.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<'a> Arbitrary<'a> for Declared {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let families: Vec<DeclaredFamily> = vec_of(u, 6, DeclaredFamily::arbitrary)?;
        let kinds: Vec<u8> = families.iter().map(|family| family.kind).collect();
        let tables = vec_of(u, 4, |u| {
            let row_labels = vec_of(u, 2, |u| text(u, &LABEL_NAMES))?;
            Ok(DeclaredTable { row_labels, columns: vec_of(u, 5, |u| column(&kinds, u))? })
        })?;
        Ok(Self { families, tables })
    }
}

impl<'a> Arbitrary<'a> for DeclaredFamily {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let kind = if u.ratio(1, 32)? { u.arbitrary()? } else { *u.choose(&KINDS)? };
        let help = if u.ratio(1, 64)? {
            "h".repeat(u.int_in_range(1020..=1028)?)
        } else {
            text(u, &TEXTS)?
        };
        Ok(Self { name: text(u, &NAMES)?, kind, unit: text(u, &UNITS)?, help })
    }
}

impl<'a> Arbitrary<'a> for Labels {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        vec_of(u, 3, |u| Ok((text(u, &LABEL_NAMES)?, text(u, &TEXTS)?))).map(Self)
    }
}

/// Generates a column of one of these families; sometimes of an unknown family, with a wrong width,
/// or with too many decimal places.
fn column(kinds: &[u8], u: &mut Unstructured<'_>) -> Result<DeclaredColumn> {
    let family = u.int_in_range(0..=kinds.len())?;
    let parameters = match kinds.get(family) {
        Some(3 | 4 | 200) => parameters(u)?,
        _ => Vec::new(),
    };
    let width = match kinds.get(family) {
        Some(3 | 4) => parameters.len() as u32 + 2,
        Some(200) => u.int_in_range(0..=260)?,
        _ => 1,
    };
    let width = if u.ratio(1, 64)? { u.arbitrary()? } else { width };
    let decimals = if u.ratio(1, 64)? { u.arbitrary()? } else { u.int_in_range(0..=9)? };
    let labels = u.arbitrary()?;
    Ok(DeclaredColumn { family: family as u32, width, decimals, parameters, labels })
}

/// Generates parameters of a column: mostly increasing values from [`BOUNDS`].
fn parameters(u: &mut Unstructured<'_>) -> Result<Vec<f64>> {
    if u.ratio(1, 16)? {
        return vec_of(u, 300, |u| u.arbitrary());
    }
    let chosen: u16 = u.arbitrary()?;
    let chosen = BOUNDS.iter().enumerate().filter(|(n, _)| chosen >> n & 1 == 1);
    Ok(chosen.map(|(_, bound)| *bound).collect())
}

/// Generates one of these texts, or sometimes an arbitrary one.
fn text(u: &mut Unstructured<'_>, texts: &[&str]) -> Result<String> {
    if u.ratio(1, 16)? {
        <&str>::arbitrary(u).map(str::to_owned)
    } else {
        Ok((*u.choose(texts)?).into())
    }
}

/// Generates up to `max` items.
pub(crate) fn vec_of<'a, T>(
    u: &mut Unstructured<'a>,
    max: usize,
    mut item: impl FnMut(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = u.int_in_range(0..=max)?;
    (0..count).map(|_| item(u)).collect()
}
