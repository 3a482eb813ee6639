//! Remembers where the fields of `/proc/net/netstat` and similar files go, so that names are looked
//! up once and not in each reading.

use crate::sampler::node::SourceError;

/// Maximum number of lines with names in a file. Kernels have fewer than 300.
const MAX_LAYOUTS: usize = 2_000;
/// Maximum number of fields in a line. Kernels have fewer than 200.
const MAX_FIELDS: usize = 2_000;

/// Where the value of a field goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    /// Nowhere: the field is not selected.
    Ignored,
    /// The column with this index.
    Column(usize),
    /// The family with this name.
    Found(Box<str>),
}

/// The slots of all fields of a file, as of the last reading.
#[derive(Debug, Default)]
pub(super) struct Layouts(Vec<Layout>);

/// The slots of a line.
#[derive(Debug)]
struct Layout {
    /// Text with the names of the fields.
    names: String,
    slots: Vec<Slot>,
}

impl Layouts {
    /// Reads pairs of lines: `Tcp: InSegs OutSegs` and `Tcp: 1 2`. `slot` returns the slot of a
    /// field, named `Tcp_InSegs`; `each` gets the slot and value of every field that is selected.
    ///
    /// # Errors
    /// The lines of a pair have different numbers of fields, or a value is no number.
    pub(super) fn read_pairs(
        &mut self,
        text: &str,
        slot: impl Fn(&str) -> Slot,
        mut each: impl FnMut(&Slot, f64),
    ) -> Result<(), SourceError> {
        let mut lines = text.lines();
        for index in 0..MAX_LAYOUTS {
            let Some(names) = lines.next() else { break };
            let error = |what: &str| {
                let protocol: String = names.chars().take(40).collect();
                SourceError::new(format_args!("network statistics: {what} at {protocol:?}"))
            };
            let values = lines.next().ok_or_else(|| error("no values"))?;
            let layout = self.layout(index, names, || pair_slots(names, &slot));
            let mut values = values.split(' ').skip(1).filter(|value| !value.is_empty());
            for slot in &layout.slots {
                let value = values.next().ok_or_else(|| error("too few values"))?;
                if *slot != Slot::Ignored {
                    each(slot, value.parse().map_err(|_| error("no number"))?);
                }
            }
            if layout.slots.len() < MAX_FIELDS && values.next().is_some() {
                return Err(error("too many values"));
            }
        }
        Ok(())
    }

    /// Reads lines with a name and a value: `Ip6InOctets 1`, a field named `Ip6_InOctets`. Lines
    /// without `6` in the name are skipped.
    ///
    /// # Errors
    /// A value is no number.
    pub(super) fn read_lines(
        &mut self,
        text: &str,
        slot: impl Fn(&str) -> Slot,
        mut each: impl FnMut(&Slot, f64),
    ) -> Result<(), SourceError> {
        let mut index = 0;
        for line in text.lines().take(MAX_LAYOUTS) {
            let mut words = line.split_ascii_whitespace();
            let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
            let layout = self.layout(index, name, || vec![line_slot(name, &slot)]);
            index += 1;
            if let Some(slot) = layout.slots.first().filter(|slot| **slot != Slot::Ignored) {
                let value = value.parse().map_err(|_| {
                    SourceError::new(format_args!("network statistics: no number at {name:?}"))
                })?;
                each(slot, value);
            }
        }
        Ok(())
    }

    /// Returns the layout with this index, after replacing it if the names differ. Indices are
    /// asked for one after the other, from 0.
    fn layout(&mut self, index: usize, names: &str, slots: impl FnOnce() -> Vec<Slot>) -> &Layout {
        let is_known = self.0.get(index).is_some_and(|layout| layout.names == names);
        if !is_known {
            // A new line moves all that follow: they are looked up again as they are read.
            self.0.truncate(index);
            self.0.push(Layout { names: names.to_owned(), slots: slots() });
        }
        &self.0[index]
    }
}

fn pair_slots(names: &str, slot: impl Fn(&str) -> Slot) -> Vec<Slot> {
    let mut words = names.split(' ').filter(|name| !name.is_empty());
    let protocol = words.next().unwrap_or_default();
    let protocol = protocol.strip_suffix(':').unwrap_or(protocol);
    words.take(MAX_FIELDS).map(|name| slot(&format!("{protocol}_{name}"))).collect()
}

fn line_slot(name: &str, slot: impl Fn(&str) -> Slot) -> Slot {
    match name.split_once('6') {
        Some((protocol, field)) => slot(&format!("{protocol}6_{field}")),
        None => Slot::Ignored,
    }
}
