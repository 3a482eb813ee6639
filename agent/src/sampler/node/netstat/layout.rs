//! Remembers where the fields of `/proc/net/netstat` and similar files go, so that names are looked
//! up once and not in each reading.

use crate::sampler::node::files::parse;
use crate::sampler::node::line_targets::{LineTargets, Target};

/// Maximum number of lines with names in a file. Kernels have fewer than 300.
const MAX_LAYOUTS: usize = 2_000;
/// Maximum number of fields in a line. Kernels have fewer than 200.
const MAX_FIELDS: usize = 2_000;

/// The targets of all fields of a file, as of the last reading.
#[derive(Debug, Default)]
pub(super) struct Layouts(Vec<Layout>);

/// The targets of a line.
#[derive(Debug)]
struct Layout {
    /// Text with the names of the fields.
    names: String,
    targets: Vec<Target>,
}

impl Layouts {
    /// Reads pairs of lines: `Tcp: InSegs OutSegs` and `Tcp: 1 2`. `target` returns the target of a
    /// field, named `Tcp_InSegs`; `each` gets the target and value of every field that is selected.
    ///
    /// # Errors
    /// The lines of a pair have different numbers of fields, or a value is no number.
    pub(super) fn read_pairs(
        &mut self,
        text: &str,
        target: impl Fn(&str) -> Target,
        mut each: impl FnMut(&Target, f64),
    ) -> Result<(), String> {
        let mut lines = text.lines();
        for index in 0..MAX_LAYOUTS {
            let Some(names) = lines.next() else { break };
            let error = |what: &str| {
                let protocol: String = names.chars().take(40).collect();
                format!("{what} at {protocol:?}")
            };
            let values = lines.next().ok_or_else(|| error("no values"))?;
            let layout = self.layout(index, names, || pair_targets(names, &target));
            let mut values = values.split(' ').skip(1).filter(|value| !value.is_empty());
            for target in &layout.targets {
                let value = values.next().ok_or_else(|| error("too few values"))?;
                if *target != Target::Skip {
                    each(target, parse(value).ok_or_else(|| error("no number"))?);
                }
            }
            if layout.targets.len() < MAX_FIELDS && values.next().is_some() {
                return Err(error("too many values"));
            }
        }
        Ok(())
    }

    /// Returns the layout with this index, after replacing it if the names differ. Indices are
    /// asked for one after the other, from 0.
    fn layout(
        &mut self,
        index: usize,
        names: &str,
        targets: impl FnOnce() -> Vec<Target>,
    ) -> &Layout {
        let is_known = self.0.get(index).is_some_and(|layout| layout.names == names);
        if !is_known {
            // A new line moves all that follow: they are looked up again as they are read.
            self.0.truncate(index);
            self.0.push(Layout { names: names.to_owned(), targets: targets() });
        }
        &self.0[index]
    }
}

/// Reads lines with a name and a value: `Ip6InOctets 1`, a field named `Ip6_InOctets`. Lines
/// without
/// `6` in the name are skipped. `target` and `each` are those of [`Layouts::read_pairs`].
///
/// # Errors
/// A value is no number.
pub(super) fn read_lines(
    targets: &mut LineTargets,
    text: &str,
    target: impl Fn(&str) -> Target,
    mut each: impl FnMut(&Target, f64),
) -> Result<(), String> {
    let mut index = 0;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
        let of_line = targets.get(index, name, |name| line_target(name, &target));
        index += 1;
        if *of_line != Target::Skip {
            let value = parse(value).ok_or_else(|| format!("no number at {name:?}"))?;
            each(of_line, value);
        }
    }
    Ok(())
}

fn pair_targets(names: &str, target: impl Fn(&str) -> Target) -> Vec<Target> {
    let mut words = names.split(' ').filter(|name| !name.is_empty());
    let protocol = words.next().unwrap_or_default();
    let protocol = protocol.strip_suffix(':').unwrap_or(protocol);
    words.take(MAX_FIELDS).map(|name| target(&format!("{protocol}_{name}"))).collect()
}

fn line_target(name: &str, target: impl Fn(&str) -> Target) -> Target {
    match name.split_once('6') {
        Some((protocol, field)) => target(&format!("{protocol}6_{field}")),
        None => Target::Skip,
    }
}
