//! `zerobuffer send`: frames from a file or pipe into a buffer.
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;
use zerobuffer::{Error, FullRingPolicy, Writer, WriterConfig, observe};

use crate::caps::{Description, Found};
use crate::exit::Exit;
use crate::fail::Fail;
use crate::input::Input;
use crate::rate::{Pacer, Rate};
use crate::source::{Layout, Source};
use crate::{join, output, say, signals, size, time};

/// Send frames into the buffer NAME, which its reader (`zerobuffer recv NAME`) creates.
///
/// Frames go from the input straight into shared memory. Ends when the input does; what is in the ring by then still
/// reaches the reader.
// Each flag is an option of its own on the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: ffmpeg -i film.mp4 -f yuv4mpegpipe - | zerobuffer send cam")]
pub(crate) struct Args {
    /// The buffer's name.
    name: String,
    /// Where frames come from: a file, or - for standard input.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    input: String,
    /// How the input is cut into frames [default: raw with --size, else y4m].
    #[arg(long, value_enum)]
    format: Option<InputFormat>,
    /// Bytes of one raw frame, for instance 3110400 or 64KiB.
    #[arg(long, value_name = "BYTES", value_parser = size::parse_positive)]
    size: Option<u64>,
    /// A GStreamer caps string that describes raw frames to the reader.
    #[arg(long)]
    caps: Option<String>,
    /// Send this many frames per second: 25, 29.97, 30000/1001 [default: as fast as the input and the reader].
    #[arg(long, value_name = "RATE", conflicts_with = "realtime")]
    fps: Option<Rate>,
    /// Send at the rate that the y4m header says.
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
    seconds: f64,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let mut source = open(args)?;
    if args.repeat && !source.input().seekable() {
        return Err(usage(format!("--loop needs a file to start again, {} is none", source.input().name())));
    }
    let rate = rate(args, &source)?;
    // The first FRAME line belongs to the description, and an input without any frame is told before a reader is.
    if !source.advance()? && args.repeat {
        return Err(Fail::new(Exit::Input, format!("{} has no frame to loop over", source.input().name())));
    }
    let policy = match args.full {
        FullRing::Block => FullRingPolicy::Block,
        // Refused by the library; for dropping, this command must skip the frame in the input itself.
        FullRing::Refuse | FullRing::Drop => FullRingPolicy::Refuse,
    };
    let config = WriterConfig::default().write_timeout(args.timeout).full_ring(policy);
    let mut writer = join::connect(&args.name, &config, args.wait)?;
    let handle = writer.handle();
    signals::on_signal(move || handle.interrupt());
    check_size(&writer, source.frame_size())?;
    if !args.no_metadata {
        describe(&mut writer, args, &source)?;
    }
    let handle = writer.handle();
    source.input().watch(move || {
        if handle.is_reader_connected() {
            return Ok(());
        }
        let frames = join::frames(handle.stats().frames);
        Err(Fail::new(
            Exit::PeerGone,
            format!("the reader of '{}' went away while waiting for input; {frames} sent", handle.name()),
        ))
    });
    say::note(&format!("sending to '{}', frames of {}", args.name, size::human(source.frame_size())));
    let start = Instant::now();
    let mut dropped = 0;
    stream(args, &mut source, &mut writer, rate, &mut dropped)?;
    let (frames, bytes) = (writer.stats().frames, writer.stats().bytes);
    writer.close()?;
    report(args, frames, bytes, dropped, start.elapsed())
}

/// Opens the input in the format that the options say.
fn open(args: &Args) -> Result<Source, Fail> {
    let format = args.format.unwrap_or(if args.size.is_some() { InputFormat::Raw } else { InputFormat::Y4m });
    match (format, args.size) {
        (InputFormat::Raw, None) => Err(usage("--format raw needs --size BYTES: raw frames have no header")),
        (InputFormat::Y4m, Some(_)) => Err(usage("--size is for --format raw: a y4m header says the size")),
        (InputFormat::Y4m, None) if args.caps.is_some() => {
            Err(usage("--caps is for --format raw: a y4m header says the format"))
        }
        (InputFormat::Raw, Some(size)) => Ok(Source::raw(Input::open(&args.input)?, size)),
        (InputFormat::Y4m, None) => Source::y4m(Input::open(&args.input)?),
    }
}

fn rate(args: &Args, source: &Source) -> Result<Option<Rate>, Fail> {
    if !args.realtime {
        return Ok(args.fps);
    }
    match source.layout() {
        Layout::Raw(_) => Err(usage("--realtime needs a y4m input: raw frames have no rate; use --fps RATE")),
        Layout::Y4m(header) if header.rate.is_none() => Err(Fail::new(
            Exit::Input,
            "the y4m header says no frame rate; use --fps RATE instead of --realtime",
        )),
        Layout::Y4m(header) => Ok(header.rate),
    }
}

