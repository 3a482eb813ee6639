//! The worker's side of the talk with its parent, around an [`Engine`].

use std::io::{self, BufRead, Write};
use std::thread;

use anyhow::Context;

use crate::engine::{Engine, Handle, Marked};
use crate::orders::{Command, Event, Order};
use crate::room;

/// Reads an order from standard input, carries it out, and ends when the input does.
///
/// # Errors
/// An order or a command that cannot be read; the system's.
pub fn work() -> anyhow::Result<()> {
    room::raise_file_limit()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let order: Order = serde_json::from_str(&line).context("the order cannot be read")?;
    let hosts = Marked::new(&order)?;
    let (engine, handle) = Engine::new(order, hosts, say)?;
    let listening = thread::Builder::new().spawn(move || listen(&handle))?;
    engine.run()?;
    listening.join().map_err(|_| anyhow::anyhow!("listening has failed"))?
}

/// Passes commands on until the input ends.
fn listen(engine: &Handle) -> anyhow::Result<()> {
    let heard = pass_on(engine);
    engine.end();
    heard
}

fn pass_on(engine: &Handle) -> anyhow::Result<()> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        let command: Command = serde_json::from_str(&line).context("a command cannot be read")?;
        engine.tell(command);
    }
    Ok(())
}

fn say(event: Event) {
    let mut line = serde_json::to_vec(&event).unwrap_or_default();
    line.push(b'\n');
    // A parent that is gone has closed the input too.
    let _ = io::stdout().lock().write_all(&line);
}
