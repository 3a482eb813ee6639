//! Formats the comparison of senders as Markdown tables.

use std::fmt::{self, Display, Formatter, Write};

use super::results::{Figures, Results, Row, StaleRow};
use super::trial::{Outcome, Trial};
use crate::results::Measurement;
use crate::table::{Bytes, Rounded, programs};

impl Display for Trial {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outage(length) => write!(f, "engine away for {} s", length.as_secs_f64()),
            Self::Killed => f.write_str("SIGKILL, started again after 5 s"),
            Self::KilledInOutage(length) => {
                write!(f, "the same, while the engine is away for {} s", length.as_secs_f64())
            }
        }
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: ", self.name, self.setting)?;
        let figures = match &self.figures {
            Measurement::Done(figures) => figures,
            other => return f.write_str(other.failure()),
        };
        let cost = &figures.cost;
        write!(f, "{} us and {} B per sample", Rounded(cost.cpu_us), Rounded(cost.bytes))?;
        for Outcome { trial, count, .. } in &figures.trials {
            write!(f, "; {trial}: {} lost, {} not taken", count.lost, count.not_taken)?;
        }
        problems_of(figures).try_for_each(|problem| write!(f, "; {problem}"))
    }
}

impl Display for Results {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { machine, plan, series, .. } = self;
        let (interval, window) = (plan.interval.as_secs_f64(), plan.window.as_secs_f64());
        let hosts = plan.hosts;
        writeln!(
            f,
            "\n{machine}; {hosts} wide hosts of {series} series, sampled every {interval} s; \
            cost measured for {window} s."
        )?;
        programs(f, &self.programs)?;
        writeln!(f, "\n### Cost of forwarding\n")?;
        costs(f, &self.rows)?;
        writeln!(f, "\n### Samples lost\n")?;
        losses(f, &self.rows)?;
        if !self.stale.is_empty() {
            writeln!(f, "\n### Time to stale\n")?;
            stale(f, &self.stale)?;
        }
        problems(f, &self.rows)?;
        writeln!(f)
    }
}

fn done(rows: &[Row]) -> impl Iterator<Item = (&Row, &Figures)> {
    rows.iter().filter_map(|row| match &row.figures {
        Measurement::Done(figures) => Some((row, figures)),
        Measurement::Failed(_) => None,
    })
}

fn costs(f: &mut Formatter<'_>, rows: &[Row]) -> fmt::Result {
    writeln!(
        f,
        "| | setting | CPU per sample, us | bytes per sample | samples per request | memory, peak \
         | memory per series |\n|---|---|---|---|---|---|---|"
    )?;
    for Row { name, setting, figures } in rows {
        write!(f, "| {name} | {setting} | ")?;
        match figures {
            Measurement::Done(Figures { cost, .. }) => writeln!(
                f,
                "{} | {} | {:.0} | {} | {} |",
                Rounded(cost.cpu_us),
                Rounded(cost.bytes),
                cost.samples_per_request,
                Bytes(cost.peak_bytes),
                Bytes(cost.bytes_per_series),
            )?,
            other => writeln!(f, "{} | | | | |", other.failure())?,
        }
    }
    Ok(())
}

fn losses(f: &mut Formatter<'_>, rows: &[Row]) -> fmt::Result {
    writeln!(
        f,
        "| | | offered | lost | not taken | caught up after | memory, peak |\n\
         |---|---|---|---|---|---|---|"
    )?;
    for (row, figures) in done(rows) {
        for Outcome { trial, count, caught_up, peak_bytes, .. } in &figures.trials {
            let caught_up = match caught_up {
                Some(seconds) => format!("{} s", Rounded(*seconds)),
                None => "never".to_owned(),
            };
            let (offered, lost, not_taken) = (count.offered, count.lost, count.not_taken);
            let memory = Bytes(*peak_bytes);
            writeln!(
                f,
                "| {} | {trial} | {offered} | {lost} | {not_taken} | {caught_up} | {memory} |",
                row.name
            )?;
        }
    }
    Ok(())
}

fn stale(f: &mut Formatter<'_>, rows: &[StaleRow]) -> fmt::Result {
    writeln!(
        f,
        "| time until the engine has all stale markers | a host ends | the sender is killed \
         | the hosts have another sender |\n|---|---|---|---|"
    )?;
    for StaleRow { name, is_scraper, stale } in rows {
        match stale {
            Measurement::Done(stale) => {
                let when = |seconds: Option<f64>| match seconds {
                    Some(seconds) => format!("{} s", Rounded(seconds)),
                    None => format!("never ({} s waited)", stale.waited),
                };
                let (vanished, killed) = (when(stale.vanished), when(stale.killed));
                let next = match stale.taken_over {
                    Some(seconds) => {
                        format!("no marker: samples go on after {} s", Rounded(seconds))
                    }
                    None if *is_scraper => "they are scraped by one".to_owned(),
                    None => when(None),
                };
                writeln!(f, "| {name} | {vanished} | {killed} | {next} |")?;
            }
            other => writeln!(f, "| {name} | {} | | |", other.failure())?,
        }
    }
    Ok(())
}

fn problems_of(figures: &Figures) -> impl Iterator<Item = String> {
    let of_trials = figures.trials.iter().flat_map(|outcome| {
        outcome.problems.iter().map(|problem| format!("{}: {problem}", outcome.trial))
    });
    figures.cost.problems.iter().cloned().chain(of_trials).chain(figures.findings.iter().cloned())
}

fn problems(f: &mut Formatter<'_>, rows: &[Row]) -> fmt::Result {
    let mut list = String::new();
    for (row, figures) in done(rows) {
        let problems: Vec<_> = problems_of(figures).collect();
        if !problems.is_empty() {
            writeln!(list, "- {}, {}: {}", row.name, row.setting, problems.join("; "))?;
        }
    }
    if list.is_empty() { Ok(()) } else { write!(f, "\nProblems:\n\n{list}") }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
