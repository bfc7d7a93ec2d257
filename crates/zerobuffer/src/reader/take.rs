//! Taking frames out of the ring: the short way that nearly every frame goes, and the full one.

use super::{Frame, Latest, Reader, announced::Announced};
use crate::{
    error::Result,
    link::Patience,
    memory::Span,
    ring::{MetadataState, metadata},
};

/// A reader that never has to wait leaves the tokens alone for so many looks, so they do not
/// overflow.
const DRAIN_AT: u32 = 1 << 12;

impl Reader {
    /// The common case: the next frame, if it is there or comes at once, and nothing is odd about
    /// it. `None`: not the common case; ask the full form.
    #[inline]
    pub(super) fn read_plainly(&mut self) -> Option<Frame> {
        let frame = self.take_plainly();
        let glances = frame.is_none() && !self.consumer.has_available() && self.watch.is_settled();
        if glances && self.glance() { self.take_plainly() } else { frame }
    }

    /// The next frame in the common case that [`Self::read`] looks at first. `None` says nothing.
    /// For bindings, which put the frame where it stays.
    #[doc(hidden)]
    #[inline(always)]
    pub fn take_known(&mut self) -> Option<Frame> {
        self.take_plainly()
    }

    #[inline(always)]
    pub(super) fn take_plainly(&mut self) -> Option<Frame> {
        let shared = &self.shared;
        let usable = shared.is_open() && self.fault.is_none() && self.announces_itself();
        if !usable || !(self.consumer.has_available() || self.refresh_plainly()) {
            return None;
        }
        let shared = &self.shared;
        let span = self.consumer.next_in_window(&shared.region)?;
        // Whose it is stays open until the next look.
        self.watch.took_frame(false);
        Some(self.hand_out(span))
    }

    #[inline]
    fn hand_out(&mut self, span: Span) -> Frame {
        let counters = &self.shared.counters;
        counters.frames.add(1);
        counters.bytes.add(span.size);
        Frame::new(self.lender.lend(), span)
    }

    /// [`Self::look`] where it finds further frames of the writer that is known.
    #[inline(always)]
    fn refresh_plainly(&mut self) -> bool {
        let shared = &self.shared;
        if !self.watch.is_settled()
            || !self.watch.is_current(shared)
            || self.undrained >= DRAIN_AT
            // A copy of metadata that were set behind a frame is due before their writer leaves.
            || metadata::generation(&shared.region) != self.seen_generation
        {
            return false;
        }
        if !self.consumer.is_native() {
            // A settled writer that publishes in order is a native one. The watch that noticed it
            // may not have passed it on to the ring.
            self.consumer.set_writer(true, false);
        }
        // The full look finds and reports what is odd.
        let looked = self.consumer.refresh(&shared.region, &shared.credit);
        let found = looked.is_ok() && self.consumer.has_available();
        self.undrained += u32::from(found);
        found
    }

    /// Whether what is published says so itself: frames in native form do, and those of a writer
    /// that publishes in order.
    #[inline]
    pub(super) fn announces_itself(&self) -> bool {
        self.consumer.is_native() || self.watch.publishes_in_order()
    }

    /// A read that has found nothing at once, or something odd.
    #[inline(never)]
    pub(super) fn read_later(&mut self, patience: &mut Patience<'_>) -> Result<Option<Frame>> {
        self.check()?;
        match self.poll(Announced::No)? {
            None => self.wait_for_frame(patience),
            frame => Ok(frame),
        }
    }

    /// Takes the next frame if one may be taken.
    pub(super) fn poll(&mut self, announced: Announced) -> Result<Option<Frame>> {
        let span = self.poll_span(announced)?;
        Ok(span.map(|span| self.hand_out(span)))
    }

    fn poll_span(&mut self, announced: Announced) -> Result<Option<Span>> {
        let mut token = announced == Announced::ByToken;
        loop {
            if !self.consumer.has_available() {
                self.refresh()?;
                if !self.consumer.has_available() {
                    return Ok(None);
                }
            }
            token = token || self.announces_itself() || self.take_token();
            if !token && announced == Announced::No {
                return Ok(None);
            }
            if let Some(span) = self.take_span()? {
                if !token {
                    self.watch.owe_token();
                }
                return Ok(Some(span));
            }
            // Only the skipped end of the ring was known: look behind it.
        }
    }

