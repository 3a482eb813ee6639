//! Computes the size of a schema's plan in memory, and of its lines on a page, before the plan is
//! built.

use fleetgauge_proto::Schema;
use fleetgauge_proto::schema::{Family, Series};

use super::escape::counted;
use super::plan::{FamilyPlan, ParameterText, SeriesPlan, Shape, write_own_labels};
use super::snapshot::CLOSE;
use super::{FamilyHead, Format};

/// Maximum length of a sample value in bytes: sign, 17 digits, point and exponent, as in
/// `-2.2250738585072014e-308`.
const MAX_VALUE_BYTES: usize = 24;

/// The size of a schema's plan in memory, and of its lines on a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlanSize {
    /// Memory of the plan, in bytes.
    pub(crate) memory: usize,
    /// Number of sample lines that each agent has.
    lines: usize,
    /// Maximum bytes of one agent's sample and metadata lines in each format, without the agent's
    /// labels.
    bytes: [usize; Format::ALL.len()],
}

impl PlanSize {
    pub(crate) fn of(schema: &Schema) -> Self {
        let mut size = Self::default();
        for family in &schema.families {
            size.add_family(family);
        }
        size
    }

    /// Returns the maximum page size of an agent whose labels have this many bytes.
    #[must_use]
    pub fn page_bytes(&self, labels: usize) -> usize {
        self.bytes.iter().copied().fold(0, usize::max) + self.lines * labels
    }

    fn add_family(&mut self, family: &Family) {
        self.memory += size_of::<FamilyPlan>();
        let Some(kind) = family.kind else { return };
        let shape = Shape::of(kind);
        let openings = shape.plain.iter().map(|suffix| opening_bytes(family, suffix));
        let openings = openings.sum::<usize>();
        self.memory += openings + shape.plain.len() * size_of::<Box<str>>();
        if let Some(parameter) = &shape.parameter {
            self.memory += opening_bytes(family, parameter.suffix);
        }
        for format in Format::ALL {
            self.bytes[format as usize] += FamilyHead::bytes(family, kind, format);
        }
        for series in &family.series {
            self.add_series(family, &shape, openings, series);
        }
    }

    fn add_series(&mut self, family: &Family, shape: &Shape, openings: usize, series: &Series) {
        let labels = counted(|out| write_own_labels(series, out));
        let own = labels.saturating_sub(CLOSE.len());
        let plain = shape.plain.len();
        self.memory += size_of::<SeriesPlan>() + labels;
        self.lines += plain;
        let bytes = openings + plain * (own + CLOSE.len() + MAX_VALUE_BYTES + "\n".len());
        self.bytes.iter_mut().for_each(|all| *all += bytes);
        let Some(parameter) = &shape.parameter else { return };
        let lines = parameter.lines(series);
        let line = opening_bytes(family, parameter.suffix) + own + MAX_VALUE_BYTES + "\n".len();
        self.lines += lines;
        for format in Format::ALL {
            let text = parameter.text_bytes(series, format);
            self.memory += size_of::<ParameterText>() + lines * size_of::<u32>() + text;
            self.bytes[format as usize] += lines * line + text;
        }
    }
}

/// Returns the length of `name_suffix{`, in bytes.
fn opening_bytes(family: &Family, suffix: &str) -> usize {
    family.name.len() + suffix.len() + "{".len()
}

#[cfg(test)]
mod tests {
    use fleetgauge_proto::Limits;
    use fleetgauge_proto::message::{self, Label};

    use super::*;
    use crate::exposition::{Plan, write_value};

    #[test]
    fn computed_plan_size_is_the_actual_size() {
        let names = ["gauge", "counter", "histogram", "summary", "info", "unknown", "later"];
        let kinds = [1, 2, 3, 4, 5, 6, 200];
        let family = |(name, kind): (&&'static str, u8)| message::Family {
            name,
            kind,
            unit: "",
            help: "\\ \n \" \u{fc}",
        };
        let families: Vec<_> = names.iter().zip(kinds).map(family).collect();
        let label = Label { name: "path", value: "C:\\new\n\"x\"" };
        let series = (0..7).flat_map(|family| {
            [vec![], vec![label]].map(|labels| {
                let parameters = match kinds[family as usize] {
                    3 => vec![-0.0, 0.005, 1.0, 1e300],
                    4 => vec![0.0, 0.5, 1.0],
                    _ => vec![],
                };
                let width = match kinds[family as usize] {
                    3 | 4 => parameters.len() as u32 + 2,
                    _ => 1,
                };
                message::Series { family, width, parameters, labels }
            })
        });
        let declared = message::Schema { stream: 0, families, series: series.collect() };
        let schema = Schema::try_new(&declared, &Limits::default()).unwrap();
        assert_eq!(PlanSize::of(&schema).memory, Plan::new(&schema).bytes());
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