/// Tells before the first frame that none will fit.
fn check_size(writer: &Writer, size: u64) -> Result<(), Fail> {
    let (max, capacity) = (writer.max_frame_size(), writer.capacity());
    if size <= max {
        return Ok(());
    }
    let remedy = size::human(size.saturating_mul(4).next_multiple_of(1 << 20));
    Err(Fail::new(
        Exit::Input,
        format!(
            "frames of {size} bytes do not fit buffer '{}': its ring of {capacity} bytes takes at most {max}; start the reader with a larger one, for instance --ring \"{remedy}\"",
            writer.name()
        ),
    ))
}

/// Writes the stream's description, once per buffer: a second sender must describe its stream alike.
fn describe(writer: &mut Writer, args: &Args, source: &Source) -> Result<(), Fail> {
    let description = match source.layout() {
        Layout::Y4m(header) => Description::y4m(header, source.parameters()),
        Layout::Raw(size) => Description::raw(*size, args.caps.as_deref()),
    };
    let json = description
        .to_json()
        .map_err(|error| Fail::new(Exit::Internal, format!("cannot describe the stream: {error}")))?;
    match writer.set_metadata(&json) {
        Ok(()) => Ok(()),
        Err(error @ Error::MetadataTooLarge { .. }) => Err(Fail::from(error)
            .hint("start the reader with a larger block (recv --metadata 4KiB) or send with --no-metadata")),
        Err(Error::MetadataAlreadyWritten { .. }) => {
            let present = observe::inspect(&args.name)?.metadata.unwrap_or_default();
            if alike(&present, &json) {
                return Ok(());
            }
            Err(Fail::new(
                Exit::Input,
                format!(
                    "buffer '{}' already describes another stream: restart its reader, or send what it describes (see zerobuffer inspect {})",
                    args.name, args.name
                ),
            ))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether two descriptions say the same about the frames; who wrote them may differ.
fn alike(present: &[u8], ours: &[u8]) -> bool {
    present == ours
        || matches!((Found::parse(present), Found::parse(ours)), (Ok(a), Ok(b)) if a == b && a.caps.is_some())
}

fn stream(
    args: &Args,
    source: &mut Source,
    writer: &mut Writer,
    rate: Option<Rate>,
    dropped: &mut u64,
) -> Result<(), Fail> {
    let mut pacer = rate.map(|rate| Pacer::new(rate, Instant::now()));
    let frame_size = usize::try_from(source.frame_size()).unwrap_or(usize::MAX);
    let mut skipped = Vec::new();
    let mut seen = 0u64;
    while args.frames.is_none_or(|limit| seen < limit) {
        if !source.advance()? {
            if !args.repeat {
                break;
            }
            source.rewind()?;
            continue;
        }
        let sent = seen - *dropped;
        let done = || format!("{} sent to '{}'", join::frames(sent), args.name);
        if let Some(pacer) = &mut pacer
            && signals::sleep(pacer.next_delay(Instant::now()))
        {
            return Err(signals::interrupted(&done()));
        }
        match writer.loan(frame_size) {
            Ok(mut frame) => {
                source.read(&mut frame)?;
                frame.commit().map_err(|error| join::ended(error, &done()))?;
            }
            Err(Error::Full { .. }) if args.full == FullRing::Drop => {
                // The pipe must be emptied all the same, or its program would stall instead of this frame being lost.
                skipped.resize(frame_size, 0);
                source.read(&mut skipped)?;
                *dropped += 1;
            }
            Err(error) => return Err(join::ended(error, &done())),
        }
        seen += 1;
    }
    Ok(())
}

fn report(args: &Args, frames: u64, bytes: u64, dropped: u64, time: Duration) -> Result<(), Fail> {
    let seconds = time.as_secs_f64();
    let lost = if dropped == 0 { String::new() } else { format!(", {} dropped", join::frames(dropped)) };
    say::note(&format!(
        "sent {} ({}) to '{}' in {seconds:.2} s{lost}",
        join::frames(frames),
        size::human(bytes),
        args.name
    ));
    if args.json {
        output::print_json(&Summary { name: &args.name, frames, bytes, dropped, seconds })?;
    }
    Ok(())
}

fn usage(message: impl Into<String>) -> Fail {
    Fail::new(Exit::Usage, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::y4m::Header;

    #[test]
    fn descriptions_are_alike_whoever_wrote_them() {
        let header = Header::parse("YUV4MPEG2 W4 H2 F25:1").unwrap();
        let ours = Description::y4m(&header, "").to_json().unwrap();
        let older = String::from_utf8(ours.clone()).unwrap().replace(env!("CARGO_PKG_VERSION"), "1.0");
        assert!(alike(&ours, &ours));
        assert!(alike(older.as_bytes(), &ours));
        let wider = Header::parse("YUV4MPEG2 W8 H2 F25:1").unwrap();
        assert!(!alike(&Description::y4m(&wider, "").to_json().unwrap(), &ours));
        assert!(!alike(&Description::y4m(&header, " Ip").to_json().unwrap(), &ours));
        assert!(!alike(b"hello", &ours));
        assert!(!alike(&Description::raw(12, None).to_json().unwrap(), &ours));
    }
}
