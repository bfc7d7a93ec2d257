//! What the instruction counts are taken of: bursts of small frames through a ring, in one process.
//!
//! `cargo xtask instructions` runs it under callgrind, which counts inside one of the functions
//! below at a time. Frames of 64 bytes, so the copy, which belongs to the C library, is a small
//! part of the work around it.
use std::{env, error::Error, hint::black_box, process};

use zerobuffer::{BufferConfig, Reader, Writer};

type Outcome = Result<(), Box<dyn Error>>;
/// Frames between two changes of sides: a ring that is neither always empty nor always full.
const BURST: usize = 8;
const SIZE: usize = 64;

/// Kept out of line and under a name of their own, for callgrind's `--toggle-collect`.
#[unsafe(export_name = "zerobuffer_count_write")]
#[inline(never)]
fn write(writer: &mut Writer, frame: &[u8]) -> Outcome {
    for _ in 0..BURST {
        black_box(writer.write(black_box(frame))?);
    }
    Ok(())
}

#[unsafe(export_name = "zerobuffer_count_loan")]
#[inline(never)]
fn loan(writer: &mut Writer) -> Outcome {
    for _ in 0..BURST {
        let mut frame = writer.loan(black_box(SIZE))?;
        if let Some(first) = frame.first_mut() {
            *first = 1;
        }
        black_box(frame.commit()?);
    }
    Ok(())
}

#[unsafe(export_name = "zerobuffer_count_read")]
#[inline(never)]
fn read(reader: &mut Reader) -> Outcome {
    for _ in 0..BURST {
        black_box(reader.read()?.data());
    }
    Ok(())
}

fn main() -> Outcome {
    let bursts: usize = env::args().nth(1).unwrap_or_else(|| "100".into()).parse()?;
    let name =
        format!("{}instructions-{}", env::var("ZEROBUFFER_TEST_MARK").unwrap_or_default(), process::id());
    // Holds no whole number of bursts: wrap-arounds come at all places of one.
    let mut reader = Reader::create(&name, BufferConfig::ring(64 * 1024).metadata(0))?;
    let mut writer = Writer::connect(&name)?;
    let frame = [7; SIZE];
    for _ in 0..bursts {
        write(&mut writer, &frame)?;
        read(&mut reader)?;
        loan(&mut writer)?;
        read(&mut reader)?;
    }
    Ok(())
}
