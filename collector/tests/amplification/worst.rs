//! The worst legal input of each kind of frame, and its cost for each byte.

use std::time::Duration;

use fleetgauge_collector::admission::proxy_protocol::{self, MAX_HEADER_BYTES, Origin};
use fleetgauge_proto::message::{
    Bye, Catalog, Column, Family, Label, Ping, Pong, Table as Declared,
};
use fleetgauge_proto::report::Values;
use fleetgauge_proto::{Fingerprint, Message};

use crate::measure::{Cost, Rig, at_most, encode, frame, hello, report, report_of, thread_time};
use crate::{rows, small};

/// Maximum CPU time in nanoseconds for each byte sent.
const CPU: f64 = 1_000.0;
const LOG: f64 = 64.0;

/// Maximum bytes of memory and of pages, for each byte sent.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) memory: f64,
    pub(crate) page: f64,
}

pub(crate) const USUAL: Bounds = Bounds { memory: 64.0, page: 100.0 };
/// A family that no other catalog declares takes memory on the shared pages: its names and two sets
/// of metadata lines, 1,800 bytes for a declaration of 13 bytes. A catalog has at most 1,000
/// families.
const FAMILIES: Bounds = Bounds { memory: 192.0, ..USUAL };
/// Bounds for histograms with long labels. A page repeats the escaped labels on the line of each of
/// the 256 bounds. `max_page_size_per_agent` limits the page size.
const LINES: Bounds = Bounds { page: 1_024.0, ..USUAL };

/// A value can take half a byte in a report, but its line has the name and all labels.
/// `max_page_size_per_agent` limits the bytes.
pub(crate) const WIDE: Bounds = Bounds { page: 1_024.0, ..USUAL };

/// Labels of a Hello, on each line of a known catalog. `max_page_size_per_agent` limits the bytes.
const PAGE: Bounds = Bounds { page: 5_000.0, memory: 64.0 };

/// Maximum cost of a small frame that makes the collector process state from earlier frames, of
/// this agent or of another.
/// The rate of frames is limited, so these are not costs for each byte.
#[derive(Clone, Copy)]
pub(crate) struct MaxCost {
    /// CPU time of a release build.
    pub(crate) cpu: Duration,
    /// Bytes of memory.
    pub(crate) memory: usize,
}

/// All values of an agent are copied: 800 kB at most.
pub(crate) const ALL_VALUES: MaxCost = MaxCost { cpu: Duration::from_millis(2), memory: 1 << 20 };
/// All rows and values of an agent are copied: 40,000 rows of short labels.
pub(crate) const ALL_ROWS: MaxCost = MaxCost { cpu: Duration::from_millis(5), memory: 2 << 20 };

/// Repetitions of a short input, because a single one is measured with cold caches.
const SESSIONS: usize = 200;

pub(crate) const GAUGE: u8 = 1;
const HISTOGRAM: u8 = 3;
pub(crate) const SUMMARY: u8 = 4;
const LATER: u8 = 200;

/// The value with the longest decimal text.
const LONG: f64 = -2.225_073_858_507_201_4e-308;

pub(crate) fn family(name: &str, kind: u8) -> Family<'_> {
    Family { name, kind, unit: "", help: "" }
}

pub(crate) fn column<'a>(family: u32, parameters: &[f64], labels: &[Label<'a>]) -> Column<'a> {
    let width = if parameters.is_empty() { 1 } else { parameters.len() as u32 + 2 };
    Column { family, width, decimals: 0, parameters: parameters.to_vec(), labels: labels.to_vec() }
}

/// A catalog of one table without row labels.
pub(crate) fn catalog<'a>(families: &[Family<'a>], columns: Vec<Column<'a>>) -> Catalog<'a> {
    let tables = vec![Declared { row_labels: vec![], columns }];
    Catalog { stream: 0, slot: 0, families: families.to_vec(), tables }
}

/// A catalog with a label of each of these names, this many on each column. A family has eight
/// columns, the maximum number of different sets of label names.
pub(crate) fn catalog_of_labels(names: &[String], of_column: usize) -> Catalog<'_> {
    const COLUMNS: usize = 8;
    let columns = names.chunks(of_column).enumerate().map(|(n, names)| {
        let labels: Vec<_> = names.iter().map(|name| label(name, "x")).collect();
        column((n / COLUMNS) as u32, &[], &labels)
    });
    let columns: Vec<_> = columns.collect();
    let families = &names[..columns.len().div_ceil(COLUMNS)];
    let families: Vec<_> = families.iter().map(|name| family(name, GAUGE)).collect();
    catalog(&families, columns)
}

