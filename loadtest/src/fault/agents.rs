//! A proxy that changes what agents tell the collector.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use fleetgauge_proto::message::Hello;
use fleetgauge_proto::{Accept, Frame, FrameBuffer, Message, VERSION};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Fault, ONE_IN, PageHooks};

/// Size of the copy buffer, in bytes.
const PIECE_BYTES: usize = 4_096;

/// Number of connections that pass the gate.
const GATE_CONNECTIONS: u32 = 40;

/// Maximum Hello that is read, in bytes: this proxy must not be the victim of a memory attack.
const MAX_HELLO_BYTES: usize = 64 * 1024;

/// Host nonce of every agent that was seen.
type KnownHosts = Arc<Mutex<HashMap<String, [u8; 16]>>>;

/// Accepts agents in place of the collector at `upstream`.
pub(super) async fn serve(
    listener: TcpListener,
    upstream: SocketAddr,
    fault: Fault,
    hooks: Arc<PageHooks>,
) {
    let (known_hosts, mut accepted) = (KnownHosts::default(), 0);
    while let Ok((agent, _)) = listener.accept().await {
        accepted += 1;
        if fault == Fault::Gate && accepted > GATE_CONNECTIONS {
            continue;
        }
        let (known_hosts, hooks, connection) =
            (Arc::clone(&known_hosts), Arc::clone(&hooks), accepted);
        // Closing one side closes the other.
        tokio::spawn(async move {
            tokio::select! {
                passed = pass(agent, upstream, fault, &known_hosts, &hooks) => drop(passed),
                () = is_cut(&hooks, connection), if fault == Fault::Cut => {}
            }
        });
    }
}

/// Waits for the page that closes this connection.
async fn is_cut(hooks: &PageHooks, connection: u32) {
    let mut pages = hooks.pages.subscribe();
    let cut = pages.wait_for(|pages| *pages > 0 && pages % ONE_IN == connection % ONE_IN);
    // Fails only if no more pages are made.
    let _ = cut.await;
}

async fn pass(
    mut agent: TcpStream,
    upstream: SocketAddr,
    fault: Fault,
    known_hosts: &KnownHosts,
    hooks: &PageHooks,
) -> io::Result<()> {
    let mut collector = TcpStream::connect(upstream).await?;
    agent.set_nodelay(true)?;
    collector.set_nodelay(true)?;
    let hello = read_hello(&mut agent).await?;
    collector.write_all(&rewrite_hello(&hello, fault, known_hosts)?).await?;
    let (mut from_agent, mut to_agent) = agent.split();
    let (mut from_collector, mut to_collector) = collector.split();
    tokio::select! {
        ended = copy(&mut from_agent, &mut to_collector, hooks) => ended,
        ended = copy(&mut from_collector, &mut to_agent, hooks) => ended,
    }
}

/// Reads the bytes of the first frame.
async fn read_hello(agent: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = [0; 8];
    agent.read_exact(&mut head).await?;
    let len = u32::from_le_bytes([head[4], head[5], head[6], 0]) as usize;
    if len > MAX_HELLO_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "Hello is too long"));
    }
    let mut hello = head.to_vec();
    hello.resize(head.len() + len, 0);
    agent.read_exact(&mut hello[head.len()..]).await?;
    Ok(hello)
}

/// The Hello that the collector receives in place of this one.
fn rewrite_hello(bytes: &[u8], fault: Fault, known_hosts: &KnownHosts) -> io::Result<Vec<u8>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let (mut frames, mut input) = (FrameBuffer::default(), bytes);
    let accept = Accept { version: VERSION, max_payload_bytes: u32::MAX };
    let frame: Option<Frame<'_>> = frames.next(&mut input, accept).map_err(io::Error::other)?;
    let message = Message::decode(frame.ok_or_else(|| invalid("incomplete frame"))?);
    let Ok(Message::Hello(hello)) = message else { return Err(invalid("not a Hello")) };
    let mut known_hosts = known_hosts.lock().unwrap_or_else(PoisonError::into_inner);
    let first = *known_hosts.entry(hello.agent_id.to_owned()).or_insert(hello.host_nonce);
    if fault == Fault::OneHost && first != hello.host_nonce {
        return Err(invalid("another host"));
    }
    let host_nonce = if fault == Fault::SameHost { first } else { hello.host_nonce };
    let mut encoded = Vec::new();
    let result = Message::Hello(Hello { host_nonce, ..hello }).encode(VERSION, &mut encoded);
    result.map_err(io::Error::other)?;
    Ok(encoded)
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    hooks: &PageHooks,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = from.read(&mut piece).await?;
        if read == 0 {
            return Ok(());
        }
        let _open = hooks.gate.read().await;
        to.write_all(&piece[..read]).await?;
    }
}
