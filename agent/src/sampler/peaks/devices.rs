//! Increases of the counters of devices.

/// Maximum number of devices. Further ones do not count.
const MAX_DEVICES: usize = 10_000;
/// Number of readings after which devices are classified again: a network device may get a master.
const CLASS_READINGS: u32 = 60;

/// Whether a device counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// It is a physical device.
    Counts,
    /// It counts if there is no physical device.
    CountsInstead,
    /// Its bytes are those of another device, or never leave memory.
    Ignored,
}

/// The devices of the last reading and their counters.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// In ascending order of their names.
    list: Vec<Device>,
    readings: u32,
}

#[derive(Debug)]
struct Device {
    name: String,
    class: Class,
    counters: [u64; 2],
    seen: bool,
}

/// Increases of two counters, over all devices that count.
#[derive(Debug, Clone, Copy, Default)]
struct Increases {
    devices: usize,
    sums: [u64; 2],
}

impl Devices {
    /// Takes the counters of all devices. Returns the increases since the last reading, over all
    /// devices that count; `None` if none counts.
    ///
    /// A device that was not there before, or whose counter decreased, does not increase.
    pub(super) fn update<'a>(
        &mut self,
        read: impl Iterator<Item = (&'a str, [u64; 2])>,
        classify: impl Fn(&str) -> Class,
    ) -> Option<[u64; 2]> {
        self.readings = (self.readings + 1) % CLASS_READINGS;
        let classifies = self.readings == 0;
        self.list.iter_mut().for_each(|device| device.seen = false);
        let (mut physical, mut instead) = (Increases::default(), Increases::default());
        for (name, counters) in read {
            let Some((device, increase)) = self.device(name, counters, &classify) else { continue };
            // Interfaces of containers are many and never become physical.
            if classifies && device.class != Class::CountsInstead {
                device.class = classify(name);
            }
            match device.class {
                Class::Counts => physical.add(increase),
                Class::CountsInstead => instead.add(increase),
                Class::Ignored => {}
            }
        }
        self.list.retain(|device| device.seen);
        let counted = if physical.devices > 0 { physical } else { instead };
        (counted.devices > 0).then_some(counted.sums)
    }

    /// Returns the device with this name, and the increases of its counters. `None` if there are
    /// too many devices.
    fn device(
        &mut self,
        name: &str,
        counters: [u64; 2],
        classify: impl Fn(&str) -> Class,
    ) -> Option<(&mut Device, [u64; 2])> {
        let at = self.list.binary_search_by(|device| device.name.as_str().cmp(name));
        let at = match at {
            Ok(at) => at,
            Err(_) if self.list.len() >= MAX_DEVICES => return None,
            Err(at) => {
                let class = classify(name);
                let device = Device { name: name.to_owned(), class, counters, seen: true };
                self.list.insert(at, device);
                at
            }
        };
        let device = self.list.get_mut(at)?;
        let before = std::mem::replace(&mut device.counters, counters);
        device.seen = true;
        let increase = |at: usize| counters[at].saturating_sub(before[at]);
        Some((device, [increase(0), increase(1)]))
    }
}

impl Increases {
    fn add(&mut self, increase: [u64; 2]) {
        self.devices += 1;
        for (sum, increase) in self.sums.iter_mut().zip(increase) {
            *sum = sum.saturating_add(increase);
        }
    }
}
