//! The file format of a saved roster: JSON lines, between a header and an end line with the number
//! of agents and a checksum.
//!
//! ```text
//! {"roster":{"version":1,"written":1763832000}}
//! {"connected":{"id":"web-1","interval_ms":15000}}
//! {"departed":{"id":"db-1","at":1763831000,"reason":"reset"}}
//! {"end":{"agents":2,"sha256":"…"}}
//! ```
//!
//! The checksum covers all bytes before the end line. An incomplete file is rejected.

use std::io::{self, BufRead, Read, Write};

use fleetgauge_proto::AgentId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Departure, Reason, SavedRoster};

/// The format version that is written, and the only one that can be read.
pub const VERSION: u32 = 1;
/// Maximum line length: more than a line with an id of 128 bytes.
const MAX_LINE_BYTES: u64 = 512;
/// Maximum number of agents in a file, so that an invalid file cannot exhaust the memory.
const MAX_AGENTS: usize = 4_000_000;

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Roster { version: u32, written: u64 },
    Connected { id: String, interval_ms: u32 },
    Departed { id: String, at: u64, reason: String },
    End { agents: usize, sha256: String },
}

/// A header of any version.
#[derive(Deserialize)]
struct AnyHeader {
    roster: AnyVersion,
}

#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

/// Why a state file is rejected.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The file cannot be read.
    #[error("cannot read the file: {0}")]
    Unreadable(#[from] io::Error),
    /// The file has this format version, which cannot be read.
    #[error("format version {0}; this collector reads version {VERSION}")]
    Version(u32),
    /// An invalid line.
    #[error("line {line}: {problem}")]
    Line {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with the line.
        problem: String,
    },
    /// The file ends before its end line.
    #[error("truncated in line {0}")]
    Truncated(usize),
    /// The checksum does not match.
    #[error("wrong checksum")]
    Checksum,
}

/// Writes a roster. `written` is the current time, in unix seconds.
///
/// # Errors
/// Those of `to`.
pub fn write(saved: &SavedRoster, written: u64, to: impl Write) -> io::Result<()> {
    let mut to = Summed { to, sum: Sha256::new() };
    line(&Line::Roster { version: VERSION, written }, &mut to)?;
    for (id, interval_ms) in &saved.connected {
        let connected = Line::Connected { id: id.to_string(), interval_ms: *interval_ms };
        line(&connected, &mut to)?;
    }
    for Departure { id, reason, at, .. } in &saved.departed {
        let reason = reason.name().to_owned();
        line(&Line::Departed { id: id.to_string(), at: *at, reason }, &mut to)?;
    }
    let agents = saved.connected.len() + saved.departed.len();
    let sha256 = hex(&to.sum.clone().finalize());
    line(&Line::End { agents, sha256 }, &mut to)?;
    to.flush()
}

fn line(line: &Line, to: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    to.write_all(b"\n")
}

