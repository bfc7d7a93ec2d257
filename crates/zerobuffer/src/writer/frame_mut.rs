//! A frame on loan: ring memory to be filled in place.

use super::{Outcome, Writer};
use crate::error::Result;
use std::{
    fmt, io,
    ops::{Deref, DerefMut},
};

/// Ring memory for one frame, filled in place and then committed; dropping it publishes nothing.
///
/// The bytes are whatever was in the ring before. They begin at a multiple of 16 bytes in memory if
/// the reader is of this library.
///
/// ```
/// # use zerobuffer::{BufferConfig, Reader, Writer};
/// # let name = format!("doc-loan-{}", std::process::id());
/// # let mut reader = Reader::create(&name, BufferConfig::default())?;
/// # let mut writer = Writer::connect(&name)?;
/// let mut loan = writer.loan(640 * 480)?;
/// loan.fill(7);
/// assert_eq!(loan.commit_len(1000)?.sequence(), Some(1));
/// assert_eq!(reader.read()?.data(), [7; 1000]);
/// # Ok::<(), zerobuffer::Error>(())
/// ```
#[must_use = "a loan that is dropped publishes nothing"]
pub struct FrameMut<'w> {
    writer: &'w mut Writer,
    /// Bytes that were put in by [`io::Write`].
    written: usize,
    /// In place of ring memory, for a frame that is dropped since the ring is full.
    private: Option<Vec<u8>>,
}

impl<'w> FrameMut<'w> {
    #[inline]
    pub(super) fn new(writer: &'w mut Writer) -> Self {
        Self { writer, written: 0, private: None }
    }

    #[cold]
    pub(super) fn dropped(writer: &'w mut Writer, size: usize) -> Self {
        Self { writer, written: 0, private: Some(vec![0; size]) }
    }

    /// Publishes the whole frame, unless it is one that the policy drops.
    ///
    /// # Errors
    ///
    /// [`Error::Replaced`](crate::Error::Replaced), [`Error::Forked`](crate::Error::Forked),
    /// [`Error::Corrupt`](crate::Error::Corrupt); then nothing was published.
    pub fn commit(self) -> Result<Outcome> {
        let len = self.len();
        self.commit_len(len)
    }

    /// Publishes the first `len` bytes, 1 to all of them.
    ///
    /// # Errors
    ///
    /// As [`Self::commit`], and [`Error::InvalidCommit`](crate::Error::InvalidCommit): more than
    /// loaned, none, or a length that a legacy reader could not cope with.
    pub fn commit_len(self, len: usize) -> Result<Outcome> {
        if self.private.is_some() {
            return Ok(Outcome::Dropped);
        }
        self.writer.commit(len).map(|sequence| Outcome::Sent { sequence })
        // Dropping `self` then abandons nothing, or what an invalid length has left.
    }

    /// Publishes what was put in by [`io::Write`].
    ///
    /// # Errors
    ///
    /// As [`Self::commit_len`]; nothing was put in.
    pub fn commit_written(self) -> Result<Outcome> {
        let len = self.written;
        self.commit_len(len)
    }
}

/// Fills the loan from its start; at its end nothing more is taken. Publish with
/// [`FrameMut::commit_written`].
///
/// ```
/// # use std::io::Write;
/// # use zerobuffer::{BufferConfig, Reader, Writer};
/// # let name = format!("doc-loan-write-{}", std::process::id());
/// # let mut reader = Reader::create(&name, BufferConfig::default())?;
/// # let mut writer = Writer::connect(&name)?;
/// let mut loan = writer.loan(100)?;
/// write!(loan, "frame {} of {}", 1, 2)?;
/// loan.commit_written()?;
/// assert_eq!(reader.read()?.data(), b"frame 1 of 2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl io::Write for FrameMut<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let at = self.written;
        let taken = self.get_mut(at..).map_or(Ok(0), |mut room| room.write(data))?;
        self.written += taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsRef<[u8]> for FrameMut<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for FrameMut<'_> {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl Deref for FrameMut<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.private.as_deref().unwrap_or_else(|| self.writer.pending_bytes())
    }
}

impl DerefMut for FrameMut<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.private {
            Some(private) => private,
            None => self.writer.pending().unwrap_or_default(),
        }
    }
}

impl Drop for FrameMut<'_> {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

impl fmt::Debug for FrameMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameMut").field("len", &self.len()).finish_non_exhaustive()
    }
}
