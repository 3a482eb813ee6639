//! Pages that are not what the collector showed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Fault;
use crate::scrape;
use crate::value::agent_number;

/// Of so many agents in sequence, one is lied about.
const ONE_IN: u32 = 10;
const VICTIM: u32 = 3;
/// Silence after which the impatient take an agent off.
const IMPATIENCE: Duration = Duration::from_millis(1_200);
/// How long a page takes that stalls everything else.
const STALL: Duration = Duration::from_millis(1_500);
/// Longest head of a request.
const MAX_HEAD_BYTES: usize = 8_192;

/// Serves pages in place of the collector at `honest`, one at a time.
pub(super) async fn serve(
    listener: TcpListener,
    honest: SocketAddr,
    fault: Fault,
    stalled: watch::Sender<bool>,
) {
    let mut liar = Liar { fault, rows: HashMap::new() };
    while let Ok((mut stream, _)) = listener.accept().await {
        let Some(path) = read_path(&mut stream).await else { continue };
        if fault == Fault::Stall {
            stalled.send_replace(true);
            tokio::time::sleep(STALL).await;
        }
        let page = scrape::fetch(honest, &path).await;
        stalled.send_replace(false);
        let page = liar.lie(&page.unwrap_or_default());
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            page.len()
        );
        // A client that has gone needs no page.
        let _ = stream.write_all((head + &page).as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

async fn read_path(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let read = stream.read_buf(&mut request).await.ok()?;
        if read == 0 || request.len() > MAX_HEAD_BYTES {
            return None;
        }
    }
    Some(String::from_utf8(request).ok()?.split(' ').nth(1)?.to_owned())
}

/// Who remembers what pages have shown.
struct Liar {
    fault: Fault,
    /// By agent: its lines on the last page that had them, and since when they are the same.
    rows: HashMap<u32, (String, Instant)>,
}

impl Liar {
    fn lie(&mut self, page: &str) -> String {
        let mut rows = HashMap::<u32, String>::new();
        for line in page.split_inclusive('\n') {
            if let Some(agent) = agent_of(line) {
                rows.entry(agent).or_default().push_str(line);
            }
        }
        let now = Instant::now();
        for (agent, lines) in &rows {
            let kept = self.rows.entry(*agent).or_insert_with(|| (lines.clone(), now));
            if kept.0 != *lines {
                *kept = (lines.clone(), now);
            }
        }
        let hidden = |agent: u32| match self.fault {
            Fault::Missing => is_victim(agent),
            Fault::Impatient => self.rows.get(&agent).is_some_and(|kept| kept.1 + IMPATIENCE < now),
            _ => false,
        };
        let shown = |line: &&str| agent_of(line).is_none_or(|agent| !hidden(agent));
        let mut lie: String = page.split_inclusive('\n').filter(shown).collect();
        if self.fault == Fault::Leftover {
            let gone = self.rows.iter().filter(|(agent, _)| !rows.contains_key(agent));
            lie.extend(
                gone.filter(|(agent, _)| is_victim(**agent)).map(|(_, kept)| kept.0.as_str()),
            );
        }
        lie
    }
}

fn is_victim(agent: u32) -> bool {
    agent % ONE_IN == VICTIM
}

fn agent_of(line: &str) -> Option<u32> {
    let (_, rest) = line.split_once("agent=\"")?;
    agent_number(rest.split_once('"')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TYPE a gauge\na{agent=\"sim-000003\"} 1\na{agent=\"sim-000004\"} 2\n";
    const WITHOUT_3: &str = "# TYPE a gauge\na{agent=\"sim-000004\"} 2\n";

    fn liar(fault: Fault) -> Liar {
        Liar { fault, rows: HashMap::new() }
    }

    #[test]
    fn the_departed_are_left() {
        let mut liar = liar(Fault::Leftover);
        assert_eq!(liar.lie(PAGE), PAGE);
        assert_eq!(liar.lie(WITHOUT_3), format!("{WITHOUT_3}a{{agent=\"sim-000003\"}} 1\n"));
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
}
