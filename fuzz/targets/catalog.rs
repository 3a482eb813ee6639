//! Runs [`fleetgauge_fuzz::catalog`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fleetgauge_fuzz::catalog::check(data));
