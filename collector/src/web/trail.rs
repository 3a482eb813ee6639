//! What a stream remembers of one agent while its page is open.

use std::collections::{HashMap, VecDeque};

use super::devices::{Devices, Traffic};
use super::headline::HeadlineValues;
use crate::clock::Millis;

/// Maximum number of points: five minutes of reports a second, 10 kB.
const KEPT: usize = 300;

/// The headline values and the traffic of an agent since its page was opened.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    points: VecDeque<(Millis, HeadlineValues)>,
    /// Traffic by interface, and when it was reported.
    before: Option<(Millis, HashMap<String, Traffic>)>,
}

impl Trail {
    /// Adds the values of a report, and sets the rates of the interfaces since the one before.
    pub(super) fn add(&mut self, at: Millis, values: HeadlineValues, devices: &mut Devices) {
        if self.points.len() == KEPT {
            self.points.pop_front();
        }
        self.points.push_back((at, values));
        if let Some((then, traffic)) = &self.before {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53 within an interval")]
            let seconds = at.saturating_sub(*then).max(1) as f64 / 1e3;
            for own in &mut devices.interfaces {
                own.rate =
                    traffic.get(&own.name).and_then(|then| rate(*then, own.traffic, seconds));
            }
        }
        let traffic = devices.interfaces.iter().map(|own| (own.name.clone(), own.traffic));
        self.before = Some((at, traffic.collect()));
    }

    /// Returns the times and values of a headline, the oldest first.
    pub(crate) fn points(&self, headline: usize) -> Vec<(Millis, f64)> {
        let points = self.points.iter().map(|(at, values)| (*at, values[headline]));
        points.filter(|(_, value)| value.is_finite()).collect()
    }
}

/// Returns bytes a second; `None` if a counter was reset.
fn rate(then: Traffic, now: Traffic, seconds: f64) -> Option<Traffic> {
    let received = (now.received - then.received) / seconds;
    let sent = (now.sent - then.sent) / seconds;
    (received >= 0.0 && sent >= 0.0).then_some(Traffic { received, sent })
}

#[cfg(test)]
mod tests {
    use super::super::devices::Interface;
    use super::*;

    fn devices(received: f64) -> Devices {
        let traffic = Traffic { received, sent: 0.0 };
        let own = Interface { name: "eth0".to_owned(), traffic, ..Interface::default() };
        Devices { interfaces: vec![own], ..Devices::default() }
    }

    #[test]
    fn rate_is_that_between_two_reports_and_absent_after_a_reset() {
        let mut trail = Trail::default();
        let mut add = |at, received| {
            let mut devices = devices(received);
            trail.add(at, [0.5; 3], &mut devices);
            devices.interfaces[0].rate.map(|rate| rate.received)
        };
        assert_eq!(
            [add(1_000, 100.0), add(3_000, 300.0), add(4_000, 0.0)],
            [None, Some(100.0), None]
        );
    }

    #[test]
    fn page_that_is_open_for_days_keeps_the_newest_points() {
        let mut trail = Trail::default();
        for at in 0..100_000 {
            trail.add(at, [f64::NAN, 0.5, 0.5], &mut Devices::default());
        }
        assert_eq!(trail.points(0), []);
        let points = trail.points(1);
        assert_eq!((points.len(), points[KEPT - 1]), (KEPT, (99_999, 0.5)));
    }
}
