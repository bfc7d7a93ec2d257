//! `zerobuffer recv`: frames from a buffer into a file or pipe.
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;
use zerobuffer::{BufferConfig, Error, Frame, Metadata, Reader};

use crate::caps::Found;
use crate::exit::Exit;
use crate::fail::Fail;
use crate::output::Output;
use crate::y4m::FRAME;
use crate::{join, output, say, signals, size, text, time};

/// How often a wait looks whether a writer has come.
const LOOK: Duration = Duration::from_millis(200);

/// Create the buffer NAME and receive frames from it.
///
/// Waits for a writer (`zerobuffer send NAME`, or any program that speaks the protocol) and ends when it is gone and all
/// its frames are read. Frames go from shared memory straight to the output.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: zerobuffer recv cam | ffmpeg -f yuv4mpegpipe -i - film.mp4")]
pub(crate) struct Args {
    /// The buffer's name.
    name: String,
    /// Bytes of the ring; a frame of it is larger by 16 bytes. Three frames and more let both ends work at once.
    #[arg(long, value_name = "BYTES", default_value = "32MiB", value_parser = size::parse_positive)]
    ring: u64,
    /// Bytes of the metadata block, which carries the stream's description.
    #[arg(long, value_name = "BYTES", default_value = "4KiB", value_parser = size::parse)]
    metadata: u64,
    /// Permission bits of the buffer in octal; 660 lets the group write, 666 everyone.
    #[arg(long, default_value = "600", value_parser = parse_mode)]
    mode: u32,
    /// Let processes of other Windows sessions find the buffer, which needs the privilege `SeCreateGlobalPrivilege`;
    /// elsewhere every process can anyway, and this changes nothing.
    #[arg(long)]
    global: bool,
    /// Where frames go: a file, or - for standard output.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: String,
    /// What to write.
    #[arg(long, value_enum, default_value_t = OutputFormat::Auto)]
    format: OutputFormat,
    /// Stop after this many frames.
    #[arg(long, value_name = "COUNT")]
    frames: Option<u64>,
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

/// What `--json` prints at the end.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    name: &'a str,
    format: &'static str,
    frames: u64,
    bytes: u64,
    seconds: f64,
}

/// What has been decided from the metadata: how frames are written.
enum Form {
    /// A header was written; each frame has this line before it and this many bytes.
    Y4m {
        line: Vec<u8>,
        size: u64,
    },
    Raw,
    Null,
}

/// A stream on its way to the output.
struct Sink<'a> {
    args: &'a Args,
    output: Option<Output>,
    form: Option<Form>,
    frames: u64,
    bytes: u64,
    first: Option<Instant>,
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
    let mut sink = Sink { args, output, form: None, frames: 0, bytes: 0, first: None };
    let result = receive(args, &mut sink);
    if let Some(output) = &sink.output {
        output.tidy();
    }
    result?;
    sink.report()
}

fn receive(args: &Args, sink: &mut Sink<'_>) -> Result<(), Fail> {
    let config = BufferConfig::ring(args.ring).metadata(args.metadata).mode(args.mode).global(args.global);
    let mut reader = Reader::create(&args.name, config)?;
    let handle = reader.handle();
    signals::on_signal(move || handle.interrupt());
    say::note(&format!(
        "waiting for a writer on '{}', ring of {} (start one with: zerobuffer send {})",
        args.name,
        size::human(args.ring),
        args.name
    ));
    while args.frames.is_none_or(|limit| sink.frames < limit) {
        let Some(frame) = next(args, &mut reader, sink)? else {
            // A stream without frames may still have a header.
            sink.begin(&reader, None)?;
            if reader.writer_died() {
                return Err(Fail::new(
                    Exit::PeerGone,
                    format!(
                        "the writer died without closing: {}, all that it had published; what it had yet to send is missing",
                        sink.done()
                    ),
                ));
            }
            break;
        };
        sink.take(&reader, &frame)?;
        if signals::caught().is_some() {
            return Err(signals::interrupted(&sink.done()));
        }
    }
    reader.close()?;
    Ok(())
}

/// Waits for the next frame; `None` when the writer is gone and everything is read.
fn next(args: &Args, reader: &mut Reader, sink: &Sink<'_>) -> Result<Option<Frame>, Fail> {
    let mut start = Instant::now();
    let mut present = sink.frames > 0;
    loop {
        if !present && reader.is_writer_connected() {
            // From here on it is the writer that takes its time.
            present = true;
            start = Instant::now();
        }
        let limit = if present { args.timeout } else { args.wait };
        let left = limit.map(|limit| limit.saturating_sub(start.elapsed()));
        let frame = match left {
            None if present => reader.read().map(Some),
            _ => reader.read_timeout(left.map_or(LOOK, |left| left.min(LOOK))),
        };
        match frame {
            Ok(None) => {}
            Ok(frame) => return Ok(frame),
            Err(Error::WriterGone { .. }) => return Ok(None),
            Err(error) => return Err(join::ended(error, &sink.done())),
        }
        if left.is_some_and(|left| left.is_zero()) {
            return Err(too_late(args, present, &sink.done()));
        }
    }
}