pub(crate) fn label<'a>(name: &'a str, value: &'a str) -> Label<'a> {
    Label { name, value }
}

/// Short distinct names.
pub(crate) fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{}{:x}", ["a", "b", "c"][n % 3], n / 3)).collect()
}

fn rising(count: u32) -> Vec<f64> {
    (0..count).map(|n| f64::from_bits(LONG.abs().to_bits() + u64::from(n))).collect()
}

/// A table of costs, and the rows that are over their bounds.
pub(crate) struct Table(Vec<String>);

impl Table {
    fn print(what: &str, cost: Cost) {
        let (cpu, log) = (cost.nanoseconds_a_byte(), cost.a_byte(cost.log));
        let (peak, kept) = (cost.a_byte(cost.peak), cost.a_byte(cost.kept));
        let Cost { sent, page, .. } = cost;
        println!("| {what} | {sent} | {cpu:.0} | {peak:.1} | {kept:.1} | {page:.1} | {log:.2} |");
    }

    /// Adds a row of a small frame, and checks its cost.
    pub(crate) fn small(&mut self, what: &str, cost: Cost, most: MaxCost) {
        Self::print(what, cost);
        if cost.cpu > at_most(most.cpu) || cost.peak.max(cost.kept) > most.memory {
            self.0.push(format!("{what}: {cost:?}"));
        }
    }

    /// Adds a row, and checks its bounds.
    pub(crate) fn row(&mut self, what: &str, cost: Cost, bounds: Bounds) {
        Self::print(what, cost);
        let (cpu, log) = (cost.nanoseconds_a_byte(), cost.a_byte(cost.log));
        let (peak, kept) = (cost.a_byte(cost.peak), cost.a_byte(cost.kept));
        let page = cost.page;
        if cpu > CPU || peak.max(kept) > bounds.memory || page > bounds.page || log > LOG {
            self.0.push(format!("{what}: {cost:?}"));
        }
    }

    /// Measures a Catalog from a welcomed agent.
    fn catalog(&mut self, what: &str, catalog: &Catalog<'_>, bounds: Bounds) {
        let rig = Rig::new(|_| {});
        let (bytes, fingerprint) = encode(catalog);
        let mut agent = rig.connect();
        agent.receives(&hello("a", vec![], fingerprint));
        let mut cost = rig.cost(&mut agent, &[bytes]);
        let known = rig.collector.registry.catalogs().find(&fingerprint).unwrap();
        let tables = known.entry().catalog().tables.iter();
        let width = tables.filter(|table| table.row_labels.is_empty()).map(|table| table.width);
        let values = report(1, &vec![LONG; width.sum()]);
        agent.receives(&values);
        assert_eq!(agent.refused(), None, "{what}");
        cost.page = rig.page_bytes() as f64 / (cost.sent + values.len()) as f64;
        self.row(what, cost, bounds);
    }

    /// Measures these frames from an agent that has reported; its catalog has `gauges` gauges.
    fn reporting(&mut self, what: &str, gauges: usize, frames: &[Vec<u8>]) {
        let rig = Rig::new(|_| {});
        let numbers = names(gauges);
        let labels = numbers.iter().map(|value| [Label { name: "n", value }]);
        let all = labels.map(|labels| column(0, &[], &labels)).collect();
        let (declared, fingerprint) = encode(&catalog(&[family("a", GAUGE)], all));
        let mut agent = rig.connect();
        let first = [hello("a", vec![], fingerprint), declared, report(1, &vec![LONG; gauges])];
        for frame in &first {
            agent.receives(frame);
        }
        let mut cost = rig.cost(&mut agent, frames);
        assert_eq!(agent.refused(), None, "{what}");
        // All frames together register the agent. Frames without values add nothing.
        let sent = first.iter().map(Vec::len).sum::<usize>() + cost.sent;
        cost.page = rig.page_bytes() as f64 / sent as f64;
        self.row(what, cost, USUAL);
    }
}

