//! The sample names of catalogs, as sorted hashes.
//!
//! No two catalogs of an agent may have a sample name in common. A Hello of 300 bytes can name 16
//! catalogs of 4,000 names each, so finding a common name must not hash or copy the names again.

use fleetgauge_proto::catalog::Family;

/// Bytes of a name in [`SampleNames`].
pub(super) const HASHED_NAME_BYTES: usize = size_of::<(u32, u32)>();

/// The sample names of a catalog: for each its hash and the index of its family, sorted. Names with
/// equal hashes are compared.
#[derive(Debug)]
pub(super) struct SampleNames(Box<[(u32, u32)]>);

/// A catalog's families and their sample names.
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedFamilies<'a> {
    pub(super) families: &'a [Family],
    pub(super) names: &'a SampleNames,
}

impl SampleNames {
    pub(super) fn new(families: &[Family], hash: impl Fn(&str) -> u32) -> Self {
        let names = (0..).zip(families).flat_map(|(index, family)| {
            sample_names(family).map(move |name| (name, index)).collect::<Vec<_>>()
        });
        let mut names: Vec<_> = names.map(|(name, index)| (hash(&name), index)).collect();
        names.sort_unstable();
        Self(names.into())
    }

    fn hashes(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|(hash, _)| *hash)
    }

    /// Returns the indices of the families that have a name with this hash.
    fn families(&self, hash: u32) -> impl Iterator<Item = usize> {
        let start = self.0.partition_point(|(other, _)| *other < hash);
        let same = self.0[start..].iter().take_while(move |(other, _)| *other == hash);
        same.map(|(_, family)| *family as usize)
    }
}

fn sample_names(family: &Family) -> impl Iterator<Item = String> + '_ {
    #[cfg(test)]
    tests::count_family();
    family.sample_names()
}

/// Returns a sample name that a catalog of `new` has in common with another one, of `new` or of
/// `old`. Takes time in proportion to the names of `new`, but not of `old`.
pub(super) fn common_name(new: &[NamedFamilies<'_>], old: &[NamedFamilies<'_>]) -> Option<String> {
    let mut hashes: Vec<_> = new.iter().flat_map(|catalog| catalog.names.hashes()).collect();
    // A stable sort merges the catalogs' names, which are sorted.
    hashes.sort();
    let is_common = |at: usize| {
        let hash = hashes[at];
        hashes.get(at + 1) == Some(&hash)
            || old.iter().any(|old| old.names.families(hash).next().is_some())
    };
    let common = (0..hashes.len()).filter(|at| is_common(*at));
    common.map(|at| hashes[at]).find_map(|hash| name_of_two(new.iter().chain(old), hash))
}

/// Returns a sample name with this hash that two of the catalogs have.
fn name_of_two<'a>(
    catalogs: impl Iterator<Item = &'a NamedFamilies<'a>>,
    hash: u32,
) -> Option<String> {
    let mut others: Vec<String> = Vec::new();
    for NamedFamilies { families, names } in catalogs {
        let own = names.families(hash).flat_map(|index| sample_names(&families[index]));
        let own: Vec<_> = own.collect();
        if let Some(name) = own.iter().find(|name| others.contains(name)) {
            return Some(name.clone());
        }
        others.extend(own);
    }
    None
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use fleetgauge_proto::catalog::FamilyKind;

    use super::*;

    thread_local! {
        static FAMILIES_READ: Cell<usize> = const { Cell::new(0) };
    }

    /// Counts a family whose sample names are read.
    pub(super) fn count_family() {
        FAMILIES_READ.set(FAMILIES_READ.get() + 1);
    }

    fn families(names: impl IntoIterator<Item = (String, FamilyKind)>) -> Vec<Family> {
        let text = || Box::from("");
        let family = |(name, kind): (String, _)| Family {
            name: name.into(),
            kind: Some(kind),
            unit: text(),
            help: text(),
        };
        names.into_iter().map(family).collect()
    }

    fn gauges(names: &[&str]) -> Vec<Family> {
        families(names.iter().map(|name| ((*name).to_owned(), FamilyKind::Gauge)))
    }

    /// A good hash function, and two bad ones that map the names of the tests to few values.
    const HASHES: [fn(&str) -> u32; 3] = [
        |name| name.bytes().fold(7, |hash: u32, byte| hash.wrapping_mul(31) ^ u32::from(byte)),
        |name| u32::from(name.as_bytes()[0]) % 2,
        |_| 0,
    ];

    #[test]
    fn common_names_are_found_whatever_names_have_equal_hashes() {
        let counter = |name: &str| families([(name.to_owned(), FamilyKind::Counter)]);
        let catalogs = [gauges(&["a", "b", "c"]), gauges(&["d", "e"]), counter("f"), gauges(&[])];
        for hash in HASHES {
            let hashed = catalogs.each_ref().map(|families| SampleNames::new(families, hash));
            let named = |at: usize| NamedFamilies { families: &catalogs[at], names: &hashed[at] };
            let all = [0, 1, 2, 3].map(named);
            assert_eq!(common_name(&all, &[]), None);
            assert_eq!(common_name(&all[..1], &all[1..]), None);
            for (other, name) in [("c", "c"), ("d", "d"), ("f_total", "f_total")] {
                let other = gauges(&["x", other]);
                let names = SampleNames::new(&other, hash);
                let other = NamedFamilies { families: &other, names: &names };
                assert_eq!(common_name(&[other], &all).as_deref(), Some(name));
                assert_eq!(common_name(&all, &[other]).as_deref(), Some(name));
                let both = [&all[..], &[other]].concat();
                assert_eq!(common_name(&both, &[]).as_deref(), Some(name));
                assert_eq!(common_name(&[], &both), None, "they were compared before");
            }
            assert!(common_name(&[named(0), named(0)], &[]).is_some(), "the same catalog twice");
        }
    }

    /// A Hello of 309 bytes once hashed 64,000 names.
    #[test]
    fn hello_of_sixteen_wide_catalogs_reads_no_names() {
        let catalogs: Vec<_> = (0..16)
            .map(|catalog| {
                let names = (0..1_000).map(|n| format!("c{catalog}_{n}"));
                families(names.map(|name| (name, FamilyKind::Summary)))
            })
            .collect();
        let hashed: Vec<_> =
            catalogs.iter().map(|families| SampleNames::new(families, HASHES[0])).collect();
        let named = catalogs.iter().zip(&hashed);
        let named = named.map(|(families, names)| NamedFamilies { families, names });
        let named: Vec<_> = named.collect();
        FAMILIES_READ.set(0);
        assert_eq!(common_name(&named, &[]), None);
        assert_eq!(common_name(&named[..1], &named[1..]), None);
        let read = FAMILIES_READ.get();
        assert!(read < 100, "{read} families of names with equal hashes");
        assert!(common_name(&[named[0]; 2], &[]).is_some());
        assert!(FAMILIES_READ.get() < read + 10, "a catalog that is named twice");
    }
}
