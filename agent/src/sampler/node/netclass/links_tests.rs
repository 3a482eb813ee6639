use super::*;
use crate::sampler::node::testing::Fixture;

/// A device that is up, but for the files.
fn eth0() -> Link<'static> {
    Link {
        index: 4,
        kind: 1,
        flags: 0x1_1043,
        name: "eth0".into(),
        alias: "up link\n".into(),
        mtu: Some(1500),
        operational_state: Some(6),
        promiscuity: Some(0),
        all_multicast: Some(0),
        carrier: Some(1),
        carrier_changes: Some(2),
        ..Link::default()
    }
}

fn number(link: &Link<'_>, files: &DeviceValues, attribute: Attribute) -> Option<f64> {
    interface(link, files).numbers.get(attribute)
}

#[test]
fn attributes_are_those_of_sysfs() {
    let (link, files) = (eth0(), DeviceValues::default());
    let read = interface(&link, &files);
    assert_eq!((read.name, read.alias, read.operational_state), ("eth0", "up link", "up"));
    assert_eq!(number(&link, &files, Attribute::Link), Some(4.0), "the device itself");
    assert_eq!(number(&link, &files, Attribute::Carrier), Some(1.0));
    assert_eq!(number(&link, &files, Attribute::Dormant), Some(0.0));
    assert_eq!(number(&link, &files, Attribute::CarrierUpChanges), None, "an old kernel");
    let mut address = "old".to_owned();
    write_address(&[2, 0xfc, 0], &mut address);
    assert_eq!(address, "02:fc:00");
    write_address(&[], &mut address);
    assert_eq!(address, "", "a tunnel has no address");
}

#[test]
fn device_that_is_down_has_neither_carrier_nor_dormant() {
    let link = Link { flags: 0x1002, operational_state: Some(99), ..eth0() };
    let files = DeviceValues::default();
    assert_eq!(number(&link, &files, Attribute::Carrier), None);
    assert_eq!(number(&link, &files, Attribute::Dormant), None);
    assert_eq!(interface(&link, &files).operational_state, "");
}

#[test]
fn flags_are_those_of_sysfs() {
    let read = |link: &Link<'_>| flags(link, false);
    assert_eq!(read(&eth0()), 0x1003);
    let by_bridge = Link { promiscuity: Some(1), all_multicast: Some(2), ..eth0() };
    assert_eq!(read(&by_bridge), 0x1303);
    let dormant = Link { flags: 0x2_1003, ..eth0() };
    assert_eq!(read(&dormant), 0x1003);
    let old_kernel = Link { all_multicast: None, ..eth0() };
    assert_eq!(flags(&old_kernel, true), 0x1203, "as its file says");
}

#[test]
fn files_are_read_again_when_the_device_changes() {
    let fixture = Fixture::new();
    let files = [("speed", "1000\n"), ("duplex", "full\n"), ("dev_id", "0x1\n")];
    fixture.files("sys/class/net/eth0", &files);
    let mut cache = FileCache::new(&fixture.options());
    let mut read = |link: &Link<'_>| {
        cache.start();
        let values = cache.read(link);
        let get = |attribute| values.numbers.get(attribute);
        let read = (get(Attribute::Speed), get(Attribute::DeviceId), values.duplex.clone());
        cache.finish();
        read
    };
    assert_eq!(read(&eth0()), (Some(1000.0), Some(1.0), "full".to_owned()));
    fixture.files("sys/class/net/eth0", &[("speed", "10\n"), ("dev_id", "0x2\n")]);
    assert_eq!(read(&eth0()), (Some(10.0), Some(1.0), "full".to_owned()), "its turn");
    let changed = Link { carrier_changes: Some(3), ..eth0() };
    assert_eq!(read(&changed), (Some(10.0), Some(2.0), "full".to_owned()));
    let down = Link { flags: 0x1002, ..eth0() };
    assert_eq!(read(&down), (None, Some(2.0), String::new()));
    fixture.remove("sys/class/net/eth0");
    assert_eq!(read(&eth0()), (None, None, String::new()));
}

#[test]
fn many_devices_take_turns() {
    let fixture = Fixture::new();
    let count = 3 * TURNS_PER_READING;
    let name = |device: usize| format!("veth{device}");
    for device in 0..count {
        fixture.file(&format!("sys/class/net/{}/speed", name(device)), "1\n");
    }
    let mut cache = FileCache::new(&fixture.options());
    let mut read = || {
        cache.start();
        let mut speeds = 0.0;
        for device in 0..count {
            let index = i32::try_from(device).unwrap();
            let link = Link { index, name: name(device).into(), ..eth0() };
            speeds += cache.read(&link).numbers.get(Attribute::Speed).unwrap();
        }
        cache.finish();
        (speeds as usize, cache.devices.len())
    };
    assert_eq!(read(), (count, count), "all are new");
    for device in 0..count {
        fixture.file(&format!("sys/class/net/{}/speed", name(device)), "2\n");
    }
    let turn = TURNS_PER_READING;
    assert_eq!([read().0, read().0, read().0], [count + turn, count + 2 * turn, 2 * count]);
}

#[test]
fn removed_devices_are_forgotten() {
    let fixture = Fixture::new();
    let mut cache = FileCache::new(&fixture.options());
    cache.start();
    cache.read(&eth0());
    cache.finish();
    assert_eq!(cache.devices.len(), 1);
    cache.start();
    cache.finish();
    assert_eq!(cache.devices.len(), 0);
}
