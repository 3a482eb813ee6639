//! Timer of the sampling schedule.
//!
//! A long sleep of tokio wakes the thread several times: its timer wheel moves the sleep to a finer
//! level before it expires. On an idle host each time costs a few percent of a sample. On Linux a
//! timer of the kernel wakes the thread once.

use std::time::{Duration, Instant};

use tokio::time::sleep_until;

#[cfg(target_os = "linux")]
use linux::KernelTimer;

/// Waits for ticks that are one interval apart.
#[derive(Debug)]
pub(super) struct TickTimer {
    /// `None` if the kernel has no timer for the process, for example because of its limit on open
    /// files.
    #[cfg(target_os = "linux")]
    timer: Option<KernelTimer>,
}

impl TickTimer {
    /// Creates a timer. Needs a tokio runtime with I/O and time.
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "tokio's needs none"))]
    pub(super) fn new(first: Instant, interval: Duration) -> Self {
        Self {
            #[cfg(target_os = "linux")]
            timer: KernelTimer::new(first, interval).ok(),
        }
    }

    /// Waits until the tick at this time, which is the first one or whole intervals after it.
    /// Cancel-safe.
    pub(super) async fn wait(&self, tick: Instant) {
        #[cfg(target_os = "linux")]
        if let Some(timer) = &self.timer
            && timer.wait(tick).await.is_ok()
        {
            return;
        }
        sleep_until(tick.into()).await;
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::{Duration, Instant};

    use rustix::io::Errno;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// A timer that expires at the first tick, and then once in each interval.
    #[derive(Debug)]
    pub(super) struct KernelTimer(AsyncFd<OwnedFd>);

    impl KernelTimer {
        pub(super) fn new(first: Instant, interval: Duration) -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            // Zero would stop the timer.
            let wait = first.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
            let times = Itimerspec { it_value: timespec(wait)?, it_interval: timespec(interval)? };
            timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times)?;
            #[expect(deprecated, reason = "sound: an owned descriptor stays the same one")]
            let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
            Ok(Self(timer))
        }

        pub(super) async fn wait(&self, tick: Instant) -> io::Result<()> {
            while Instant::now() < tick {
                self.0.readable().await?.clear_ready();
                // The kernel starts the next interval when the number of expiries is read.
                match rustix::io::read(&self.0, &mut [0; 8]) {
                    Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        }
    }

    fn timespec(duration: Duration) -> io::Result<Timespec> {
        Timespec::try_from(duration).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_tick_is_waited_for() {
        let interval = Duration::from_millis(20);
        let first = Instant::now() + interval;
        let timer = TickTimer::new(first, interval);
        for number in 0..3 {
            let tick = first + interval * number;
            timer.wait(tick).await;
            assert!(Instant::now() >= tick);
        }
    }

    #[tokio::test]
    async fn past_and_missed_ticks_do_not_wait() {
        let interval = Duration::from_secs(3600);
        let now = Instant::now();
        let timer = TickTimer::new(now, interval);
        timer.wait(now).await;
        // The timer has expired once; this tick is before the next expiry.
        timer.wait(now + Duration::from_nanos(1)).await;
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn kernel_has_a_timer() {
        let now = Instant::now();
        assert!(TickTimer::new(now, Duration::from_secs(1)).timer.is_some());
        TickTimer { timer: None }.wait(now).await;
    }
}
