//! A buffer that other programs use, seen through a tap: waiting for it, its frames, its end.
use std::time::Duration;

use zerobuffer::Error;
use zerobuffer::observe::{Tap, TapFrame, TapState};

use crate::fail::Fail;
use crate::{say, signals};

/// How often a buffer that is not there is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// A buffer of that name, whichever one is there.
pub(crate) struct Watched {
    name: String,
    tap: Option<Tap>,
    /// A writer was seen, or a frame of it.
    present: bool,
    told: bool,
    /// The tap was opened, and nothing was looked at yet.
    fresh: bool,
}

/// What a look has brought.
pub(crate) enum Seen {
    /// It is in the bytes.
    Frame(TapFrame),
    /// Nothing, yet. `present`: a writer is there.
    Nothing { present: bool },
    /// The writer is gone, and all that is left of it was seen.
    WriterGone,
    /// The buffer is gone: why, and whether its reader has closed it.
    Ended { why: Error, closed: bool },
}

impl Watched {
    pub(crate) fn new(name: &str) -> Watched {
        Watched { name: name.to_owned(), tap: None, present: false, told: false, fresh: true }
    }

    pub(crate) fn tap(&self) -> Option<&Tap> {
        self.tap.as_ref()
    }

    /// Opens the buffer if it is there; it may come later. An error: nobody may look at it.
    pub(crate) fn open(&mut self) -> Result<(), Fail> {
        match Tap::open(&self.name) {
            Ok(tap) => self.tap = Some(tap),
            Err(Error::NotFound { .. } | Error::NotReady { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Waits for a frame, for at most `slice`.
    pub(crate) fn look(&mut self, newest: bool, bytes: &mut Vec<u8>, slice: Duration) -> Result<Seen, Fail> {
        if self.tap.is_none() {
            self.open()?;
        }
        let Some(tap) = &mut self.tap else {
            signals::sleep(slice.min(LOOK));
            return Ok(Seen::Nothing { present: false });
        };
        let found = if newest { tap.latest(bytes, slice) } else { tap.next(bytes, slice) };
        if std::mem::take(&mut self.fresh) {
            // From the first look on, no frame that comes is passed over unnoticed.
            log::info!("buffer '{}' is watched from now on", self.name);
        }
        let found = match found {
            // Of a writer that has left, too.
            Ok(None) if self.present && tap.state()? == TapState::NoWriter => {
                let last = tap.next(bytes, Duration::ZERO);
                if matches!(last, Ok(None)) {
                    self.present = false;
                    return Ok(Seen::WriterGone);
                }
                last
            }
            other => other,
        };
        match found {
            Ok(Some(frame)) => {
                self.present = true;
                if let Some(why) = tap.unsupported()
                    && !std::mem::replace(&mut self.told, true)
                {
                    say::note(&format!("'{}': {why}", self.name));
                }
                Ok(Seen::Frame(frame))
            }
            Ok(None) => {
                self.present |= !matches!(tap.state()?, TapState::NoWriter | TapState::Ended);
                Ok(Seen::Nothing { present: self.present })
            }
            Err(why @ Error::ReaderGone { .. }) => {
                let closed = !tap.reader_died();
                self.tap = None;
                (self.present, self.fresh) = (false, true);
                Ok(Seen::Ended { why, closed })
            }
            Err(error) => Err(error.into()),
        }
    }
}
