//! Runs [`fleetgauge_fuzz::schema`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fleetgauge_fuzz::schema::check(data));
