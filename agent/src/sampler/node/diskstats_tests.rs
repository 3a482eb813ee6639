use super::*;
use crate::sampler::node::testing::{Fixture, Reader};

/// A line of a kernel since 5.5, with a disk, a partition, a loop device and a logical volume.
const DISKSTATS: &str = "   8       0 sda 10 2 300 1500 20 4 600 2500 3 3500 4001 5 6 7 8000 9 250
   8       1 sda1 1 0 8 1 0 0 0 0 0 1 1 0 0 0 0 0 0
   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
 253       0 dm-0 1 0 8 1 0 0 0 0 0 1 1 0 0 0 0 0 0
";

fn of<'a>(samples: &'a [String], part: &str) -> Vec<&'a str> {
    samples.iter().map(String::as_str).filter(|line| line.contains(part)).collect()
}

#[test]
fn statistics_are_in_bytes_and_seconds() {
    let fixture = Fixture::new();
    fixture.file("proc/diskstats", DISKSTATS);
    let samples = fixture.samples(&COLLECTOR);
    assert_eq!(
        of(&samples, "{device=\"sda\"}"),
        [
            "node_disk_discard_time_seconds_total{device=\"sda\"} 8",
            "node_disk_discarded_sectors_total{device=\"sda\"} 7",
            "node_disk_discards_completed_total{device=\"sda\"} 5",
            "node_disk_discards_merged_total{device=\"sda\"} 6",
            "node_disk_flush_requests_time_seconds_total{device=\"sda\"} 0.25",
            "node_disk_flush_requests_total{device=\"sda\"} 9",
            "node_disk_io_now{device=\"sda\"} 3",
            "node_disk_io_time_seconds_total{device=\"sda\"} 3.5",
            "node_disk_io_time_weighted_seconds_total{device=\"sda\"} 4.001",
            "node_disk_read_bytes_total{device=\"sda\"} 153600",
            "node_disk_read_time_seconds_total{device=\"sda\"} 1.5",
            "node_disk_reads_completed_total{device=\"sda\"} 10",
            "node_disk_reads_merged_total{device=\"sda\"} 2",
            "node_disk_write_time_seconds_total{device=\"sda\"} 2.5",
            "node_disk_writes_completed_total{device=\"sda\"} 20",
            "node_disk_writes_merged_total{device=\"sda\"} 4",
            "node_disk_written_bytes_total{device=\"sda\"} 307200",
        ]
    );
    assert_eq!(of(&samples, "loop0").len() + of(&samples, "sda1").len(), 0, "excluded by default");
    assert_eq!(
        of(&samples, "node_disk_info"),
        [
            "node_disk_info{device=\"dm-0\",major=\"253\",minor=\"0\",rotational=\"0\"} 1",
            "node_disk_info{device=\"sda\",major=\"8\",minor=\"0\",rotational=\"0\"} 1",
        ]
    );
    assert_eq!(samples.len(), 2 * 18);
}

#[test]
fn older_kernels_have_fewer_statistics_and_short_lines_are_skipped() {
    let fixture = Fixture::new();
    for (statistics, expected) in
        [(7, 0), (10, 0), (11, 11), (14, 11), (15, 15), (17, 17), (25, 17)]
    {
        fixture.file("proc/diskstats", &format!("8 0 sda{}\n\n8\n", " 1".repeat(statistics)));
        let samples = fixture.samples(&COLLECTOR);
        assert_eq!(of(&samples, "{device=\"sda\"}").len(), expected, "{statistics}");
    }
}

#[test]
fn missing_file_and_lines_that_are_no_numbers_are_errors() {
    let fixture = Fixture::new();
    let mut reader = fixture.reader(&COLLECTOR);
    reader.error();
    for line in [
        &b"8 0 sda 1 2 x 4 5 6 7 8 9 10 11"[..],
        b"a 0 sda 1 2 3 4 5 6 7 8 9 10 11",
        b"8 -1 sda 1 2 3 4 5 6 7 8 9 10 11",
        b"8 0 sda 1 2 3 4 5 6 7 8 9 10 99999999999999999999",
        b"\xff\x00\xfe sda \x01 2 3 4 5 6 7 8 9 10 11",
    ] {
        fixture.bytes("proc/diskstats", line);
        reader.error();
    }
    fixture.file("proc/diskstats", DISKSTATS);
    assert_eq!(reader.samples().len(), 2 * 18);
}

