//! The writer's half of the ring: reserve a place, publish what was put there. The front of both
//! forms.

use super::{Fault, Refusal, Shortage, legacy, native};
use crate::{
    layout::{FrameHeader, NativeWord, ROUNDING, Word, rounded},
    memory::{Region, Slot},
    sync::Ordering,
};

/// [`Producer::plain`] where the next frame needs a look, whatever its size.
const NONE: u64 = u64::MAX;

/// How far ahead of its position a writer of small frames asks for cache lines.
const AHEAD: u64 = 512;

/// The writer's private copies; shared memory only receives them (W13).
#[derive(Debug)]
pub(crate) struct Producer {
    /// Where the next frame goes if its total is within the window.
    at: u64,
    /// Bytes from `at` on that are known to be free, in which nothing needs to be done but to store
    /// a header.
    window: u64,
    /// The total of a next frame that goes to the window without a look. It is that of the newest
    /// frame, if there is room for another one and the position is a multiple of it. If the reader
    /// has given all back meanwhile, such frames leave no more unused than from the start of the
    /// ring.
    plain: u64,
    /// By how much less than one step totals are rounded up.
    rounding: u64,
    next_sequence: u64,
    form: Form,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "the larger one is what nearly every writer has")]
enum Form {
    Native(native::Writing),
    Legacy(legacy::Writing),
}

/// What an attach depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attach {
    /// What is registered in `writer_pid`.
    pub(crate) own_pid: u64,
    /// The writer is registered, holds its presence byte, and the reader's level has the native
    /// form.
    pub(crate) native: bool,
    /// The reader takes any sequence number (W8).
    pub(crate) free_sequences: bool,
    /// No early jumps.
    pub(crate) whole_ring: bool,
}

impl Producer {
    /// Takes over where shared memory says: in native form if that can be, else in legacy form.
    pub(crate) fn attach(region: &Region, attach: Attach) -> Result<Self, Fault> {
        // Before all else: what the reader has left behind with the form is read after it.
        let form = attach.native.then(|| native::form(region));
        let count = region.load(Word::WrittenCount, Ordering::Acquire);
        // Before the native form is entered: it takes `free` away, which is asked too. One that
        // died between the position and the count of its first frame has been there, too.
        let walked = legacy::number(region, count, attach.free_sequences);
        let is_first = walked == 1 && count == 0;
        let entered = match form {
            Some(form) => native::enter(region, form, walked, attach.own_pid, attach.whole_ring)?,
            None => None,
        };
        // A channel's reader tells clients apart by a number that is left out (D5).
        let number = |next: u64, is_first: bool| {
            if attach.free_sequences && !is_first { next.wrapping_add(1) } else { next }
        };
        let Some(entered) = entered else {
            let (writing, at) = legacy::Writing::attach(region, walked)?;
            let mut producer = Self {
                at,
                window: 0,
                plain: NONE,
                rounding: 0,
                next_sequence: 0,
                form: Form::Legacy(writing),
            };
            producer.next_sequence = number(walked, is_first);
            return Ok(producer);
        };
        let left = entered.next.max(1);
        // In native form the ring has no frames of the legacy one to ask.
        let walked = if entered.was_legacy { walked } else { left };
        let is_first = is_first && entered.next == 0 && entered.writing.is_untouched();
        Ok(Self {
            at: entered.at,
            window: 0,
            plain: NONE,
            rounding: ROUNDING,
            next_sequence: number(walked.max(left), is_first),
            form: Form::Native(entered.writing),
        })
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Chooses the number of the next frame; only for a reader that announces free sequences (W8).
    pub(crate) fn set_next_sequence(&mut self, sequence: u64) {
        self.next_sequence = sequence;
    }

    /// A place in the window for `size` payload bytes like those of the newest frame. Its header is
    /// stored there; nobody reads that before [`Self::publish`].
    #[inline(always)]
    pub(crate) fn reserve_in_window(&mut self, region: &Region, size: u64) -> Option<Slot> {
        let total = rounded(size, self.rounding);
        if total != self.plain {
            return None;
        }
        self.reserve_here(region, size, total)
    }

    #[inline(always)]
    fn reserve_here(&self, region: &Region, size: u64, total: u64) -> Option<Slot> {
        let room = self.window.checked_sub(total)?;
        region.prefetch_published();
        let header = FrameHeader { size, sequence: self.next_sequence };
        region.put_header(self.at, header).then_some(Slot { at: self.at, size, total, skip: 0, room })
    }

    /// [`Self::reserve_in_window`], or in another place that is found to be free.
    pub(crate) fn reserve(&mut self, region: &Region, size: u64) -> Result<Result<Slot, Shortage>, Refusal> {
        if let Some(slot) = self.reserve_in_window(region, size) {
            return Ok(Ok(slot));
        }
        let total = rounded(size, self.rounding);
        let header = FrameHeader { size, sequence: self.next_sequence };
        if total > region.capacity() {
            return Err(Refusal::TooLarge);
        }
        self.plain = NONE;
        let begins_anew = match &self.form {
            Form::Native(native) => native.begins_anew(region),
            Form::Legacy(_) => false,
        };
        if !begins_anew && let Some(slot) = self.reserve_here(region, size, total) {
            return Ok(Ok(slot));
        }
        match &mut self.form {
            Form::Native(native) => Ok(native.reserve(region, self.at, total, header)?),
            Form::Legacy(legacy) => {
                let found = legacy.reserve(region, self.at, total, header);
                // A header at the start of the ring binds the next frame there.
                self.window = legacy.window(region.capacity(), self.at);
                found
            }
        }
    }

    /// Publishes the first `len` bytes of a slot. The caller posts the data semaphore afterwards.
    ///
    /// `Ok(None)`: with so few bytes the end of the ring would be spoilt for a legacy reader; the
    /// slot stays reserved.
    #[inline(always)]
    pub(crate) fn publish(&mut self, region: &Region, slot: &Slot, len: u64) -> Result<Option<u64>, Fault> {
        let sequence = self.next_sequence;
        let header = FrameHeader { size: len, sequence };
        match &mut self.form {
            Form::Native(native) => {
                if len != slot.size {
                    self.plain = NONE;
                }
                (self.at, self.window) = native.publish(region, self.at, slot, header);
                if self.window < self.plain {
                    self.choose_plain(self.at - slot.at);
                }
                prefetch(region, self.at, slot.total, self.window);
            }
            Form::Legacy(legacy) => {
                let Some(at) = legacy.publish(region, slot, header)? else { return Ok(None) };
                self.at = at;
                self.window = legacy.window(region.capacity(), at);
                // What is unused at the end costs nothing more there.
                self.plain = if slot.total <= self.window { slot.total } else { NONE };
            }
        }
        self.next_sequence = sequence.wrapping_add(1);
        Ok(Some(sequence))
    }

    #[inline(never)]
    fn choose_plain(&mut self, total: u64) {
        let is_plain = total <= self.window && self.at.is_multiple_of(total);
        self.plain = if is_plain { total } else { NONE };
    }

    /// The word that the reader changes when it gives space back.
    #[inline]
    pub(crate) fn space_word(&self, region: &Region) -> u64 {
        match &self.form {
            Form::Native(_) => region.native_load(NativeWord::CREDITED, Ordering::Relaxed),
            Form::Legacy(_) => region.load(Word::PayloadFree, Ordering::Relaxed),
        }
    }

    /// In native form: the bytes of the stream that this writer's predecessors have published.
    pub(crate) fn start(&self) -> Option<u64> {
        match &self.form {
            Form::Native(native) => Some(native.start()),
            Form::Legacy(_) => None,
        }
    }

    /// In native form: the bytes of the stream that are published.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn published(&self) -> Option<u64> {
        match &self.form {
            Form::Native(native) => Some(native.published),
            Form::Legacy(_) => None,
        }
    }

