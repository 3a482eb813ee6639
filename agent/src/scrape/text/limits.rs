//! Limits of a page.

/// Longest page, in bytes after decompression. A large page of node_exporter has 0.5 MB.
pub const MAX_PAGE_BYTES: u64 = 16 * 1024 * 1024;
/// Maximum number of samples of a page. node_exporter has 1,000 to 10,000.
pub const MAX_PAGE_SAMPLES: usize = 100_000;
/// Longest line, in bytes. Bounds the memory for a line that arrives in parts.
pub const MAX_LINE_BYTES: usize = 64 * 1024;
/// Maximum number of labels of a sample. Bounds the search for a label that occurs twice.
pub const MAX_SAMPLE_LABELS: usize = 64;
/// Longest metric name, in bytes. Above the limit of the protocol, so that a sample that the
/// protocol cannot carry is dropped alone instead of failing the page.
pub const MAX_METRIC_NAME_BYTES: usize = 1024;
/// Longest label name, in bytes. Above the limit of the protocol for the same reason.
pub const MAX_LABEL_NAME_BYTES: usize = 1024;
/// Longest label value, in bytes after unescaping. Above the limit of the protocol for the same
/// reason.
pub const MAX_LABEL_VALUE_BYTES: usize = 16 * 1024;

/// Limits of a page. Exceeding one fails the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimits {
    /// Longest page, in bytes.
    pub max_bytes: u64,
    /// Maximum number of samples.
    pub max_samples: usize,
    /// Longest line, in bytes without its line feed.
    pub max_line_bytes: usize,
    /// Maximum number of labels of a sample.
    pub max_labels: usize,
    /// Longest label name, in bytes.
    pub max_label_name_bytes: usize,
    /// Longest label value, in bytes after unescaping.
    pub max_label_value_bytes: usize,
    /// Longest metric name, in bytes.
    pub max_name_bytes: usize,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self {
            max_bytes: MAX_PAGE_BYTES,
            max_samples: MAX_PAGE_SAMPLES,
            max_line_bytes: MAX_LINE_BYTES,
            max_labels: MAX_SAMPLE_LABELS,
            max_label_name_bytes: MAX_LABEL_NAME_BYTES,
            max_label_value_bytes: MAX_LABEL_VALUE_BYTES,
            max_name_bytes: MAX_METRIC_NAME_BYTES,
        }
    }
}
