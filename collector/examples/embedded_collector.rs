//! Runs a collector inside another program.
//!
//! ```text
//! cargo run -p fleetgauge-collector --example embedded_collector -- 127.0.0.1:45678 127.0.0.1:1234
//! ```
//!
//! Agents connect to the first address; Prometheus scrapes `http://127.0.0.1:1234/metrics`.

use fleetgauge_collector::{Config, Listeners, run};
use tokio::sync::oneshot;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let mut address = |default: &str| args.next().unwrap_or_else(|| default.to_owned()).parse();
    let config = Config {
        listen: vec![address("127.0.0.1:45678")?],
        http: address("127.0.0.1:1234")?,
        ..Config::default()
    };
    // Bind before anything else, so that a taken port is an error at start-up.
    let listeners = Listeners::bind(&config)?;

    // The collector runs as a task. It installs no signal handler and no logger: both belong to
    // the program.
    let (stop, stopped) = oneshot::channel::<()>();
    let collector = tokio::spawn(run(config, listeners, async {
        let _ = stopped.await;
    }));

    // The program's own work goes here.
    tokio::signal::ctrl_c().await?;

    // The collector asks its agents to leave before it returns.
    let _ = stop.send(());
    collector.await??;
    Ok(())
}
