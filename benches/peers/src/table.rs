//! Formats results as Markdown tables.

use std::fmt::{self, Display, Formatter, Write};

use crate::fleet_kind::FleetKind;
use crate::measure::Figures;
use crate::page::PageCost;
use crate::results::{Measurement, Program, Results, Row, Vanishing};

/// Lines before and after the tables of this name in a Markdown file.
#[must_use]
pub fn marks(name: &str) -> [String; 2] {
    ["begin", "end"].map(|end| format!("<!-- measured, {name}: {end} -->"))
}

/// Replaces the tables between their marks on a page. `None` if it does not have both marks.
#[must_use]
pub fn replace(page: &str, name: &str, tables: &str) -> Option<String> {
    let [begin, end] = marks(name);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{tables}{end}{after}"))
}

/// Text for the hosts of a kind of fleet.
const fn hosts_name(kind: FleetKind) -> &'static str {
    match kind {
        FleetKind::Basic => "hosts",
        FleetKind::Wide => "wide hosts",
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: ", self.name, self.setting)?;
        match &self.figures {
            Measurement::Done(figures) => {
                let memory = Bytes(figures.memory_bytes);
                write!(f, "{} us CPU per report, {memory} per host", Rounded(figures.cpu_us))?;
                figures.problems.iter().try_for_each(|problem| write!(f, "; {problem}"))
            }
            other => f.write_str(other.failure()),
        }
    }
}

impl Display for Results {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { machine, rate, seconds, .. } = self;
        write!(f, "\n{machine}; {} reports/s for {seconds} s.", Rounded(*rate))?;
        if self.fleet == FleetKind::Wide {
            write!(f, " A host has {} series.", self.fleet.series())?;
        }
        writeln!(f)?;
        programs(f, &self.programs)?;
        let mut sizes: Vec<_> = self.rows.iter().map(|row| row.hosts).collect();
        sizes.dedup();
        for hosts in sizes {
            let rows: Vec<_> = self.rows.iter().filter(|row| row.hosts == hosts).collect();
            writeln!(f, "\n### {hosts} {}\n", hosts_name(self.fleet))?;
            match self.fleet {
                FleetKind::Basic => reports(f, &rows)?,
                FleetKind::Wide => samples(f, &rows)?,
            }
            pages(f, &rows)?;
            problems(f, &rows)?;
        }
        if !self.vanishing.is_empty() {
            writeln!(f, "\n### Vanished {}\n", hosts_name(self.fleet))?;
            vanishing(f, &self.vanishing)?;
        }
        writeln!(f)
    }
}

pub(crate) fn programs(f: &mut Formatter<'_>, programs: &[Program]) -> fmt::Result {
    writeln!(f, "\n| without hosts | version | CPU, ms/s | memory |\n|---|---|---|---|")?;
    for Program { name, version, idle } in programs {
        match idle {
            Measurement::Done(idle) => {
                let memory = Bytes(idle.resident as f64);
                writeln!(f, "| {name} | {version} | {:.1} | {memory} |", idle.cpu_ms)?;
            }
            other => writeln!(f, "| {name} | | {} | |", other.failure())?,
        }
    }
    Ok(())
}

fn reports(f: &mut Formatter<'_>, rows: &[&Row]) -> fmt::Result {
    writeln!(
        f,
        "| | setting | CPU per report, us | bytes per report | with protocol | memory per host |"
    )?;
    writeln!(f, "|---|---|---|---|---|---|")?;
    for row in rows {
        write!(f, "| {} | {} | ", row.name, row.setting)?;
        match &row.figures {
            Measurement::Done(seen) => writeln!(
                f,
                "{} | {:.0} | {:.0} | {} |",
                Rounded(seen.cpu_us),
                seen.payload_bytes,
                seen.sent_bytes,
                Bytes(seen.memory_bytes),
            )?,
            other => writeln!(f, "{} | | | |", other.failure())?,
        }
    }
    Ok(())
}

