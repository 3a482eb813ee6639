//! Finds the valid name that is most similar to a misspelt one.

/// Minimum similarity, from 0 to 1, at which a name is suggested. clap uses the same.
const LEAST_SIMILARITY: f64 = 0.7;

/// Returns the most similar name; `None` if no name is similar enough.
pub(super) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let similar = names.into_iter().map(|valid| (strsim::jaro(name, valid), valid));
    let similar = similar.filter(|(similarity, _)| *similarity > LEAST_SIMILARITY);
    similar.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, name)| name)
}
