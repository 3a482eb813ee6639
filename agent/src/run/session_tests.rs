use std::pin::pin;
use std::task::Poll;

use fleetgauge_proto::AgentId;
use tokio::net::TcpStream;

use super::*;
use crate::config::Config;
use crate::identity::{Host, IdSource};
use crate::run::fake_address::Address;
use crate::run::socket::Socket;

/// More bytes than the socket buffers of both ends hold.
const MANY_BYTES: usize = 64 << 20;

/// Returns an agent's connection, and the collector's end of it.
async fn connected() -> (Connection<'static>, TcpStream) {
    let address = Address::bind().await;
    let stream = TcpStream::connect(address.at()).await.unwrap();
    let transport = Transport::Plain(Socket::new(stream));
    let peer = address.0.accept().await.unwrap().0;
    (Connection { transport, address: address.at(), token: None }, peer)
}

#[tokio::test]
async fn agent_stops_while_the_collector_accepts_no_bytes() {
    let id = IdSource::Given(AgentId::try_new("web-1").unwrap());
    let agent = Agent::new(&Config { id, ..Config::default() }, &Host::default()).unwrap();
    let (credentials, mut client) = (Credentials::default(), Client::default());
    let mut log = RetryLog::new(false);
    let (connection, _peer) = connected().await;
    let now = Instant::now();
    let mut session = Session::new(
        connection,
        &agent.collector,
        &agent,
        &credentials,
        &mut client,
        now,
        &mut log,
    );
    session.out.frames = vec![0; MANY_BYTES];
    let plan = SamplingPlan {
        id: agent.profile.id.clone(),
        interval: agent.profile.interval,
        metrics: agent.metrics,
    };
    let (mut samples, plan) = (watch::channel(None).1, watch::channel(plan).0);
    // The session is polled a second time after it has written what the sockets hold.
    let mut polled = false;
    let shutdown = pin!(std::future::poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }));
    let mut control = Control::new(shutdown, None);
    let end = session.run(&mut samples, &plan, &mut control).await;
    assert!(matches!(end, SessionEnd::Command(Command::Stop)));
}
