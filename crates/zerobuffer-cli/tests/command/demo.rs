//! `demo`: two processes, every byte verified, figures that make sense.

use std::fs;

use crate::common::{Terminal, assert_no_files, children, in_shared_memory, run, start, until, y4m};
use rustix::process::{Signal, kill_process};
use serde_json::Value;

/// What must hold of every run.
fn check(run: &Value, frame_bytes: u64) {
    let number = |key: &str| run[key].as_f64().unwrap_or_else(|| panic!("{key} in {run}"));
    assert!(number("frames") >= 1.0);
    assert_eq!(run["bytes"].as_u64().unwrap(), run["frames"].as_u64().unwrap() * frame_bytes);
    let rate = number("frames") / number("seconds");
    assert!((number("frames_per_second") - rate).abs() < 1e-6 * rate, "{run}");
    assert!(number("gigabytes_per_second") > 0.0);
    let latency = |key: &str| run["latency"][key].as_u64().unwrap();
    assert!(latency("p50_ns") > 0);
    assert!(latency("p50_ns") <= latency("p90_ns") && latency("p90_ns") <= latency("p99_ns"));
    assert!(latency("p99_ns") <= latency("max_ns"));
    assert!(number("latency_samples") <= number("frames"));
    for key in ["writer_cpu_percent", "reader_cpu_percent"] {
        assert!(number(key) > 0.0, "{run}");
    }
}

#[test]
fn full_hd_by_default() {
    let report = run(&["demo", "--seconds", "0.5", "--json"]).ok().json();
    assert_eq!(report["frame_bytes"], 3_110_400);
    assert_eq!(report["verified"], true);
    assert_eq!(report["frames"], "generated 1080p I420 frames");
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!((&runs[0]["target_fps"], &runs[1]["target_fps"]), (&Value::Null, &60.0.into()));
    for run in runs {
        check(run, 3_110_400);
    }
    // 60 frames per second for half a second, plus the one at the start; a busy machine may give
    // fewer.
    assert!(runs[1]["frames"].as_u64().unwrap() <= 32, "{}", runs[1]);
}

#[test]
fn small_frames_in_a_small_ring_for_people() {
    let done = run(&["demo", "--seconds", "0.2", "--size", "1001", "--ring", "4KiB", "--fps", "500"]).ok();
    let page = done.text();
    for part in [
        "generated frames (1001 B) through a ring of 4 KiB",
        "At 500 frames/s",
        "frames/s, ",
        " GB/s",
        "p50",
        "p99",
        "max",
    ] {
        assert!(page.contains(part), "'{part}' is not in: {page}");
    }
    assert!(page.contains("Verified: every byte of ") && page.contains("arrived as sent."), "{page}");
    assert!(
        page.contains("half of the frames were there") && page.contains("Next: `zerobuffer recv cam"),
        "{page}"
    );
    assert_eq!(done.stderr, "", "no progress bar where there is no terminal");
}

#[test]
fn a_video_over_and_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.y4m");
    fs::write(&path, y4m("YUV4MPEG2 W64 H48 F200:1", 4608, 7, " Ip")).unwrap();
    let report = run(&["demo", "--seconds", "0.3", "--json", "--input", path.to_str().unwrap()]).ok().json();
    assert_eq!(report["frame_bytes"], 4608);
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs[1]["target_fps"], 200.0);
    for run in runs {
        check(run, 4608);
    }
    assert!(runs[0]["frames"].as_u64().unwrap() > 7, "it starts again at the end");
}

fn child(parent: u32, command: &str) -> Option<u32> {
    children(parent).into_iter().find(|(_, line)| line.contains(command)).map(|(pid, _)| pid)
}

#[test]
fn a_half_that_dies_is_reported() {
    for (victim, parts) in [("demo-writer", "writer"), ("demo-reader", "reader")] {
        let mut demo = start(&["demo", "--seconds", "60", "--size", "1000"]);
        let parent = demo.pid();
        until("both run", || {
            demo.is_running();
            child(parent, "demo-writer").is_some() && child(parent, "demo-reader").is_some()
        });
        std::thread::sleep(std::time::Duration::from_millis(200));
        let pid = child(parent, victim).unwrap();
        kill_process(crate::common::pid(pid), Signal::KILL).unwrap();
        let done = demo.wait().failed(6, &["the demo's", parts, "signal: 9"]);
        assert_eq!(done.stdout, b"");
        assert_no_files(&format!("zb-demo-{parent}-0"));
    }
}

#[test]
fn ctrl_c_ends_both_processes() {
    let demo = start(&["demo", "--seconds", "60"]);
    let parent = demo.pid();
    until("both run", || child(parent, "demo-writer").is_some() && child(parent, "demo-reader").is_some());
    let pids: Vec<u32> = children(parent).into_iter().map(|(pid, _)| pid).collect();
    std::thread::sleep(std::time::Duration::from_millis(100));
    demo.signal(Signal::INT);
    demo.wait().stopped(130, &["Ctrl-C"]);
    for pid in pids {
        assert!(fs::metadata(format!("/proc/{pid}")).is_err(), "{pid} still runs");
    }
    assert_no_files(&format!("zb-demo-{parent}-0"));
}

#[test]
fn ctrl_c_in_a_terminal_leaves_nothing() {
    // The terminal signals every process of the group at once; the parent must not signal its
    // children a second time.
    for pause in [0, 20, 100, 300, 700] {
        let Some(mut demo) = Terminal::start(&["demo", "--seconds", "60"]) else { return };
        let pid = demo.pid();
        let mine = format!("zb-demo-{pid}-");
        until("its buffer is there", || !in_shared_memory(&mine).is_empty());
        std::thread::sleep(std::time::Duration::from_millis(pause));
        demo.type_in("\u{3}");
        let done = demo.wait();
        assert!(done.text().contains("stopped by Ctrl-C"), "{}", done.text());
        until("its processes are gone", || in_shared_memory(&mine).is_empty() || children(pid).is_empty());
        assert_eq!(in_shared_memory(&mine), Vec::<String>::new(), "after {pause} ms");
    }
}

#[test]
fn a_killed_demo_leaves_nothing() {
    let mut demo = start(&["demo", "--seconds", "60"]);
    let mine = format!("zb-demo-{}-", demo.pid());
    until("its buffer is there", || demo.is_running() && !in_shared_memory(&mine).is_empty());
    std::thread::sleep(std::time::Duration::from_millis(200));
    demo.signal(Signal::KILL);
    demo.wait();
    until("its processes end with it", || in_shared_memory(&mine).is_empty());
}
