//! What waiting costs: threads and processor time of a process with many waiting readers.

use super::{
    common::{Name, Peer, process::reply},
    sandbox,
};
use std::{
    fs,
    io::{Read, stdin},
    process::Command,
    thread,
    time::{Duration, Instant},
};
use zerobuffer::{BufferConfig, Reader, Writer};

const ROLE: &str = "ZEROBUFFER_TEST_WAITING";
const READERS: usize = 200;

#[test]
#[ignore = "entry point of helper processes, started by other tests"]
fn waiting_entry() {
    let Ok(base) = std::env::var(ROLE) else { return };
    let tasks: Vec<_> = (0..READERS)
        .map(|index| {
            let config = BufferConfig::ring(4096).metadata(0);
            let mut reader = Reader::create(&format!("{base}-{index}"), config).unwrap();
            smol::spawn(async move {
                while let Ok(frame) = reader.read_async().await {
                    drop(frame);
                }
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(300));
    reply("ok");
    let _ = stdin().read(&mut [0]);
    drop(tasks);
}

fn threads(pid: u64) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.map(|task| fs::read_to_string(task.unwrap().path().join("comm")).unwrap()).collect()
}

fn processor_time(pid: u64) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanoseconds = tasks.map(|task| {
        let text = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        text.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanoseconds.sum())
}

#[test]
fn two_hundred_waiting_readers_take_two_threads_and_next_to_no_time() {
    let base = Name::new("async-idle");
    let names: Vec<_> = (0..READERS).map(|index| Name::of(&format!("{}-{index}", &*base))).collect();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "idle::waiting_entry", "--ignored", "--nocapture", "--test-threads", "1"]);
    command.env(ROLE, &*base);
    let mut waiting = Peer::start(command, "two hundred readers");
    waiting.must_reply();
    let count = threads(waiting.pid()).iter().filter(|name| name.starts_with("zerobuffer-wait")).count();
    let share = || {
        let (started, before) = (Instant::now(), processor_time(waiting.pid()));
        thread::sleep(Duration::from_secs(2));
        let used = processor_time(waiting.pid()).saturating_sub(before);
        used.as_secs_f64() / started.elapsed().as_secs_f64()
    };
    let alone = share();
    // With a live writer each, which the thread has to look after.
    let mut writers: Vec<_> = names.iter().map(|name| Writer::connect(name).unwrap()).collect();
    for writer in &mut writers {
        writer.write(b"frame").unwrap();
    }
    thread::sleep(Duration::from_millis(1500));
    let watched = share();
    println!(
        "{READERS} waiting readers: {count} threads, {:.2} % of a core, {:.2} % with writers",
        alone * 100.0,
        watched * 100.0
    );
    let limit = if sandbox::is_inside() { READERS } else { 3 };
    assert!(count <= limit, "{count} threads");
    // Ten times what it takes: others use the processors too.
    assert!(sandbox::is_inside() || (alone < 0.1 && watched < 0.1), "{alone} {watched}");
}
