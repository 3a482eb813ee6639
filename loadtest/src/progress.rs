//! What a run shows of itself while it lasts; nothing where there is no terminal.

use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use crate::fleet::Shared;
use crate::tally::get;

/// Between two drawings.
const TICK: Duration = Duration::from_millis(250);

/// A bar on the terminal, drawn by a task of its own until it is dropped.
pub struct Progress {
    bar: ProgressBar,
    drawing: JoinHandle<()>,
}

impl Progress {
    /// Agents connecting.
    #[must_use]
    pub fn of_ramp(shared: &Arc<Shared>, agents: usize) -> Self {
        let bar = styled(agents as u64, "connecting {bar:30} {pos}/{len} agents reporting {msg}");
        Self::draw(bar, shared, |bar, shared| {
            bar.set_position(*shared.tally.reporting.borrow() as u64);
        })
    }

    /// The steady part of a run.
    #[must_use]
    pub fn of_steady(shared: &Arc<Shared>, duration: Duration) -> Self {
        let bar = styled(duration.as_secs(), "reporting  {bar:30} {pos}/{len} s  {msg}");
        Self::draw(bar, shared, |bar, shared| {
            bar.set_position(bar.elapsed().as_secs());
            let (present, reports) = (get(&shared.tally.present), get(&shared.tally.reports));
            let late = get(&shared.tally.late);
            bar.set_message(format!("{present} agents, {reports} reports, {late} late"));
        })
    }

    fn draw(
        bar: ProgressBar,
        shared: &Arc<Shared>,
        update: impl Fn(&ProgressBar, &Shared) + Send + 'static,
    ) -> Self {
        let (drawn, shared) = (bar.clone(), shared.clone());
        let drawing = tokio::spawn(async move {
            let mut tick = tokio::time::interval(TICK);
            loop {
                tick.tick().await;
                update(&drawn, &shared);
            }
        });
        Self { bar, drawing }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.drawing.abort();
        self.bar.finish_and_clear();
    }
}

fn styled(len: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(len).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
