//! Runs [`fleetgauge_fuzz::report`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fleetgauge_fuzz::report::check(data));
