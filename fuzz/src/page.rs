//! Parses a complete page into its families and samples.

use std::collections::BTreeMap;

use fleetgauge_page::{Format, Item, Labels, ReadResult, Reader, unescape};

/// A metric family on a page, with its samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) unit: Option<String>,
    pub(crate) help: Option<String>,
    pub(crate) samples: Vec<Sample>,
}

/// A parsed sample line of a page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// Parses a page. Returns its families in order, or the first invalid line with its problem.
pub(crate) fn parse(text: &str, openmetrics: bool) -> Result<Vec<Family>, String> {
    let format = if openmetrics { Format::OpenMetrics } else { Format::Text };
    let (mut families, mut wrong) = (Vec::<Family>::new(), None);
    let mut on_read = |read: ReadResult<'_>| match read {
        Ok(Item::Family(family)) => families.push(Family {
            name: family.name.clone(),
            kind: family.kind.to_owned(),
            unit: family.unit.clone(),
            help: family.help.clone(),
            samples: Vec::new(),
        }),
        // A sample without a family is invalid, and is reported next.
        Ok(Item::Sample(sample)) => families.iter_mut().last().into_iter().for_each(|family| {
            let (name, labels) = (sample.name.to_owned(), owned(sample.labels));
            family.samples.push(Sample { name, labels, value: sample.value });
        }),
        Err(invalid) => {
            wrong.get_or_insert(format!("{:?} {}", invalid.text, invalid.problem));
        }
    };
    let mut reader = Reader::new(format);
    reader.push(text.as_bytes(), &mut on_read);
    reader.finish(&mut on_read);
    wrong.map_or(Ok(families), Err)
}

fn owned(labels: Labels<'_>) -> BTreeMap<String, String> {
    let plain = |value| unescape(value, true).unwrap();
    labels.iter().map(|(name, value)| (name.to_owned(), plain(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_samples_and_escapes_are_parsed() {
        let page = "# HELP a_total Some \\\\ text\\n.\n# TYPE a_total counter\n\
            a_total{agent=\"x\",b=\"\\\"\\\\\\n\"} 3\n# TYPE b gauge\n";
        let families = parse(page, false).unwrap();
        let names: Vec<_> = families.iter().map(|family| family.name.as_str()).collect();
        assert_eq!(names, ["a_total", "b"]);
        assert_eq!(families[0].help.as_deref(), Some("Some \\ text\n."));
        assert_eq!(families[0].samples[0].labels["b"], "\"\\\n");
        assert_eq!(parse("# TYPE a info\na_info{b=\"c\"} 1\n# EOF\n", true).unwrap()[0].name, "a");
    }

    #[test]
    fn an_invalid_line_is_reported() {
        assert_eq!(parse("a 1\n", false), Err("\"a 1\" belongs to no family".to_owned()));
    }
}
