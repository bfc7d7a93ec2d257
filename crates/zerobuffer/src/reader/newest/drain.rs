//! The thread: it takes all frames, and says what it meets.

use super::{super::Reader, shared::Shared};
use crate::error::Error;
use std::time::Duration;

/// Says that no more frames come, however the thread ends.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.ended(Error::closed(self.0.reader.name()));
    }
}

/// Drains the ring until the reader is interrupted or fails; gives it back.
pub(super) fn drain(mut reader: Reader, shared: &Shared) -> Reader {
    let _ending = Ending(shared);
    loop {
        let went_on = match reader.latest() {
            Ok(latest) => {
                shared.put(latest);
                Ok(())
            }
            Err(Error::WriterGone { pid, .. }) => {
                shared.writer_gone(pid);
                wait_for_writer(&mut reader).map(|()| shared.writer_came())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = went_on {
            shared.ended(error);
            return reader;
        }
    }
}

fn wait_for_writer(reader: &mut Reader) -> Result<(), Error> {
    while !reader.wait_for_writer(Duration::from_secs(1))? {}
    Ok(())
}