fn samples(f: &mut Formatter<'_>, rows: &[&Row]) -> fmt::Result {
    writeln!(
        f,
        "| | setting | CPU per sample, ns | bytes per sample | with protocol | memory per series |"
    )?;
    writeln!(f, "|---|---|---|---|---|---|")?;
    for row in rows {
        let series = row.fleet.series() as f64;
        write!(f, "| {} | {} | ", row.name, row.setting)?;
        match &row.figures {
            Measurement::Done(seen) => writeln!(
                f,
                "{} | {} | {} | {} |",
                Rounded(seen.cpu_us * 1e3 / series),
                Rounded(seen.payload_bytes / series),
                Rounded(seen.sent_bytes / series),
                Bytes(seen.memory_bytes / series),
            )?,
            other => writeln!(f, "{} | | | |", other.failure())?,
        }
    }
    Ok(())
}

fn pages(f: &mut Formatter<'_>, rows: &[&Row]) -> fmt::Result {
    let pages = rows.iter().filter_map(|row| match &row.figures {
        Measurement::Done(Figures { page: Some(page), .. }) => Some((row, page)),
        _ => None,
    });
    let pages: Vec<_> = pages.collect();
    if pages.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "\n| page with the latest values of all hosts | samples | CPU, ms | bytes | \
         gzip: CPU, ms | bytes |"
    )?;
    writeln!(f, "|---|---|---|---|---|---|")?;
    let cost = |cost: PageCost| format!("{} | {}", Rounded(cost.cpu_ms), Bytes(cost.bytes as f64));
    for (row, page) in pages {
        let gzip = page.gzip.map_or("not offered | ".to_owned(), cost);
        let name = [row.name, row.page].join(" ");
        writeln!(f, "| {} | {} | {} | {gzip} |", name.trim(), page.samples, cost(page.plain))?;
    }
    Ok(())
}

fn problems(f: &mut Formatter<'_>, rows: &[&Row]) -> fmt::Result {
    let with_problems = rows.iter().filter_map(|row| match &row.figures {
        Measurement::Done(figures) if !figures.problems.is_empty() => {
            Some((row, figures.problems.join("; ")))
        }
        _ => None,
    });
    let mut list = String::new();
    for (row, problems) in with_problems {
        writeln!(list, "- {}, {}: {problems}", row.name, row.setting)?;
    }
    if list.is_empty() { Ok(()) } else { write!(f, "\nProblems:\n\n{list}") }
}

fn vanishing(f: &mut Formatter<'_>, rows: &[Vanishing]) -> fmt::Result {
    writeln!(
        f,
        "| time until series are gone | killed | cut off | decided by |\n|---|---|---|---|"
    )?;
    for row in rows {
        let when = |seconds: Option<f64>| match seconds {
            Some(seconds) => format!("{} s", Rounded(seconds)),
            None => format!("never ({} s waited)", row.plan.wait),
        };
        let gone = match &row.gone {
            Measurement::Done(gone) => format!("{} | {}", when(gone.killed), when(gone.cut_off)),
            other => format!("{} |", other.failure()),
        };
        writeln!(f, "| {}, {} | {gone} | {} |", row.name, row.setting, row.decided_by)?;
    }
    Ok(())
}

/// A number with two to three significant digits.
pub(crate) struct Rounded(pub(crate) f64);

impl Display for Rounded {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = match self.0.abs() {
            size if size < 1.0 => 2,
            size if size < 20.0 => 1,
            _ => 0,
        };
        write!(f, "{:.digits$}", self.0)
    }
}

/// A size in B, kB or MB.
pub(crate) struct Bytes(pub(crate) f64);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.abs() {
            size if size < 1e3 => write!(f, "{:.0} B", self.0),
            size if size < 1e6 => write!(f, "{} kB", Rounded(self.0 / 1e3)),
            _ => write!(f, "{} MB", Rounded(self.0 / 1e6)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replace_keeps_text_outside_the_marks() {
        let of_basic = "<!-- measured, basic: begin -->\n1\n<!-- measured, basic: end -->\n";
        let of_wide = "<!-- measured, wide: begin -->\n2\n<!-- measured, wide: end -->\n";
        let page = format!("a\n{of_basic}b\n{of_wide}c\n");
        let expected = page.replace('2', "new");
        assert_eq!(replace(&page, "wide", "new\n"), Some(expected));
        assert_eq!(replace(of_basic, "wide", "new"), None);
    }

    #[test]
    fn numbers_are_rounded() {
        assert_eq!(
            format!("{} {} {}", Rounded(0.123), Rounded(1.23), Rounded(123.4)),
            "0.12 1.2 123"
        );
        assert_eq!(format!("{} {}", Bytes(1_234.0), Bytes(12_345_678.0)), "1.2 kB 12.3 MB");
    }
}
