//! Why samples are not forwarded.

/// Why samples were dropped: a value of the label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DropReason {
    /// The queues of the destination were full, and the agent keeps no log.
    QueueFull,
    /// The engine refused them, such as a sample with an illegal label.
    Rejected,
    /// The engine accepts no request of this size, not even with one series.
    TooLarge,
    /// They are older than the maximum age of the destination.
    TooOld,
    /// Their time is too far ahead of the collector's, or not after that of the samples before.
    BadTime,
    /// The collector stopped before the engine had taken them.
    Stopped,
}

impl DropReason {
    pub(super) const ALL: [Self; 6] = [
        Self::QueueFull,
        Self::Rejected,
        Self::TooLarge,
        Self::TooOld,
        Self::BadTime,
        Self::Stopped,
    ];

    /// Returns the value of the label `reason`.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Rejected => "rejected",
            Self::TooLarge => "too_large",
            Self::TooOld => "too_old",
            Self::BadTime => "bad_time",
            Self::Stopped => "stopped",
        }
    }
}
