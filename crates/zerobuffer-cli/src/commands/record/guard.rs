//! A file that stays whole when the disk is full: what does not get into it is cut off again.
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Ends of chunks that are remembered. The last is enough, unless even the room for the file's end
/// is gone.
const KEPT: usize = 16;
/// Record 0x0f, `DataEnd` without a checksum, and record 0x02, `Footer` without a summary: then the
/// magic closes a file.
const END: &[u8] =
    b"\x0f\x04\0\0\0\0\0\0\0\0\0\0\0\x02\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// The file, as the writer of the format sees it: each flush marks the end of a chunk.
#[derive(Clone)]
pub(super) struct Guard(Arc<Mutex<State>>);

struct State {
    file: File,
    position: u64,
    /// Up to where the file holds whole chunks, the newest last.
    whole: Vec<u64>,
    /// Nothing more is written.
    failed: bool,
}

impl State {
    /// Tells the system that nobody will read the newest chunks soon. It then writes them to the
    /// disk at once, beside the recording, and its memory for files goes to other programs' files.
    #[cfg(target_os = "linux")]
    fn begin_to_save(&self) {
        let from = self.whole.first().copied().unwrap_or_default();
        let length = std::num::NonZero::new(self.position.saturating_sub(from));
        // It is advice: what cannot take it, such as a pipe, is written as before.
        let _ = rustix::fs::fadvise(&self.file, from, length, rustix::fs::Advice::DontNeed);
    }

    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unused_self, reason = "as on Linux")]
    fn begin_to_save(&self) {}
}

impl Guard {
    pub(super) fn new(file: File) -> Guard {
        Guard(Arc::new(Mutex::new(State { file, position: 0, whole: Vec::new(), failed: false })))
    }

    /// After a failure: cuts off what is not whole and closes the file in the format's way.
    pub(super) fn close_early(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.failed = true;
        let mut result = Err(io::ErrorKind::StorageFull.into());
        while let Some(end) = state.whole.pop() {
            // Cutting gives room back; the end needs a few bytes of it.
            state.file.set_len(end)?;
            state.file.seek(SeekFrom::Start(end))?;
            result = state.file.write_all(END).and_then(|()| state.file.write_all(mcap::MAGIC));
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// Bytes in the file.
    pub(super) fn position(&self) -> u64 {
        self.lock().position
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Guard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.lock();
        if state.failed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let written = state.file.write(bytes);
        match &written {
            Ok(count) => state.position += *count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => state.failed = true,
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut state = self.lock();
        let position = state.position;
        if !state.failed && state.whole.last() != Some(&position) {
            if state.whole.len() == KEPT {
                state.whole.remove(0);
            }
            state.whole.push(position);
            state.begin_to_save();
        }
        Ok(())
    }
}

impl Seek for Guard {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        // The writer only asks where it is: chunks are written whole.
        match to {
            SeekFrom::Current(0) => Ok(self.lock().position),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}
