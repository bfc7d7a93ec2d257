//! A received stream on its way to the output: the form it takes, and what has become of it.
use std::time::Instant;

use serde::Serialize;
use zerobuffer::{Frame, Metadata, Reader};

use super::{Args, OutputFormat};
use crate::caps::Found;
use crate::exit::Exit;
use crate::fail::Fail;
use crate::output::Output;
use crate::summary::Ended;
use crate::y4m::FRAME;
use crate::{join, say, size, text};

/// What `--json` prints at the end.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    name: &'a str,
    format: &'static str,
    frames: u64,
    bytes: u64,
    /// Frames passed over by `--latest`.
    skipped: u64,
    /// Writers that have come.
    writers: u64,
    seconds: f64,
    #[serde(flatten)]
    ended: Ended,
}

/// What has been decided from the metadata: how frames are written.
#[derive(PartialEq, Eq)]
enum Form {
    /// This header was written; each frame has this line before it and this many bytes.
    Y4m {
        header: Vec<u8>,
        line: Vec<u8>,
        size: u64,
    },
    Raw,
    Null,
}

/// A stream on its way to the output.
pub(super) struct Sink<'a> {
    args: &'a Args,
    pub(super) output: Option<Output>,
    form: Option<Form>,
    /// The metadata of the writer whose frames come are looked at.
    pub(super) known: bool,
    pub(super) writers: u64,
    pub(super) frames: u64,
    bytes: u64,
    pub(super) skipped: u64,
    first: Option<Instant>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(args: &'a Args, output: Option<Output>) -> Sink<'a> {
        Sink {
            args,
            output,
            form: None,
            known: false,
            writers: 0,
            frames: 0,
            bytes: 0,
            skipped: 0,
            first: None,
        }
    }

    /// What was done so far, for messages.
    pub(super) fn done(&self) -> String {
        format!("{} received from '{}'", join::frames(self.frames), self.args.name)
    }

    /// What to say of a writer that has died.
    pub(super) fn died(&self) -> String {
        format!(
            "the writer died without closing: {}, all that it had published; what it had yet to send is missing",
            self.done()
        )
    }

    /// Writes one frame, straight from shared memory.
    pub(super) fn take(&mut self, reader: &Reader, frame: &Frame) -> Result<(), Fail> {
        let data = frame.data();
        self.begin(reader, Some(data.len()))?;
        if let (Some(output), Some(form)) = (&mut self.output, &self.form) {
            match form {
                Form::Y4m { line, size, .. } => {
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

    /// Decides the form from the metadata, once per writer, and writes the header that it asks for, once.
    ///
    /// `frame`: the size of the first frame, `None` when the stream ended without any.
    pub(super) fn begin(&mut self, reader: &Reader, frame: Option<usize>) -> Result<(), Fail> {
        if std::mem::replace(&mut self.known, true) {
            return Ok(());
        }
        self.writers += 1;
        self.first.get_or_insert_with(Instant::now);
        let metadata = reader.metadata()?;
        let metadata = metadata.as_ref().map(Metadata::data).unwrap_or_default();
        let form = choose(self.args, metadata, frame)?;
        if let Some(present) = &self.form {
            // A writer that left without a word has nothing to be compared.
            if *present == form || frame.is_none() {
                return Ok(());
            }
            return Err(Fail::new(
                Exit::Input,
                format!(
                    "the next writer of '{}' sends frames of another kind: {}; receive them into a file of their own",
                    self.args.name,
                    form.words()
                ),
            ));
        }
        if let Form::Y4m { size, header, .. } = &form {
            // Before the header: a first frame that does not fit leaves no output at all.
            frame.map_or(Ok(()), |got| check_frame(&self.args.name, 0, got, *size))?;
            if let Some(output) = &mut self.output {
                output.write(header, &[])?;
            }
        }
        if frame.is_some() {
            say::note(&format!("receiving from '{}': {}", self.args.name, form.words()));
        }
        // A writer that has sent and described nothing decides nothing for the next one.
        if frame.is_some() || matches!(form, Form::Y4m { .. }) {
            self.form = Some(form);
        }
        Ok(())
    }

    fn format(&self) -> &'static str {
        match self.form {
            Some(Form::Y4m { .. }) => "y4m",
            Some(Form::Raw) => "raw",
            Some(Form::Null) => "null",
            None => "none",
        }
    }

    fn seconds(&self) -> f64 {
        self.first.map_or(0.0, |first| first.elapsed().as_secs_f64())
    }

    /// The note at the end.
    pub(super) fn tell(&self) {
        let name = &self.args.name;
        if self.frames == 0 && self.args.frames != Some(0) {
            say::note(&format!("the writer of '{name}' has left without sending a frame"));
            return;
        }
        let skipped =
            if self.skipped == 0 { String::new() } else { format!(", {} passed over", self.skipped) };
        say::note(&format!(
            "received {} ({}) from '{name}' in {:.2} s, written as {}{skipped}",
            join::frames(self.frames),
            size::human(self.bytes),
            self.seconds(),
            self.format()
        ));
    }

    pub(super) fn summary(&self, result: &Result<(), Fail>) -> Summary<'_> {
        Summary {
            name: &self.args.name,
            format: self.format(),
            frames: self.frames,
            bytes: self.bytes,
            skipped: self.skipped,
            writers: self.writers,
            seconds: self.seconds(),
            ended: Ended::of(result),
        }
    }
}

impl Form {
    /// What is received, in words.
    fn words(&self) -> String {
        match self {
            Form::Y4m { header, .. } => String::from_utf8_lossy(header.trim_ascii_end()).into_owned(),
            Form::Raw => String::from("frames as they are"),
            Form::Null => String::from("nothing is kept"),
        }
    }
}

/// The form of the output.
fn choose(args: &Args, metadata: &[u8], frame: Option<usize>) -> Result<Form, Fail> {
    let name = &args.name;
    let found = match args.format {
        OutputFormat::Null => return Ok(Form::Null),
        OutputFormat::Raw => return Ok(Form::Raw),
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
            let size = header.frame_size;
            Ok(Form::Y4m { header: format!("{}\n", header.line).into_bytes(), line, size })
        }
        // Nothing came and nothing is known about what would have: there is nothing to write in any format.
        None if args.format == OutputFormat::Auto || frame.is_none() => Ok(Form::Raw),
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
