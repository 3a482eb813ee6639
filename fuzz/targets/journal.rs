//! Runs [`fleetgauge_fuzz::journal`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fleetgauge_fuzz::journal::check(data));
