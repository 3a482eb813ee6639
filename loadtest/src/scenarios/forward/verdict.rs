//! Compares everything that the engine has with everything that the agents did.

use std::collections::HashSet;
use std::time::Duration;

use fleetgauge_receiver::{FindingKind, Ledger, Series, SharedLedger};

use super::engine::{POISONED_AGENT, poisoned_metric};
use super::expected::{AGENT_UP, ExpectedSeries, for_each_series};
use super::failure::ForwardFailure;
use super::lag::Clocks;
use crate::agent_account::AgentAccount;
use crate::host_profile::HostModel;
use crate::judge::forwarded::{JudgedSeries, ReceivedSample, SeriesDeviations, judge_series};
use crate::tally::Times;

/// Kinds of findings of the receiver that a correct collector never causes.
const PROTOCOL: [FindingKind; 11] = [
    FindingKind::UnsortedLabels,
    FindingKind::EmptyLabel,
    FindingKind::MissingName,
    FindingKind::InvalidName,
    FindingKind::DuplicateLabel,
    FindingKind::EmptySeries,
    FindingKind::OutOfOrder,
    FindingKind::Conflicting,
    FindingKind::BadHeader,
    FindingKind::Undecodable,
    FindingKind::OverLimit,
];

/// What is compared, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) hosts: HostModel,
    pub(super) static_labels: u8,
    /// Whether the engine refuses a series.
    pub(super) is_poisoned: bool,
    /// Whether samples may arrive after newer ones: two collectors may have samples of an agent.
    pub(super) may_be_out_of_order: bool,
    /// Maximum time between two reports of an agent; `None` if it is not checked.
    pub(super) max_gap: Option<Duration>,
    pub(super) max_marker_delay: Duration,
    pub(super) clocks: Clocks,
}

/// The outcome of a comparison.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) failures: Vec<ForwardFailure>,
    pub(super) series: u64,
    pub(super) samples: u64,
    /// Time from the death of an agent until all its series were marked.
    pub(super) marker_delays: Times,
}

/// Compares the ledger with the accounts of all agents. Requests are taken meanwhile.
pub(super) fn judge(shared: &SharedLedger, accounts: &[AgentAccount], rules: Rules) -> Judged {
    let mut judged = Judged::default();
    let mut found = 0;
    for account in accounts {
        // For one agent at a time: requests must not wait until all samples are compared.
        let ledger = shared.lock();
        let mut latest_marker = None;
        for_each_series(account, rules.hosts, rules.static_labels, |series| {
            let actual = ledger.find(&series.labels());
            found += u64::from(actual.is_some());
            latest_marker = latest_marker.max(judged.series(account, series, actual, rules));
        });
        judged.marker_delay(account, latest_marker, rules);
        if account.bad_acknowledgements > 0 {
            let (agent, times) = (account.agent, account.bad_acknowledgements);
            judged.failures.push(ForwardFailure::BadAcknowledgement { agent, times });
        }
    }
    let ledger = &shared.lock();
    if found != ledger.series().count() as u64 {
        judged.unknown_series(ledger, accounts, rules);
    }
    judged.protocol(ledger, rules);
    judged
}

impl Judged {
    /// Compares a series. Returns when the marker of the agent's death arrived.
    fn series(
        &mut self,
        account: &AgentAccount,
        expected: &ExpectedSeries,
        actual: Option<Series<'_>>,
        rules: Rules,
    ) -> Option<Duration> {
        self.series += 1;
        let (agent, series) = (account.agent, expected.name().to_owned());
        if rules.is_poisoned
            && agent == POISONED_AGENT
            && series == poisoned_metric(rules.hosts.profile)
        {
            let stored = actual.map(|_| ForwardFailure::PoisonedStored { agent, series });
            self.failures.extend(stored);
            return None;
        }
        let value = |sequence| expected.value(sequence);
        let max_gap = rules.max_gap.filter(|_| series == AGENT_UP);
        let hashed = actual.and_then(Series::hashed_samples);
        let (samples, JudgedSeries { deviations, ends_at_death }) = match hashed {
            Some(samples) => {
                self.gap(agent, samples.clone(), max_gap);
                (samples.len(), judge_series(account, value, samples))
            }
            None => {
                let samples = actual.map_or(&[][..], Series::samples);
                self.gap(agent, samples, max_gap);
                (samples.len(), judge_series(account, value, samples))
            }
        };
        self.samples += samples as u64;
        if !deviations.is_exact() {
            self.add(agent, &series, deviations);
        }
        let marked = actual.and_then(Series::marker_arrival);
        let marked = marked.map(|arrival| rules.clocks.unix(arrival));
        let left = account.left_unix_us.map(Duration::from_micros);
        let marked = marked.filter(|_| ends_at_death);
        if left.zip(marked).is_some_and(|(left, marked)| marked < left) {
            self.failures.push(ForwardFailure::EarlyMarker { agent, series });
        }
        marked
    }

