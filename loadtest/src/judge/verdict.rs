//! The verdict of a test: its checks and findings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::finding::Problem;

/// Maximum findings to keep with their text. Further ones are only counted.
const MAX_FINDING_TEXTS: usize = 20;

/// Checks and findings of a test.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether there are no findings.
    pub passed: bool,
    /// Number of checks by kind: pages, deaths, clones …
    pub checks: BTreeMap<String, u64>,
    /// Checks that this machine cannot make, with the reasons.
    pub skipped: Vec<String>,
    /// Number of findings by reason.
    pub findings: BTreeMap<String, u64>,
    /// Texts of the first findings, and of the first one of each reason.
    pub first_findings: Vec<FindingText>,
}

/// Reason and text of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingText {
    /// Stable name that it is counted by.
    pub reason: String,
    /// Phase or page of the finding, and its text.
    pub what: String,
}

impl Verdict {
    /// A verdict without checks and findings.
    #[must_use]
    pub fn new() -> Self {
        Self { passed: true, ..Self::default() }
    }

    /// Adds findings. `when` names the phase or the page.
    pub fn add<P: Problem>(&mut self, when: &str, findings: impl IntoIterator<Item = P>) {
        for finding in findings {
            self.passed = false;
            let reason = finding.reason().to_owned();
            *self.findings.entry(reason.clone()).or_default() += 1;
            self.keep_text(FindingText { reason, what: format!("{when}: {finding}") });
        }
    }

    /// Keeps the text of a finding unless there are too many. The first of each reason is always
    /// kept.
    fn keep_text(&mut self, finding_text: FindingText) {
        let is_first =
            self.first_findings.iter().all(|earlier| earlier.reason != finding_text.reason);
        if is_first || self.first_findings.len() < MAX_FINDING_TEXTS {
            self.first_findings.push(finding_text);
        }
    }

    /// Adds the checks and findings of another verdict.
    pub fn merge(&mut self, other: Self) {
        self.passed &= other.passed;
        for (what, times) in other.checks {
            *self.checks.entry(what).or_default() += times;
        }
        for (reason, findings) in other.findings {
            *self.findings.entry(reason).or_default() += findings;
        }
        self.skipped.extend(other.skipped);
        other.first_findings.into_iter().for_each(|finding_text| self.keep_text(finding_text));
    }

    /// Counts checks that were made.
    pub fn checked(&mut self, what: &str, times: u64) {
        *self.checks.entry(what.to_owned()).or_default() += times;
    }

    /// Number of findings.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.findings.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::finding::Finding;

    #[test]
    fn the_first_finding_of_each_reason_is_kept() {
        let mut all = Verdict::new();
        for worker in 0..3 {
            let mut page = Verdict::new();
            page.add("page", (0..30).map(|agents| Finding::NotDisconnected { agents }));
            if worker == 2 {
                page.add("page", [Finding::NoCheckpoint]);
            }
            all.merge(page);
        }
        assert_eq!(all.first_findings.len(), MAX_FINDING_TEXTS + 1);
        assert_eq!(all.first_findings[MAX_FINDING_TEXTS].reason, "no_checkpoint");
    }
}
