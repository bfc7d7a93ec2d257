//! `zerobuffer record`: frames of one or more buffers into an MCAP file.
pub(crate) mod file;
mod foxglove;
mod guard;
mod tap;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use zerobuffer::{BufferConfig, Error, Metadata, Reader, ReaderHandle};

use self::file::{Recording, Split, Taken};
use super::recv::{parse_mode, with_mode};
use crate::exit::Exit;
use crate::fail::Fail;
use crate::status::{Progress, Status};
use crate::summary::{self, Ended};
use crate::{join, say, signals, size, time};

/// How often a wait looks whether the recording is over.
const LOOK: Duration = Duration::from_millis(100);

/// Create the buffers NAME and record what is sent to them into an MCAP file, which
/// `zerobuffer replay`, Foxglove and the tools of MCAP read. A buffer that has a reader is recorded
/// beside it.
///
/// One channel for each buffer, with frames as they are in the ring, their numbers and the time of
/// their arrival. Where frames carry the time of their making, that is recorded too. Ends when all
/// writers have gone, or when stopped. A recorder that is killed loses at most its last chunk, 4
/// MiB or one second.
// Each flag is an option of its own on the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: zerobuffer record cam depth -o drive.mcap --split-size 4GiB")]
pub(crate) struct Args {
    /// The buffers' names.
    #[arg(required = true)]
    names: Vec<String>,
    /// Record what other programs read, without taking part: neither end notices. A frame that is
    /// overwritten before it is copied is missed. Done anyway for a buffer that has a reader.
    #[arg(long, conflicts_with_all = ["ring", "metadata", "mode"])]
    tap: bool,
    /// The file. Where a recording is split, numbers are put in front of its ending.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
    /// Write images that Foxglove shows (foxglove.RawImage, foxglove.CompressedImage) in place of
    /// frames as they are. Such a file is for looking: replay needs frames.
    #[arg(long)]
    foxglove: bool,
    /// Begin another file before one becomes larger than this.
    #[arg(long, value_name = "BYTES", value_parser = size::parse_positive)]
    split_size: Option<u64>,
    /// Begin another file after this time.
    #[arg(long, value_name = "SECONDS", value_parser = time::parse_positive)]
    split_time: Option<Duration>,
    /// Stop after this many frames, of all buffers together.
    #[arg(long, value_name = "COUNT")]
    frames: Option<u64>,
    /// Stop after this time, counted from the first frame.
    #[arg(long, value_name = "SECONDS", value_parser = time::parse_positive)]
    seconds: Option<Duration>,
    /// Go on with the next writers when all have left, until stopped.
    #[arg(long)]
    follow: bool,
    /// Bytes of each ring: what it holds while the disk is slow.
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = size::parse_positive)]
    ring: u64,
    /// Bytes of each metadata block.
    #[arg(long, value_name = "BYTES", default_value = "4KiB", value_parser = size::parse)]
    metadata: u64,
    /// Permission bits of the buffers in octal; 660 lets the group write, 666 everyone [default:
    /// 600, or what ZEROBUFFER_MODE says].
    #[arg(long, value_parser = parse_mode)]
    mode: Option<u32>,
    /// Print a summary as JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints at the end.
#[derive(Serialize)]
struct Summary<'a> {
    files: &'a [PathBuf],
    frames: u64,
    bytes: u64,
    /// Frames that were not seen in time, of buffers that others read.
    missed: u64,
    /// Frames that are not what their description says, which only --foxglove minds.
    left_out: u64,
    seconds: f64,
    #[serde(flatten)]
    ended: Ended,
}

/// What all threads of a recording share.
struct Shared {
    recording: Mutex<Recording>,
    /// No further frame is wanted.
    over: AtomicBool,
    /// Nanoseconds from the start to the first frame; `u64::MAX` before.
    first: AtomicU64,
    started: Instant,
    frames: Option<u64>,
    missed: AtomicU64,
}

/// What a buffer is recorded by.
enum Source {
    Reader(Box<Reader>),
    /// Its name.
    Tap(String),
}

