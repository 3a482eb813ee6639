//! A proxy that changes what agents send to the collector.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fleetgauge_proto::message::Hello;
use fleetgauge_proto::{Accept, Frame, FrameBuffer, Message, VERSION};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::RwLock;
use tokio::time::sleep;

use super::{Fault, ONE_IN, PageHooks};

/// Size of the copy buffer, in bytes.
const PIECE_BYTES: usize = 4_096;

/// Number of connections that the proxy accepts with [`Fault::Gate`].
const GATE_CONNECTIONS: u32 = 40;

/// Network of the attackers of `hostile`: 127.66.0.0/16.
const ATTACKERS: [u8; 2] = [127, 66];
/// While this many attackers are connected, the bytes of honest agents are delayed.
const MIN_ATTACKERS: usize = 5;
/// Time for which the proxy holds up the bytes of honest agents.
const HELD_UP: Duration = Duration::from_millis(600);
/// Time between two hold-ups, in which the proxy forwards all bytes.
const FORWARDED: Duration = Duration::from_millis(400);

/// Maximum size of a Hello, in bytes. It protects this proxy from memory attacks.
const MAX_HELLO_BYTES: usize = 64 * 1024;

/// The first host nonce of each agent id.
type KnownHosts = Arc<Mutex<HashMap<String, [u8; 16]>>>;

/// Proxies agent connections to the collector at `upstream`, with this fault.
pub(super) async fn serve(
    listener: TcpListener,
    upstream: SocketAddr,
    fault: Fault,
    hooks: Arc<PageHooks>,
) {
    let (known_hosts, mut accepted) = (KnownHosts::default(), 0);
    if fault == Fault::HeldUp {
        tokio::spawn(hold_up(Arc::clone(&hooks)));
    }
    while let Ok((agent, from)) = listener.accept().await {
        accepted += 1;
        if fault == Fault::Gate && accepted > GATE_CONNECTIONS {
            continue;
        }
        let (known_hosts, hooks, connection) =
            (Arc::clone(&known_hosts), Arc::clone(&hooks), accepted);
        if fault == Fault::HeldUp {
            tokio::spawn(async move { pass_unchanged(agent, from.ip(), upstream, &hooks).await });
            continue;
        }
        // Closing one side closes the other.
        tokio::spawn(async move {
            tokio::select! {
                passed = pass(agent, upstream, fault, &known_hosts, &hooks) => drop(passed),
                () = is_cut(&hooks, connection), if fault == Fault::Cut => {}
            }
        });
    }
}

/// Completes at the next page at which [`Fault::Cut`] closes this connection.
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
        ended = copy(&mut from_agent, &mut to_collector, Some(&hooks.gate)) => ended,
        ended = copy(&mut from_collector, &mut to_agent, Some(&hooks.gate)) => ended,
    }
}

/// Closes and opens the gate repeatedly while there are attackers.
async fn hold_up(hooks: Arc<PageHooks>) {
    loop {
        sleep(FORWARDED).await;
        if hooks.attackers.load(Ordering::Relaxed) >= MIN_ATTACKERS {
            let _closed = hooks.gate.write().await;
            sleep(HELD_UP).await;
        }
    }
}

/// Counts an attacker while it is connected.
struct ConnectedAttacker<'a>(&'a AtomicUsize);

impl<'a> ConnectedAttacker<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for ConnectedAttacker<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Forwards all bytes unchanged, from the source address of the agent, so that the collector's
/// limits per address apply to attackers. The bytes of honest agents wait at the gate.
async fn pass_unchanged(
    mut agent: TcpStream,
    from: IpAddr,
    upstream: SocketAddr,
    hooks: &PageHooks,
) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let mut collector = socket.connect(upstream).await?;
    agent.set_nodelay(true)?;
    collector.set_nodelay(true)?;
    let is_attacker = matches!(from, IpAddr::V4(from) if from.octets().starts_with(&ATTACKERS));
    let _counted = is_attacker.then(|| ConnectedAttacker::new(&hooks.attackers));
    let gate = (!is_attacker).then_some(&hooks.gate);
    let (mut from_agent, mut to_agent) = agent.split();
    let (mut from_collector, mut to_collector) = collector.split();
    tokio::select! {
        ended = copy(&mut from_agent, &mut to_collector, gate) => ended,
        ended = copy(&mut from_collector, &mut to_agent, None) => ended,
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

/// Returns the Hello that the proxy sends to the collector in place of this one.
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
    gate: Option<&RwLock<()>>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = from.read(&mut piece).await?;
        if read == 0 {
            return Ok(());
        }
        let _open = match gate {
            Some(gate) => Some(gate.read().await),
            None => None,
        };
        to.write_all(&piece[..read]).await?;
    }
}
