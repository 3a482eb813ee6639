//! What a sample costs.

/// Cost of a program in a round, or the medians of several rounds. `None` was not measured.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// CPU time of a sample, user and system, in milliseconds.
    pub cpu_ms: f64,
    /// Resident memory after the round, in bytes.
    pub resident_bytes: f64,
    /// System calls of a sample.
    pub system_calls: Option<f64>,
    /// Series on the page.
    pub series: f64,
    /// Bytes of a sample above TCP, in both directions.
    pub wire_bytes: f64,
}

impl Figures {
    /// Returns the median of each figure; `None` without rounds.
    #[must_use]
    pub fn medians(rounds: &[Self]) -> Option<Self> {
        let of = |figure: fn(&Self) -> Option<f64>| median(rounds.iter().filter_map(figure));
        Some(Self {
            cpu_ms: of(|round| Some(round.cpu_ms))?,
            resident_bytes: of(|round| Some(round.resident_bytes))?,
            system_calls: of(|round| round.system_calls),
            series: of(|round| Some(round.series))?,
            wire_bytes: of(|round| Some(round.wire_bytes))?,
        })
    }
}

/// Cost of forwarding an exporter's page, or the medians of several rounds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forwarding {
    /// CPU time of a page, user and system, in milliseconds.
    pub cpu_ms: f64,
    /// Resident memory that the agent needs for it, in bytes.
    pub resident_bytes: f64,
    /// Bytes of a report above TCP, in both directions.
    pub wire_bytes: f64,
}

impl Forwarding {
    /// Returns the median of each figure; `None` without rounds.
    #[must_use]
    pub fn medians(rounds: &[Self]) -> Option<Self> {
        let of = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure));
        Some(Self {
            cpu_ms: of(|round| round.cpu_ms)?,
            resident_bytes: of(|round| round.resident_bytes)?,
            wire_bytes: of(|round| round.wire_bytes)?,
        })
    }
}

/// Returns the median; of an even number of values, the mean of the middle two.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get(values.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_value() {
        let of = |values: &[f64]| median(values.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0]), Some(3.0));
        assert_eq!(of(&[9.0, 1.0]), Some(5.0));
        assert_eq!(of(&[9.0, 1.0, 2.0]), Some(2.0));
    }

    #[test]
    fn figures_that_were_not_measured_have_no_median() {
        let round = |system_calls| Figures { system_calls, ..Figures::default() };
        let calls = |rounds: &[Figures]| Figures::medians(rounds).and_then(|all| all.system_calls);
        assert!(Figures::medians(&[]).is_none());
        assert_eq!(calls(&[round(None)]), None);
        assert_eq!(calls(&[round(None), round(Some(4.0))]), Some(4.0));
    }
}