impl Source {
    fn open(name: &str, args: &Args, config: &BufferConfig) -> Result<Source, Fail> {
        if args.tap {
            return Ok(Source::Tap(name.to_owned()));
        }
        match Reader::create(name, config.clone()) {
            Ok(reader) => Ok(Source::Reader(Box::new(reader))),
            Err(Error::ReaderAlreadyConnected { .. }) => {
                say::note(&format!("'{name}' has a reader: it is recorded beside that, as by --tap"));
                Ok(Source::Tap(name.to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn handle(&self) -> Option<ReaderHandle> {
        match self {
            Source::Reader(reader) => Some(reader.handle()),
            Source::Tap(_) => None,
        }
    }
}

impl Shared {
    fn recording(&self) -> MutexGuard<'_, Recording> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    /// Records one frame, if one more is wanted.
    fn record(&self, taken: &Taken<'_>) -> Result<(), Fail> {
        let mut recording = self.recording();
        let is_enough = |frames| self.frames.is_some_and(|most| frames >= most);
        if !is_enough(recording.frames) {
            recording.write(taken)?;
            let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX - 1);
            self.first.fetch_min(now, Ordering::SeqCst);
        }
        if is_enough(recording.frames) {
            self.end();
        }
        Ok(())
    }

    /// Time since the first frame.
    fn recorded(&self) -> Duration {
        match self.first.load(Ordering::SeqCst) {
            u64::MAX => Duration::ZERO,
            nanos => self.started.elapsed().saturating_sub(Duration::from_nanos(nanos)),
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let config = with_mode(BufferConfig::ring(args.ring).metadata(args.metadata), args.mode);
    let sources = args
        .names
        .iter()
        .map(|name| Source::open(name, args, &config))
        .collect::<Result<Vec<Source>, Fail>>()?;
    let split = Split { size: args.split_size, time: args.split_time };
    let shared = Arc::new(Shared {
        recording: Mutex::new(Recording::create(&args.output, split, args.force, args.foxglove)?),
        over: AtomicBool::new(false),
        first: AtomicU64::new(u64::MAX),
        started: Instant::now(),
        frames: args.frames,
        missed: AtomicU64::new(0),
    });
    let handles: Vec<ReaderHandle> = sources.iter().filter_map(Source::handle).collect();
    let interrupted = handles.clone();
    signals::on_signal(move || interrupted.iter().for_each(ReaderHandle::interrupt));
    say::note(&format!(
        "recording {} into {}; waiting for writers (start one with: zerobuffer send {})",
        quoted(&args.names),
        args.output.display(),
        args.names.first().map_or("", String::as_str)
    ));
    let result = take_all(args, sources, &shared, handles);
    let finished = shared.recording().finish();
    let result = result.and(finished);
    let seconds = shared.recorded().as_secs_f64();
    let missed = shared.missed.load(Ordering::SeqCst);
    let recording = shared.recording();
    let left_out = recording.left_out;
    if !matches!(&result, Err(fail) if !matches!(fail.exit, Exit::Signal(_) | Exit::PeerGone)) {
        say::note(&format!(
            "recorded {} ({}){}{} in {seconds:.2} s into {}",
            join::frames(recording.frames),
            size::human(recording.bytes),
            if missed == 0 { String::new() } else { format!(", {missed} missed") },
            if left_out == 0 { String::new() } else { format!(", {left_out} left out") },
            recording.files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
        ));
    }
    if !args.json {
        return result;
    }
    let (files, frames, bytes) = (&recording.files[..], recording.frames, recording.bytes);
    let ended = Ended::of(&result);
    summary::print(&Summary { files, frames, bytes, missed, left_out, seconds, ended }, result)
}

/// One thread for each buffer, until all of them have come to their end.
fn take_all(
    args: &Args,
    sources: Vec<Source>,
    shared: &Arc<Shared>,
    handles: Vec<ReaderHandle>,
) -> Result<(), Fail> {
    let counted = Arc::clone(shared);
    let _status = Status::start(&args.output.display().to_string(), true, move || {
        let fill = handles.iter().map(ReaderHandle::utilization).fold(0.0, f64::max);
        let recording = counted.recording();
        Progress {
            frames: recording.frames,
            bytes: recording.bytes,
            lost: counted.missed.load(Ordering::SeqCst),
            fill,
        }
    });
    std::thread::scope(|scope| {
        let threads = sources.into_iter().map(|source| {
            std::thread::Builder::new()
                .name(String::from("record"))
                .spawn_scoped(scope, || {
                    let result = match source {
                        Source::Reader(reader) => take(args, *reader, shared),
                        Source::Tap(name) => tap::take(args, &name, shared),
                    };
                    // One that cannot be recorded ends all; one whose writer has died does not.
                    if matches!(&result, Err(fail) if fail.exit != Exit::PeerGone) {
                        shared.end();
                    }
                    result
                })
                .map_err(|error| Fail::io("cannot start a thread", &error))
        });
        let threads = threads.collect::<Result<Vec<_>, Fail>>().inspect_err(|_| shared.end())?;
        while !shared.is_over() && !threads.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            if args.seconds.is_some_and(|most| shared.recorded() >= most) || signals::sleep(LOOK) {
                shared.end();
            }
            shared.recording().tick().inspect_err(|_| shared.end())?;
        }
        let mut result = Ok(());
        for thread in threads {
            let ended = thread.join().unwrap_or_else(|_| Err(Fail::new(Exit::Internal, "a thread panicked")));
            result = result.and(ended);
        }
        if signals::caught().is_some() { Err(signals::interrupted("the recording is whole")) } else { result }
    })
}

/// Records one buffer up to its end.
fn take(args: &Args, mut reader: Reader, shared: &Shared) -> Result<(), Fail> {
    let name = reader.name().to_owned();
    let mut metadata: Option<Vec<u8>> = None;
    let mut died = None;
    while !shared.is_over() {
        let frame = match reader.read_timeout(LOOK) {
            Ok(Some(frame)) => frame,
            Ok(None) => continue,
            Err(Error::Closed { .. }) => break,
            Err(Error::WriterGone { .. }) => {
                metadata = None;
                died = reader.writer_died().then(|| {
                    Fail::new(
                        Exit::PeerGone,
                        format!(
                            "the writer of '{}' died without closing; what it had published is recorded",
                            reader.name()
                        ),
                    )
                });
                if !args.follow {
                    break;
                }
                wait_for_writer(&mut reader, shared)?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let arrived = now();
        if metadata.is_none() {
            let found = reader.metadata()?;
            metadata = Some(found.as_ref().map(Metadata::data).unwrap_or_default().to_vec());
        }
        let taken = Taken {
            topic: &name,
            metadata: metadata.as_deref().unwrap_or_default(),
            ring_bytes: reader.capacity(),
            sequence: frame.sequence(),
            arrived,
            data: frame.data(),
        };
        shared.record(&taken)?;
    }
    let closed = reader.close();
    match died {
        Some(fail) if !args.follow => Err(fail),
        _ => closed.map_err(Fail::from),
    }
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

fn wait_for_writer(reader: &mut Reader, shared: &Shared) -> Result<(), Fail> {
    while !shared.is_over() {
        match reader.wait_for_writer(LOOK) {
            Ok(true) | Err(Error::Closed { .. }) => return Ok(()),
            Ok(false) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}
