//! Progress of a test: a bar on a terminal, otherwise an occasional line.

use std::cell::Cell;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

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
        let template = "connecting {bar:30} {pos}/{len} agents reporting  {msg}";
        Self::new(styled(agents.into(), template), Activity::Connecting)
    }

    /// Shows the progress of a phase with a fixed duration.
    #[must_use]
    pub fn running(what: &str, duration: Duration) -> Self {
        let template = format!("{what:10} {{bar:30}} {{pos}}/{{len}} s  {{msg}}");
        Self::new(styled(duration.as_secs(), &template), Activity::Running)
    }

    /// Shows the progress of disconnecting.
    #[must_use]
    pub fn disconnecting(agents: u32) -> Self {
        let template = "leaving    {bar:30} {pos}/{len} agents gone  {msg}";
        Self::new(styled(agents.into(), template), Activity::Disconnecting(agents))
    }

    fn new(bar: ProgressBar, activity: Activity) -> Self {
        Self { bar, activity, last_line: Cell::new(Instant::now()) }
    }

    /// Updates the display with these counts.
    pub fn show(&self, reporting: u32, present: u32, total: &Tally) {
        let Tally { reports, late, .. } = total;
        self.bar.set_position(match self.activity {
            Activity::Connecting => reporting.into(),
            Activity::Running => self.bar.elapsed().as_secs(),
            Activity::Disconnecting(agents) => agents.saturating_sub(present).into(),
        });
        let counts = format!("{present} agents, {reports} reports, {late} late");
        if self.bar.is_hidden() && self.last_line.get().elapsed() >= LINE_INTERVAL {
            self.last_line.set(Instant::now());
            let refused: u64 = total.refused.values().sum();
            let activity = match self.activity {
                Activity::Connecting => "connecting",
                Activity::Running => "running",
                Activity::Disconnecting(_) => "leaving",
            };
            let _ = writeln!(io::stderr(), "{activity}: {counts}, {refused} attempts refused");
        }
        self.bar.set_message(counts);
    }
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
