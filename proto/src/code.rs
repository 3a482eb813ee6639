//! Reject codes: why the collector refuses or ends a connection.

use std::fmt;

/// Declares [`Code`] from a table of wire number, variant, stable name and meaning.
macro_rules! codes {
    ($($number:literal $variant:ident $reason:literal $meaning:literal)*) => {
        /// Why the collector refused or ended a connection. A Reject carries the number.
        ///
        /// ```
        /// use fleetgauge_proto::Code;
        ///
        /// assert_eq!(Code::from_u16(70), Some(Code::IdConflict));
        /// assert_eq!(Code::IdConflict.reason(), "id_conflict");
        /// assert_eq!(Code::from_u16(9_999), None);
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Code {
            $(#[doc = $meaning] $variant = $number,)*
        }

        impl Code {
            /// All codes in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns the stable name for logs and label values.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason,)* }
            }

            /// Returns a one-sentence explanation of the code.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// Returns the code of a wire number; `None` for a number of a later version.
            #[must_use]
            pub const fn from_u16(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// Returns the wire number.
            #[must_use]
            pub const fn to_u16(self) -> u16 {
                self as u16
            }
        }
    };
}

codes! {
    1 BadMagic "bad_magic"
        "The frame does not start with the bytes FG."
    2 BadFlags "bad_flags"
        "The header's flags are not zero."
    3 UnsupportedVersion "unsupported_version"
        "The header's version, or every version that Hello offers, is unsupported."
    4 FrameTooLarge "frame_too_large"
        "The announced payload length exceeds the current limit."
    5 UnknownKind "unknown_kind"
        "The kind is unknown and not skippable."
    6 UnexpectedFrame "unexpected_frame"
        "The kind is known but not allowed in this state or direction."
    7 TruncatedFrame "truncated_frame"
        "The stream ended inside a frame."
    8 MalformedPayload "malformed_payload"
        "The payload does not decode as the message of its kind."
    9 TrailingBytes "trailing_bytes"
        "The payload has bytes after its message."
    10 NonMinimalInteger "non_minimal_integer"
        "An integer is not in its shortest form."
    11 BadStream "bad_stream"
        "The message does not exist on this stream, or no capability for the stream was negotiated."
    12 BadExtension "bad_extension"
        "There are too many extensions, two with the same id, or the log extension does not match \
         the capabilities."
    20 BadAgentId "bad_agent_id"
        "The agent id is not 1 to 128 bytes of A-Z a-z 0-9 . _ : - or is . or .."
    21 BadLabelName "bad_label_name"
        "A label name is not a letter or _ followed by letters, digits and _."
    22 ReservedLabel "reserved_label"
        "A label name is reserved for the collector or for Prometheus."
    23 LabelTooLong "label_too_long"
        "A label value, or the total size of all labels, exceeds its limit."
    24 TooManyLabels "too_many_labels"
        "An agent, a column or a row has too many labels."
    25 DuplicateLabel "duplicate_label"
        "A label name occurs twice, or on a column and on its rows."
    26 BadHello "bad_hello"
        "The agent version, the credential or the list of catalogs is too long."
    27 LabelNotAllowed "label_not_allowed"
        "The collector does not allow this agent to set this label, or to set it to this value, or \
         to have series with a label of this name."
    30 BadMetricName "bad_metric_name"
        "A metric name is not a letter, _ or : followed by letters, digits, _ and :, or ends in a \
         suffix that its kind adds."
    31 ReservedMetricName "reserved_metric_name"
        "A metric name is reserved for the collector."
    32 BadUnit "bad_unit"
        "The unit is not a legal name, or the metric name does not end in it."
    33 HelpTooLong "help_too_long"
        "A help text is too long."
    34 DuplicateFamily "duplicate_family"
        "Two families of an agent take the same name."
    35 TooManyFamilies "too_many_families"
        "The catalog has too many families."
    36 TooManySeries "too_many_series"
        "The agent has too many series, or its catalogs too many columns."
    37 DuplicateSeries "duplicate_series"
        "Two columns of a family can have the same labels, or its columns have more than 8 \
         different sets of label names."
    38 BadFamilyIndex "bad_family_index"
        "A column refers to a family that the catalog does not have."
    39 BadWidth "bad_width"
        "A column's width does not match its kind and parameters."
    40 BadParameters "bad_parameters"
        "Bucket bounds or quantiles are not finite, not ascending, out of range, too many, or not \
         for this kind."
    41 TooManyValues "too_many_values"
        "The agent has too many values."
    42 PageTooLarge "page_too_large"
        "The agent's samples take too many bytes on a scrape page."
    43 BadTable "bad_table"
        "A table has no columns, a family has no column, or a column has too many decimal places."
    44 BadSlot "bad_slot"
        "The slot of a catalog is not below 16."
    45 UnknownTable "unknown_table"
        "Rows name a catalog or table that does not exist, or one without row labels."
    46 BadRow "bad_row"
        "Changes are not ascending, rows to remove do not exist or are not ascending, or rows to \
         add are incomplete, not ascending or exist already."
    47 TooManyRowChanges "too_many_row_changes"
        "Rows are added and removed far more often than a host needs."
    50 WrongValueCount "wrong_value_count"
        "The report has fewer codes than values."
    51 BadBitmap "bad_bitmap"
        "The report's bitmap has the wrong length or a spare bit set."
    52 SequenceNotRising "sequence_not_rising"
        "The report's sequence number is not above the previous one."
    53 BadValue "bad_value"
        "A value is not in its canonical coding."
    60 HelloTimeout "hello_timeout"
        "No complete Hello arrived in time."
    61 FrameTimeout "frame_timeout"
        "A frame began but was not completed in time."
    62 ReportTimeout "report_timeout"
        "No report arrived for three intervals."
    63 TooManyReports "too_many_reports"
        "Reports or other frames arrive far more often than the interval allows."
    70 IdConflict "id_conflict"
        "Another live host uses this agent id, or the id changes hands too often."
    71 Superseded "superseded"
        "A newer connection took over this agent id."
    80 CollectorFull "collector_full"
        "The collector reached its connection limit or its memory limit."
    81 AddressFull "address_full"
        "The source address reached its connection limit."
    82 HandshakesFull "handshakes_full"
        "Too many handshakes are in progress; retry later."
    83 CatalogsFull "catalogs_full"
        "The collector reached its catalog limit, and all catalogs are in use."
    84 Draining "draining"
        "The collector is shutting down."
    85 AddressPaused "address_paused"
        "The source address made too many connections or too many failed ones; retry later."
    86 TlsRequired "tls_required"
        "This port requires TLS; enable TLS in the agent's settings."
    90 Unauthorized "unauthorized"
        "The credential does not authorize this agent."
    91 CredentialRevoked "credential_revoked"
        "The credential that authorized the session is no longer valid."
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}
