//! Runs [`fleetgauge_fuzz::frame`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fleetgauge_fuzz::frame::check(data));
