//! `zerobuffer demo`: two real processes, one stream, every byte verified.
pub(crate) mod latency;
mod pair;
mod pattern;
pub(crate) mod reader;
mod report;
mod stamps;
pub(crate) mod writer;

use std::time::Duration;

use crate::exit::Exit;
use crate::fail::Fail;
use crate::input::Input;
use crate::output;
use crate::rate::Rate;
use crate::source::Source;
use crate::{size, time};

use self::pair::{Pair, Run};
use self::report::Report;

/// Bytes of a 1080p I420 frame.
pub(crate) const FULL_HD: u64 = 1920 * 1080 * 3 / 2;
/// Frames that the ring holds by default.
const DEPTH: u64 = 8;
/// What a frame takes in the ring beyond its bytes.
const OVERHEAD: u64 = zerobuffer::FRAME_HEADER_SIZE;

/// Stream frames between two processes, verify every byte, and print how fast it went.
///
/// Two runs: one at full speed, for throughput, and one at a camera's pace, for latency. With --fps
/// only the latter.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Stream this video, over and over, instead of generated 1080p frames.
    #[arg(long, short, value_name = "FILE.y4m", conflicts_with = "size")]
    input: Option<String>,
    /// Duration of each run.
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = time::parse_positive)]
    seconds: Duration,
    /// Bytes of a generated frame [default: 3110400, which is 1080p I420].
    #[arg(long, value_name = "BYTES", value_parser = size::parse_positive)]
    size: Option<u64>,
    /// Send this many frames per second and skip the run at full speed.
    #[arg(long, value_name = "RATE")]
    fps: Option<Rate>,
    /// Bytes of the ring [default: eight frames].
    #[arg(long, value_name = "BYTES", value_parser = size::parse_positive)]
    ring: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let (frame_bytes, video_rate, what) = frames(args)?;
    let ring = ring(args, frame_bytes)?;
    let rates = match args.fps {
        Some(fps) => vec![Some(fps)],
        None => vec![None, video_rate.or(Rate::new(60, 1))],
    };
    let mut report = Report::new(what, frame_bytes, ring);
    for (index, rate) in rates.into_iter().enumerate() {
        let run = Run {
            name: format!("zb-demo-{}-{index}", std::process::id()),
            frame_bytes,
            ring,
            rate,
            seconds: args.seconds,
            input: args.input.as_deref(),
        };
        report.push(rate, Pair::start(&run)?.finish(&run)?)?;
    }
    if args.json { output::print_json(&report) } else { output::print(&report.page()) }
}

/// Bytes per frame, the video's own rate, and what to call the frames.
fn frames(args: &Args) -> Result<(u64, Option<Rate>, String), Fail> {
    let Some(path) = &args.input else {
        let bytes = args.size.unwrap_or(FULL_HD);
        let what = if bytes == FULL_HD { "generated 1080p I420 frames" } else { "generated frames" };
        return Ok((bytes, None, String::from(what)));
    };
    let mut source = Source::y4m(Input::open(path)?)?;
    if path == "-" || !source.input().seekable() {
        return Err(Fail::new(
            Exit::Usage,
            "demo reads its video twice, once in each process: name a file with --input FILE",
        ));
    }
    if !source.advance()? {
        return Err(Fail::new(Exit::Input, format!("{path} has no frame to stream")));
    }
    match source.layout() {
        crate::source::Layout::Y4m(header) => Ok((
            header.frame_size,
            header.rate,
            format!("{} x {} frames (C{}) of {path}", header.width, header.height, header.chroma.tag()),
        )),
        crate::source::Layout::Raw(bytes) => Ok((*bytes, None, format!("frames of {path}"))),
    }
}

fn ring(args: &Args, frame: u64) -> Result<u64, Fail> {
    let slot = frame.checked_add(OVERHEAD);
    let ring = args.ring.or_else(|| slot?.checked_mul(DEPTH)?.checked_next_multiple_of(64));
    match (slot, ring) {
        (Some(slot), Some(ring)) if slot <= ring => Ok(ring),
        _ => Err(Fail::new(
            Exit::Usage,
            format!(
                "frames of {frame} bytes need a ring of {OVERHEAD} bytes more at the least, and it must stay below 2^64; see --ring and --size"
            ),
        )),
    }
}
