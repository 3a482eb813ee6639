//! The distribution of a column's values: exact buckets and quantiles, without sorting.
//!
//! A first pass counts the values by the leading bits of their keys, in bins. A second pass
//! collects the values of the few bins that contain a bucket bound or a quantile.

use std::collections::{BTreeMap, BTreeSet};

use super::columns::{key, value};

/// The quantiles that the fleet page shows.
pub const QUANTILES: [f64; 5] = [0.0, 0.5, 0.9, 0.99, 1.0];

/// Maximum number of leading key bits that select a bin: sign, exponent and four bits of the
/// fraction.
const BITS: u32 = 16;

/// The distribution of a column's values.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Number of values.
    pub count: usize,
    /// Arithmetic mean of the values.
    pub mean: f64,
    /// For each bucket bound, the number of values less than or equal to it.
    pub at_or_below: Vec<usize>,
    /// The value of each of [`QUANTILES`]. The q-quantile is the smallest value v such that at
    /// least the fraction q of all values is less than or equal to v.
    pub quantiles: [f64; QUANTILES.len()],
}

impl Distribution {
    /// Computes the distribution of the values with these keys. There must be at least one key.
    /// `bounds` are the upper bounds of the buckets.
    pub(super) fn of(keys: &[i64], bounds: &[f64]) -> Self {
        let bins = Bins::count(keys);
        let bounds: Vec<i64> = bounds.iter().map(|bound| key(*bound)).collect();
        let ranks = QUANTILES.map(|quantile| rank(quantile, keys.len()));
        let of_bounds = bounds.iter().map(|bound| bins.of(*bound));
        let mut cut = bins.take(keys, of_bounds.chain(ranks.map(|rank| bins.find(rank))));
        let at_or_below = |bound: &i64| {
            let of = bins.of(*bound);
            bins.below[of] + cut[&of].iter().filter(|key| *key <= bound).count()
        };
        let at_or_below = bounds.iter().map(at_or_below).collect();
        let quantiles = ranks.map(|rank| {
            let of = bins.find(rank);
            let keys = cut.entry(of).or_default();
            value(*keys.select_nth_unstable(rank - bins.below[of]).1)
        });
        let sum: f64 = keys.iter().map(|key| value(*key)).sum();
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let mean = sum / keys.len() as f64;
        Self { count: keys.len(), mean, at_or_below, quantiles }
    }
}

/// Numbers of keys in bins. A bin has all keys with the same leading bits; bins are in key order.
struct Bins {
    /// Number of low bits that do not select a bin.
    shift: u32,
    /// For each bin, the number of keys in all bins before it.
    below: Vec<usize>,
}

impl Bins {
    /// Counts the keys. Makes about as many bins as there are keys.
    fn count(keys: &[i64]) -> Self {
        let bits = keys.len().max(2).ilog2().min(BITS);
        let mut bins = Self { shift: 64 - bits, below: vec![0; (1 << bits) + 1] };
        for key in keys {
            let of = bins.of(*key);
            bins.below[of + 1] += 1;
        }
        let mut sum = 0;
        for below in &mut bins.below {
            sum += *below;
            *below = sum;
        }
        bins
    }

    /// Returns the index of the bin of a key.
    fn of(&self, key: i64) -> usize {
        let ascending = key.cast_unsigned() ^ (1 << 63);
        usize::try_from(ascending >> self.shift).unwrap_or(0)
    }

    /// Returns the index of the bin that contains the key with this rank, counted from 0.
    fn find(&self, rank: usize) -> usize {
        self.below.partition_point(|below| *below <= rank) - 1
    }

    /// Collects the keys in these bins.
    fn take(&self, keys: &[i64], bins: impl Iterator<Item = usize>) -> BTreeMap<usize, Vec<i64>> {
        let bins: BTreeSet<_> = bins.collect();
        let mut index = vec![usize::MAX; self.below.len() - 1];
        let mut taken = Vec::new();
        for (at, of) in bins.iter().enumerate() {
            index[*of] = at;
            taken.push(Vec::with_capacity(self.below[of + 1] - self.below[*of]));
        }
        for key in keys {
            if let Some(taken) = taken.get_mut(index[self.of(*key)]) {
                taken.push(*key);
            }
        }
        bins.into_iter().zip(taken).collect()
    }
}

/// Returns the rank of a quantile among `count` sorted values, counted from 0.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts stay far below 2^53"
)]
fn rank(quantile: f64, count: usize) -> usize {
    ((quantile * count as f64).ceil() as usize).saturating_sub(1)
}
