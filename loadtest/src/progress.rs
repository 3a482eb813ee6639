//! What a run shows of itself while it lasts; nothing where there is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::tally::Tally;

/// Between two drawings.
const TICK: Duration = Duration::from_millis(250);

/// A bar on the terminal, until it is dropped.
pub struct Progress {
    bar: ProgressBar,
    part: Part,
}

/// A part of a test.
#[derive(Debug, Clone, Copy)]
enum Part {
    Coming,
    Lasting,
    Leaving(u32),
}

impl Progress {
    /// Agents connecting.
    #[must_use]
    pub fn of_ramp(agents: u32) -> Self {
        let template = "connecting {bar:30} {pos}/{len} agents reporting  {msg}";
        Self { bar: styled(agents.into(), template), part: Part::Coming }
    }

    /// A part that lasts so long.
    #[must_use]
    pub fn of_time(what: &str, duration: Duration) -> Self {
        let template = format!("{what:10} {{bar:30}} {{pos}}/{{len}} s  {{msg}}");
        Self { bar: styled(duration.as_secs(), &template), part: Part::Lasting }
    }

    /// Agents leaving.
    #[must_use]
    pub fn of_leaving(agents: u32) -> Self {
        let template = "leaving    {bar:30} {pos}/{len} agents gone  {msg}";
        Self { bar: styled(agents.into(), template), part: Part::Leaving(agents) }
    }

    /// Shows how far it is.
    pub fn show(&self, reporting: u32, present: u32, total: &Tally) {
        let Tally { reports, late, .. } = total;
        self.bar.set_position(match self.part {
            Part::Coming => reporting.into(),
            Part::Lasting => self.bar.elapsed().as_secs(),
            Part::Leaving(agents) => agents.saturating_sub(present).into(),
        });
        self.bar.set_message(format!("{present} agents, {reports} reports, {late} late"));
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
    bar.enable_steady_tick(TICK);
    bar
}
