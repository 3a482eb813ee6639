//! What can be wrong with a peer, and the code by which it is told, counted and logged.

/// Declares [`Code`] as a table: number on the wire, stable name, meaning.
macro_rules! codes {
    ($($number:literal $variant:ident $reason:literal $meaning:literal)*) => {
        /// Why a connection was refused or ended, as Reject carries it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Code {
            $(#[doc = $meaning] $variant = $number,)*
        }

        impl Code {
            /// Every code, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable name used in logs and as a label value.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason,)* }
            }

            /// One sentence for whoever reads it.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// The code with this number; `None` for one of a later version.
            #[must_use]
            pub const fn from_u16(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// The number on the wire.
            #[must_use]
            pub const fn to_u16(self) -> u16 {
                self as u16
            }
        }
    };
}

codes! {
    1 BadMagic "bad_magic" "The frame does not open with the bytes FG."
    2 BadFlags "bad_flags" "The header's flags are not zero."
    3 UnsupportedVersion "unsupported_version" "The header's version, or every version offered in Hello, is not spoken here."
    4 FrameTooLarge "frame_too_large" "The payload is announced as longer than is accepted now."
    5 UnknownKind "unknown_kind" "The kind is unknown and may not be skipped."
    6 UnexpectedFrame "unexpected_frame" "The kind is known but not allowed in this state or direction."
    7 TruncatedFrame "truncated_frame" "The stream ended inside a frame."
    8 MalformedPayload "malformed_payload" "The payload is not the message that the kind says."
    9 TrailingBytes "trailing_bytes" "The payload goes on after its message."
    10 NonMinimalInteger "non_minimal_integer" "An integer is written with more bytes than it needs."
    11 BadStream "bad_stream" "The stream is not 0 and no capability for others was agreed."
    12 BadExtension "bad_extension" "Too many extensions, or one named twice."
    20 BadAgentId "bad_agent_id" "The agent id is not 1 to 128 bytes of A-Z a-z 0-9 . _ : - or is . or .."
    21 BadLabelName "bad_label_name" "A label name is not a letter or _ followed by letters, digits and _."
    22 ReservedLabel "reserved_label" "A label name is reserved for the collector or for Prometheus."
    23 LabelTooLong "label_too_long" "A label value, or all labels together, are longer than allowed."
    24 TooManyLabels "too_many_labels" "An agent or a series has more labels than allowed."
    25 DuplicateLabel "duplicate_label" "A label is given twice, or both for the agent and for a series."
    26 BadHello "bad_hello" "The agent version or the credential is longer than allowed."
    27 LabelNotAllowed "label_not_allowed" "A label is not one that agents may set here, or has a value that this agent may not give it."
    30 BadMetricName "bad_metric_name" "A metric name is not a letter or _ followed by letters, digits and _, or ends in a suffix that its kind adds."
    31 ReservedMetricName "reserved_metric_name" "A metric name is reserved for the collector."
    32 BadUnit "bad_unit" "The unit is not a legal name or the metric name does not end in it."
    33 HelpTooLong "help_too_long" "A help text is longer than allowed."
    34 DuplicateFamily "duplicate_family" "Two families of the schema would expose the same sample name."
    35 TooManyFamilies "too_many_families" "The schema has more families than allowed."
    36 TooManySeries "too_many_series" "The schema has more series than allowed."
    37 DuplicateSeries "duplicate_series" "Two series of a family have the same labels."
    38 BadFamilyIndex "bad_family_index" "A series names a family that the schema does not have."
    39 BadWidth "bad_width" "A series' width does not follow from its kind and parameters."
    40 BadParameters "bad_parameters" "Bucket bounds or quantiles are not finite, not ascending, out of range, too many, or not for this kind."
    41 TooManyValues "too_many_values" "A report of this schema would carry more values than allowed."
    42 PageTooLarge "page_too_large" "The agent's lines on a page would take more bytes than allowed."
    50 WrongValueCount "wrong_value_count" "The report's values are not as many as the schema or the bitmap says."
    51 BadBitmap "bad_bitmap" "The report's bitmap has the wrong length or a spare bit set."
    52 SequenceNotRising "sequence_not_rising" "The report's sequence number is not above the one before."
    53 FullReportRequired "full_report_required" "The first report after Welcome or Schema must carry all values."
    60 HelloTimeout "hello_timeout" "No whole Hello came in time."
    61 FrameTimeout "frame_timeout" "A frame was begun and not finished in time."
    62 ReportTimeout "report_timeout" "No report came in three intervals."
    63 TooManyReports "too_many_reports" "Reports, or other frames, come far more often than the interval says."
    70 IdConflict "id_conflict" "Another host holds this agent id and is alive, or the id changes hands too often."
    71 Superseded "superseded" "A newer connection has taken this agent id over."
    80 CollectorFull "collector_full" "The collector holds as many connections as it may, or has no memory left for more."
    81 AddressFull "address_full" "This address has as many connections as it may."
    82 HandshakesFull "handshakes_full" "Too many connections are in their handshake; come again."
    83 SchemasFull "schemas_full" "The collector holds as many schemas as it may, all in use."
    84 Draining "draining" "The collector is stopping."
    85 AddressPaused "address_paused" "Too many connections came from this address, or too many of them failed; come again."
    86 TlsRequired "tls_required" "This port speaks TLS only; enable TLS in the agent's settings."
    90 Unauthorized "unauthorized" "The credential does not allow this."
    91 CredentialRevoked "credential_revoked" "The credential by which the agent was let in is not valid any more."
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}

