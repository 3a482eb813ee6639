//! Results as Markdown.

use std::fmt::{self, Display, Formatter, Write};

use crate::measure::Figures;
use crate::page::PageCost;
use crate::results::{Found, Program, Results, Row, Vanishing};

/// Before the tables in a Markdown file,
pub const BEGIN: &str = "<!-- measured: begin -->\n";
/// and after them.
pub const END: &str = "<!-- measured: end -->\n";

/// The page with other tables between the marks; `None` if it does not have both.
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
            Found::Seen(figures) => {
                let memory = Bytes(figures.memory_bytes);
                write!(f, "{} us CPU a report, {memory} a host", Short(figures.cpu_us))?;
                figures.flaws.iter().try_for_each(|flaw| write!(f, "; {flaw}"))
            }
            other => f.write_str(other.unseen()),
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
            flaws(f, &rows)?;
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
            Found::Seen(idle) => {
                let memory = Bytes(idle.resident as f64);
                writeln!(f, "| {name} | {version} | {:.1} | {memory} |", idle.cpu_ms)?;
            }
            other => writeln!(f, "| {name} | | {} | |", other.unseen())?,
        }
    }
    Ok(())
}

fn reports(f: &mut Formatter<'_>, rows: &[&Row]) -> fmt::Result {
    writeln!(
        f,
        "| | setting | CPU a report, us | bytes a report | with its protocol | memory a host |"
    )?;
    writeln!(f, "|---|---|---|---|---|---|")?;
    for row in rows {
        write!(f, "| {} | {} | ", row.name, row.setting)?;
        match &row.figures {
            Found::Seen(seen) => writeln!(
                f,
                "{} | {:.0} | {:.0} | {} |",
                Short(seen.cpu_us),
                seen.payload_bytes,
                seen.sent_bytes,
                Bytes(seen.memory_bytes),
            )?,
            other => writeln!(f, "{} | | | |", other.unseen())?,
        }
    }
    Ok(())
}

fn pages(f: &mut Formatter<'_>, rows: &[&Row]) -> fmt::Result {
    let pages = rows.iter().filter_map(|row| match &row.figures {
        Found::Seen(Figures { page: Some(page), .. }) => Some((row, page)),
        _ => None,
    });
    let pages: Vec<_> = pages.collect();
    if pages.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "\n| a page with all hosts' newest values | samples | CPU, ms | bytes | gzip: CPU, ms | bytes |"
    )?;
    writeln!(f, "|---|---|---|---|---|---|")?;
    let cost = |cost: PageCost| format!("{} | {}", Short(cost.cpu_ms), Bytes(cost.bytes as f64));
    for (row, page) in pages {
        let gzip = page.gzip.map_or("not offered | ".to_owned(), cost);
        let name = [row.name, row.page].join(" ");
        writeln!(f, "| {} | {} | {} | {gzip} |", name.trim(), page.samples, cost(page.plain))?;
    }
    Ok(())
}

fn flaws(f: &mut Formatter<'_>, rows: &[&Row]) -> fmt::Result {
    let flawed = rows.iter().filter_map(|row| match &row.figures {
        Found::Seen(figures) if !figures.flaws.is_empty() => Some((row, figures.flaws.join("; "))),
        _ => None,
    });
    let mut list = String::new();
    for (row, flaws) in flawed {
        writeln!(list, "- {}, {}: {flaws}", row.name, row.setting)?;
    }
    if list.is_empty() { Ok(()) } else { write!(f, "\nWhat did not go as it should:\n\n{list}") }
}

fn vanishing(f: &mut Formatter<'_>, rows: &[Vanishing]) -> fmt::Result {
    writeln!(f, "\n### A vanished host\n")?;
    writeln!(f, "| series are gone after | killed | cut off | decided by |\n|---|---|---|---|")?;
    for row in rows {
        let when = |seconds: Option<f64>| match seconds {
            Some(seconds) => format!("{} s", Short(seconds)),
            None => format!("never ({} s waited)", row.plan.wait),
        };
        let gone = match &row.gone {
            Found::Seen(gone) => format!("{} | {}", when(gone.killed), when(gone.cut_off)),
            other => format!("{} |", other.unseen()),
        };
        writeln!(f, "| {}, {} | {gone} | {} |", row.name, row.setting, row.decided_by)?;
    }
    Ok(())
}

/// A number in as few digits as make sense.
struct Short(f64);

impl Display for Short {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = match self.0.abs() {
            size if size < 1.0 => 2,
            size if size < 20.0 => 1,
            _ => 0,
        };
        write!(f, "{:.digits$}", self.0)
    }
}

/// Bytes, in thousands or millions of them.
struct Bytes(f64);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.abs() {
            size if size < 1e3 => write!(f, "{:.0} B", self.0),
            size if size < 1e6 => write!(f, "{} kB", Short(self.0 / 1e3)),
            _ => write!(f, "{} MB", Short(self.0 / 1e6)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = format!("a\n{BEGIN}old\n{END}b\n");
        assert_eq!(replace(&page, "new\n"), Some(format!("a\n{BEGIN}new\n{END}b\n")));
        assert_eq!(replace("no marks", "new"), None);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(format!("{} {} {}", Short(0.123), Short(1.23), Short(123.4)), "0.12 1.2 123");
        assert_eq!(format!("{} {}", Bytes(1_234.0), Bytes(12_345_678.0)), "1.2 kB 12.3 MB");
    }
}
