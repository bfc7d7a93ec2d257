//! Reading as a loop over frames.

use super::{Frame, Reader};
use crate::error::{Error, Result};
use std::borrow::BorrowMut;

/// The frames of a reader, until its writer has left and all of them are read.
///
/// It waits for each frame for ever, also for the first writer. An error is the last item. Made by
/// a loop over a [`Reader`], or over `&mut reader`, which may be read on behind the loop.
///
/// ```
/// # use zerobuffer::{BufferConfig, Reader, Writer};
/// # let name = format!("doc-frames-{}", std::process::id());
/// let mut reader = Reader::create(&name, BufferConfig::default())?;
/// let mut writer = Writer::connect(&name)?;
/// for frame in [b"one", b"two"] {
///     writer.write(frame)?;
/// }
/// writer.close()?;
/// let mut count = 0;
/// for frame in &mut reader {
///     count += frame?.len();
/// }
/// assert_eq!(count, 6);
/// # Ok::<(), zerobuffer::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "iterators are lazy"]
pub struct Frames<R> {
    reader: R,
    ended: bool,
}

impl<R: BorrowMut<Reader>> Iterator for Frames<R> {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Result<Frame>> {
        if self.ended {
            return None;
        }
        match self.reader.borrow_mut().read() {
            Ok(frame) => Some(Ok(frame)),
            Err(error) => {
                self.ended = true;
                (!matches!(error, Error::WriterGone { .. })).then_some(Err(error))
            }
        }
    }
}

impl<R: BorrowMut<Reader>> std::iter::FusedIterator for Frames<R> {}

impl IntoIterator for Reader {
    type Item = Result<Frame>;
    type IntoIter = Frames<Self>;

    fn into_iter(self) -> Frames<Self> {
        Frames { reader: self, ended: false }
    }
}

#[allow(clippy::into_iter_without_iter, reason = "a reader is a source of frames, not a collection")]
impl<'r> IntoIterator for &'r mut Reader {
    type Item = Result<Frame>;
    type IntoIter = Frames<&'r mut Reader>;

    fn into_iter(self) -> Frames<&'r mut Reader> {
        Frames { reader: self, ended: false }
    }
}
