//! A received stream on its way to the output: the form it takes, and what has become of it.
use std::time::Instant;

use serde::Serialize;
use zerobuffer::observe::Tap;
use zerobuffer::{Error, Metadata, Reader};
use zerobuffer_video::Description;

use super::{Args, OutputFormat, pixels};
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
    /// Frames that `--tap` did not see in time.
    missed: u64,
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

/// Where frames come from.
pub(super) trait Source {
    /// The metadata that belong to them.
    fn metadata(&self) -> Result<Option<Vec<u8>>, Error>;
}

impl Source for Reader {
    fn metadata(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.metadata()?.map(|metadata: Metadata| metadata.data().to_vec()))
    }
}

impl Source for Tap {
    fn metadata(&self) -> Result<Option<Vec<u8>>, Error> {
        self.metadata()
    }
}

/// A stream on its way to the output.
pub(super) struct Sink<'a> {
    args: &'a Args,
    pub(super) output: Option<Output>,
    form: Option<Form>,
    /// What the present writer says of its frames.
    description: Description,
    /// A picture whose rows are laid out anew.
    picture: Vec<u8>,
    /// The metadata of the writer whose frames come are looked at.
    pub(super) known: bool,
    pub(super) writers: u64,
    pub(super) frames: u64,
    bytes: u64,
    pub(super) skipped: u64,
    pub(super) missed: u64,
    first: Option<Instant>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(args: &'a Args, output: Option<Output>) -> Sink<'a> {
        Sink {
            args,
            output,
            form: None,
            description: Description::default(),
            picture: Vec::new(),
            known: false,
            writers: 0,
            frames: 0,
            bytes: 0,
            skipped: 0,
            missed: 0,
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
    pub(super) fn take(&mut self, source: &impl Source, data: &[u8]) -> Result<(), Fail> {
        self.begin(source, Some(data))?;
        if let (Some(output), Some(form)) = (&mut self.output, &self.form) {
            let bytes = match form {
                Form::Y4m { line, size, .. } => {
                    pixels::tight(&self.description, data, *size, &mut self.picture)
                        .map(|bytes| (&line[..], bytes))
                }
                Form::Raw => {
                    let (rows, stamp) = (self.args.rows, self.args.stamp);
                    pixels::raw(&self.description, data, rows, stamp, &mut self.picture)
                        .map(|bytes| (&[][..], bytes))
                }
                Form::Null => Ok((&[][..], &[][..])),
            };
            let (line, bytes) = bytes.map_err(|why| unfit(&self.args.name, self.frames, &why))?;
            if *form != Form::Null {
                output.write(line, bytes)?;
            }
        }
        self.frames += 1;
        self.bytes = self.bytes.saturating_add(data.len() as u64);
        Ok(())
    }

    /// Decides the form from the metadata, once per writer, and writes the header that it asks for,
    /// once.
    ///
    /// `first`: the first frame, `None` when the stream ended without any.
    pub(super) fn begin(&mut self, source: &impl Source, first: Option<&[u8]>) -> Result<(), Fail> {
        if std::mem::replace(&mut self.known, true) {
            return Ok(());
        }
        self.writers += 1;
        self.first.get_or_insert_with(Instant::now);
        let metadata = source.metadata()?.unwrap_or_default();
        let (form, description) = choose(self.args, &metadata, first.is_some())?;
        self.description = description;
        if let Some(present) = &self.form {
            // A writer that left without a word has nothing to be compared.
            if *present == form || first.is_none() {
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
            if let Some(first) = first {
                pixels::tight(&self.description, first, *size, &mut self.picture)
                    .map_err(|why| unfit(&self.args.name, 0, &why))?;
            }
            if let Some(output) = &mut self.output {
                output.write(header, &[])?;
            }
        }
        if first.is_some() {
            say::note(&format!("receiving from '{}': {}", self.args.name, form.words()));
        }
        // A writer that has sent and described nothing decides nothing for the next one.
        if first.is_some() || matches!(form, Form::Y4m { .. }) {
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
        let told = |count: u64, what| if count == 0 { String::new() } else { format!(", {count} {what}") };
        let skipped = told(self.skipped, "passed over") + &told(self.missed, "missed");
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
            missed: self.missed,
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

/// The form of the output, and what the writer says of its frames. `frames`: one has come.
fn choose(args: &Args, metadata: &[u8], frames: bool) -> Result<(Form, Description), Fail> {
    let name = &args.name;
    let found = match args.format {
        OutputFormat::Null => return Ok((Form::Null, Description::default())),
        // Whatever the metadata say: this is the way out where they are wrong.
        OutputFormat::Raw => {
            return Ok((Form::Raw, Description::parse_any_format(metadata).unwrap_or_default()));
        }
        OutputFormat::Auto | OutputFormat::Y4m => Found::parse(metadata).map_err(|why| {
            Fail::new(
                Exit::Input,
                format!("the metadata of '{name}' cannot be used: {why}; receive with --format raw"),
            )
        })?,
    };
    match found.header {
        Some(header) => {
            let line = format!("{FRAME}{}\n", found.description.y4m_frame).into_bytes();
            let size = header.frame_size;
            let header = format!("{}\n", header.line).into_bytes();
            Ok((Form::Y4m { header, line, size }, found.description))
        }
        // Nothing came and nothing is known about what would have: there is nothing to write in any
        // format.
        None if args.format == OutputFormat::Auto || !frames => Ok((Form::Raw, found.description)),
        None => Err(Fail::new(
            Exit::Input,
            match found.description.caps {
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

fn unfit(name: &str, number: u64, why: &str) -> Fail {
    Fail::new(
        Exit::Input,
        format!("frame {number} from '{name}' cannot be used: {why}; receive with --format raw"),
    )
}
