//! Frames that a source has lost before the ring, by the numbers in its stamps.
use std::time::{Duration, Instant};

use zerobuffer::observe::{BufferInfo, Tap};
use zerobuffer_video::Content;

use crate::describe::Describer;

/// How often a frame is looked at: it is copied for that.
const LOOK: Duration = Duration::from_millis(900);

/// What the stamps of a stream tell.
#[derive(Debug, Default)]
pub(super) struct Drops {
    describer: Describer,
    bytes: Vec<u8>,
    due: Option<Instant>,
    /// The writer of the frames: another one has numbers of its own.
    writer: Option<u64>,
    /// Of the frame that was looked at last: its number in the ring, and the one in its stamp.
    last: Option<[u64; 2]>,
    lost: Option<u64>,
}

impl Drops {
    /// Frames that are missing since the first look; `None` where frames have no stamps, and before
    /// two of them were seen.
    pub(super) fn look(&mut self, info: &BufferInfo, now: Instant) -> Option<u64> {
        let writer = info.writer.map(|peer| peer.pid);
        if self.describer.metadata(info.metadata.as_deref()) || self.writer != writer {
            (self.last, self.due, self.writer) = (None, None, writer);
        }
        let is_new = self.last.is_none_or(|[sequence, _]| info.last_sequence > sequence);
        let may_have_stamps = match self.describer.description().stamped {
            Some(said) => said,
            // Programs that do not say so put stamps in front of pictures, and the size shows it.
            None => matches!(self.describer.description().content, Content::Video(_)),
        };
        if !may_have_stamps || !is_new || info.last_sequence == 0 || self.due.is_some_and(|due| now < due) {
            return self.lost;
        }
        self.due = Some(now + LOOK);
        let Some(seen) = self.newest(&info.name) else { return self.lost };
        if let Some([sequence, number]) = self.last.replace(seen) {
            let [came, counted] = [seen[0].saturating_sub(sequence), seen[1].saturating_sub(number)];
            // Fewer numbers than frames: they began anew, and tell nothing of what was between.
            let lost = counted.saturating_sub(came);
            self.lost = Some(self.lost.unwrap_or(0).saturating_add(lost));
        }
        self.lost
    }

    /// Both numbers of the newest frame, if it can be copied and has a stamp.
    fn newest(&mut self, name: &str) -> Option<[u64; 2]> {
        // Opened for one look: a tap that is kept would keep the memory of a buffer that has ended.
        let seen = Tap::open(name).ok()?.latest(&mut self.bytes, Duration::ZERO).ok()??;
        let shown = self.describer.frame(self.bytes.len());
        if !shown.is_stamped {
            // Nor has the next one: it is looked at again where something else is described.
            self.due = Some(Instant::now() + Duration::from_secs(3600));
        }
        Some([seen.sequence, shown.split(&self.bytes).0?.number?])
    }
}
