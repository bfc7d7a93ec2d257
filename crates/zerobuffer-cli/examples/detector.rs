// The code of docs/tutorial.md, letter for letter: a test compares them.
#![allow(clippy::indexing_slicing)]
//! Marks what is bright in the pictures of "camera", and sends them on to "screen".

use std::process::ExitCode;
use std::time::Duration;
use zerobuffer::{BufferConfig, Error, Reader, Writer, WriterConfig};

const WIDTH: usize = 640;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("detector: {error}"); // in words: buffer, numbers, remedy
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    let mut camera = Reader::create("camera", BufferConfig::ring(8 << 20).metadata(4096))?;
    let patient = WriterConfig::default().connect_timeout(Duration::from_secs(60));
    let mut screen = Writer::connect_with("screen", patient)?;
    let mut count = 0;
    loop {
        // It waits for ever; `read_timeout` has a limit, and gives `None` after it.
        let frame = match camera.read() {
            Err(Error::WriterGone { .. }) => break, // the camera has left, and all is read
            frame => frame?,
        };
        if count == 0
            && let Some(description) = camera.metadata()?
        {
            screen.set_metadata(&description)?; // what the camera says of its pictures
        }
        let mut picture = screen.loan(frame.len())?; // memory of the other ring
        picture.copy_from_slice(frame.data());
        drop(frame);
        mark(&mut picture);
        picture.commit()?;
        count += 1;
    }
    println!("sent {count} pictures on");
    screen.close()
}

/// Draws a white box around what is bright in red.
fn mark(picture: &mut [u8]) {
    let bright = |pixel: &[u8]| pixel[2] > 200;
    let found: Vec<usize> =
        picture.chunks_exact(3).enumerate().filter(|(_, pixel)| bright(pixel)).map(|(at, _)| at).collect();
    let (Some(first), Some(last)) = (found.first(), found.last()) else { return };
    let (top, bottom) = (first / WIDTH, last / WIDTH);
    let (left, right) = (first % WIDTH, last % WIDTH);
    let mut white = |row: usize, column: usize| picture[(row * WIDTH + column) * 3..][..3].fill(255);
    (left..=right).for_each(|column| [top, bottom].into_iter().for_each(|row| white(row, column)));
    (top..=bottom).for_each(|row| [left, right].into_iter().for_each(|column| white(row, column)));
}
