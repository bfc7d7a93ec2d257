//! `zerobuffer send`: frames from a file or pipe into a buffer.
mod sender;

use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;
use zerobuffer::Owner;

use self::sender::{Sender, Total};
use crate::caps::{picture_rate, picture_size};
use crate::exit::Exit;
use crate::fail::Fail;
use crate::input::Input;
use crate::rate::Rate;
use crate::source::{Layout, Source};
use crate::summary::{self, Ended};
use crate::{join, say, size, time};

/// Send frames into the buffer NAME, which its reader (`zerobuffer recv NAME`) creates.
///
/// Frames go from the input straight into shared memory. Ends when the input does; what is in the
/// ring by then still reaches the reader.
// Each flag is an option of its own on the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  ffmpeg -i film.mp4 -f yuv4mpegpipe - | zerobuffer send cam\n  \
    ffmpeg -i film.mp4 -f rawvideo -pix_fmt rgb24 -s 640x480 - |\n    \
    zerobuffer send cam --caps 'video/x-raw, format=RGB, width=640, height=480, framerate=25/1'")]
pub(crate) struct Args {
    /// The buffer's name.
    name: String,
    /// Where frames come from: a file, or - for standard input.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    input: String,
    /// How the input is cut into frames [default: raw with --size or the caps of a picture, else
    /// y4m].
    #[arg(long, value_enum)]
    format: Option<InputFormat>,
    /// Bytes of one raw frame, for instance 3110400 or 64KiB.
    #[arg(long, value_name = "BYTES", value_parser = size::parse_positive)]
    size: Option<u64>,
    /// A GStreamer caps string that describes the frames to the reader. That of a picture gives the
    /// size of raw frames, too, if their rows have no padding. With --format y4m it adds to what
    /// the header says, such as colorimetry.
    #[arg(long)]
    caps: Option<String>,
    /// Put a stamp of 24 bytes in front of each frame: its number and its time. The time counts
    /// from the first frame where the rate is known; otherwise it is the machine's monotonic clock.
    #[arg(long)]
    stamp: bool,
    /// Send this many frames per second: 25, 29.97, 30000/1001 [default: as fast as the input and
    /// the reader].
    #[arg(long, value_name = "RATE", conflicts_with = "realtime")]
    fps: Option<Rate>,
    /// Send at the rate that the y4m header or --caps says.
    #[arg(long)]
    realtime: bool,
    /// Start again at the end of the file, until stopped.
    #[arg(long = "loop")]
    repeat: bool,
    /// Stop after this many frames.
    #[arg(long, value_name = "COUNT")]
    frames: Option<u64>,
    /// Wait at most this long for a reader [default: for ever].
    #[arg(long, value_name = "SECONDS", value_parser = time::parse)]
    wait: Option<Duration>,
    /// Wait at most this long for space in the ring [default: for ever].
    #[arg(long, value_name = "SECONDS", value_parser = time::parse)]
    timeout: Option<Duration>,
    /// What to do when the ring is full.
    #[arg(long, value_enum, default_value_t = FullRing::Block)]
    full: FullRing,
    /// Go on with the next reader when one has gone, until the input ends. Frames that the one had
    /// not read are lost.
    #[arg(long)]
    reconnect: bool,
    /// Use the buffer of another user: that user's number, or any. Without it only your own and
    /// root's buffers are trusted, since the maker of one reads every frame.
    #[arg(long, value_name = "USER")]
    owner: Option<Owner>,
    /// Do not describe the stream in the metadata block.
    #[arg(long)]
    no_metadata: bool,
    /// Print a summary as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum InputFormat {
    /// A YUV4MPEG2 stream.
    Y4m,
    /// Frames of --size bytes, one after the other.
    Raw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FullRing {
    /// Wait for space: every frame arrives.
    Block,
    /// Stop with an error.
    Refuse,
    /// Drop the frame that finds no space: for live sources.
    Drop,
}

/// What `--json` prints at the end.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    name: &'a str,
    frames: u64,
    bytes: u64,
    dropped: u64,
    /// Readers that have gone, whose successors were waited for.
    reconnects: u64,
    seconds: f64,
    #[serde(flatten)]
    ended: Ended,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let mut source = open(args)?;
    if args.repeat && !source.input().seekable() {
        return Err(usage(format!("--loop needs a file to start again, {} is none", source.input().name())));
    }
    let rate = rate(args, &source)?;
    // The first FRAME line belongs to the description, and an input without any frame is reported
    // before a missing reader.
    if !source.advance()? && args.repeat {
        return Err(Fail::new(Exit::Input, format!("{} has no frame to loop over", source.input().name())));
    }
    let description = sender::description(args, &source)?;
    let mut sender = Sender::connect(args, &description)?;
    let start = Instant::now();
    let result = sender.run(&mut source, rate);
    let seconds = start.elapsed().as_secs_f64();
    let total = sender.leave();
    if result.is_ok() {
        tell(args, &total, seconds);
    }
    if args.json { summary::print(&summary(args, &total, seconds, &result), result) } else { result }
}

