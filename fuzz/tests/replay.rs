//! Replays the committed inputs: the corpus, which covers the code, and inputs that found a bug.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fleetgauge_fuzz::TARGETS;

fn inputs(directory: &str, target: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory).join(target);
    let Ok(files) = std::fs::read_dir(&directory) else { return Vec::new() };
    let mut files: Vec<_> = files.map(|file| file.expect("a directory entry").path()).collect();
    files.sort();
    files
}

/// Runs a target on all its inputs in a directory. Returns their number.
fn replay(directory: &str, target: &str) -> usize {
    let check = TARGETS.iter().find(|(name, _)| *name == target).expect("a target").1;
    let inputs = inputs(directory, target);
    for input in &inputs {
        let data = std::fs::read(input).expect("the input is readable");
        let checked = catch_unwind(AssertUnwindSafe(|| check(&data)));
        assert!(checked.is_ok(), "{} fails; the panic is above", input.display());
    }
    inputs.len()
}

macro_rules! replayed {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                let inputs = replay("corpus", stringify!($target));
                assert!(inputs >= 10, "too few inputs: {inputs}");
                replay("regressions", stringify!($target));
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($target)),*];
            assert_eq!(TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>(), replayed);
        }
    };
}

replayed!(
    catalog claims config credentials exposition frame journal message proxy
    report rows scrape session
);

/// Every clone of the repository contains the corpora, so their total size is limited.
#[test]
fn corpora_are_small() {
    let files = TARGETS.iter().flat_map(|(target, _)| {
        inputs("corpus", target).into_iter().chain(inputs("regressions", target))
    });
    let bytes: u64 = files.map(|file| file.metadata().expect("a file").len()).sum();
    assert!(bytes < 200 * 1024, "{bytes} bytes; minimise them with fuzz/minimise");
}
