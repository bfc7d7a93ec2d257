//! `bench`: figures that fit together, and an end that leaves nothing.

use crate::common::{Terminal, children, in_shared_memory, run, start, until};
use rustix::process::Signal;
use serde_json::Value;

/// Buffers of the process that are still there.
fn left(pid: u32) -> Vec<String> {
    in_shared_memory(&format!("zb-bench-{pid}-"))
}

fn check(sized: &Value, frame_bytes: u64) {
    assert_eq!(sized["frame_bytes"], frame_bytes);
    let frames = sized["ring_frames"].as_u64().unwrap();
    assert!(sized["ring_bytes"].as_u64().unwrap() >= frames * (frame_bytes + 16));
    for key in ["copied_in", "written_in_place"] {
        let number =
            |name: &str| sized[key][name].as_f64().unwrap_or_else(|| panic!("{key} {name}: {sized}"));
        let rate = number("frames") / number("seconds");
        assert!((number("frames_per_second") / rate - 1.0).abs() < 1e-6, "{sized}");
        assert!((number("nanoseconds_per_frame") * rate / 1e9 - 1.0).abs() < 1e-6, "{sized}");
        let bytes = rate * f64::from(u32::try_from(frame_bytes).unwrap());
        assert!((number("gigabytes_per_second") * 1e9 / bytes - 1.0).abs() < 1e-6, "{sized}");
        assert!(number("cpu_seconds_per_1000_frames") > 0.0);
    }
    for (key, rate) in [("round_trip", Value::Null), ("round_trip_paced", 1000.into())] {
        let trip = &sized[key];
        assert_eq!(trip["requests_per_second"], rate);
        let latency = |name: &str| trip["latency"][name].as_u64().unwrap();
        assert!(latency("p50_ns") > 0 && latency("p50_ns") <= latency("p90_ns"), "{trip}");
        assert!(latency("p90_ns") <= latency("p99_ns") && latency("p99_ns") <= latency("max_ns"), "{trip}");
        assert!(
            trip["rounds"].as_u64().unwrap() > 0
                && trip["cpu_seconds_per_1000_rounds"].as_f64().unwrap() > 0.0
        );
    }
    // 1,000 a second for a fifth of a second, and the one at the start.
    assert!(sized["round_trip_paced"]["rounds"].as_u64().unwrap() <= 202, "{sized}");
}

#[test]
fn two_sizes_by_default() {
    let report = run(&["bench", "--seconds", "0.2", "--json"]).ok().json();
    let sizes = report["sizes"].as_array().unwrap();
    assert_eq!(sizes.len(), 2);
    check(&sizes[0], 64);
    check(&sizes[1], 3_110_400);
}

#[test]
fn one_size_for_people() {
    let done = run(&["bench", "--seconds", "0.1", "--size", "10kB"]).ok();
    let page = done.text();
    for part in
        ["copied in", "written in place", "at once", "1000 a second", "a frame", "GB/s", "p50", "max", "CPU"]
    {
        assert!(page.contains(part), "'{part}' is not in: {page}");
    }
    assert_eq!(page.matches("Frames of ").count(), 1, "{page}");
    assert_eq!(done.stderr, "");
}

#[test]
fn the_shortest_run_measures_one_of_each() {
    let report = run(&["bench", "--seconds", "0.000000001", "--size", "64", "--json"]).ok().json();
    check(&report["sizes"][0], 64);
}

#[test]
fn what_cannot_be_measured_is_said() {
    run(&["bench", "--size", "7"]).failed(2, &["frames of 7 bytes", "8 bytes are the least"]);
    run(&["bench", "--size", "18446744073709551615"]).failed(2, &["2^64"]);
}

#[test]
fn ctrl_c_ends_both_processes() {
    let bench = start(&["bench", "--seconds", "60"]);
    let pid = bench.pid();
    until("it runs", || !left(pid).is_empty());
    std::thread::sleep(std::time::Duration::from_millis(100));
    bench.signal(Signal::INT);
    bench.wait().stopped(130, &["Ctrl-C"]);
    assert_eq!(left(pid), Vec::<String>::new());
}

#[test]
fn ctrl_c_in_a_terminal_leaves_nothing() {
    for pause in [0, 50, 300] {
        let Some(mut bench) = Terminal::start(&["bench", "--seconds", "60"]) else { return };
        let pid = bench.pid();
        until("its buffer is there", || !left(pid).is_empty());
        std::thread::sleep(std::time::Duration::from_millis(pause));
        bench.type_in("\u{3}");
        let done = bench.wait();
        assert!(done.text().contains("stopped by Ctrl-C"), "{}", done.text());
        until("its processes are gone", || left(pid).is_empty() || children(pid).is_empty());
        assert_eq!(left(pid), Vec::<String>::new(), "after {pause} ms");
    }
}
