//! The verdict of a test: what was checked, and what was found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::finding::Problem;

/// Findings to keep in words; further ones are only counted.
const MAX_FINDING_TEXTS: usize = 20;

/// The verdict of a test.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether there is no finding.
    pub passed: bool,
    /// Number of checks by kind: pages, deaths, clones …
    pub checks: BTreeMap<String, u64>,
    /// Checks that could not be made here, and why.
    pub skipped: Vec<String>,
    /// Number of findings by reason.
    pub findings: BTreeMap<String, u64>,
    /// The first findings in words, and the first of each reason.
    pub first_findings: Vec<FindingText>,
}

/// A finding in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingText {
    /// Stable name that it is counted by.
    pub reason: String,
    /// What was found, and when.
    pub what: String,
}

impl Verdict {
    /// A verdict without checks and findings.
    #[must_use]
    pub fn new() -> Self {
        Self { passed: true, ..Self::default() }
    }

    /// Adds findings; `when` says what they refer to.
    pub fn add<P: Problem>(&mut self, when: &str, findings: impl IntoIterator<Item = P>) {
        for finding in findings {
            self.passed = false;
            let reason = finding.reason().to_owned();
            *self.findings.entry(reason.clone()).or_default() += 1;
            self.keep_text(FindingText { reason, what: format!("{when}: {finding}") });
        }
    }

    /// Keeps a finding in words if there is room. The first of each reason is always kept.
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
            page.add("page", (0..30).map(|agents| Finding::NotLeft { agents }));
            if worker == 2 {
                page.add("page", [Finding::NoCheckpoint]);
            }
            all.merge(page);
        }
        assert_eq!(all.first_findings.len(), MAX_FINDING_TEXTS + 1);
        assert_eq!(all.first_findings[MAX_FINDING_TEXTS].reason, "no_checkpoint");
    }
}
