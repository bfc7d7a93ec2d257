//! A file or pipe to read from, without buffers of our own, that Ctrl-C and a peer's death can end.
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use crate::exit::Exit;
use crate::fail::Fail;
use crate::{os, signals};

/// How often a wait for input looks whether the other side still lives.
const WATCH: Duration = Duration::from_millis(250);

type Watch = Box<dyn Fn() -> Result<(), Fail>>;

/// Where frames come from.
pub(crate) struct Input {
    file: File,
    /// What messages call it: the path or "standard input".
    name: String,
    /// Whether a read may wait for ever.
    pipe: bool,
    offset: u64,
    watch: Option<Watch>,
}

impl Input {
    /// Opens `path`, or standard input for `-`.
    pub(crate) fn open(path: &str) -> Result<Input, Fail> {
        if path == "-" {
            if io::stdin().is_terminal() {
                return Err(Fail::new(
                    Exit::Usage,
                    "standard input is a terminal: pipe frames in, for instance from ffmpeg, or name a file with --input FILE",
                ));
            }
            return Input::stdin();
        }
        let name = path.to_owned();
        let failed = |error: &io::Error| Fail::io(format_args!("cannot open input {path}"), error);
        let metadata = std::fs::metadata(path).map_err(|error| failed(&error))?;
        if metadata.is_dir() {
            return Err(Fail::new(Exit::Failure, format!("cannot read input {path}: it is a directory")));
        }
        let file = os::open_input(path, &metadata).map_err(|error| failed(&error))?;
        Ok(Input { pipe: !metadata.is_file(), file, name, offset: 0, watch: None }.widened())
    }

    /// Opens `path`, or standard input for `-`, where a person may type.
    pub(crate) fn for_request(path: &str) -> Result<Input, Fail> {
        if path == "-" { Input::stdin() } else { Input::open(path) }
    }

    fn stdin() -> Result<Input, Fail> {
        let name = String::from("standard input");
        let file = os::standard_input().map_err(|error| Fail::io("cannot read standard input", &error))?;
        let regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
        Ok(Input { pipe: !regular, file, name, offset: 0, watch: None }.widened())
    }

    fn widened(self) -> Input {
        if self.pipe {
            os::widen(&self.file);
        }
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Has `watch` called now and then while a read waits; its error ends the read.
    pub(crate) fn watch(&mut self, watch: impl Fn() -> Result<(), Fail> + 'static) {
        self.watch = Some(Box::new(watch));
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether reading can start again at an earlier byte.
    pub(crate) fn seekable(&self) -> bool {
        !self.pipe
    }

    /// Goes back to byte `offset` of the file.
    pub(crate) fn seek(&mut self, offset: u64) -> Result<(), Fail> {
        self.file
            .seek(SeekFrom::Start(offset))
            .map_err(|error| Fail::io(format_args!("cannot start {} again", self.name), &error))?;
        self.offset = offset;
        Ok(())
    }

    /// Fills `buffer`, or as much of it as there is before the end of the input; says how much.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Fail> {
        let mut filled = 0usize;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            self.wait()?;
            match self.file.read(rest) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
                Err(error) => {
                    return Err(Fail::io(format_args!("cannot read {}", self.name), &error));
                }
            }
        }
        self.offset = self.offset.saturating_add(filled as u64);
        Ok(filled)
    }

    /// Everything up to the end of the input; `None` if that is more than `limit` bytes.
    pub(crate) fn read_all(&mut self, limit: u64) -> Result<Option<Vec<u8>>, Fail> {
        let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        loop {
            let start = bytes.len();
            // Twice as much each time, so memory follows what is there and not what might be.
            let more = start.max(64 << 10).min(most.saturating_sub(start));
            bytes.resize(start + more, 0);
            let got = self.fill(bytes.get_mut(start..).unwrap_or_default())?;
            bytes.truncate(start + got);
            if bytes.len() == most {
                return Ok(None);
            }
            if got < more {
                return Ok(Some(bytes));
            }
        }
    }

    /// Waits until a read will not block.
    fn wait(&self) -> Result<(), Fail> {
        let failed = |error: &io::Error| Fail::io(format_args!("cannot wait for {}", self.name), error);
        loop {
            let ready = !self.pipe || os::wait_readable(&self.file, WATCH).map_err(|error| failed(&error))?;
            if signals::caught().is_some() {
                return Err(signals::interrupted(&format!("while reading {}", self.name)));
            }
            if ready {
                return Ok(());
            }
            if let Some(watch) = &self.watch {
                watch()?;
            }
        }
    }
}
