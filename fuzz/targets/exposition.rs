//! Runs [`fleetgauge_fuzz::exposition`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fleetgauge_fuzz::exposition::check(data));
