//! The size of a catalog's plan in memory, and of its lines on a page. Both are computed before the
//! plan is built.

use fleetgauge_proto::Catalog;
use fleetgauge_proto::catalog::{Column, Family, Table};

use super::escape::counted;
use super::plan::{ColumnPlan, FamilyPlan, KindLines, ParameterText, write_own_labels};
use super::{FamilyHead, Format};

/// Maximum length of a sample value in bytes: sign, 17 digits, point and exponent, as in
/// `-2.2250738585072014e-308`.
const MAX_VALUE_BYTES: usize = 24;
/// Text between labels and value, and the line feed.
const END_BYTES: usize = "} ".len() + "\n".len();

/// The size of a catalog's plan and lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogSize {
    /// Memory of the plan, in bytes.
    pub(crate) memory: usize,
    /// Bytes of the metadata of all families in each format.
    heads: [usize; Format::ALL.len()],
    /// Size of the lines of one row, by table.
    rows: Box<[RowSize]>,
}

/// The size of the lines of one row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct RowSize {
    lines: usize,
    /// Bytes in each format, without the labels of agent and row.
    bytes: [usize; Format::ALL.len()],
}

impl CatalogSize {
    pub(crate) fn of(catalog: &Catalog) -> Self {
        let mut size = Self::default();
        for family in &catalog.families {
            size.add_family(family);
        }
        let rows = catalog.tables.iter().map(|table| size.row(catalog, table));
        size.rows = rows.collect();
        size
    }

    /// Returns the maximum size of an agent's lines. `agent` is the length of its labels; `rows`
    /// are the number of rows of each table and the bytes of their rendered labels.
    #[must_use]
    pub fn page_bytes(&self, agent: usize, rows: impl Iterator<Item = (usize, usize)>) -> usize {
        let mut bytes = self.heads;
        for (row, (count, texts)) in self.rows.iter().zip(rows) {
            let labels = row.lines * (count * agent + texts);
            for (all, own) in bytes.iter_mut().zip(row.bytes) {
                *all += count * own + labels;
            }
        }
        bytes.into_iter().fold(0, usize::max)
    }

    /// Returns the size of its own heap memory, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.rows)
    }

    fn add_family(&mut self, family: &Family) {
        self.memory += size_of::<FamilyPlan>();
        let Some(kind) = family.kind else { return };
        let lines = KindLines::of(kind);
        self.memory += opening_bytes_of_all(family, &lines);
        self.memory += lines.plain.len() * size_of::<Box<str>>();
        if let Some(parameter) = &lines.parameter {
            self.memory += opening_bytes(family, parameter.suffix);
        }
        for format in Format::ALL {
            self.heads[format as usize] += FamilyHead::bytes(family, kind, format);
        }
    }

    /// Returns the size of a row, and adds the memory of the table's columns.
    fn row(&mut self, catalog: &Catalog, table: &Table) -> RowSize {
        let mut row = RowSize::default();
        for column in &table.columns {
            self.add_column(&catalog.families[column.family], column, &mut row);
        }
        row
    }

    fn add_column(&mut self, family: &Family, column: &Column, row: &mut RowSize) {
        let Some(kind) = family.kind else { return };
        let lines = KindLines::of(kind);
        let own = counted(|out| write_own_labels(column, out));
        let plain = lines.plain.len();
        self.memory += size_of::<ColumnPlan>() + own;
        row.lines += plain;
        let bytes =
            opening_bytes_of_all(family, &lines) + plain * (own + MAX_VALUE_BYTES + END_BYTES);
        row.bytes.iter_mut().for_each(|all| *all += bytes);
        let Some(parameter) = &lines.parameter else { return };
        let lines = parameter.lines(column);
        let line = opening_bytes(family, parameter.suffix) + own + MAX_VALUE_BYTES + END_BYTES;
        row.lines += lines;
        for format in Format::ALL {
            let text = parameter.text_bytes(column, format);
            self.memory += size_of::<ParameterText>() + lines * size_of::<u32>() + text;
            row.bytes[format as usize] += lines * line + text;
        }
    }
}

/// Returns the bytes of the starts of all lines without a parameter.
fn opening_bytes_of_all(family: &Family, lines: &KindLines) -> usize {
    lines.plain.iter().map(|suffix| opening_bytes(family, suffix)).sum()
}

/// `name_suffix{`
fn opening_bytes(family: &Family, suffix: &str) -> usize {
    family.name.len() + suffix.len() + "{".len()
}

#[cfg(test)]
mod tests {
    use fleetgauge_proto::Limits;
    use fleetgauge_proto::message::{self, Column, Label, Table};

    use super::{Catalog, CatalogSize, MAX_VALUE_BYTES};
    use crate::exposition::{Plan, write_value};

    #[test]
    fn computed_plan_size_is_the_actual_size() {
        let names =
            ["gauge", "counter", "histogram", "summary", "info", "unknown", "later", "as:named"];
        let kinds = [1, 2, 3, 4, 5, 6, 200, 7];
        let family = |(name, kind): (&&'static str, u8)| message::Family {
            name,
            kind,
            unit: "",
            help: "\\ \n \" \u{fc}",
        };
        let families: Vec<_> = names.iter().zip(kinds).map(family).collect();
        let label = Label { name: "path", value: "C:\\new\n\"x\"" };
        let columns = |labels: Vec<Label<'static>>| {
            let column = |family: u32| {
                let parameters = match kinds[family as usize] {
                    3 => vec![-0.0, 0.005, 1.0, 1e300],
                    4 => vec![0.0, 0.5, 1.0],
                    _ => vec![],
                };
                let width = match kinds[family as usize] {
                    3 | 4 => parameters.len() as u32 + 2,
                    _ => 1,
                };
                Column { family, width, decimals: 0, parameters, labels: labels.clone() }
            };
            (0..8).map(column).collect()
        };
        let tables = vec![
            Table { row_labels: vec!["device"], columns: columns(vec![label]) },
            Table { row_labels: vec![], columns: columns(vec![]) },
        ];
        let declared = message::Catalog { stream: 0, slot: 0, families, tables };
        let catalog = Catalog::try_new(&declared, &Limits::default()).unwrap();
        assert_eq!(CatalogSize::of(&catalog).memory, Plan::new(&catalog).bytes());
    }

    #[test]
    fn longest_value_has_the_maximum_length() {
        let mut longest = 0;
        for exponent in 0..2047_u64 {
            for digits in
                [0, 1, 0x000f_ffff_ffff_ffff, 0x0005_5555_5555_5555, 0x0003_1415_9265_3589]
            {
                let value = f64::from_bits(1 << 63 | exponent << 52 | digits);
                let mut text = Vec::new();
                write_value(value, &mut text);
                longest = longest.max(text.len());
            }
        }
        assert_eq!(longest, MAX_VALUE_BYTES);
    }
}
