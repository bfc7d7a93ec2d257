//! The reader's half of the ring: find the next frame, know what is unread, repair after a crashed
//! writer. The front of both forms.

mod legacy;
mod native;

use super::{Credit, Fault};
use crate::{
    layout::{FRAME_HEADER_SIZE, FrameHeader, NativeWord, ROUNDING, Word, rounded},
    memory::{Region, Span},
    sync::Ordering,
};

/// The reader's private copies; shared memory only receives them (W13).
#[derive(Debug)]
pub(crate) struct Consumer {
    /// Read position, at most P.
    pub(super) at: u64,
    /// Published bytes from `at` on that have not been looked at, as of the last [`Self::refresh`].
    pub(super) available: u64,
    pub(super) expected: u64,
    /// All bytes ever handed out or skipped, the scale of [`Credit`].
    pub(super) handed_out: u64,
    /// Sequence numbers are the writer's free choice (duplex answers, W8).
    free_sequences: bool,
    /// This reader has seen the ring in native form.
    pub(super) is_native: bool,
    pub(super) legacy: legacy::Reading,
    pub(super) native: native::Reading,
}

/// The outcome of [`Consumer::next`].
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) span: Option<Span>,
    /// A skipped tail was given back on the way: the writer may have to be woken.
    pub(crate) credited: bool,
}

impl Consumer {
    pub(crate) fn new(free_sequences: bool) -> Self {
        Self {
            at: 0,
            available: 0,
            expected: 1,
            handed_out: 0,
            free_sequences,
            is_native: false,
            legacy: legacy::Reading::default(),
            native: native::Reading::default(),
        }
    }

    /// Which writer writes in legacy form from now on. A native one charges before it publishes.
    /// `may_restart`: the first frame of a new legacy writer may be unread, and the numbers in a
    /// full ring may go back to 1.
    pub(crate) fn set_writer(&mut self, charged_first: bool, may_restart: bool) {
        self.legacy.charged_first = charged_first;
        self.legacy.may_restart = may_restart;
    }

    /// Whether the frames are of a writer in native form. Its counter alone announces them,
    /// whatever writer is registered.
    #[inline]
    pub(crate) fn is_native(&self) -> bool {
        self.is_native
    }

    /// Whether any sequence number is taken, as by a duplex channel's readers.
    pub(crate) fn takes_free_sequences(&self) -> bool {
        self.free_sequences
    }

    /// Whether frames are known to be there, without a look at shared memory.
    #[inline]
    pub(crate) fn has_available(&self) -> bool {
        self.available != 0
    }

    /// All bytes ever handed out or skipped.
    pub(crate) fn handed_out(&self) -> u64 {
        self.handed_out
    }

    /// What [`Self::handed_out`] will be when all that is known has been taken.
    pub(crate) fn published(&self) -> u64 {
        if self.is_native { self.native_known() } else { self.handed_out + self.available }
    }

    /// The word by which a writer publishes. It moves with every frame but, in legacy form, one
    /// that fills the ring.
    #[inline]
    pub(crate) fn progress(&self, region: &Region) -> u64 {
        if self.is_native {
            region.native_load(NativeWord::PUBLISHED, Ordering::Relaxed)
        } else {
            region.load(Word::WritePos, Ordering::Relaxed)
        }
    }

    /// When everything known has been taken: whether the writer has gone on. A hint, without an
    /// order.
    #[inline]
    pub(crate) fn has_moved(&self, region: &Region) -> bool {
        let moved = self.progress(region);
        if self.is_native {
            moved != self.native_position()
        } else {
            !matches!(self.distance(region, moved), Ok(0)) || region.is_native()
        }
    }

    /// Whether a full ring makes it useless to watch [`Self::progress`].
    #[inline]
    pub(crate) fn is_full(&self, region: &Region) -> bool {
        !self.is_native && !region.is_native() && region.load(Word::PayloadFree, Ordering::Relaxed) == 0
    }

    /// Whether any writer has published anything.
    pub(crate) fn has_been_written(region: &Region) -> bool {
        region.load(Word::WrittenCount, Ordering::Relaxed) != 0
            || region.native_load(NativeWord::FRAMES, Ordering::Relaxed) != 0
    }

    /// Whether a frame is published that has not been taken. Exact while no writer is attached.
    pub(crate) fn has_unread(&self, region: &Region, credit: &Credit) -> bool {
        if self.is_native { self.has_native_unread(region) } else { self.has_legacy_unread(region, credit) }
    }

