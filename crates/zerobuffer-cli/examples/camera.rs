// The code of docs/tutorial.md, letter for letter: a test compares them.
#![allow(clippy::indexing_slicing)]
//! A camera without a lens: a square that moves over a grey picture, 30 times a second.

use std::process::ExitCode;
use std::time::{Duration, Instant};
use zerobuffer::{Writer, WriterConfig};

const WIDTH: usize = 640;
const HEIGHT: usize = 480;
/// What the pictures are, for every reader: see the page on metadata.
const DESCRIPTION: &str = r#"{"caps":"video/x-raw, format=(string)BGR, width=(int)640, height=(int)480, framerate=(fraction)30/1"}"#;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("camera: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), zerobuffer::Error> {
    let count: u32 = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(30 * 60);
    let patient = WriterConfig::default().connect_timeout(Duration::from_secs(60));
    let mut writer = Writer::connect_with("camera", patient)?;
    writer.set_metadata(DESCRIPTION.as_bytes())?;
    let start = Instant::now();
    for number in 0..count {
        let mut picture = writer.loan(WIDTH * HEIGHT * 3)?; // memory of the ring
        picture.fill(40);
        let left = number as usize * 8 % (WIDTH - 80);
        for row in 200..280 {
            for pixel in picture[(row * WIDTH + left) * 3..][..80 * 3].chunks_exact_mut(3) {
                pixel.copy_from_slice(&[0, 200, 255]); // blue, green, red
            }
        }
        picture.commit()?;
        let due = start + Duration::from_secs(1) * (number + 1) / 30;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    writer.close()
}
