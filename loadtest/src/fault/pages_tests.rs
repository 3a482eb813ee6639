//! Tests that the parser or the judge finds each fault of a page.

use std::collections::BTreeSet;

use fleetgauge_page::{Item, ReadResult, Reader};

use super::*;
use crate::agent_range::AgentRange;
use crate::host_profile::HostModel;
use crate::judge::finding::Finding;
use crate::judge::observed_page::{ObservedPage, PageScope};
use crate::scrape::{Encoding, TIMEOUT, fetch_as};
use crate::sim_values::{NAMES, ValueOrigin, static_labels};

const PAGE: &str = "# TYPE a gauge\na{agent=\"sim-000003\"} 1\na{agent=\"sim-000004\"} 2\n";
const WITHOUT_3: &str = "# TYPE a gauge\na{agent=\"sim-000004\"} 2\n";
/// Number of agents on [`correct_page`].
const AGENTS: u32 = 20;
const LABELS: u8 = 2;

fn faulty(fault: Fault) -> FaultyPages {
    FaultyPages { fault, rows: HashMap::new() }
}

/// A page as the collector writes it.
fn correct_page() -> String {
    let mut page = String::new();
    for (position, name) in NAMES.iter().enumerate() {
        page += &format!("# HELP {name} Simulated.\n# TYPE {name} gauge\n");
        for agent in 0..AGENTS {
            let value = ValueOrigin { agent, sequence: 1, position }.to_f64();
            page += &format!("{name}{{agent=\"{}\"", agent_name(agent));
            for (label, value) in static_labels(agent, LABELS).unwrap().iter() {
                page += &format!(",{label}=\"{value}\"");
            }
            page += &format!("}} {value}\n");
        }
    }
    page
}

/// Reasons of all findings on a page.
fn found(page: &str) -> BTreeSet<&'static str> {
    let agents = AgentRange { first: 0, count: AGENTS };
    let mut shown = ObservedPage::new(PageScope {
        agents,
        visible: agents,
        first_encoded_agent: 0,
        labels: LABELS,
        hosts: HostModel::default(),
    });
    let (mut reader, mut found) = (Reader::default(), BTreeSet::new());
    let mut see = |read: ReadResult<'_>| match read {
        Ok(Item::Sample(sample)) => found.extend(shown.add(sample).err().map(|no| no.reason())),
        Ok(Item::Family(_)) => {}
        Err(invalid) => drop(found.insert(Finding::Unreadable(invalid).reason())),
    };
    reader.push(page.as_bytes(), &mut see);
    reader.finish(&mut see);
    found
}

#[test]
fn every_format_or_label_fault_is_found() {
    for (fault, reasons) in [
        (Fault::Leak, &[][..]),
        (Fault::Shuffled, &["unreadable"]),
        (Fault::CutOff, &["unreadable"]),
        (Fault::NoType, &["unreadable"]),
        (Fault::BadLabel, &["unreadable"]),
        (Fault::Foreign, &["unknown_series"]),
        (Fault::SwappedLabels, &["wrong_labels"]),
    ] {
        let corrupt = faulty(fault).corrupt(&correct_page());
        assert_eq!(corrupt != correct_page(), fault != Fault::Leak, "{fault:?} lies");
        assert_eq!(found(&corrupt), reasons.iter().copied().collect(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_corrupt_gzip_trailer_is_found() {
    for (fault, is_found) in [(Fault::Leak, false), (Fault::BadTrailer, true)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = Request::read(&mut stream).await.unwrap();
            let answer = faulty(fault).answer(&correct_page(), request.gzip);
            stream.write_all(&answer).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        let mut page = Vec::new();
        let take = |piece: &[u8]| page.extend_from_slice(piece);
        let fetched = fetch_as(http, "/metrics", Encoding::Gzip, TIMEOUT, take).await;
        served.await.unwrap();
        assert_eq!(fetched.is_err(), is_found, "{fetched:?}");
        assert!(is_found || page == correct_page().as_bytes());
    }
}

#[test]
fn leftover_keeps_agents_that_have_gone() {
    let mut faulty = faulty(Fault::Leftover);
    assert_eq!(faulty.corrupt(PAGE), PAGE);
    assert_eq!(faulty.corrupt(WITHOUT_3), PAGE);
    assert_eq!(faulty.corrupt(""), "# TYPE a gauge\na{agent=\"sim-000003\"} 1\n");
}

#[test]
fn missing_omits_live_agents() {
    assert_eq!(faulty(Fault::Missing).corrupt(PAGE), WITHOUT_3);
}

#[test]
fn impatient_omits_silent_agents() {
    let mut faulty = faulty(Fault::Impatient);
    assert_eq!(faulty.corrupt(PAGE), PAGE);
    let Some(kept) = faulty.rows.get_mut(&3) else { panic!("not kept") };
    kept.1 -= 2 * IMPATIENCE;
    assert_eq!(faulty.corrupt(PAGE), WITHOUT_3);
}

#[test]
fn torn_shows_an_old_value() {
    let mut faulty = faulty(Fault::Torn);
    let page =
        |b| format!("# TYPE a gauge\na{{agent=\"sim-000003\"}} 1\nb{{agent=\"sim-000003\"}} {b}\n");
    assert_eq!(faulty.corrupt(&page(1)), page(1));
    assert_eq!(faulty.corrupt(&page(2)), page(1));
    assert_eq!(faulty.corrupt(WITHOUT_3), WITHOUT_3);
}

#[test]
fn removed_rows_stay_while_their_agent_is_shown() {
    let mut faulty = faulty(Fault::RemovedRow);
    let row = |row| format!("a{{agent=\"sim-000003\",device=\"{row}\"}} 1\n");
    let page = |rows: &str| format!("# TYPE a gauge\n{rows}");
    let both = page(&(row("sda") + &row("sdb")));
    assert_eq!(faulty.corrupt(&both), both);
    assert_eq!(faulty.corrupt(&page(&row("sdb"))), both);
    assert_eq!(faulty.corrupt(WITHOUT_3), WITHOUT_3);
}