    /// Looks how much has been published. Called when everything known has been taken.
    #[inline]
    pub(crate) fn refresh(&mut self, region: &Region, credit: &Credit) -> Result<(), Fault> {
        if !self.is_native {
            self.refresh_in_legacy_form(region, credit)?;
            if self.available != 0 || !self.enter_native_form(region, credit)? {
                return Ok(());
            }
        }
        self.refresh_in_native_form(region, credit)
    }

    /// Takes the next frame if it lies at the position, in what is known to be available, and
    /// carries the number that is due.
    #[inline(always)]
    pub(crate) fn next_in_window(&mut self, region: &Region) -> Option<Span> {
        let header = region.header(self.at)?;
        let total = rounded(header.size, self.rounding());
        let is_whole = header.size != 0 && total <= self.most(region);
        (is_whole && self.is_due(header)).then(|| self.take(region, header, total))
    }

    #[inline]
    fn rounding(&self) -> u64 {
        if self.is_native { ROUNDING } else { 0 }
    }

    /// What a frame at the position takes at most.
    #[inline]
    fn most(&self, region: &Region) -> u64 {
        self.available.min(region.capacity() - self.at)
    }

    #[inline]
    fn is_due(&self, header: FrameHeader) -> bool {
        header.sequence == self.expected || self.free_sequences
    }

    /// [`Self::next_in_window`], or a frame behind the end of the ring, or one of another number,
    /// on which `accept` decides.
    pub(crate) fn next(
        &mut self,
        region: &Region,
        credit: &Credit,
        accept: impl FnOnce(u64) -> bool,
    ) -> Result<Taken, Fault> {
        let mut taken = Taken::default();
        while self.available != 0 {
            taken.span = self.next_in_window(region);
            if taken.span.is_some() {
                break;
            }
            // Another copy, which alone counts from here on.
            let header = region.header(self.at).filter(|header| self.is_native || !header.is_wrap());
            let Some(header) = header else {
                taken.credited |= self.wrap(region, credit, region.capacity() - self.at)?;
                continue;
            };
            let total = rounded(header.size, self.rounding());
            if header.size == 0 || total > self.most(region) {
                let most = self.most(region).saturating_sub(FRAME_HEADER_SIZE);
                let expected = format!("1 to {most} at offset {}", self.at);
                return Err(Fault::field("frame payload size", header.size, expected));
            }
            if !self.is_due(header) && !accept(header.sequence) {
                return Err(Fault::Sequence { expected: self.expected, got: header.sequence });
            }
            taken.span = Some(self.take(region, header, total));
            break;
        }
        Ok(taken)
    }

    /// Takes the frame at the position, whose header has been judged.
    #[inline(always)]
    fn take(&mut self, region: &Region, header: FrameHeader, total: u64) -> Span {
        let FrameHeader { size, sequence } = header;
        region.prefetch_frame(self.at, total);
        let (at, start) = (self.at, self.handed_out);
        self.available -= total;
        self.handed_out += total;
        self.at += total;
        self.expected = sequence.wrapping_add(1);
        if self.is_native {
            self.tell_native(region);
        } else {
            self.took_legacy(region);
        }
        Span { at, size, sequence, start, end: self.handed_out }
    }

    /// Whether shared memory is as it must be while no writer is attached. A hint: nothing is
    /// locked.
    pub(crate) fn is_settled(&self, region: &Region, credit: &Credit) -> bool {
        if self.is_native { !self.may_leave(region, credit) } else { self.is_legacy_settled(region, credit) }
    }

    /// Clears a dead writer's registration, and restores what it left half done (W10, N10). The
    /// caller holds the writer's presence byte, so no writer attaches meanwhile. `false`: a live
    /// writer is registered, nothing was done.
    pub(crate) fn repair(
        &mut self,
        region: &Region,
        credit: &Credit,
        is_dead: impl Fn(u64) -> bool,
    ) -> Result<bool, Fault> {
        // It may have entered the native form, and died, since the last look. The presence byte,
        // which is held here, orders nothing, so this reads the newest value.
        if !self.is_native && self.available == 0 {
            let form = region.native_add(NativeWord::FORM, 0, Ordering::SeqCst);
            self.follow_form(credit, form)?;
        }
        if self.is_native {
            return self.repair_native(region, is_dead);
        }
        self.repair_legacy(region, credit, is_dead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::heap;

    #[test]
    fn a_position_that_has_moved_is_news_and_the_end_is_the_start() {
        let (region, consumer) = (&heap::region(0, 128), Consumer::new(false));
        let has_moved = |write_pos| {
            region.store(Word::WritePos, write_pos, Ordering::Relaxed);
            consumer.has_moved(region)
        };
        assert_eq!([0, 24, 128].map(has_moved), [false, true, false]);
    }
}
