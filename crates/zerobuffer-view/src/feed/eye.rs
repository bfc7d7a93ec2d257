//! What looks at a stream: its tap, and the frames that were copied.
use std::sync::Arc;
use std::time::{Duration, Instant};

use zerobuffer::observe::Tap;

use crate::describe::{Describer, Shown};
use crate::picture::Picture;

/// What looks.
#[derive(Debug)]
pub(super) struct Eye {
    name: String,
    tap: Option<Tap>,
    describer: Describer,
    shown: Arc<Shown>,
    /// What a frame is copied into, before it is known whether there is one.
    pub(super) spare: Vec<u8>,
    /// The number of a frame in there that found no place yet.
    pub(super) pending: Option<u64>,
    /// All frames that somebody may hold.
    pub(super) frames: Vec<Arc<Picture>>,
    /// Frames of the stream until now.
    count: u64,
    pub(super) found: Option<Instant>,
}

impl Eye {
    pub(super) fn new(name: &str) -> Eye {
        let mut describer = Describer::default();
        let shown = describer.frame(0);
        Eye {
            name: name.to_owned(),
            tap: None,
            describer,
            shown,
            spare: Vec::new(),
            pending: None,
            frames: Vec::new(),
            count: 0,
            found: None,
        }
    }

    /// Copies the newest frame into `spare`, if there is one that was not seen; its number.
    pub(super) fn look(&mut self) -> Result<Option<u64>, String> {
        let tap = match &mut self.tap {
            Some(tap) => tap,
            none => none.insert(Tap::open(&self.name).map_err(|why| why.to_string())?),
        };
        let looked = tap.latest(&mut self.spare, Duration::ZERO);
        let found = looked.and_then(|seen| match seen {
            Some(seen) => Ok(Some((seen, tap.metadata()?))),
            None => Ok(None),
        });
        match found {
            Ok(Some((seen, metadata))) => {
                self.found = Some(Instant::now());
                self.count = self.count.saturating_add(1).saturating_add(seen.skipped.unwrap_or(0));
                let is_new = self.describer.metadata(metadata.as_deref());
                let shown = self.describer.frame(self.spare.len());
                let before = std::mem::replace(&mut self.shown, shown);
                // The last frame of a writer, and its successor's metadata.
                let is_mixed = is_new && before.pixels.is_some() && self.shown.note.is_some();
                self.pending = None;
                Ok(Some(seen.sequence).filter(|_| !is_mixed))
            }
            Ok(None) => Ok(self.pending.take()),
            Err(zerobuffer::Error::ReaderGone { .. }) => {
                self.tap = None;
                Ok(None)
            }
            Err(why) => {
                self.tap = None;
                Err(why.to_string())
            }
        }
    }

    /// Puts `spare` into a frame that nobody holds, or into one more of `most`.
    pub(super) fn renew(&mut self, sequence: u64, most: usize) -> Option<Arc<Picture>> {
        let free = self.frames.iter_mut().position(|frame| Arc::get_mut(frame).is_some());
        let index = match free {
            Some(index) => index,
            None if self.frames.len() < most => {
                self.frames.push(Arc::new(Picture::new(Arc::clone(&self.shown))));
                self.frames.len() - 1
            }
            None => return None,
        };
        let frame = self.frames.get_mut(index)?;
        let picture = Arc::get_mut(frame)?;
        std::mem::swap(&mut picture.bytes, &mut self.spare);
        picture.renew(self.count, sequence, Arc::clone(&self.shown));
        Some(Arc::clone(frame))
    }
}
