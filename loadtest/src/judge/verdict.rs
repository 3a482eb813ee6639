//! The verdict of a test: what was checked, and what was found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::finding::Problem;

/// Findings told in words; the others are counted.
const TOLD: usize = 20;

/// Whether every check held.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// It did: no finding.
    pub passed: bool,
    /// What was checked, and how often: pages, deaths, clones ….
    pub checks: BTreeMap<String, u64>,
    /// What could not be checked here, and why.
    pub skipped: Vec<String>,
    /// Findings by their reason.
    pub findings: BTreeMap<String, u64>,
    /// The first of them, and the first of each reason.
    pub first_findings: Vec<FindingText>,
}

/// A finding in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingText {
    /// The name it is counted by.
    pub reason: String,
    /// What was found, and when.
    pub what: String,
}

impl Verdict {
    /// Nothing was checked yet, and nothing found.
    #[must_use]
    pub fn new() -> Self {
        Self { passed: true, ..Self::default() }
    }

    /// Adds findings, `when` saying where they are from.
    pub fn add<P: Problem>(&mut self, when: &str, findings: impl IntoIterator<Item = P>) {
        for finding in findings {
            self.passed = false;
            let reason = finding.reason().to_owned();
            *self.findings.entry(reason.clone()).or_default() += 1;
            self.tell(FindingText { reason, what: format!("{when}: {finding}") });
        }
    }

    /// Keeps a finding's words if there is room. The first of each reason always has it.
    fn tell(&mut self, told: FindingText) {
        let is_first = self.first_findings.iter().all(|earlier| earlier.reason != told.reason);
        if is_first || self.first_findings.len() < TOLD {
            self.first_findings.push(told);
        }
    }

    /// Adds what another has checked and found.
    pub fn merge(&mut self, other: Self) {
        self.passed &= other.passed;
        for (what, times) in other.checks {
            *self.checks.entry(what).or_default() += times;
        }
        for (reason, findings) in other.findings {
            *self.findings.entry(reason).or_default() += findings;
        }
        self.skipped.extend(other.skipped);
        other.first_findings.into_iter().for_each(|told| self.tell(told));
    }

    /// Counts checks that were made.
    pub fn checked(&mut self, what: &str, times: u64) {
        *self.checks.entry(what.to_owned()).or_default() += times;
    }

    /// How many findings there are.
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
        assert_eq!(all.first_findings.len(), TOLD + 1);
        assert_eq!(all.first_findings[TOLD].reason, "no_checkpoint");
    }
}
