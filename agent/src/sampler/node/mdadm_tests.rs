use super::*;
use crate::sampler::node::testing::Fixture;
use crate::test_log::Log;

const MDSTAT: &str = "Personalities : [linear] [raid0] [raid1] [raid6] [raid5] [raid4] [raid10]
md0 : active raid1 sdb1[1] sda1[0]
      1047552 blocks super 1.2 [2/2] [UU]
      bitmap: 0/1 pages [0KB], 65536KB chunk, file: /check

md1 : active (auto-read-only) raid5 sde1[4](S) sdd1[3](F) sdc1[2] sdb2[1]
      2095104 blocks super 1.2 level 5, 512k chunk, algorithm 2 [3/2] [UU_]
      [==>..................]  recovery = 12.5% (130944/1047552) finish=0.1min speed=10912K/sec
      bitmap: 1/1 pages [4KB], 65536KB chunk

md2 : active raid0 sdf1[1] sdg1[0]
      4190208 blocks super 1.2 512k chunks

md3 : inactive sdh1[0](S)
      1048576 blocks super 1.2

md4 : active raid10 sdi[3] sdj[2] sdk[1] sdl[0]
      100 blocks super 1.2 512K chunks 2 near-copies [4/4] [UUUU]
      \tresync=DELAYED

unused devices: <none>
";

fn of(samples: &[String], device: &str) -> Vec<String> {
    let device = format!("device=\"{device}\"");
    let of_device = samples.iter().filter(|line| line.contains(&device));
    of_device
        .map(|line| line.replace(&format!("{device},"), "").replace(&format!("{{{device}}}"), ""))
        .collect()
}

/// Returns the state of an array with these lines after its first two.
fn state_and_synced(lines: &str) -> (Option<String>, String) {
    let fixture = Fixture::new();
    let array = "md0 : active raid1 a[0] b[1]\n      1000 blocks [2/2] [UU]\n";
    fixture.file("proc/mdstat", &(array.to_owned() + lines));
    let samples = fixture.samples(&COLLECTOR);
    let states: Vec<_> =
        samples.iter().filter(|l| l.starts_with("node_md_state") && l.ends_with(" 1")).collect();
    let state = states.first().map(|line| line.split('"').nth(3).unwrap().to_owned());
    assert!(states.len() <= 1);
    let synced = samples.iter().find(|line| line.contains("blocks_synced")).unwrap();
    (state, synced.rsplit(' ').next().unwrap().to_owned())
}

#[test]
fn arrays_have_disks_blocks_and_states() {
    let fixture = Fixture::new();
    fixture.file("proc/mdstat", MDSTAT);
    let samples = fixture.samples(&COLLECTOR);
    let expected = |disks: [u64; 3], numbers: [u64; 3], states: [u64; 5]| {
        let [active, failed, spare] = disks;
        let [required, blocks, synced] = numbers;
        let [is_active, inactive, recovering, resync, check] = states;
        [
            format!("node_md_blocks {blocks}"),
            format!("node_md_blocks_synced {synced}"),
            format!("node_md_disks_required {required}"),
            format!("node_md_disks{{state=\"active\"}} {active}"),
            format!("node_md_disks{{state=\"failed\"}} {failed}"),
            format!("node_md_disks{{state=\"spare\"}} {spare}"),
            format!("node_md_state{{state=\"active\"}} {is_active}"),
            format!("node_md_state{{state=\"check\"}} {check}"),
            format!("node_md_state{{state=\"inactive\"}} {inactive}"),
            format!("node_md_state{{state=\"recovering\"}} {recovering}"),
            format!("node_md_state{{state=\"resync\"}} {resync}"),
        ]
    };
    let sorted = |device| {
        let mut lines = of(&samples, device);
        lines.sort();
        lines
    };
    assert_eq!(sorted("md0"), expected([2, 0, 0], [2, 1_047_552, 1_047_552], [1, 0, 0, 0, 0]));
    assert_eq!(sorted("md1"), expected([2, 1, 1], [3, 2_095_104, 130_944], [0, 0, 1, 0, 0]));
    assert_eq!(sorted("md2"), expected([2, 0, 0], [2, 4_190_208, 4_190_208], [1, 0, 0, 0, 0]));
    assert_eq!(sorted("md3"), expected([0, 0, 1], [0, 1_048_576, 1_048_576], [0, 1, 0, 0, 0]));
    assert_eq!(sorted("md4"), expected([4, 0, 0], [4, 100, 0], [0, 0, 0, 1, 0]));
    assert_eq!(samples.len(), 5 * 11);
}

