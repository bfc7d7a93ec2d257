//! The frames of a reader as a `Stream` (feature `stream`).

use super::{Frame, Reader};
use crate::{
    error::{Error, Result},
    sync::Instant,
};
use futures_core::stream::{FusedStream, Stream};
use std::{
    borrow::BorrowMut,
    pin::Pin,
    task::{Context, Poll},
};

/// The frames of a reader, until its writer has left and all of them are read.
///
/// It waits for each frame for ever, also for the first writer. An error is the last item. Made by
/// [`Reader::stream`] and [`Reader::into_stream`]. Dropping it, or what waits for its next item,
/// loses no frame.
#[derive(Debug)]
#[must_use = "streams are lazy"]
pub struct FrameStream<R: BorrowMut<Reader>> {
    reader: R,
    waits_since: Option<Instant>,
    ended: bool,
}

impl Reader {
    /// The frames as a stream; the reader may be read on behind it.
    pub fn stream(&mut self) -> FrameStream<&mut Self> {
        FrameStream { reader: self, waits_since: None, ended: false }
    }

    /// The frames as a stream that owns the reader.
    pub fn into_stream(self) -> FrameStream<Self> {
        FrameStream { reader: self, waits_since: None, ended: false }
    }
}

impl<R: BorrowMut<Reader> + Unpin> Stream for FrameStream<R> {
    type Item = Result<Frame>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        this.reader.borrow_mut().poll_read_in_turns(context, &mut this.waits_since).map(|read| match read {
            Ok(frame) => Some(Ok(frame)),
            Err(error) => {
                this.ended = true;
                (!matches!(error, Error::WriterGone { .. })).then_some(Err(error))
            }
        })
    }
}

impl<R: BorrowMut<Reader> + Unpin> FusedStream for FrameStream<R> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl<R: BorrowMut<Reader>> Drop for FrameStream<R> {
    fn drop(&mut self) {
        self.reader.borrow_mut().give_up(self.waits_since);
    }
}