/// Opens the input in the format that the options say.
fn open(args: &Args) -> Result<Source, Fail> {
    let pictures = args.caps.as_deref().map(picture_size).transpose();
    let pictures = pictures.map_err(|why| usage(format!("--caps cannot be used: {why}")))?.flatten();
    let raw = args.size.is_some() || pictures.is_some();
    let format = args.format.unwrap_or(if raw { InputFormat::Raw } else { InputFormat::Y4m });
    let input = || Input::open(&args.input);
    match (format, args.size, pictures) {
        (InputFormat::Y4m, Some(_), _) => {
            Err(usage("--size is for --format raw: a y4m header says the size"))
        }
        (InputFormat::Y4m, None, None) if args.caps.is_some() => Err(usage(
            "these --caps describe no raw pictures, as a y4m input has: give --size BYTES for frames of another kind",
        )),
        (InputFormat::Y4m, None, _) => Source::y4m(input()?),
        (InputFormat::Raw, Some(size), None) => Ok(Source::raw(input()?, size)),
        (InputFormat::Raw, Some(size), Some(_)) | (InputFormat::Raw, None, Some(size)) => {
            Ok(Source::pictures(input()?, size))
        }
        (InputFormat::Raw, None, None) => Err(usage(
            "--format raw needs --size BYTES, or the --caps of a picture: raw frames have no header",
        )),
    }
}

fn rate(args: &Args, source: &Source) -> Result<Option<Rate>, Fail> {
    if !args.realtime {
        return Ok(args.fps);
    }
    match (said_rate(args, source), source.layout()) {
        (Some(rate), _) => Ok(Some(rate)),
        (None, Layout::Raw(_)) => Err(usage(
            "--realtime needs a y4m input, or --caps with a framerate: raw frames have no rate; use --fps RATE",
        )),
        (None, Layout::Y4m(_)) => Err(Fail::new(
            Exit::Input,
            "the y4m header says no frame rate; use --fps RATE instead of --realtime",
        )),
    }
}

/// The rate that the input or its description says.
fn said_rate(args: &Args, source: &Source) -> Option<Rate> {
    let header = match source.layout() {
        Layout::Y4m(header) => header.rate,
        Layout::Raw(_) => None,
    };
    header.or_else(|| picture_rate(args.caps.as_deref()?))
}

/// The note at the end.
fn tell(args: &Args, total: &Total, seconds: f64) {
    let lost =
        if total.dropped == 0 { String::new() } else { format!(", {} dropped", join::frames(total.dropped)) };
    say::note(&format!(
        "sent {} ({}) to '{}' in {seconds:.2} s{lost}",
        join::frames(total.frames),
        size::human(total.bytes),
        args.name
    ));
}

fn summary<'a>(args: &'a Args, total: &Total, seconds: f64, result: &Result<(), Fail>) -> Summary<'a> {
    Summary {
        name: &args.name,
        frames: total.frames,
        bytes: total.bytes,
        dropped: total.dropped,
        reconnects: total.reconnects,
        seconds,
        ended: Ended::of(result),
    }
}

fn usage(message: impl Into<String>) -> Fail {
    Fail::new(Exit::Usage, message)
}