    /// A closing writer leaves its number; before it gives up its registration (E7).
    pub(crate) fn leave(&self, region: &Region) {
        // In legacy form a native phase may have given higher ones.
        let least = match &self.form {
            Form::Native(_) => 0,
            Form::Legacy(_) => region.native_load(NativeWord::NEXT, Ordering::Relaxed),
        };
        native::Writing::leave(region, self.next_sequence.max(least));
    }
}

/// What only a live reader changes, whichever form the ring is in.
pub(crate) fn reader_movement(region: &Region) -> [u64; 4] {
    let [free, count] = [Word::PayloadFree, Word::ReadCount].map(|word| region.load(word, Ordering::Relaxed));
    let [credited, taken] =
        [NativeWord::CREDITED, NativeWord::TAKEN].map(|word| region.native_load(word, Ordering::Relaxed));
    [free, count, credited, taken]
}

/// Asks for the lines of the frames to come as soon as this one is published. Without this every
/// line of a small frame would cost its whole way from the reader's cache.
#[inline]
fn prefetch(region: &Region, at: u64, total: u64, window: u64) {
    if window < 2 * AHEAD {
        return;
    }
    let ahead = AHEAD.saturating_sub(total);
    region.prefetch_to_write(at + ahead, total.min(AHEAD));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::heap;

    /// In legacy form an abandoned loan at the start of the ring has the next frame's number.
    #[test]
    fn a_frame_after_an_abandoned_wrap_goes_to_the_start() {
        let region = &heap::region(0, 192);
        let attach = Attach { own_pid: 7, native: false, free_sequences: false, whole_ring: false };
        let mut writer = Producer::attach(region, attach).unwrap();
        for size in [47, 8, 31] {
            let slot = writer.reserve(region, size).unwrap().unwrap();
            writer.publish(region, &slot, size).unwrap().unwrap();
        }
        // All is read and given back.
        region.store(Word::PayloadFree, 192, Ordering::Relaxed);
        region.store(Word::ReadPos, 134, Ordering::Relaxed);
        region.store(Word::ReadCount, 3, Ordering::Relaxed);
        assert_eq!(writer.reserve(region, 71).unwrap().unwrap().at, 0);
        let slot = writer.reserve(region, 17).unwrap().unwrap();
        assert_eq!(slot.at, 0, "the small frame fits at the position");
        writer.publish(region, &slot, 17).unwrap().unwrap();
        assert_eq!(Producer::attach(region, attach).unwrap().next_sequence(), 5);
    }
}