#[test]
fn include_and_exclude_select_devices() {
    let fixture = Fixture::new();
    fixture.file("proc/diskstats", DISKSTATS);
    let devices = |values: &[(&str, &str)]| {
        let samples = Reader::new(&COLLECTOR, &fixture.options_with(values)).samples();
        let samples = of(&samples, "node_disk_io_now");
        samples.iter().map(|line| line.split('"').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(devices(&[("diskstats.device-exclude", "^(sda|dm)")]), ["loop0"]);
    let include = ("diskstats.device-include", "^sd");
    assert_eq!(devices(&[include]), ["sda", "sda1"], "it replaces the default of the other one");
    assert_eq!(devices(&[include, ("diskstats.device-exclude", "1$")]), ["sda"]);
}

#[test]
fn udev_data_becomes_labels() {
    let fixture = Fixture::new();
    fixture.file("proc/diskstats", DISKSTATS);
    fixture.file("sys/block/sda/queue/rotational", "1\n");
    fixture.file(
        "udev/b8:0",
        "E:ID_PATH=pci-0000:00:1f.2-ata-1\nE:ID_WWN=0x5000\nE:ID_MODEL=MODEL_\"A\"\n\
         E:ID_SERIAL=MODEL_X\nE:ID_SERIAL_SHORT=X\nE:ID_REVISION=1.0\nE:ID_ATA=1\n\
         E:ID_ATA_WRITE_CACHE=1\nE:ID_ATA_WRITE_CACHE_ENABLED=no\n\
         E:ID_ATA_ROTATION_RATE_RPM=7200\n",
    );
    fixture.file(
        "udev/b253:0",
        "E:DM_NAME=vg-root\nE:DM_UUID=LVM-1\nE:DM_VG_NAME=vg\nE:DM_LV_NAME=root\n\
         E:ID_ATA_WRITE_CACHE=1\n\
         E:ID_FS_TYPE=ext4\nE:ID_FS_USAGE=filesystem\nE:ID_FS_UUID=1f-2\nE:ID_FS_VERSION=1.0\n",
    );
    let samples = fixture.samples(&COLLECTOR);
    assert_eq!(
        of(&samples, "_info{"),
        [
            "node_disk_device_mapper_info{device=\"dm-0\",lv_name=\"root\",name=\"vg-root\",\
             uuid=\"LVM-1\",vg_name=\"vg\"} 1",
            "node_disk_filesystem_info{device=\"dm-0\",type=\"ext4\",usage=\"filesystem\",\
             uuid=\"1f-2\",version=\"1.0\"} 1",
            "node_disk_info{device=\"dm-0\",major=\"253\",minor=\"0\",rotational=\"0\"} 1",
            "node_disk_info{device=\"sda\",major=\"8\",minor=\"0\",model=\"MODEL_\\\"A\\\"\",\
             path=\"pci-0000:00:1f.2-ata-1\",revision=\"1.0\",rotational=\"1\",serial=\"X\",\
             wwn=\"0x5000\"} 1",
        ]
    );
    assert_eq!(
        of(&samples, "_ata_"),
        [
            "node_disk_ata_rotation_rate_rpm{device=\"sda\"} 7200",
            "node_disk_ata_write_cache{device=\"sda\"} 1",
        ],
        "only of ATA disks, and only numbers"
    );
}

#[test]
fn udev_data_is_read_when_devices_change_and_then_rarely() {
    let fixture = Fixture::new();
    let line = |number, name| format!("8 {number} {name}{}\n", " 1".repeat(17));
    fixture.file("proc/diskstats", &line(0, "sda"));
    let mut reader = fixture.reader(&COLLECTOR);
    let models = |reader: &mut Reader| {
        let samples = reader.samples();
        let model =
            |line: &&str| line.split("model=\"").nth(1)?.split('"').next().map(str::to_owned);
        of(&samples, "node_disk_info").iter().map(model).collect::<Vec<_>>()
    };
    let some = |model: &str| Some(model.to_owned());
    assert_eq!(models(&mut reader), [None]);
    fixture.file("udev/b8:0", "E:ID_MODEL=A\n");
    assert_eq!(models(&mut reader), [some("A")], "udev may be later than the kernel");
    fixture.file("udev/b8:0", "E:ID_MODEL=B\n");
    for _ in 1..INFO_READINGS {
        assert_eq!(models(&mut reader), [some("A")]);
    }
    assert_eq!(models(&mut reader), [some("B")]);

    fixture.file("udev/b8:16", "E:ID_MODEL=C\n");
    fixture.file("proc/diskstats", &(line(16, "sdb") + &line(0, "sda")));
    assert_eq!(models(&mut reader), [some("B"), some("C")]);
    fixture.file("proc/diskstats", &line(16, "sdb"));
    assert_eq!(models(&mut reader), [some("C")], "the device and its labels are gone");
}

#[test]
fn names_with_slashes_are_found_in_sysfs() {
    let fixture = Fixture::new();
    let line = |name| format!("104 0 {name}{}\n", " 1".repeat(11));
    fixture.file("proc/diskstats", &(line("cciss/c0d0") + &line("../../x")));
    fixture.file("sys/block/cciss!c0d0/queue/rotational", "1\n");
    fixture.file("x/queue/rotational", "1\n");
    let samples = fixture.samples(&COLLECTOR);
    assert_eq!(
        of(&samples, "_info"),
        [
            "node_disk_info{device=\"../../x\",major=\"104\",minor=\"0\",rotational=\"0\"} 1",
            "node_disk_info{device=\"cciss/c0d0\",major=\"104\",minor=\"0\",rotational=\"1\"} 1",
        ]
    );
}
