//! Frames that a sender drops, seen from outside: by `top`, `ls --watch`, `metrics` and `view`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::{name, run, start};
use crate::viewer::{Viewer, within};
use rustix::process::Signal;
use serde_json::Value;
use zerobuffer::{BufferConfig, Reader};

#[test]
fn what_a_sender_drops_is_seen_by_all_who_look() {
    let name = name();
    // Three frames fit, and one of four is taken in time.
    let mut reader = Reader::create(&name, BufferConfig::ring(4096).metadata(1024)).unwrap();
    let sender = start(&[
        "send",
        &name,
        "--input",
        "/dev/zero",
        "--size",
        "1000",
        "--fps",
        "200",
        "--stamp",
        "--full",
        "drop",
        "--json",
    ]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                let _ = reader.read_timeout(Duration::from_millis(20)).map(drop);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let viewer = Viewer::start(&[&name]);
        let watch = start(&["ls", "--watch", "0.4"]);
        let text = run(&["top", &name, "--json", "--interval", "0.4", "--count", "10"]).ok().text();
        let looks: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(looks[0]["buffers"][0]["frames_dropped"], Value::Null, "one look tells nothing");
        let seen = looks[9]["buffers"][0]["frames_dropped"].as_u64().unwrap();
        assert!(seen > 20, "{}", looks[9]);
        let by_api = within("the viewer counts drops", || {
            let streams: Value = serde_json::from_slice(&viewer.get("/api/streams").2).unwrap();
            streams["streams"][0]["frames_dropped"].as_u64().filter(|dropped| *dropped > 20)
        });
        let metrics = String::from_utf8(viewer.get("/metrics").2).unwrap();
        let line = format!("zerobuffer_frames_dropped_total{{buffer=\"{name}\"}} ");
        let by_metrics = metrics.lines().find_map(|found| found.strip_prefix(&line)).unwrap();
        assert!(by_metrics.parse::<u64>().unwrap() >= by_api, "{by_metrics} {by_api}");
        watch.signal(Signal::INT);
        let list = watch.wait().text();
        let rows = || list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let titles = rows().find(|words| words.first() == Some(&"NAME")).unwrap();
        assert_eq!(titles[titles.len() - 3..], ["FPS", "DROPS", "METADATA"]);
        assert!(list.lines().filter(|line| line.starts_with(&name)).count() >= 3, "{list}");
        sender.signal(Signal::INT);
        let done = sender.wait();
        let dropped = done.json()["dropped"].as_u64().unwrap();
        println!("{dropped} dropped by the sender, {seen} of them seen by top, {by_api} by the viewer");
        assert!(seen <= dropped && by_api <= dropped);
        is_over.store(true, Ordering::SeqCst);
        reading.join().unwrap();
    });
}
