//! `zerobuffer recv`: frames from a buffer into a file or pipe.
mod pixels;
mod sink;
mod tap;

use std::time::{Duration, Instant};

use clap::ValueEnum;
use zerobuffer::{BufferConfig, Error, Frame, Reader};

use self::sink::Sink;
use crate::exit::Exit;
use crate::fail::Fail;
use crate::output::Output;
use crate::status::{Progress, Status};
use crate::summary;
use crate::{join, say, signals, size, time};

/// How often a wait looks whether a writer has come.
const LOOK: Duration = Duration::from_millis(200);

/// Create the buffer NAME and receive frames from it.
///
/// Waits for a writer (`zerobuffer send NAME`, or any program that speaks the protocol) and ends
/// when it is gone and all its frames are read. Frames go from shared memory straight to the
/// output.
// Each flag is an option of its own on the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: zerobuffer recv cam | ffmpeg -f yuv4mpegpipe -i - film.mp4")]
pub(crate) struct Args {
    /// The buffer's name.
    name: String,
    /// See the frames of a buffer that has a reader, without taking part: neither end notices. A
    /// frame that is overwritten before it is copied is missed.
    #[arg(long, conflicts_with_all = ["ring", "metadata", "mode", "global"])]
    tap: bool,
    /// Bytes of the ring; a frame of it is larger by 16 bytes. Three frames and more let both ends
    /// work at once.
    #[arg(long, value_name = "BYTES", default_value = "32MiB", value_parser = size::parse_positive)]
    ring: u64,
    /// Bytes of the metadata block, which carries the stream's description.
    #[arg(long, value_name = "BYTES", default_value = "4KiB", value_parser = size::parse)]
    metadata: u64,
    /// Permission bits of the buffer in octal; 660 lets the group write, 666 everyone [default:
    /// 600, or what ZEROBUFFER_MODE says].
    #[arg(long, value_parser = parse_mode)]
    mode: Option<u32>,
    /// Let processes of other Windows sessions find the buffer, which needs the privilege
    /// `SeCreateGlobalPrivilege`; elsewhere every process can anyway, and this changes nothing.
    #[arg(long)]
    global: bool,
    /// Where frames go: a file, or - for standard output.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: String,
    /// What to write.
    #[arg(long, value_enum, default_value_t = OutputFormat::Auto)]
    format: OutputFormat,
    /// How the rows of raw pictures are written.
    #[arg(long, value_enum, default_value_t = OutputRows::AsSent)]
    rows: OutputRows,
    /// Write each raw frame with the 24 bytes of its stamp, if it has one.
    #[arg(long)]
    stamp: bool,
    /// Stop after this many frames.
    #[arg(long, value_name = "COUNT")]
    frames: Option<u64>,
    /// Go on with the next writer when one has left, until stopped. It must send frames of the same
    /// kind.
    #[arg(long)]
    follow: bool,
    /// Take the newest frame and pass over those before it, for live pictures: an output that is
    /// slow loses frames instead of falling behind.
    #[arg(long, visible_alias = "newest")]
    latest: bool,
    /// Wait at most this long for a writer [default: for ever].
    #[arg(long, value_name = "SECONDS", value_parser = time::parse)]
    wait: Option<Duration>,
    /// Wait at most this long for each further frame [default: for ever].
    #[arg(long, value_name = "SECONDS", value_parser = time::parse_positive)]
    timeout: Option<Duration>,
    /// Print a summary as JSON; needs the frames to go elsewhere than to standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// y4m when the metadata describes uncompressed video, else raw.
    Auto,
    /// A YUV4MPEG2 stream.
    Y4m,
    /// The frames' bytes, one after the other.
    Raw,
    /// Nothing: read and drop.
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputRows {
    /// As the sender has them.
    AsSent,
    /// Without padding, as ffmpeg and most programs expect.
    Tight,
    /// With GStreamer's padding.
    Padded,
}

/// What a wait for a frame has brought.
enum Next {
    Frame(Frame),
    /// The writer is gone, and all that it sent is read.
    Gone,
    /// No further writer has come to a stream that is followed.
    Over,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let to_output = args.format != OutputFormat::Null;
    if args.json && to_output && args.output == "-" {
        return Err(Fail::new(
            Exit::Usage,
            "--json and the frames both want standard output: add --output FILE or --format null",
        ));
    }
    let output = to_output.then(|| Output::open(&args.output)).transpose()?;
    let mut sink = Sink::new(args, output);
    let mut created = false;
    let result = if args.tap {
        created = true;
        tap::receive(args, &mut sink)
    } else {
        receive(args, &mut sink, &mut created)
    };
    if let Some(output) = &sink.output {
        output.tidy();
    }
    if result.is_ok() {
        sink.tell();
    }
    if args.json && created { summary::print(&sink.summary(&result), result) } else { result }
}

fn receive(args: &Args, sink: &mut Sink<'_>, created: &mut bool) -> Result<(), Fail> {
    let config =
        with_mode(BufferConfig::ring(args.ring).metadata(args.metadata).global(args.global), args.mode);
    let mut reader = Reader::create(&args.name, config)?;
    *created = true;
    let handle = reader.handle();
    signals::on_signal(move || handle.interrupt());
    say::note(&format!(
        "waiting for a writer on '{}', ring of {} (start one with: zerobuffer send {})",
        args.name,
        size::human(args.ring),
        args.name
    ));
    let handle = reader.handle();
    let progress = move || {
        let stats = handle.stats();
        Progress { frames: stats.frames, bytes: stats.bytes, lost: stats.skipped, fill: handle.utilization() }
    };
    let _status = Status::start(&args.name, sink.output.as_ref().is_none_or(Output::is_file), progress);
    while args.frames.is_none_or(|limit| sink.frames < limit) {
        match next(args, &mut reader, sink)? {
            Next::Frame(frame) => {
                sink.take(&reader, frame.data())?;
                if signals::caught().is_some() {
                    return Err(signals::interrupted(&sink.done()));
                }
            }
            Next::Over => break,
            Next::Gone => {
                // A stream without frames may still have a header.
                sink.begin(&reader, None)?;
                let died = reader.writer_died();
                if !args.follow {
                    if died {
                        return Err(Fail::new(Exit::PeerGone, sink.died()));
                    }
                    break;
                }
                say::note(&if died { sink.died() } else { format!("the writer has left: {}", sink.done()) });
                say::note(&format!("waiting for the next writer on '{}'", args.name));
                sink.known = false;
            }
        }
    }
    reader.close()?;
    Ok(())
}

/// Waits for the next frame, or for the end.
fn next(args: &Args, reader: &mut Reader, sink: &mut Sink<'_>) -> Result<Next, Fail> {
    let mut start = Instant::now();
    // From the first frame on it is the writer that takes its time.
    let mut present = sink.known;
    let mut timed = present;
    loop {
        if !present && sink.writers == 0 && reader.is_writer_connected() {
            present = true;
        }
        if present && !std::mem::replace(&mut timed, present) {
            start = Instant::now();
        }
        let limit = if present { args.timeout } else { args.wait };
        let left = limit.map(|limit| limit.saturating_sub(start.elapsed()));
        let slice = left.map_or(LOOK, |left| left.min(LOOK));
        let frame = if !present && sink.writers > 0 {
            // Of the one that has left nothing more is to be said.
            reader.wait_for_writer(slice).map(|came| {
                present = came;
                None
            })
        } else if args.latest {
            reader.latest_timeout(slice).map(|latest| {
                latest.map(|latest| {
                    sink.skipped = sink.skipped.saturating_add(latest.skipped);
                    latest.frame
                })
            })
        } else if left.is_none() && present {
            reader.read().map(Some)
        } else {
            reader.read_timeout(slice)
        };
        match frame {
            Ok(Some(frame)) => return Ok(Next::Frame(frame)),
            Ok(None) => {}
            Err(Error::WriterGone { .. }) => return Ok(Next::Gone),
            Err(error) => return Err(join::ended(error, &sink.done())),
        }
        if left.is_some_and(|left| left.is_zero()) {
            if !present && sink.writers > 0 {
                return Ok(Next::Over);
            }
            return Err(too_late(args, present, &sink.done()));
        }
    }
}

fn too_late(args: &Args, present: bool, done: &str) -> Fail {
    let name = &args.name;
    let seconds = |time: Option<Duration>| time::seconds(time.unwrap_or_default());
    if present {
        Fail::new(
            Exit::Timeout,
            format!(
                "no frame came from '{name}' within {} though its writer is there: {done}; give it longer with --timeout SECONDS",
                seconds(args.timeout)
            ),
        )
    } else {
        Fail::new(
            Exit::Absent,
            format!(
                "no writer on '{name}' came within {}: start one with `zerobuffer send {name}`, or wait longer with --wait SECONDS",
                seconds(args.wait)
            ),
        )
    }
}

/// A buffer's configuration with the permission bits that were asked for, if any were.
pub(crate) fn with_mode(config: BufferConfig, mode: Option<u32>) -> BufferConfig {
    match mode {
        Some(mode) => config.mode(mode),
        None => config,
    }
}

/// Octal permission bits as `chmod` takes them.
pub(crate) fn parse_mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| mode & !0o666 == 0 && mode & 0o600 == 0o600)
        .ok_or_else(|| format!("'{text}' is not 600, 660, 666 or the like: read and write bits in octal, the owner's among them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        for (text, mode) in [("600", 0o600), ("0660", 0o660), ("666", 0o666)] {
            assert_eq!(parse_mode(text), Ok(mode));
        }
        for text in ["", "rw", "777", "400", "060", "1600", "-600"] {
            assert!(parse_mode(text).is_err(), "{text}");
        }
    }
}
