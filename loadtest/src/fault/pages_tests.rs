//! What the liar does to a page, and that every lie about its form or its labels is found.

use std::collections::BTreeSet;

use fleetgauge_page::{Item, ReadResult, Reader};

use super::*;
use crate::finding::Finding;
use crate::orders::Numbers;
use crate::scrape::{Encoding, fetch_as};
use crate::shown::Shown;
use crate::value::{Mark, static_labels};

const PAGE: &str = "# TYPE a gauge\na{agent=\"sim-000003\"} 1\na{agent=\"sim-000004\"} 2\n";
const WITHOUT_3: &str = "# TYPE a gauge\na{agent=\"sim-000004\"} 2\n";
/// Agents of [`honest`], and how many labels each has.
const AGENTS: u32 = 20;
const LABELS: u8 = 2;

fn liar(fault: Fault) -> Liar {
    Liar { fault, rows: HashMap::new() }
}

/// A page as the collector writes it.
fn honest() -> String {
    let mut page = String::new();
    for (place, name) in NAMES.iter().enumerate() {
        page += &format!("# HELP {name} Simulated.\n# TYPE {name} gauge\n");
        for agent in 0..AGENTS {
            let value = Mark { agent, sequence: 1, place }.to_f64();
            page += &format!("{name}{{agent=\"{}\"", agent_name(agent));
            for (label, value) in static_labels(agent, LABELS).unwrap().iter() {
                page += &format!(",{label}=\"{value}\"");
            }
            page += &format!("}} {value}\n");
        }
    }
    page
}

/// The reasons of all findings of a page.
fn found(page: &str) -> BTreeSet<&'static str> {
    let agents = Numbers { first: 0, count: AGENTS };
    let mut shown = Shown::new(agents, agents, 0, LABELS);
    let (mut reader, mut found) = (Reader::default(), BTreeSet::new());
    let mut see = |read: ReadResult<'_>| match read {
        Ok(Item::Sample(sample)) => found.extend(shown.place(sample).err().map(|no| no.reason())),
        Ok(Item::Family(_)) => {}
        Err(unreadable) => drop(found.insert(Finding::Unreadable(unreadable).reason())),
    };
    reader.push(page.as_bytes(), &mut see);
    reader.finish(&mut see);
    found
}

#[test]
fn every_lie_about_form_or_labels_is_found() {
    for (fault, reasons) in [
        (Fault::Leak, &[][..]),
        (Fault::Shuffled, &["unreadable"]),
        (Fault::NoType, &["unreadable"]),
        (Fault::BadLabel, &["unreadable"]),
        (Fault::Foreign, &["stranger"]),
        (Fault::SwappedLabels, &["wrong_labels"]),
    ] {
        let lie = liar(fault).lie(&honest());
        assert_eq!(lie != honest(), fault != Fault::Leak, "{fault:?} lies");
        assert_eq!(found(&lie), reasons.iter().copied().collect(), "{fault:?}");
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
            let answer = liar(fault).answer(&honest(), request.gzip);
            stream.write_all(&answer).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        let mut page = Vec::new();
        let take = |piece: &[u8]| page.extend_from_slice(piece);
        let fetched = fetch_as(http, "/metrics", Encoding::Gzip, take).await;
        served.await.unwrap();
        assert_eq!(fetched.is_err(), is_found, "{fetched:?}");
        assert!(is_found || page == honest().as_bytes());
    }
}

#[test]
fn the_departed_are_left() {
    let mut liar = liar(Fault::Leftover);
    assert_eq!(liar.lie(PAGE), PAGE);
    assert_eq!(liar.lie(WITHOUT_3), PAGE);
    assert_eq!(liar.lie(""), "# TYPE a gauge\na{agent=\"sim-000003\"} 1\n");
}

#[test]
fn the_living_are_left_out() {
    assert_eq!(liar(Fault::Missing).lie(PAGE), WITHOUT_3);
}

#[test]
fn the_slow_are_left_out() {
    let mut liar = liar(Fault::Impatient);
    assert_eq!(liar.lie(PAGE), PAGE);
    let Some(kept) = liar.rows.get_mut(&3) else { panic!("not kept") };
    kept.1 -= 2 * IMPATIENCE;
    assert_eq!(liar.lie(PAGE), WITHOUT_3);
}
