//! Formats results as a Markdown table, and as a page with the method.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use fleetgauge_peers::machine::Machine;

use crate::figures::{Figures, Forwarding};
use crate::served_page::{CHANGED_SHARE, SERIES};

/// Length of `Fri, 27 Nov 2026` in an HTTP date.
const DATE_BYTES: usize = 16;

/// Results of all rounds.
#[derive(Debug)]
pub struct Results {
    /// The machine of the measurement.
    pub machine: Machine,
    /// Samples in a round.
    pub samples: u32,
    /// Sampling interval.
    pub interval: Duration,
    /// Number of rounds.
    pub rounds: u32,
    /// Version of node_exporter; `None` if it is not installed.
    pub exporter_version: Option<String>,
    /// Medians of the agent.
    pub agent: Option<Figures>,
    /// Medians of node_exporter.
    pub exporter: Option<Figures>,
    /// Number of forwarded pages in a round.
    pub forwarded_pages: u32,
    /// Medians of forwarding a page, plain and with gzip; `None` if it was not measured.
    pub forwarding: [Option<Forwarding>; 2],
}

impl Results {
    /// Returns the table.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = "| | version | CPU a sample, ms | resident memory, MB | \
                         system calls a sample | series | bytes a sample |\n\
                         |---|---|---|---|---|---|---|\n"
            .to_owned();
        let version = Some(env!("CARGO_PKG_VERSION"));
        row(&mut table, "fleetgauge-agent", version, self.agent, "not measured");
        let version = self.exporter_version.as_deref();
        let advice = "not installed: apt-get install prometheus-node-exporter";
        row(&mut table, "node_exporter", version, self.exporter, advice);
        self.add_forwarding(&mut table);
        if cfg!(debug_assertions) {
            table.push_str("\nMeasured with a debug build of the agent: run it with --release.\n");
        }
        table
    }

    /// Returns how forwarding was measured, in Markdown; nothing if it was not.
    fn forwarding_method(&self) -> String {
        let pages = self.forwarded_pages;
        if pages == 0 {
            return String::new();
        }
        format!(
            "- **Forwarding a page**: an exporter's page of {SERIES} series. One in \
             {CHANGED_SHARE} of them changes from\n  page to page, served on loopback. Three agents with \
             `--metrics basic` run at the same time: one\n  without the exporter, one with a plain \
             page, one with gzip. The figures are the differences to the\n  first one over {pages} \
             pages a round.\n"
        )
    }

    /// Appends the table about forwarding, if it was measured.
    fn add_forwarding(&self, table: &mut String) {
        let [Some(plain), Some(gzip)] = self.forwarding else { return };
        table.push_str(
            "\n| forwarding a page | CPU a page, ms | resident memory, MB | bytes a report |\n\
             |---|---|---|---|\n",
        );
        for (name, figures) in [("plain", plain), ("gzip", gzip)] {
            let Forwarding { cpu_ms, resident_bytes, wire_bytes } = figures;
            let megabytes = resident_bytes / 1e6;
            // Writing to a string does not fail.
            let _ = writeln!(table, "| {name} | {cpu_ms:.2} | {megabytes:.1} | {wire_bytes:.0} |");
        }
    }

    /// Returns the page for the command with these arguments.
    #[must_use]
    pub fn page(&self, arguments: &[String]) -> String {
        let Self { machine, samples, rounds, interval, .. } = self;
        let date = httpdate::fmt_http_date(SystemTime::now());
        let date = date.get(..DATE_BYTES).unwrap_or(&date);
        let command = ["cargo run --release -p fleetgauge-host-cost --"].into_iter();
        let command: Vec<_> = command.chain(arguments.iter().map(String::as_str)).collect();
        format!(
            "# Cost on a host, compared with node_exporter\n\n\
             Measured on {date} with {machine}.\n\
             `fleetgauge-host-cost` wrote this page. Do not edit it; run again:\n\n\
             ```sh example\n\
             apt-get install prometheus-node-exporter strace\n\
             {command}\n\
             ```\n\n\
             {table}\n\
             Medians of {rounds} rounds with {samples} samples each, one every {interval:?}.\n\n\
             ## How it is measured\n\n{METHOD}{forwarding}",
            command = command.join(" "),
            table = self.table(),
            forwarding = self.forwarding_method(),
        )
    }
}

/// The method, in Markdown.
const METHOD: &str = "\
- **Both run at the same time** on the same host, started anew for each round, with their default
  collectors: the agent with `--metrics node` and a collector on loopback, node_exporter without the
  metrics about itself. Their versions know different collectors, so their series differ.
- **A sample** is a report of the agent, or a scrape of node_exporter over a kept connection, with
  gzip, as Prometheus does it. The first samples of a round are not counted.
- **CPU a sample**: user and system time of all threads, from their `schedstat` in `/proc`, divided
  by the number of samples. The cost of the collector and of Prometheus is not included.
- **Resident memory**: at the end of the round.
- **System calls a sample**: of all threads, with `strace -f -c`, after the round, because tracing
  slows a program down.
- **Bytes a sample**: above TCP, both directions, without TLS. The agent sends only values that have
  changed; a busier host costs more.
";

fn row(
    table: &mut String,
    name: &str,
    version: Option<&str>,
    figures: Option<Figures>,
    advice: &str,
) {
    let version = version.unwrap_or_default();
    // Writing to a string does not fail.
    let _ = match figures {
        Some(figures) => {
            let calls = figures
                .system_calls
                .map_or("not counted".to_owned(), |calls| format!("{calls:.0}"));
            writeln!(
                table,
                "| {name} | {version} | {:.2} | {:.1} | {calls} | {:.0} | {:.0} |",
                figures.cpu_ms,
                figures.resident_bytes / 1e6,
                figures.series,
                figures.wire_bytes,
            )
        }
        None => writeln!(table, "| {name} | {version} | {advice} | | | | |"),
    };
}
