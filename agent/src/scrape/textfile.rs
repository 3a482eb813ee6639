//! Source that reads text files.

use crate::config::TextfileSettings;
use crate::sampler::SourceSpec;

/// Returns the source of these text files; `None` if there are none.
pub(crate) fn source(_settings: &[TextfileSettings]) -> Option<SourceSpec> {
    None
}