fn too_late(args: &Args, present: bool, done: &str) -> Fail {
    let name = &args.name;
    let seconds = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64();
    if present {
        Fail::new(
            Exit::Timeout,
            format!(
                "no frame came from '{name}' within {} s though its writer is there: {done}; give it longer with --timeout SECONDS",
                seconds(args.timeout)
            ),
        )
    } else {
        Fail::new(
            Exit::Absent,
            format!(
                "no writer on '{name}' came within {} s: start one with `zerobuffer send {name}`, or wait longer with --wait SECONDS",
                seconds(args.wait)
            ),
        )
    }
}

impl Sink<'_> {
    /// What was done so far, for messages.
    fn done(&self) -> String {
        format!("{} received from '{}'", join::frames(self.frames), self.args.name)
    }

    /// Writes one frame, straight from shared memory.
    fn take(&mut self, reader: &Reader, frame: &Frame) -> Result<(), Fail> {
        let data = frame.data();
        self.begin(reader, Some(data.len()))?;
        if let (Some(output), Some(form)) = (&mut self.output, &self.form) {
            match form {
                Form::Y4m { line, size } => {
                    check_frame(&self.args.name, self.frames, data.len(), *size)?;
                    output.write(line, data)?;
                }
                Form::Raw => output.write(&[], data)?,
                Form::Null => {}
            }
        }
        self.frames += 1;
        self.bytes = self.bytes.saturating_add(data.len() as u64);
        Ok(())
    }

    /// Decides the form from the metadata, once, and writes the header that it asks for.
    ///
    /// `frame`: the size of the first frame, `None` when the stream ended without any.
    fn begin(&mut self, reader: &Reader, frame: Option<usize>) -> Result<(), Fail> {
        if self.form.is_some() {
            return Ok(());
        }
        self.first = Some(Instant::now());
        let metadata = reader.metadata()?;
        let metadata = metadata.as_ref().map(Metadata::as_slice).unwrap_or_default();
        let (form, header) = choose(self.args, metadata, frame)?;
        if let Form::Y4m { size, .. } = &form {
            // Before the header: a first frame that does not fit leaves no output at all.
            frame.map_or(Ok(()), |got| check_frame(&self.args.name, 0, got, *size))?;
        }
        if let (Some(output), false) = (&mut self.output, header.is_empty()) {
            output.write(&header, &[])?;
        }
        if frame.is_some() {
            let what = match &form {
                Form::Y4m { .. } => String::from_utf8_lossy(header.trim_ascii_end()).into_owned(),
                Form::Raw => String::from("frames as they are"),
                Form::Null => String::from("nothing is kept"),
            };
            say::note(&format!("receiving from '{}': {what}", self.args.name));
        }
        self.form = Some(form);
        Ok(())
    }

    fn report(&self) -> Result<(), Fail> {
        let seconds = self.first.map_or(0.0, |first| first.elapsed().as_secs_f64());
        let (frames, bytes) = (self.frames, self.bytes);
        let name = &self.args.name;
        let format = match self.form {
            Some(Form::Y4m { .. }) => "y4m",
            Some(Form::Raw) => "raw",
            Some(Form::Null) => "null",
            None => "none",
        };
        say::note(&format!(
            "received {} ({}) from '{name}' in {seconds:.2} s, written as {format}",
            join::frames(frames),
            size::human(bytes)
        ));
        if self.args.json {
            output::print_json(&Summary { name, format, frames, bytes, seconds })?;
        }
        Ok(())
    }
}

/// The form of the output and the bytes that precede its first frame.
fn choose(args: &Args, metadata: &[u8], frame: Option<usize>) -> Result<(Form, Vec<u8>), Fail> {
    let name = &args.name;
    let found = match args.format {
        OutputFormat::Null => return Ok((Form::Null, Vec::new())),
        OutputFormat::Raw => return Ok((Form::Raw, Vec::new())),
        OutputFormat::Auto | OutputFormat::Y4m => Found::parse(metadata).map_err(|why| {
            Fail::new(
                Exit::Input,
                format!("the metadata of '{name}' cannot be used: {why}; receive with --format raw"),
            )
        })?,
    };
    match found.header {
        Some(header) => {
            let line = format!("{FRAME}{}\n", found.frame_parameters).into_bytes();
            let form = Form::Y4m { line, size: header.frame_size };
            Ok((form, format!("{}\n", header.line).into_bytes()))
        }
        // Nothing came and nothing is known about what would have: there is nothing to write in any format.
        None if args.format == OutputFormat::Auto || frame.is_none() => Ok((Form::Raw, Vec::new())),
        None => Err(Fail::new(
            Exit::Input,
            match found.caps {
                Some(caps) => format!(
                    "'{name}' carries '{}', which y4m has no form for: receive with --format raw",
                    text::excerpt(&caps, 120)
                ),
                None => format!(
                    "the metadata of '{name}' does not say what its frames are: receive with --format raw"
                ),
            },
        )),
    }
}

fn check_frame(name: &str, number: u64, got: usize, expected: u64) -> Result<(), Fail> {
    if got as u64 == expected {
        return Ok(());
    }
    Err(Fail::new(
        Exit::Input,
        format!(
            "frame {number} from '{name}' has {got} bytes where its description says {expected}: receive with --format raw"
        ),
    ))
}

/// Octal permission bits as `chmod` takes them.
fn parse_mode(text: &str) -> Result<u32, String> {
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
