//! The other process of `bench`: reads a stream, or sends every request back.
use std::hint::black_box;
use std::io::Write as _;

use serde::{Deserialize, Serialize};
use zerobuffer::{BufferConfig, Error, Reader, Writer, WriterConfig};

use super::session::{PATIENCE, back};
use crate::exit::Exit;
use crate::fail::Fail;
use crate::{join, output, signals, time};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    name: String,
    #[arg(long)]
    ring: u64,
    /// Send every frame back.
    #[arg(long)]
    answer: bool,
    /// Read 8 bytes of each cache line instead of 8 of each frame.
    #[arg(long)]
    touch: bool,
}

/// Printed as JSON at the end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    /// Processor time from the first frame to the last.
    pub(super) cpu_ns: u64,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let mut reader = Reader::create(&args.name, BufferConfig::ring(args.ring).metadata(0))?;
    let handle = reader.handle();
    signals::on_signal(move || handle.interrupt());
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", args.name)
        .and_then(|()| stdout.flush())
        .map_err(|error| Fail::io("cannot report to the parent process", &error))?;
    drop(stdout);
    let mut answers = None;
    if args.answer {
        let config = WriterConfig::default().connect_timeout(PATIENCE);
        let writer = Writer::connect_with(&back(&args.name), config)?;
        let handle = writer.handle();
        signals::on_signal(move || handle.interrupt());
        answers = Some(writer);
    }
    let mut measured = Measured { frames: 0, bytes: 0, cpu_ns: 0 };
    let mut start_ns = 0;
    loop {
        // Only the first frame is waited for with a limit: from then on the writer's end ends the
        // wait.
        let next = if measured.frames == 0 { reader.read_timeout(PATIENCE) } else { reader.read().map(Some) };
        let frame = match next {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                return Err(Fail::new(
                    Exit::Absent,
                    format!("no frame came within {} s", PATIENCE.as_secs()),
                ));
            }
            Err(Error::WriterGone { .. }) => break,
            Err(error) => {
                return Err(join::ended(error, &format!("{} received", join::frames(measured.frames))));
            }
        };
        if measured.frames == 0 {
            start_ns = time::cpu_ns();
        }
        measured.frames += 1;
        measured.bytes += frame.len() as u64;
        if let Some(answers) = &mut answers {
            answers.write(frame.data())?;
        } else {
            look(frame.data(), args.touch);
        }
    }
    measured.cpu_ns = time::cpu_ns().saturating_sub(start_ns);
    reader.close()?;
    output::print_json(&measured)
}

/// What moves the frame's cache lines to this processor, as a program does that uses the frame.
fn look(frame: &[u8], touch: bool) {
    let bytes = if touch { frame } else { frame.get(..8).unwrap_or(frame) };
    let word = |line: &[u8]| line.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    black_box(bytes.chunks(64).fold(0, |sum, line| sum ^ word(line)));
}
