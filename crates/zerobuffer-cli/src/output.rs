//! A file or pipe to write to, straight from shared memory, that Ctrl-C can end.
use std::fs::File;
use std::io::{self, IoSlice, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::exit::Exit;
use crate::fail::Fail;
use crate::{os, say, signals};

/// Where received frames go.
pub(crate) struct Output {
    file: File,
    /// What messages call it: the path or "standard output".
    name: String,
    /// A file that this run made, to be removed again if nothing gets into it.
    created: Option<PathBuf>,
    /// A regular file whose old content goes when the first byte comes.
    old_content: bool,
    written: u64,
}

impl Output {
    /// Opens `path`, or standard output for `-`. A file that is there keeps its content until the
    /// first write.
    pub(crate) fn open(path: &str) -> Result<Output, Fail> {
        if path == "-" {
            return Output::stdout();
        }
        let name = path.to_owned();
        let failed = |error: &io::Error| Fail::io(format_args!("cannot open output {path}"), error);
        let found = std::fs::metadata(path);
        if found.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
            return Err(Fail::new(Exit::Failure, format!("cannot write output {path}: it is a directory")));
        }
        if found.as_ref().is_ok_and(os::is_fifo) {
            let file = open_fifo(path)?;
            return Ok(Output { file, name, created: None, old_content: false, written: 0 }.widened());
        }
        let fresh = found.is_err();
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| failed(&error))?;
        let old_content = file.metadata().is_ok_and(|metadata| metadata.is_file());
        let created = (fresh && old_content).then(|| Path::new(path).to_path_buf());
        Ok(Output { file, name, created, old_content, written: 0 })
    }

    fn stdout() -> Result<Output, Fail> {
        let stdout = io::stdout();
        if stdout.is_terminal() {
            return Err(Fail::new(
                Exit::Usage,
                "standard output is a terminal and frames are no text: pipe it on, or use --output FILE or --format null",
            ));
        }
        let failed = |error: &io::Error| Fail::io("cannot write to standard output", error);
        let file = os::standard_output().map_err(|error| failed(&error))?;
        let name = String::from("standard output");
        Ok(Output { file, name, created: None, old_content: false, written: 0 }.widened())
    }

    /// Whether it is a regular file: no other program stands at its end.
    pub(crate) fn is_file(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.is_file())
    }

    fn widened(self) -> Output {
        os::widen(&self.file);
        self
    }

    /// Writes `head` and `body` in one go where the system takes them.
    pub(crate) fn write(&mut self, head: &[u8], body: &[u8]) -> Result<(), Fail> {
        if std::mem::take(&mut self.old_content) {
            self.file.set_len(0).map_err(|error| self.failed(&error))?;
        }
        let mut parts = [IoSlice::new(head), IoSlice::new(body)];
        let mut left = &mut parts[..];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match self.file.write_vectored(left) {
                Ok(0) => return Err(self.failed(&io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.written = self.written.saturating_add(count as u64);
                    IoSlice::advance_slices(&mut left, count);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => {
                        os::wait_writable(&self.file).map_err(|error| self.failed(&error))?;
                    }
                    _ => return Err(self.failed(&error)),
                },
            }
            if signals::caught().is_some() && !left.is_empty() {
                return Err(signals::interrupted(&format!(
                    "while writing to {}; its last frame is cut short",
                    self.name
                )));
            }
        }
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> Fail {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Fail::quiet(Exit::BrokenPipe);
        }
        let fail =
            Fail::io(format_args!("cannot write to {} after {} bytes", self.name, self.written), error);
        if error.kind() == io::ErrorKind::StorageFull {
            return fail.hint("free some space or name another --output");
        }
        fail
    }

    /// Removes the file if this run made it and nothing got into it.
    pub(crate) fn tidy(&self) {
        if let Some(path) = self.created.as_ref().filter(|_| self.written == 0) {
            // It is empty and was made here: that it stays is the worst that can happen.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Opens a FIFO, waiting for its reader in a way that Ctrl-C can end.
fn open_fifo(path: &str) -> Result<File, Fail> {
    let mut reported = false;
    loop {
        match os::open_fifo_output(path) {
            Ok(Some(file)) => return Ok(file),
            Ok(None) => {
                if !std::mem::replace(&mut reported, true) {
                    say::note(&format!("waiting for a program to read from the FIFO {path}"));
                }
                if signals::sleep(Duration::from_millis(50)) {
                    return Err(signals::interrupted(&format!("nothing read from the FIFO {path}")));
                }
            }
            Err(error) => return Err(Fail::io(format_args!("cannot open output {path}"), &error)),
        }
    }
}

/// Prints data (tables, JSON) on standard output.
pub(crate) fn print(text: &str) -> Result<(), Fail> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Fail::quiet(Exit::BrokenPipe)
        } else {
            Fail::io("cannot write to standard output", &error)
        }
    })
}

/// Prints one JSON document on standard output.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Fail> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| Fail::new(Exit::Internal, format!("cannot write JSON: {error}")))?;
    text.push('\n');
    print(&text)
}
