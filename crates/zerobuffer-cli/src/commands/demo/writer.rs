//! The writing process of `demo`: frames made or read in shared memory, as fast as they go or at a
//! pace.
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use zerobuffer::{Writer, WriterConfig};

use super::pattern::Pattern;
use super::stamps::Stamps;
use crate::fail::Fail;
use crate::input::Input;
use crate::rate::{Pacer, Rate};
use crate::source::Source;
use crate::{join, output, signals, time};

/// How long the two processes wait for each other.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    name: String,
    #[arg(long)]
    size: usize,
    #[arg(long, value_parser = time::parse)]
    seconds: Duration,
    #[arg(long)]
    fps: Option<Rate>,
    #[arg(long)]
    input: Option<String>,
}

/// What one of the processes measured, printed as JSON for its parent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    /// Of the monotonic clock: before the first frame and after the last.
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    /// Processor time between the two.
    pub(super) cpu_ns: u64,
    pub(super) stamps: Stamps,
}

/// Where frames come from.
enum Content {
    Generated(Pattern),
    Video(Box<Source>),
}

impl Content {
    /// Writes frame `number` into the loaned memory.
    fn fill(&mut self, number: u64, frame: &mut [u8]) -> Result<(), Fail> {
        match self {
            Content::Generated(pattern) => pattern.fill(number, frame),
            Content::Video(source) => {
                if !source.advance()? {
                    source.rewind()?;
                    source.advance()?;
                }
                source.read(frame)?;
            }
        }
        Ok(())
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let mut content = match &args.input {
        None => Content::Generated(Pattern::new(args.size)),
        Some(path) => Content::Video(Box::new(Source::y4m(Input::open(path)?)?)),
    };
    let config = WriterConfig::default().connect_timeout(PATIENCE).write_timeout(Some(PATIENCE));
    let mut writer = Writer::connect_with(&args.name, config)?;
    let handle = writer.handle();
    signals::on_signal(move || handle.interrupt());
    let mut stamps = Stamps::new();
    let mut pacer = args.fps.map(|fps| Pacer::new(fps, Instant::now()));
    let (start_ns, cpu_ns, start) = (time::monotonic_ns(), time::cpu_ns(), Instant::now());
    let mut number = 0u64;
    // One frame at the least: a demo without any would prove nothing.
    while number == 0 || start.elapsed() < args.seconds {
        if let Some(pacer) = &mut pacer
            && signals::sleep(pacer.next_delay(Instant::now()))
        {
            return Err(signals::interrupted(&format!("{} sent", join::frames(number))));
        }
        let ended = |error| join::ended(error, &format!("{} sent", join::frames(number)));
        let mut frame = writer.loan(args.size).map_err(ended)?;
        content.fill(number, &mut frame)?;
        // Taken before the commit: afterwards the reader may have the frame already.
        let stamp = stamps.wants().then(time::monotonic_ns);
        frame.commit().map_err(ended)?;
        stamps.push(stamp);
        number += 1;
    }
    let (frames, bytes) = (writer.stats().frames, writer.stats().bytes);
    let (end_ns, cpu_ns) = (time::monotonic_ns(), time::cpu_ns().saturating_sub(cpu_ns));
    writer.close()?;
    output::print_json(&Measured { frames, bytes, start_ns, end_ns, cpu_ns, stamps })
}
