//! Formats results as Markdown tables.

use std::fmt::{self, Display, Formatter, Write};

use crate::measure::Figures;
use crate::page::PageCost;
use crate::results::{Measurement, Program, Results, Row, Vanishing};

/// Mark before the tables in a Markdown file.
pub const BEGIN: &str = "<!-- measured: begin -->\n";
/// Mark after the tables.
pub const END: &str = "<!-- measured: end -->\n";

/// Replaces the tables between the marks of a page. `None` if it does not have both marks.
#[must_use]
pub fn replace(page: &str, tables: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{tables}{END}{after}"))
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
        writeln!(f, "\n{}; {} reports/s for {} s.", self.machine, self.rate, self.seconds)?;
        programs(f, &self.programs)?;
        let mut sizes: Vec<_> = self.rows.iter().map(|row| row.hosts).collect();
        sizes.dedup();
        for hosts in sizes {
            let rows: Vec<_> = self.rows.iter().filter(|row| row.hosts == hosts).collect();
            writeln!(f, "\n### {hosts} hosts\n")?;
            reports(f, &rows)?;
            pages(f, &rows)?;
            problems(f, &rows)?;
        }
        if !self.vanishing.is_empty() {
            vanishing(f, &self.vanishing)?;
        }
        writeln!(f)
    }
}

fn programs(f: &mut Formatter<'_>, programs: &[Program]) -> fmt::Result {
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
    writeln!(f, "\n### Vanished hosts\n")?;
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
struct Rounded(f64);

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
struct Bytes(f64);

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
        let page = format!("a\n{BEGIN}old\n{END}b\n");
        assert_eq!(replace(&page, "new\n"), Some(format!("a\n{BEGIN}new\n{END}b\n")));
        assert_eq!(replace("no marks", "new"), None);
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
