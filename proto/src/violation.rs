//! Protocol errors: what a peer did wrong, with the details for a log line.

use crate::code::Code;
use crate::kind::Kind;

/// A protocol error of a peer. The text names the offending field and value.
///
/// ```
/// use fleetgauge_proto::{Code, Violation};
///
/// let violation = Violation::BadFlags { flags: 1 };
/// assert_eq!(violation.code(), Code::BadFlags);
/// assert_eq!(violation.to_string(), "flags are 0x01, not zero");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its variant and fields")]
pub enum Violation {
    #[error("the frame does not start with FG")]
    BadMagic,
    #[error("flags are {flags:#04x}, not zero")]
    BadFlags { flags: u8 },
    #[error("version {version} is unsupported")]
    UnsupportedVersion { version: u8 },
    #[error("a payload of {len} bytes exceeds the limit of {max}")]
    FrameTooLarge { len: u32, max: u32 },
    #[error("kind {kind:#04x} is unknown and not skippable")]
    UnknownKind { kind: u8 },
    #[error("{kind} is not allowed {when}")]
    UnexpectedFrame { kind: Kind, when: &'static str },
    #[error("the stream ended inside a frame")]
    TruncatedFrame,
    #[error("the payload {what}")]
    MalformedPayload { what: &'static str },
    #[error("the payload has {extra} bytes after its message")]
    TrailingBytes { extra: usize },
    #[error("an integer is not in its shortest form")]
    NonMinimalInteger,
    #[error("stream {stream} was not negotiated")]
    BadStream { stream: u32 },
    #[error("too many extensions, or two with the same id")]
    BadExtension,
    #[error("the log extension {what}")]
    BadLogExtension { what: &'static str },
    #[error(
        "agent id {0:?} is invalid; use 1 to 128 bytes of A-Z a-z 0-9 . _ : -, but not . or .."
    )]
    BadAgentId(Box<str>),
    #[error("label name {0:?} is invalid; use a letter or _, then letters, digits and _")]
    BadLabelName(Box<str>),
    #[error("label name {0:?} is reserved")]
    ReservedLabel(Box<str>),
    #[error("the value of label {0:?} is too long")]
    LabelValueTooLong(Box<str>),
    #[error("labels take {bytes} bytes; at most {max} are allowed")]
    LabelsTooLong { bytes: usize, max: u32 },
    #[error("{count} labels; at most {max} are allowed")]
    TooManyLabels { count: usize, max: usize },
    #[error("label {0:?} is given twice")]
    DuplicateLabel(Box<str>),
    #[error("the {field} in Hello is too long")]
    BadHello { field: &'static str },
    #[error("metric name {0:?} is invalid, or ends in a suffix that its kind adds")]
    BadMetricName(Box<str>),
    #[error("metric name {0:?} is reserved")]
    ReservedMetricName(Box<str>),
    #[error("metric {0:?} does not end in its unit")]
    BadUnit(Box<str>),
    #[error("the help of {0:?} is too long")]
    HelpTooLong(Box<str>),
    #[error("two families take the sample name {0:?}; rename one")]
    DuplicateFamily(Box<str>),
    #[error("{count} families; at most {max} are allowed")]
    TooManyFamilies { count: usize, max: u32 },
    #[error("{count} series; at most {max} are allowed")]
    TooManySeries { count: usize, max: u32 },
    #[error("two columns of {0:?} can have the same labels")]
    DuplicateSeries(Box<str>),
    #[error("the columns of {0:?} have more than 8 different sets of label names")]
    TooManyNameSets(Box<str>),
    #[error("a column of table {table} refers to family {family}, which does not exist")]
    BadFamilyIndex { table: usize, family: u32 },
    #[error("table {table}: width {width} of a column does not match its kind and parameters")]
    BadWidth { table: usize, width: u32 },
    #[error("table {table}: the parameters of a column are invalid for its kind")]
    BadParameters { table: usize },
    #[error("table {table}: {decimals} decimal places are more than 9")]
    BadDecimals { table: usize, decimals: u8 },
    #[error("no table has a column of family {0:?}")]
    UnusedFamily(Box<str>),
    #[error("table {table} has no columns")]
    EmptyTable { table: usize },
    #[error("{count} columns; at most {max} are allowed")]
    TooManyColumns { count: usize, max: u32 },
    #[error("slot {slot} is not below 16")]
    BadSlot { slot: u8 },
    #[error("slot {slot} has no table {table} with row labels")]
    UnknownTable { slot: u8, table: u32 },
    #[error("slot {slot}, table {table}: {what}")]
    BadRow { slot: u8, table: u32, what: Box<str> },
    #[error("slot {slot}, table {table}: a label value of a row is longer than 1024 bytes")]
    RowLabelTooLong { slot: u8, table: u32 },
    #[error("{count} values in a report; at most {max} are allowed")]
    TooManyValues { count: u64, max: u32 },
    #[error("{bytes} bytes are too few for the codes of {expected} values")]
    WrongValueCount { bytes: usize, expected: usize },
    #[error("the bitmap does not match {values} values")]
    BadBitmap { values: usize },
    #[error("{what}")]
    BadValue { what: &'static str },
    #[error("sequence number {sequence} is not above {previous}")]
    SequenceNotRising { sequence: u64, previous: u64 },
}

impl Violation {
    /// Returns the code for a Reject, logs and metrics.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::BadMagic => Code::BadMagic,
            Self::BadFlags { .. } => Code::BadFlags,
            Self::UnsupportedVersion { .. } => Code::UnsupportedVersion,
            Self::FrameTooLarge { .. } => Code::FrameTooLarge,
            Self::UnknownKind { .. } => Code::UnknownKind,
            Self::UnexpectedFrame { .. } => Code::UnexpectedFrame,
            Self::TruncatedFrame => Code::TruncatedFrame,
            Self::MalformedPayload { .. } => Code::MalformedPayload,
            Self::TrailingBytes { .. } => Code::TrailingBytes,
            Self::NonMinimalInteger => Code::NonMinimalInteger,
            Self::BadStream { .. } => Code::BadStream,
            Self::BadExtension | Self::BadLogExtension { .. } => Code::BadExtension,
            Self::BadAgentId(_) => Code::BadAgentId,
            Self::BadLabelName(_) => Code::BadLabelName,
            Self::ReservedLabel(_) => Code::ReservedLabel,
            Self::LabelValueTooLong(_)
            | Self::LabelsTooLong { .. }
            | Self::RowLabelTooLong { .. } => Code::LabelTooLong,
            Self::TooManyLabels { .. } => Code::TooManyLabels,
            Self::DuplicateLabel(_) => Code::DuplicateLabel,
            Self::BadHello { .. } => Code::BadHello,
            Self::BadMetricName(_) => Code::BadMetricName,
            Self::ReservedMetricName(_) => Code::ReservedMetricName,
            Self::BadUnit(_) => Code::BadUnit,
            Self::HelpTooLong(_) => Code::HelpTooLong,
            Self::DuplicateFamily(_) => Code::DuplicateFamily,
            Self::TooManyFamilies { .. } => Code::TooManyFamilies,
            Self::TooManySeries { .. } | Self::TooManyColumns { .. } => Code::TooManySeries,
            Self::DuplicateSeries(_) | Self::TooManyNameSets(_) => Code::DuplicateSeries,
            Self::BadFamilyIndex { .. } => Code::BadFamilyIndex,
            Self::BadWidth { .. } => Code::BadWidth,
            Self::BadParameters { .. } => Code::BadParameters,
            Self::TooManyValues { .. } => Code::TooManyValues,
            Self::BadDecimals { .. } | Self::EmptyTable { .. } | Self::UnusedFamily(_) => {
                Code::BadTable
            }
            Self::BadSlot { .. } => Code::BadSlot,
            Self::UnknownTable { .. } => Code::UnknownTable,
            Self::BadRow { .. } => Code::BadRow,
            Self::BadValue { .. } => Code::BadValue,
            Self::WrongValueCount { .. } => Code::WrongValueCount,
            Self::BadBitmap { .. } => Code::BadBitmap,
            Self::SequenceNotRising { .. } => Code::SequenceNotRising,
        }
    }
}
