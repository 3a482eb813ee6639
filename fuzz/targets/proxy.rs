//! Runs [`fleetgauge_fuzz::proxy`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fleetgauge_fuzz::proxy::check(data));