#[test]
fn cost_of_each_frame_kind_is_bounded() {
    println!(
        "| worst input | bytes | CPU, ns a byte | memory at once | memory kept | page | log |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut table = Table(Vec::new());
    hellos(&mut table);
    sessions(&mut table);
    catalogs(&mut table);
    let many = 10_000;
    let all: Vec<_> = (2..5).map(|n| report(n, &vec![LONG; many])).collect();
    table.reporting("Report of all values", many, &all);
    let zeros = |n| report(n, &vec![0.0; many]);
    table.reporting("Report of zeros", many, &(2..50).map(zeros).collect::<Vec<_>>());
    rows::wide_rows(&mut table);
    rows::narrow_rows(&mut table);
    small::frames(&mut table);
    small::tables(&mut table);
    worst_page(&mut table);
    let bitmap = vec![0; many.div_ceil(8)];
    let none = |n| report_of(n, Values::Changed { bitmap: &bitmap, values: &[] });
    table.reporting("Report without a change", many, &(2..50).map(none).collect::<Vec<_>>());
    let least = |n| report_of(n, Values::Changed { bitmap: &[0], values: &[] });
    table.reporting("Report, the smallest", 1, &(2..1_000).map(least).collect::<Vec<_>>());
    let thousand = |message: Message<'_>| vec![frame(&message); 1_000];
    table.reporting("Ping", 1, &thousand(Message::Ping(Ping { token: 0 })));
    table.reporting("Pong", 1, &thousand(Message::Pong(Pong { token: 0 })));
    proxy_header(&mut table);
    table.reporting("skipped frame", 1, &vec![b"FG\x01\x80\0\0\0\0".to_vec(); 1_000]);
    assert!(table.0.is_empty(), "over their bounds: {:#?}", table.0);
}

/// The PROXY header before the agent's first byte. Of the longest header all but 36 bytes are
/// ignored.
fn proxy_header(table: &mut Table) {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x02\x08".to_vec();
    header.resize(MAX_HEADER_BYTES, 1);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut cpu = Duration::ZERO;
    let allocated = allocation_counter::measure(|| {
        let begun = thread_time();
        let origin = runtime.block_on(proxy_protocol::read(&mut &header[..]));
        cpu = thread_time() - begun;
        assert!(matches!(origin, Ok(Origin::Peer(_))), "{origin:?}");
    });
    let peak = usize::try_from(allocated.bytes_max).unwrap();
    table.row("PROXY header", Cost { sent: header.len(), cpu, peak, ..Cost::default() }, USUAL);
}

fn hellos(table: &mut Table) {
    let quotes = "\"".repeat(1_000);
    let names = names(4_500);
    let long = names.iter().take(15).map(|name| label(name, &quotes)).collect();
    let empty = names.iter().map(|name| label(name, "")).take(2_500).collect();
    let unknown = Fingerprint([0; 16]);
    for (what, labels) in [("Hello of long labels", long), ("Hello of empty labels", empty)] {
        let rig = Rig::new(|_| {});
        let mut agent = rig.connect();
        let cost = rig.cost(&mut agent, &[hello("a", labels, unknown)]);
        assert_eq!(agent.refused(), None, "{what}");
        table.row(what, cost, USUAL);
    }
    // Against a catalog that another agent has declared.
    let rig = Rig::new(|_| {});
    let (declared, fingerprint) = encode(&catalog_of_labels(&names, 1));
    let mut other = rig.connect();
    other.receives(&hello("other", vec![], unknown));
    other.receives(&declared);
    assert_eq!((other.refused(), rig.collector.registry.catalogs().len()), (None, 1));
    let others: Vec<_> = (0..32).map(|n| format!("z{n}")).collect();
    let labels = others.iter().map(|name| label(name, "x")).collect();
    let named = [hello("a", labels, fingerprint)];
    let costs = (0..SESSIONS).map(|_| {
        let mut agent = rig.connect();
        let cost = rig.cost(&mut agent, &named);
        assert_eq!(agent.refused(), None);
        cost
    });
    let cost = Cost::of_one(&costs.collect::<Vec<_>>());
    table.small("Hello that names a catalog of many labels", cost, ALL_VALUES);
}

/// Agents with a known catalog that join and leave: with the shortest catalog, and with one of the
/// maximum number of families, which are shown and removed each time.
fn sessions(table: &mut Table) {
    let names = names(1_000);
    for (what, families, bounds) in [
        ("Hello, Report and Bye, the shortest", 1, USUAL),
        ("Hello, Report and Bye, a known catalog of 1,000 families", 1_000, FAMILIES),
    ] {
        let rig = Rig::new(|_| {});
        let declared: Vec<_> =
            names.iter().take(families).map(|name| family(name, GAUGE)).collect();
        let all = (0..families as u32).map(|n| column(n, &[], &[])).collect();
        let (declared, fingerprint) = encode(&catalog(&declared, all));
        let mut other = rig.connect();
        other.receives(&hello("other", vec![], fingerprint));
        other.receives(&declared);
        let taken = rig.collector.registry.budget().taken();
        let bye = frame(&Message::Bye(Bye { stream: 0, reason: 0 }));
        let values = report(1, &vec![LONG; families]);
        let session = [hello("a", vec![], fingerprint), values, bye];
        let costs = (0..SESSIONS).map(|_| {
            let mut agent = rig.connect();
            let cost = rig.cost(&mut agent, &session);
            assert_eq!((agent.refused(), rig.collector.registry.agent_count()), (None, 0));
            cost
        });
        let mut cost = Cost::of_one(&costs.collect::<Vec<_>>());
        assert!(
            families == 1 || cost.peak < taken,
            "memory of the families is charged with the catalog: {cost:?}"
        );
        let mut agent = rig.connect();
        session[..2].iter().for_each(|frame| agent.receives(frame));
        cost.page = rig.page_bytes() as f64 / cost.sent as f64;
        table.row(what, cost, bounds);
    }
}

/// The most page for the bytes sent: an agent with long labels names a catalog of many series that
/// another agent has declared, and reports zeros.
fn worst_page(table: &mut Table) {
    const SERIES: usize = 3_900;
    let own = names(SERIES);
    let own: Vec<_> = own.iter().map(|value| [label("n", value)]).collect();
    let all = own.iter().map(|labels| column(0, &[], labels)).collect();
    let (declared, fingerprint) = encode(&catalog(&[family("a", GAUGE)], all));
    let rig = Rig::new(|_| {});
    let mut other = rig.connect();
    other.receives(&hello("other", vec![], fingerprint));
    other.receives(&declared);
    let quotes = "\"".repeat(1_000);
    let labels = ["x", "y"].map(|name| label(name, &quotes)).to_vec();
    let mut agent = rig.connect();
    let frames = [hello("a", labels, fingerprint), report(1, &vec![0.0; SERIES])];
    let mut cost = rig.cost(&mut agent, &frames);
    assert_eq!((agent.refused(), other.refused()), (None, None));
    let bytes = rig.page_bytes();
    assert!((15 << 20..=16 << 20).contains(&bytes), "{bytes}");
    cost.page = bytes as f64 / cost.sent as f64;
    table.row("Hello of a known catalog, and Report: the worst page", cost, PAGE);
}

fn catalogs(table: &mut Table) {
    let names = names(100_000);
    let few = &names[..1_000];
    let families: Vec<_> = few.iter().map(|name| family(name, SUMMARY)).collect();
    let none = (0..1_000).map(|n| Column { width: 2, ..column(n, &[], &[]) }).collect();
    table.catalog("Catalog of short families", &catalog(&families, none), FAMILIES);
    let help = "\"".repeat(1_000);
    let helped = few.iter().map(|name| Family { help: &help, ..family(name, GAUGE) });
    let helped: Vec<_> = helped.collect();
    let all = (0..1_000).map(|n| column(n, &[], &[])).collect();
    table.catalog("Catalog of long help", &catalog(&helped, all), USUAL);
    let own: Vec<_> = names.iter().map(|value| [label("n", value)]).collect();
    let short = own.iter().take(10_000).map(|labels| column(0, &[], labels)).collect();
    table.catalog("Catalog of short series", &catalog(&[family("a", GAUGE)], short), USUAL);
    let tables = own.iter().take(10_000).map(|labels| {
        let columns = vec![column(0, &[], labels)];
        Declared { row_labels: vec!["x"], columns }
    });
    let families = vec![family("a", GAUGE)];
    let tables = Catalog { stream: 0, slot: 0, families, tables: tables.collect() };
    table.catalog("Catalog of small tables", &tables, USUAL);
    let all = names[..90_000].iter().map(|name| label(name, "")).collect::<Vec<_>>();
    let empty = catalog(&[family("a", GAUGE)], vec![column(0, &[], &all)]);
    table.catalog("Catalog of empty labels", &empty, USUAL);
    let bounds = rising(256);
    let wide = |kind, count: usize| {
        let all = own.iter().take(count).map(|labels| column(0, &bounds, labels));
        catalog(&[family("a", kind)], all.collect())
    };
    table.catalog("Catalog of long bounds", &wide(HISTOGRAM, 190), USUAL);
    table.catalog("Catalog of a later kind", &wide(LATER, 190), USUAL);
    let quotes = "\"".repeat(480);
    let labels: Vec<_> = names[..31].iter().map(|name| label(name, &quotes)).collect();
    let labelled = catalog(&[family("a", HISTOGRAM)], vec![column(0, &bounds, &labels)]);
    table.catalog("Catalog of long labels and many bounds", &labelled, LINES);
}
