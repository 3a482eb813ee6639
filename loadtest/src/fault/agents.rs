//! A collector that is told something else about its agents than they said.

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

use super::{Fault, Link, ONE_IN};

/// Room for what is passed on at once, in bytes.
const PIECE_BYTES: usize = 4_096;

/// So many connections pass the gate.
const GATE_CONNECTIONS: u32 = 40;

/// Where the attackers of `hostile` come from: 127.66.0.0/16.
const ATTACKERS: [u8; 2] = [127, 66];
/// While so many of them are connected, what honest agents say is held back for so long, and then
/// passed on for so long.
const SOME_ATTACKERS: usize = 5;
const HELD: Duration = Duration::from_millis(600);
const PASSED: Duration = Duration::from_millis(400);

/// Longest Hello that is read, in bytes: the memory of attackers is not what is planted here.
const MAX_HELLO_BYTES: usize = 64 * 1024;

/// The host of every agent that was seen.
type Hosts = Arc<Mutex<HashMap<String, [u8; 16]>>>;

/// Takes agents in place of the collector at `honest`.
pub(super) async fn serve(
    listener: TcpListener,
    honest: SocketAddr,
    fault: Fault,
    link: Arc<Link>,
) {
    let (hosts, mut taken) = (Hosts::default(), 0);
    if fault == Fault::HeldUp {
        tokio::spawn(hold_up(Arc::clone(&link)));
    }
    while let Ok((agent, from)) = listener.accept().await {
        taken += 1;
        if fault == Fault::Gate && taken > GATE_CONNECTIONS {
            continue;
        }
        let (hosts, link, number) = (Arc::clone(&hosts), Arc::clone(&link), taken);
        if fault == Fault::HeldUp {
            tokio::spawn(async move { pass_unchanged(agent, from.ip(), honest, &link).await });
            continue;
        }
        // What ends one side ends the other.
        tokio::spawn(async move {
            tokio::select! {
                passed = pass(agent, honest, fault, &hosts, &link) => drop(passed),
                () = is_cut(&link, number), if fault == Fault::Cut => {}
            }
        });
    }
}

/// Waits for the page with which the connection of this number is closed.
async fn is_cut(link: &Link, number: u32) {
    let mut pages = link.pages.subscribe();
    let cut = pages.wait_for(|pages| *pages > 0 && pages % ONE_IN == number % ONE_IN);
    // It fails only if no more pages are made.
    let _ = cut.await;
}

async fn pass(
    mut agent: TcpStream,
    honest: SocketAddr,
    fault: Fault,
    hosts: &Hosts,
    link: &Link,
) -> io::Result<()> {
    let mut collector = TcpStream::connect(honest).await?;
    agent.set_nodelay(true)?;
    collector.set_nodelay(true)?;
    let hello = read_hello(&mut agent).await?;
    collector.write_all(&retell(&hello, fault, hosts)?).await?;
    let (mut from_agent, mut to_agent) = agent.split();
    let (mut from_collector, mut to_collector) = collector.split();
    tokio::select! {
        ended = copy(&mut from_agent, &mut to_collector, Some(&link.gate)) => ended,
        ended = copy(&mut from_collector, &mut to_agent, Some(&link.gate)) => ended,
    }
}

/// Shuts the gate again and again while there are attackers.
async fn hold_up(link: Arc<Link>) {
    loop {
        sleep(PASSED).await;
        if link.attackers.load(Ordering::Relaxed) >= SOME_ATTACKERS {
            let _shut = link.gate.write().await;
            sleep(HELD).await;
        }
    }
}

/// An attacker that is connected.
struct Attacker<'a>(&'a AtomicUsize);

impl<'a> Attacker<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Attacker<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Passes everything on, from the address that it comes from: the collector must know attackers by
/// theirs. What honest agents say waits at the gate.
async fn pass_unchanged(
    mut agent: TcpStream,
    from: IpAddr,
    honest: SocketAddr,
    link: &Link,
) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let mut collector = socket.connect(honest).await?;
    agent.set_nodelay(true)?;
    collector.set_nodelay(true)?;
    let is_attacker = matches!(from, IpAddr::V4(from) if from.octets().starts_with(&ATTACKERS));
    let _counted = is_attacker.then(|| Attacker::new(&link.attackers));
    let gate = (!is_attacker).then_some(&link.gate);
    let (mut from_agent, mut to_agent) = agent.split();
    let (mut from_collector, mut to_collector) = collector.split();
    tokio::select! {
        ended = copy(&mut from_agent, &mut to_collector, gate) => ended,
        ended = copy(&mut from_collector, &mut to_agent, None) => ended,
    }
}

/// The bytes of the first frame.
async fn read_hello(agent: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = [0; 8];
    agent.read_exact(&mut head).await?;
    let len = u32::from_le_bytes([head[4], head[5], head[6], 0]) as usize;
    if len > MAX_HELLO_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than any Hello"));
    }
    let mut hello = head.to_vec();
    hello.resize(head.len() + len, 0);
    agent.read_exact(&mut hello[head.len()..]).await?;
    Ok(hello)
}

/// What the collector is told in place of this Hello.
fn retell(bytes: &[u8], fault: Fault, hosts: &Hosts) -> io::Result<Vec<u8>> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let (mut frames, mut input) = (FrameBuffer::default(), bytes);
    let accept = Accept { version: VERSION, max_payload_bytes: u32::MAX };
    let frame: Option<Frame<'_>> = frames.next(&mut input, accept).map_err(io::Error::other)?;
    let message = Message::decode(frame.ok_or_else(|| broken("half a frame"))?);
    let Ok(Message::Hello(hello)) = message else { return Err(broken("no Hello")) };
    let mut hosts = hosts.lock().unwrap_or_else(PoisonError::into_inner);
    let first = *hosts.entry(hello.agent_id.to_owned()).or_insert(hello.host_nonce);
    if fault == Fault::OneHost && first != hello.host_nonce {
        return Err(broken("another host"));
    }
    let host_nonce = if fault == Fault::SameHost { first } else { hello.host_nonce };
    let mut told = Vec::new();
    let retold = Message::Hello(Hello { host_nonce, ..hello }).encode(VERSION, &mut told);
    retold.map_err(io::Error::other)?;
    Ok(told)
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
