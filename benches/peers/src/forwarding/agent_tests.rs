use tokio::net::TcpListener;

use super::*;

const INTERVAL: Duration = Duration::from_millis(100);

/// Asserts that an agent takes every sample when it is due. Time is paused.
async fn assert_samples_on_schedule(collector: SocketAddr) {
    let offered = Arc::new(Offered::new(1, INTERVAL, false));
    let (own, first) = (Arc::clone(&offered), tokio::time::Instant::now());
    let agent = Agent::new(0, FleetKind::Wide, vec![collector], own, INTERVAL, first).unwrap();
    let run = tokio::spawn(agent.run());
    for samples in 1..200 {
        sleep_until(first + INTERVAL * (samples - 1) + INTERVAL / 2).await;
        assert_eq!(offered.newest(0), u64::from(samples));
    }
    assert!(!run.is_finished());
    let times = offered.times(0);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 100), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn agent_samples_on_schedule_while_its_collector_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    assert_samples_on_schedule(closed).await;
}

#[tokio::test(start_paused = true)]
async fn agent_samples_on_schedule_while_its_collector_does_not_respond() {
    // The connection waits in the queue of the listener.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert_samples_on_schedule(silent.local_addr().unwrap()).await;
}