/// What a peer did that the protocol forbids, with what is needed to find it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the variants and fields are")]
pub enum Violation {
    #[error("the frame does not open with FG")]
    BadMagic,
    #[error("flags are {flags:#04x}, not zero")]
    BadFlags { flags: u8 },
    #[error("version {version} is not spoken here")]
    UnsupportedVersion { version: u8 },
    #[error("a payload of {len} bytes is over the {max} accepted now")]
    FrameTooLarge { len: u32, max: u32 },
    #[error("kind {kind:#04x} is unknown and may not be skipped")]
    UnknownKind { kind: u8 },
    #[error("{kind} is not allowed {when}")]
    UnexpectedFrame { kind: crate::Kind, when: &'static str },
    #[error("the stream ended inside a frame")]
    TruncatedFrame,
    #[error("the payload {what}")]
    MalformedPayload { what: &'static str },
    #[error("the payload goes on for {extra} bytes after the message")]
    TrailingBytes { extra: usize },
    #[error("an integer is written with more bytes than it needs")]
    NonMinimalInteger,
    #[error("stream {stream} was not agreed on")]
    BadStream { stream: u32 },
    #[error("too many extensions, or one twice")]
    BadExtension,
    #[error("agent id {0:?} is not 1 to 128 bytes of A-Z a-z 0-9 . _ : -")]
    BadAgentId(Box<str>),
    #[error("label name {0:?} is not legal")]
    BadLabelName(Box<str>),
    #[error("label name {0:?} is reserved")]
    ReservedLabel(Box<str>),
    #[error("the value of label {0:?} is too long")]
    LabelValueTooLong(Box<str>),
    #[error("labels take {bytes} bytes, over the {max} allowed")]
    LabelsTooLong { bytes: usize, max: u32 },
    #[error("{count} labels are over the {max} allowed")]
    TooManyLabels { count: usize, max: usize },
    #[error("label {0:?} is given twice")]
    DuplicateLabel(Box<str>),
    #[error("the {field} in Hello is too long")]
    BadHello { field: &'static str },
    #[error("metric name {0:?} is not legal, or ends in a suffix that its kind adds")]
    BadMetricName(Box<str>),
    #[error("metric name {0:?} is reserved")]
    ReservedMetricName(Box<str>),
    #[error("metric {0:?} does not end in its unit")]
    BadUnit(Box<str>),
    #[error("the help of {0:?} is too long")]
    HelpTooLong(Box<str>),
    #[error("sample name {0:?} comes from two families")]
    DuplicateFamily(Box<str>),
    #[error("{count} families are over the {max} allowed")]
    TooManyFamilies { count: usize, max: u32 },
    #[error("{count} series are over the {max} allowed")]
    TooManySeries { count: usize, max: u32 },
    #[error("two series of {0:?} have the same labels")]
    DuplicateSeries(Box<str>),
    #[error("series {series} names family {family}, which does not exist")]
    BadFamilyIndex { series: usize, family: u32 },
    #[error("series {series} is {width} values wide, its kind and parameters say otherwise")]
    BadWidth { series: usize, width: u32 },
    #[error("series {series} has parameters that are not legal for its kind")]
    BadParameters { series: usize },
    #[error("{count} values in a report are over the {max} allowed")]
    TooManyValues { count: u64, max: u32 },
    #[error("{bytes} bytes of values came where {expected} values belong")]
    WrongValueCount { bytes: usize, expected: usize },
    #[error("the bitmap is not the one {values} values need")]
    BadBitmap { values: usize },
    #[error("sequence number {sequence} is not above {previous}")]
    SequenceNotRising { sequence: u64, previous: u64 },
    #[error("the first report after Welcome or Schema must carry all values")]
    FullReportRequired,
}

impl Violation {
    /// The code by which the peer is told.
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
            Self::BadExtension => Code::BadExtension,
            Self::BadAgentId(_) => Code::BadAgentId,
            Self::BadLabelName(_) => Code::BadLabelName,
            Self::ReservedLabel(_) => Code::ReservedLabel,
            Self::LabelValueTooLong(_) | Self::LabelsTooLong { .. } => Code::LabelTooLong,
            Self::TooManyLabels { .. } => Code::TooManyLabels,
            Self::DuplicateLabel(_) => Code::DuplicateLabel,
            Self::BadHello { .. } => Code::BadHello,
            Self::BadMetricName(_) => Code::BadMetricName,
            Self::ReservedMetricName(_) => Code::ReservedMetricName,
            Self::BadUnit(_) => Code::BadUnit,
            Self::HelpTooLong(_) => Code::HelpTooLong,
            Self::DuplicateFamily(_) => Code::DuplicateFamily,
            Self::TooManyFamilies { .. } => Code::TooManyFamilies,
            Self::TooManySeries { .. } => Code::TooManySeries,
            Self::DuplicateSeries(_) => Code::DuplicateSeries,
            Self::BadFamilyIndex { .. } => Code::BadFamilyIndex,
            Self::BadWidth { .. } => Code::BadWidth,
            Self::BadParameters { .. } => Code::BadParameters,
            Self::TooManyValues { .. } => Code::TooManyValues,
            Self::WrongValueCount { .. } => Code::WrongValueCount,
            Self::BadBitmap { .. } => Code::BadBitmap,
            Self::SequenceNotRising { .. } => Code::SequenceNotRising,
            Self::FullReportRequired => Code::FullReportRequired,
        }
    }
}
