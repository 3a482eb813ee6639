//! Progress of a test: a bar on a terminal, otherwise an occasional line.

use std::cell::Cell;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::results::quantity;
use crate::results::timeline::Second;
use crate::tally::Tally;

/// Redraw interval of the bar.
const REDRAW_INTERVAL: Duration = Duration::from_millis(250);
/// Interval between two progress lines if the output is not a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// A progress bar, which is removed on drop.
pub struct Progress {
    bar: ProgressBar,
    activity: Activity,
    /// When the last progress line was written.
    last_line: Cell<Instant>,
}

/// Activity whose progress is shown.
#[derive(Debug, Clone, Copy)]
enum Activity {
    Connecting,
    Running,
    Disconnecting(u32),
}

impl Progress {
    /// Shows the progress of the ramp.
    #[must_use]
    pub fn connecting(agents: u32) -> Self {
        let template = "connecting {bar:20} {pos}/{len} agents reporting  {wide_msg}";
        Self::new(styled(agents.into(), template), Activity::Connecting)
    }

    /// Shows the progress of a phase with a fixed duration.
    #[must_use]
    pub fn running(what: &str, duration: Duration) -> Self {
        let template = format!("{what:10} {{bar:20}} {{pos}}/{{len}} s  {{wide_msg}}");
        Self::new(styled(duration.as_secs(), &template), Activity::Running)
    }

    /// Shows the progress of disconnecting.
    #[must_use]
    pub fn disconnecting(agents: u32) -> Self {
        let template = "leaving    {bar:20} {pos}/{len} agents gone  {wide_msg}";
        Self::new(styled(agents.into(), template), Activity::Disconnecting(agents))
    }

    fn new(bar: ProgressBar, activity: Activity) -> Self {
        Self { bar, activity, last_line: Cell::new(Instant::now()) }
    }

    /// Updates the display with these counts, and on a terminal with those of the last second.
    pub fn show(&self, reporting: u32, present: u32, total: &Tally, last: Option<&Second>) {
        let Tally { reports, late, .. } = total;
        self.bar.set_position(match self.activity {
            Activity::Connecting => reporting.into(),
            Activity::Running => self.bar.elapsed().as_secs(),
            Activity::Disconnecting(agents) => agents.saturating_sub(present).into(),
        });
        if self.bar.is_hidden() && self.last_line.get().elapsed() >= LINE_INTERVAL {
            self.last_line.set(Instant::now());
            let refused: u64 = total.refused.values().sum();
            let activity = match self.activity {
                Activity::Connecting => "connecting",
                Activity::Running => "running",
                Activity::Disconnecting(_) => "leaving",
            };
            let counts = format!("{present} agents, {reports} reports, {late} late");
            let _ = writeln!(io::stderr(), "{activity}: {counts}, {refused} attempts refused");
        }
        self.bar.set_message(moving(present, total, last));
    }
}

/// Returns the figures that move: rate and lag of the reports, and memory of the collectors. The
/// most important come first, because a narrow terminal cuts the line.
fn moving(present: u32, total: &Tally, last: Option<&Second>) -> String {
    let number = |count: u64| quantity(count as f64, "");
    let mut parts = vec![format!("{} agents", number(present.into()))];
    if let Some(last) = last {
        parts.push(format!("{} reports/s", number(last.reports)));
        if let Some(lag) = &last.lag {
            parts.push(format!("lag p99 {}", quantity(lag.p99_ms, "ms")));
        }
        if let Some(bytes) = last.collector_resident_bytes {
            parts.push(format!("memory {}", quantity(bytes as f64, "bytes")));
        }
    }
    if total.late > 0 {
        parts.push(format!("{} late", number(total.late)));
    }
    parts.join(", ")
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn styled(len: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(len).with_style(style);
    bar.enable_steady_tick(REDRAW_INTERVAL);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::timeline::Lag;

    #[test]
    fn terminal_line_has_rate_lag_and_memory_of_the_last_second() {
        let last = Second {
            reports: 15_012,
            lag: Some(Lag { p99_ms: 3.24, ..Lag::default() }),
            collector_resident_bytes: Some(64 << 20),
            ..Second::default()
        };
        assert_eq!(
            moving(15_000, &Tally::default(), Some(&last)),
            "15,000 agents, 15,012 reports/s, lag p99 3.24 ms, memory 64 MiB"
        );
        let late = Tally { late: 2, ..Tally::default() };
        assert_eq!(moving(3, &late, Some(&Second::default())), "3 agents, 0 reports/s, 2 late");
    }

    #[test]
    fn terminal_line_of_the_first_second_has_what_is_known() {
        assert_eq!(moving(7, &Tally::default(), None), "7 agents");
    }
}
