//! The reading process of `demo`: takes every frame and compares every byte.
use std::io::Write as _;

use zerobuffer::{BufferConfig, Error, Reader};

use super::pattern::{Difference, Pattern, first_difference};
use super::stamps::Stamps;
use super::writer::{Measured, PATIENCE};
use crate::exit::Exit;
use crate::fail::Fail;
use crate::input::Input;
use crate::source::Source;
use crate::{join, output, signals, time};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    name: String,
    #[arg(long)]
    size: usize,
    #[arg(long)]
    ring: u64,
    #[arg(long)]
    input: Option<String>,
}

/// What frames must be.
enum Expected {
    Generated(Pattern),
    /// The same file that the writer reads, read here once more.
    Video {
        source: Box<Source>,
        frame: Vec<u8>,
    },
}

impl Expected {
    fn check(&mut self, number: u64, got: &[u8]) -> Result<Option<Difference>, Fail> {
        match self {
            Expected::Generated(pattern) => Ok(pattern.check(number, got)),
            Expected::Video { source, frame } => {
                if !source.advance()? {
                    source.rewind()?;
                    source.advance()?;
                }
                source.read(frame)?;
                // The slice comparison is one memcmp; the place is looked for only if it failed.
                Ok(if frame == got { None } else { first_difference(frame, got) })
            }
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    // The ring first: where it has room, a private frame of that size has, too, and else the error
    // says so.
    let mut reader = Reader::create(&args.name, BufferConfig::ring(args.ring).metadata(0))?;
    let handle = reader.handle();
    signals::on_signal(move || handle.interrupt());
    let mut expected = match &args.input {
        None => Expected::Generated(Pattern::new(args.size)),
        Some(path) => {
            Expected::Video { source: Box::new(Source::y4m(Input::open(path)?)?), frame: vec![0; args.size] }
        }
    };
    announce(&args.name)?;
    let mut stamps = Stamps::new();
    let (mut frames, mut bytes) = (0u64, 0u64);
    let (mut start_ns, mut cpu_ns, mut end_ns) = (0, 0, 0);
    loop {
        // Only the first writer is waited for with a limit: from then on its death ends the wait.
        let next = if frames == 0 { reader.read_timeout(PATIENCE) } else { reader.read().map(Some) };
        let frame = match next {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                let waited = PATIENCE.as_secs();
                return Err(Fail::new(
                    Exit::Absent,
                    format!("the demo's writer did not come within {waited} s"),
                ));
            }
            Err(Error::WriterGone { .. }) => break,
            Err(error) => return Err(join::ended(error, &format!("{} received", join::frames(frames)))),
        };
        let now = (stamps.wants() || frames == 0).then(time::monotonic_ns);
        if frames == 0 {
            (start_ns, cpu_ns) = (now.unwrap_or_default(), time::cpu_ns());
        }
        stamps.push(now.filter(|_| stamps.wants()));
        let data = frame.data();
        if data.len() != args.size {
            return Err(Fail::new(
                Exit::Mismatch,
                format!("frame {frames} has {} bytes instead of {}", data.len(), args.size),
            ));
        }
        if let Some(Difference { offset, expected, got }) = expected.check(frames, data)? {
            return Err(Fail::new(
                Exit::Mismatch,
                format!("byte {offset} of frame {frames} is {got:#04x} instead of {expected:#04x}"),
            ));
        }
        frames += 1;
        bytes += data.len() as u64;
        end_ns = time::monotonic_ns();
    }
    let cpu_ns = time::cpu_ns().saturating_sub(cpu_ns);
    reader.close()?;
    output::print_json(&Measured { frames, bytes, start_ns, end_ns, cpu_ns, stamps })
}

/// Tells the parent on the first line of standard output that the buffer is there.
fn announce(name: &str) -> Result<(), Fail> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{name}")
        .and_then(|()| stdout.flush())
        .map_err(|error| Fail::io("cannot report to the demo's parent process", &error))
}
