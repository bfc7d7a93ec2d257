//! The newest frame of a stream, by a tap, through ends of streams and new ones of the same name.
use std::sync::Arc;
use std::time::Duration;

use zerobuffer::observe::Tap;

use crate::describe::{Describer, Shown};

/// How long to wait before a stream that is not there is looked for again.
const AGAIN: Duration = Duration::from_millis(250);

/// Looks at one stream for one client.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    tap: Option<Tap>,
    frame: Vec<u8>,
    describer: Describer,
    shown: Arc<Shown>,
}

/// A frame that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) sequence: u64,
    /// Frames since the last one that was seen.
    pub(crate) missed: u64,
}

/// What one look has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Frame(Seen),
    /// No frame that is newer.
    Nothing,
    /// There is no such stream, for this reason.
    Gone(String),
}

impl Source {
    /// For a stream that may come later.
    pub(crate) fn new(name: &str) -> Source {
        let mut describer = Describer::default();
        let shown = describer.frame(0);
        Source { name: name.to_owned(), tap: None, frame: Vec::new(), describer, shown }
    }

    /// For a stream that is there.
    pub(crate) fn open(name: &str) -> Result<Source, String> {
        let tap = Tap::open(name).map_err(|why| why.to_string())?;
        Ok(Source { tap: Some(tap), ..Source::new(name) })
    }

    /// Waits for a frame that is newer than the last one.
    pub(crate) fn newer(&mut self, patience: Duration) -> Look {
        let tap = match &mut self.tap {
            Some(tap) => tap,
            none => match Tap::open(&self.name) {
                Ok(tap) => none.insert(tap),
                Err(why) => {
                    std::thread::sleep(patience.min(AGAIN));
                    return Look::Gone(why.to_string());
                }
            },
        };
        let looked = tap.latest(&mut self.frame, patience);
        let found = looked.and_then(|seen| match seen {
            Some(seen) => Ok(Some((seen, tap.metadata()?))),
            None => Ok(None),
        });
        match found {
            Ok(Some((seen, metadata))) => {
                let is_new = self.describer.metadata(metadata.as_deref());
                let (before, shown) = (Arc::clone(&self.shown), self.describer.frame(self.frame.len()));
                self.shown = shown;
                if is_new && before.pixels.is_some() && self.shown.note.is_some() {
                    // The last frame of a writer, and its successor's metadata.
                    return Look::Nothing;
                }
                Look::Frame(Seen { sequence: seen.sequence, missed: seen.skipped.unwrap_or(0) })
            }
            Ok(None) => Look::Nothing,
            Err(zerobuffer::Error::ReaderGone { .. }) => {
                self.tap = None;
                Look::Nothing
            }
            Err(why) => {
                self.tap = None;
                std::thread::sleep(patience.min(AGAIN));
                Look::Gone(why.to_string())
            }
        }
    }

    /// The frame that was seen last.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// What it is.
    pub(crate) fn shown(&self) -> &Arc<Shown> {
        &self.shown
    }
}
