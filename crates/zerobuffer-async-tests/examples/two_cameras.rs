//! Two cameras in one task: whichever has a frame first is served first.
//!
//! `cargo run -p zerobuffer-async-tests --example two_cameras`
//!
//! The cameras are threads here; in your program they are other processes.

use std::{thread, time::Duration};
use zerobuffer::{BufferConfig, Error, Reader, Writer};

/// Reads both until both have ended, and says how many frames each has had.
async fn watch(mut left: Reader, mut right: Reader) -> zerobuffer::Result<[u64; 2]> {
    let (mut counts, mut ended) = ([0, 0], [false, false]);
    while ended != [true, true] {
        let [left_count, right_count] = &mut counts;
        let [left_ended, right_ended] = &mut ended;
        // Each round drops the future that was not ready. It has taken no frame.
        let (frame, count, ended) = tokio::select! {
            frame = left.read_async(), if !*left_ended => (frame, left_count, left_ended),
            frame = right.read_async(), if !*right_ended => (frame, right_count, right_ended),
        };
        match frame {
            Ok(_frame) => *count += 1,
            Err(Error::WriterGone { .. }) => *ended = true,
            Err(error) => return Err(error),
        }
    }
    Ok(counts)
}

fn camera(name: &str, pause: Duration, count: u64) -> zerobuffer::Result<()> {
    let mut writer = Writer::connect(name)?;
    for picture in 0..count {
        let mut frame = writer.loan(64 * 48)?;
        frame.fill(picture as u8);
        frame.commit()?;
        thread::sleep(pause);
    }
    writer.close()
}

/// Streams from both for a moment.
pub fn example() -> Result<(), Box<dyn std::error::Error>> {
    let names = ["left", "right"].map(|side| format!("two-cameras-{side}-{}", std::process::id()));
    let [left, right] = names.each_ref().map(|name| Reader::create(name, BufferConfig::ring(1 << 20)));
    let [left_name, right_name] = names;
    let slow = thread::spawn(move || camera(&left_name, Duration::from_millis(20), 10));
    let fast = thread::spawn(move || camera(&right_name, Duration::from_millis(4), 50));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let counts = runtime.block_on(watch(left?, right?))?;
    for camera in [slow, fast] {
        camera.join().map_err(|_| "a camera has panicked")??;
    }
    println!("frames of both cameras: {counts:?}");
    if counts == [10, 50] { Ok(()) } else { Err("frames are missing".into()) }
}

/// Says in words what went wrong.
pub fn main() -> std::process::ExitCode {
    match example() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("two cameras: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
