//! Runs [`fleetgauge_fuzz::credentials`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fleetgauge_fuzz::credentials::check(data));