    fn take_span(&mut self) -> Result<Option<Span>> {
        let (native, begins) = (self.consumer.is_native(), self.consumer.begins_native_form());
        let (shared, watch) = (&self.shared, &mut self.watch);
        let taken = self.consumer.next(&shared.region, &shared.credit, |sequence| {
            // Its writer may have come after the last look.
            watch.refresh(shared);
            watch.accepts(sequence, native) || begins
        });
        let taken = taken.map_err(|fault| self.fail(fault))?;
        if taken.credited {
            self.shared.wake_writer();
        }
        if taken.span.is_some() {
            self.watch.took_frame(native);
        }
        Ok(taken.span)
    }

    /// Looks at shared memory for new frames and for a change of writer.
    pub(super) fn refresh(&mut self) -> Result<()> {
        let shared = &self.shared;
        // The pid first: frames of a writer that is gone are all published.
        self.watch.refresh(shared);
        self.consumer.set_writer(self.watch.has_native_writer(), self.watch.may_restart());
        self.consumer.refresh(&shared.region, &shared.credit).map_err(|fault| self.fail(fault))?;
        self.look_at_metadata();
        if self.consumer.has_available() {
            self.undrained = self.undrained.saturating_add(1);
            if self.undrained > DRAIN_AT && self.announces_itself() {
                self.drain_tokens();
            }
        } else {
            self.watch.drained();
        }
        Ok(())
    }

    /// Keeps a copy of the metadata before frames are taken: a successor of their writer may
    /// replace them after that.
    fn look_at_metadata(&mut self) {
        let state = MetadataState::load(&self.shared.region);
        self.seen_generation = state.generation();
        let is_known = self.seen_metadata.is_some_and(|seen| state.is_same(seen));
        if state.written != 0 && !is_known && !self.consumer.takes_free_sequences() {
            self.seen_metadata = Some(state);
            self.shared.keep_earlier(state);
        }
    }

    /// Passes over all frames but the newest. `frame` was handed out, and counts for the one that
    /// is.
    pub(super) fn skip_from(&mut self, mut frame: Frame) -> Result<Latest> {
        let mut skipped = 0;
        let counted = frame.len() as u64;
        // What is known, then what one look finds: beside a writer at full speed there would be no
        // end to it.
        for looked in [false, true] {
            if looked && !self.consumer.has_available() {
                self.refresh()?;
            }
            let published = self.consumer.published();
            while self.consumer.handed_out() < published
                && let Some(next) = self.poll_span(Announced::No)?
            {
                frame = Frame::new(self.lender.lend(), next);
                skipped += 1;
            }
        }
        self.shared.counters.lost.add(skipped);
        self.shared.counters.bytes.add((frame.len() as u64).wrapping_sub(counted));
        Ok(Latest { frame, skipped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BufferConfig, Writer};

    fn reader(test: &str) -> (String, Reader) {
        let name = crate::testing::name(&format!("zb-take-{test}"));
        let reader = Reader::create(&name, BufferConfig::ring(64 * 1024).metadata(0)).unwrap();
        (name, reader)
    }

    #[test]
    fn the_short_way_is_not_gone_before_a_successor_is_distinguished_from_its_predecessor() {
        let (name, mut reader) = reader("successor");
        let mut first = Writer::connect(&name).unwrap();
        first.write(b"1").unwrap();
        assert!(reader.take_plainly().is_none(), "a writer that nobody has noticed");
        assert_eq!(reader.read().unwrap().sequence(), 1);
        first.write(b"2").unwrap();
        assert_eq!(reader.take_plainly().unwrap().sequence(), 2);
        drop(first);
        // Both are this process: without a look in between the pid would be the same.
        reader.watch.refresh(&reader.shared);
        let mut second = Writer::connect(&name).unwrap();
        second.write(b"3").unwrap();
        assert_eq!(reader.read().unwrap().sequence(), 3);
        second.write(b"4").unwrap();
        assert!(reader.take_plainly().is_none(), "3 may have been the predecessor's");
        assert_eq!(reader.read().unwrap().sequence(), 4);
        assert!(reader.try_read().unwrap().is_none());
        second.write(b"5").unwrap();
        assert_eq!(reader.read().unwrap().sequence(), 5);
        second.write(b"6").unwrap();
        assert_eq!(reader.take_plainly().unwrap().sequence(), 6);
    }
}