    fn add(&mut self, agent: u32, name: &str, found: SeriesDeviations) {
        let series = || name.to_owned();
        let failures = &mut self.failures;
        if found.lost > 0 {
            let (samples, first) = (found.lost, found.first_lost.unwrap_or(0));
            failures.push(ForwardFailure::Lost { agent, series: series(), samples, first });
        }
        if found.wrong > 0 {
            let samples = found.wrong;
            failures.push(ForwardFailure::WrongValue { agent, series: series(), samples });
        }
        if found.unknown > 0 {
            let samples = found.unknown;
            failures.push(ForwardFailure::UnknownSample { agent, series: series(), samples });
        }
        if found.misplaced_markers > 0 {
            let markers = found.misplaced_markers;
            failures.push(ForwardFailure::MisplacedMarker { agent, series: series(), markers });
        }
        if found.missing_markers > 0 {
            let markers = found.missing_markers;
            failures.push(ForwardFailure::MissingMarker { agent, series: series(), markers });
        }
        if found.early_markers > 0 {
            failures.push(ForwardFailure::EarlyMarker { agent, series: series() });
        }
        if found.is_unmarked {
            failures.push(ForwardFailure::NotMarked { agent, series: series() });
        }
        if found.is_marked {
            failures.push(ForwardFailure::MarkedAlive { agent, series: series() });
        }
    }

    /// Checks the time between the samples of a series, if there is a maximum.
    fn gap(
        &mut self,
        agent: u32,
        samples: impl IntoIterator<Item = impl ReceivedSample>,
        max_gap: Option<Duration>,
    ) {
        let Some(allowed) = max_gap else { return };
        let samples = samples.into_iter().filter(|sample| !sample.is_marker());
        let (mut last, mut longest) = (None, 0);
        for time in samples.map(ReceivedSample::unix_ms) {
            longest = longest.max(last.map_or(0, |last: i64| time.abs_diff(last)));
            last = Some(time);
        }
        let longest = Duration::from_millis(longest);
        if longest > allowed {
            self.failures.push(ForwardFailure::Gap { agent, longest, allowed });
        }
    }

    fn marker_delay(&mut self, account: &AgentAccount, marked: Option<Duration>, rules: Rules) {
        let Some(left) = account.left_unix_us.map(Duration::from_micros) else { return };
        let Some(after) = marked.map(|marked| marked.saturating_sub(left)) else { return };
        self.marker_delays.add(after);
        if after > rules.max_marker_delay {
            let (agent, allowed) = (account.agent, rules.max_marker_delay);
            self.failures.push(ForwardFailure::MarkedLate { agent, after, allowed });
        }
    }

    /// Finds the series that no agent has.
    fn unknown_series(&mut self, ledger: &Ledger, accounts: &[AgentAccount], rules: Rules) {
        let mut known = HashSet::new();
        for account in accounts {
            for_each_series(account, rules.hosts, rules.static_labels, |series| {
                let mut labels: Vec<_> = series.labels();
                labels.sort_unstable();
                known.insert(format!("{labels:?}"));
            });
        }
        for series in ledger.series() {
            let mut labels: Vec<_> = series.labels().iter().collect();
            labels.sort_unstable();
            if !known.contains(&format!("{labels:?}")) {
                let labels = series.labels().to_string();
                self.failures.push(ForwardFailure::UnknownSeries { labels });
            }
        }
    }

    fn protocol(&mut self, ledger: &Ledger, rules: Rules) {
        for kind in PROTOCOL {
            let is_allowed = kind == FindingKind::OutOfOrder && rules.may_be_out_of_order;
            let count = ledger.findings().count(kind);
            if count > 0 && !is_allowed {
                let text = ledger.findings().texts(kind).first().cloned().unwrap_or_default();
                self.failures.push(ForwardFailure::Protocol { kind: kind.name(), count, text });
            }
        }
    }
}