/// A writer that computes the SHA-256 checksum of the bytes that it writes.
struct Summed<W> {
    to: W,
    sum: Sha256,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn hex(sum: &[u8]) -> String {
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a file that [`write()`] wrote.
///
/// # Errors
/// [`Damage`]
pub fn read(from: impl BufRead) -> Result<SavedRoster, Damage> {
    let mut lines = Lines { from, bytes: Vec::new(), count: 0 };
    let mut sum = Sha256::new();
    let mut saved = SavedRoster::default();
    lines.header(&mut sum)?;
    loop {
        match lines.next()? {
            Line::Connected { id, interval_ms } => {
                let id = lines.id(&id)?;
                saved.connected.push((id, interval_ms));
            }
            Line::Departed { id, at, reason } => {
                let id = lines.id(&id)?;
                let unknown = || lines.wrong(format!("unknown reason {reason:?}"));
                let reason = Reason::named(&reason).ok_or_else(unknown)?;
                saved.departed.push(Departure::before_start(id, reason, at));
            }
            Line::End { agents, sha256 } => {
                let is_intact = agents == lines.count - 2 && sha256 == hex(&sum.finalize());
                return if is_intact {
                    lines.nothing_more().map(|()| saved)
                } else {
                    Err(Damage::Checksum)
                };
            }
            Line::Roster { .. } => return Err(lines.wrong("unexpected second header")),
        }
        sum.update(&lines.bytes);
        if lines.count > MAX_AGENTS {
            return Err(lines.wrong(format!("more than {MAX_AGENTS} agents")));
        }
    }
}

struct Lines<R> {
    from: R,
    /// The last line read, with its line end.
    bytes: Vec<u8>,
    count: usize,
}

impl<R: BufRead> Lines<R> {
    fn wrong(&self, problem: impl ToString) -> Damage {
        Damage::Line { line: self.count, problem: problem.to_string() }
    }

    fn id(&self, id: &str) -> Result<AgentId, Damage> {
        AgentId::try_new(id).map_err(|bad| self.wrong(bad))
    }

    fn advance(&mut self) -> Result<(), Damage> {
        self.bytes.clear();
        self.count += 1;
        (&mut self.from).take(MAX_LINE_BYTES).read_until(b'\n', &mut self.bytes)?;
        if self.bytes.ends_with(b"\n") {
            Ok(())
        } else if (self.bytes.len() as u64) < MAX_LINE_BYTES {
            Err(Damage::Truncated(self.count))
        } else {
            Err(self.wrong(format!("longer than {MAX_LINE_BYTES} bytes")))
        }
    }

    fn header(&mut self, sum: &mut Sha256) -> Result<(), Damage> {
        self.advance()?;
        sum.update(&self.bytes);
        let header: AnyHeader =
            serde_json::from_slice(&self.bytes).map_err(|_| self.wrong("invalid header"))?;
        match header.roster.version {
            VERSION => Ok(()),
            other => Err(Damage::Version(other)),
        }
    }

    fn next(&mut self) -> Result<Line, Damage> {
        self.advance()?;
        serde_json::from_slice(&self.bytes).map_err(|error| self.wrong(error))
    }

    fn nothing_more(&mut self) -> Result<(), Damage> {
        if self.from.fill_buf()?.is_empty() {
            Ok(())
        } else {
            Err(self.wrong("data after the end line"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::close_reason::CloseReason;

    fn saved() -> SavedRoster {
        let id = |id| AgentId::try_new(id).unwrap();
        let departed =
            Departure::before_start(id("db-1"), Reason::Ended(CloseReason::Reset), 1_763_831_000);
        SavedRoster {
            connected: vec![(id("web-1"), 15_000), (id("web-2"), 1_000)],
            departed: vec![departed],
        }
    }

    fn written() -> Vec<u8> {
        let mut file = Vec::new();
        write(&saved(), 1_763_832_000, &mut file).unwrap();
        file
    }

    #[test]
    fn written_roster_is_read_back_and_is_json_lines() {
        assert_eq!(read(&*written()).unwrap(), saved());
        let text = String::from_utf8(written()).unwrap();
        let expected = [
            r#"{"roster":{"version":1,"written":1763832000}}"#,
            r#"{"connected":{"id":"web-1","interval_ms":15000}}"#,
            r#"{"connected":{"id":"web-2","interval_ms":1000}}"#,
            r#"{"departed":{"id":"db-1","at":1763831000,"reason":"reset"}}"#,
        ];
        assert_eq!(text.lines().take(4).collect::<Vec<_>>(), expected);
        assert!(text.lines().nth(4).unwrap().starts_with(r#"{"end":{"agents":3,"sha256":""#));
    }

    #[test]
    fn flipped_bit_is_detected() {
        let file = written();
        for (position, bit) in
            (0..file.len()).flat_map(|position| (0..8).map(move |bit| (position, bit)))
        {
            let mut damaged = file.clone();
            damaged[position] ^= 1 << bit;
            let read = read(&*damaged);
            assert!(read.is_err(), "bit {bit} of byte {position}: {read:?}");
        }
    }

    #[test]
    fn truncated_file_is_detected() {
        let file = written();
        for length in 0..file.len() {
            let read = read(&file[..length]);
            assert!(matches!(read, Err(Damage::Truncated(_))), "{length} bytes: {read:?}");
        }
    }

    #[test]
    fn other_versions_are_rejected_by_number() {
        let file = br#"{"roster":{"version":7,"galaxies":[]}}"#;
        let read = read(&[&file[..], b"\n"].concat()[..]);
        assert!(matches!(read, Err(Damage::Version(7))), "{read:?}");
    }

    #[test]
    fn data_after_the_end_line_is_rejected() {
        let read = read(&[&*written(), b"\n"].concat()[..]);
        assert!(matches!(read, Err(Damage::Line { line: 5, .. })), "{read:?}");
    }

    #[test]
    fn endless_line_is_rejected() {
        let read = read(&[b'x'; 1 << 20][..]);
        assert!(matches!(read, Err(Damage::Line { line: 1, .. })), "{read:?}");
    }
}