#[test]
fn progress_is_the_state() {
    let progress = |action| format!("      [>....]  {action} =  1.0% (10/1000) finish=1min\n");
    let some = |state: &str| Some(state.to_owned());
    assert_eq!(state_and_synced(""), (some("active"), "1000".into()));
    assert_eq!(state_and_synced(&progress("check")), (some("check"), "10".into()));
    assert_eq!(state_and_synced(&progress("resync")), (some("resync"), "10".into()));
    assert_eq!(state_and_synced(&progress("reshape")), (None, "10".into()));
    assert_eq!(state_and_synced("\tresync=PENDING\n"), (some("resync"), "0".into()));
    let bitmap = "      bitmap: 1/1 pages [4KB], file: /recovery\n";
    assert_eq!(state_and_synced(bitmap), (some("active"), "1000".into()));
    assert_eq!(state_and_synced(&(bitmap.to_owned() + &progress("recovery"))).1, "10");
}

#[test]
fn missing_file_is_nothing_found_and_broken_arrays_are_errors() {
    let fixture = Fixture::new();
    let mut reader = fixture.reader(&COLLECTOR);
    assert_eq!(reader.error(), SourceError::NothingFound);
    for text in [
        "md0 : active raid1 a[0] b[1]",
        "md0 : active raid1 a[0] b[1]\n\n      1000 blocks [2/2] [UU]\n",
        "md0 : active raid1 a[0] b[1]\n      1000 blocks\n",
        "md0 : active raid1 a[0] b[1]\n      x blocks [2/2] [UU]\n",
        "md0 : active raid1 a[0] b[1]\n      99999999999999999999999 blocks [2/2] [UU]\n",
        "md0 : active raid1 a[0] b[1]\n      1000 blocks [-2/2] [UU]\n",
        "md0 : \n",
    ] {
        fixture.file("proc/mdstat", text);
        reader.error();
    }
    for text in ["", "\0\u{1}", "Personalities : \nunused devices: <none>\n", " : x\n"] {
        fixture.file("proc/mdstat", text);
        assert_eq!(reader.samples(), Vec::<String>::new());
    }
}

#[test]
fn broken_array_costs_only_itself() {
    let fixture = Fixture::new();
    let log = Log::default();
    let _guard = log.install();
    let array =
        |name: &str, blocks| format!("{name} : active raid1 a[0]\n {blocks} blocks [2/1]\n");
    fixture.file("proc/mdstat", &(array("md0", "x") + &array("md1", "7") + "md2 : \n"));
    fixture.files("sys/block/md0/md", &[("level", "raid1\n"), ("degraded", "1\n")]);
    let samples = fixture.samples(&COLLECTOR);
    assert_eq!(of(&samples, "md1").len(), 11);
    assert_eq!(of(&samples, "md0"), ["node_md_degraded 1"]);
    assert_eq!(samples.len(), 12);
    let path = fixture.path("proc/mdstat");
    let cause = format!("{}: bad line \"md0 : active raid1 a[0]\"", path.display());
    assert!(log.lines()[0].ends_with(&cause), "{:?}", log.lines());
}

#[test]
fn sysfs_has_the_missing_disks() {
    let fixture = Fixture::new();
    fixture.file("proc/mdstat", "Personalities : [raid1]\n");
    let files = |device: &str, level: &str, degraded: &str, disks: &str| {
        let files = [("level", level), ("degraded", degraded), ("raid_disks", disks)];
        fixture.files(&format!("sys/block/{device}/md"), &files);
    };
    files("md0", "raid1\n", "1\n", "2\n");
    files("md1", "raid0\n", "7\n", "3\n");
    files("md127", "container\n", "\n", "\n");
    files("md5", "raid5\n", "x\n", "4 (3)\n");
    files("sda", "raid1\n", "1\n", "2\n");
    fixture.directory("sys/block/mdx");
    assert_eq!(
        fixture.samples(&COLLECTOR),
        [
            "node_md_degraded{device=\"md0\"} 1",
            "node_md_degraded{device=\"md1\"} 0",
            "node_md_degraded{device=\"md127\"} 0",
            "node_md_raid_disks{device=\"md0\"} 2",
            "node_md_raid_disks{device=\"md1\"} 3",
        ]
    );
}
