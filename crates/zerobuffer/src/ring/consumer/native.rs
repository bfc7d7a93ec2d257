//! The reader's half in native form: what is published, by the counter and the table of jumps (N8,
//! N10 to N12).

use crate::{
    layout::{FAILURE, FRAME_HEADER_SIZE, NativeWord, ROUNDING, Word, rounded},
    memory::Region,
    ring::{Consumer, Credit, Fault, metadata},
    sync::{End, Ordering, order},
};

/// What a reader knows of native form only.
#[derive(Debug, Default)]
pub(in crate::ring) struct Reading {
    /// Added to the scale of [`Credit`], it gives bytes of the stream.
    shift: u64,
    /// Bytes of the stream taken when native form was last left.
    taken: u64,
    /// [`Consumer::handed_out`] when all that the last look found published has been taken, behind
    /// jumps too.
    known: u64,
    /// Jumps that were followed.
    jumps: u64,
    frames: u64,
    /// The number after the newest frame that was taken; 0: none was.
    next: u64,
    /// No frame was taken since native form was entered.
    begins: bool,
    /// The read position of the form that the ring is not in.
    other_at: u64,
}

/// What a dead writer has left.
struct Unread {
    frames: u64,
    /// The number after the newest frame; `None`: there was none in native form.
    next: Option<u64>,
}

impl Consumer {
    /// Bytes of the stream that were taken, t.
    #[inline]
    pub(in crate::ring) fn native_position(&self) -> u64 {
        self.handed_out.wrapping_add(self.native.shift)
    }

    /// What [`Consumer::handed_out`] will be when all has been taken that the last look found.
    pub(in crate::ring) fn native_known(&self) -> u64 {
        self.native.known
    }

    /// Edge E1, acquire end: frames and jumps before it are complete.
    #[inline]
    fn native_published(region: &Region) -> u64 {
        region.native_load(NativeWord::PUBLISHED, order(End::E1Acquire, Ordering::Acquire))
    }

    /// Edge E10, acquire end: the entry of that jump is complete. It may be of a frame that is not
    /// published yet.
    #[inline]
    fn newest_jump(region: &Region) -> u64 {
        region.native_load(NativeWord::JUMPS, order(End::E10Acquire, Ordering::Acquire))
    }

    /// Nothing is unread in legacy form. `true`: a writer has entered the native one.
    #[inline]
    pub(in crate::ring) fn enter_native_form(
        &mut self,
        region: &Region,
        credit: &Credit,
    ) -> Result<bool, Fault> {
        // Edge E9, acquire end.
        let form = region.native_load(NativeWord::FORM, order(End::E9Seen, Ordering::Acquire));
        self.follow_form(credit, form)
    }

    /// `true`: the ring is in native form, and this reader is from now on.
    #[inline]
    pub(in crate::ring) fn follow_form(&mut self, credit: &Credit, form: u64) -> Result<bool, Fault> {
        if form.is_multiple_of(2) {
            return Ok(false);
        }
        self.entered_native_form(credit, form)?;
        Ok(true)
    }

    #[cold]
    fn entered_native_form(&mut self, credit: &Credit, form: u64) -> Result<(), Fault> {
        self.native.shift = self.native.taken.wrapping_sub(self.handed_out);
        let held = credit.enter_native(self.handed_out, self.native.shift);
        if held != 0 {
            return Err(Fault::field("form", form, format!("an even one while {held} bytes are held")));
        }
        std::mem::swap(&mut self.at, &mut self.native.other_at);
        self.is_native = true;
        self.native.begins = true;
        Ok(())
    }

    #[inline]
    pub(in crate::ring) fn refresh_in_native_form(
        &mut self,
        region: &Region,
        credit: &Credit,
    ) -> Result<(), Fault> {
        let (taken, published) = (self.native_position(), Self::native_published(region));
        self.available = 0;
        if published == taken {
            return Ok(());
        }
        let capacity = region.capacity();
        let unread = published.wrapping_sub(taken);
        if unread > capacity || unread + credit.held_bound(self.handed_out) > capacity {
            let expected = format!("{taken} to {}", taken + capacity - credit.held_bound(self.handed_out));
            return Err(Fault::field("published", published, expected));
        }
        self.native.known = self.handed_out + unread;
        let mut available = unread;
        if Self::newest_jump(region) > self.native.jumps {
            available = self.follow_jump(region, taken, unread)?;
        }
        if self.at + available > capacity {
            let expected = format!("at most {} bytes behind offset {}", capacity - self.at, self.at);
            return Err(Fault::field("published", published, expected));
        }
        self.available = available;
        region.note_published(self.handed_out + available);
        Ok(())
    }

    /// How much of what is unread lies at the position, which the next jump moves if it is due.
    #[inline(never)]
    fn follow_jump(&mut self, region: &Region, taken: u64, unread: u64) -> Result<u64, Fault> {
        let entry = |number| {
            let [at, to] = NativeWord::jump(number).map(|word| region.native_load(word, Ordering::Relaxed));
            if at < taken {
                Err(Fault::field("jump at", at, format!("{taken} or more")))
            } else {
                Ok((at, to))
            }
        };
        let (at, to) = entry(self.native.jumps + 1)?;
        if at != taken {
            return Ok(unread.min(at - taken));
        }
        let capacity = region.capacity();
        if to > capacity {
            return Err(Fault::field("jump to", to, format!("at most {capacity}")));
        }
        self.native.jumps += 1;
        self.at = to;
        if Self::newest_jump(region) <= self.native.jumps {
            return Ok(unread);
        }
        let (at, _) = entry(self.native.jumps + 1)?;
        if at == taken {
            return Err(Fault::field("jump at", at, format!("more than {taken}")));
        }
        Ok(unread.min(at - taken))
    }

    /// Tells observers what was taken.
    #[inline]
    pub(in crate::ring) fn tell_native(&mut self, region: &Region) {
        self.native.frames += 1;
        self.native.begins = false;
        self.native.next = self.expected & !FAILURE;
        region.native_store(NativeWord::TAKEN, self.native_position(), Ordering::Relaxed);
        region.native_store(NativeWord::FRAMES_TAKEN, self.native.frames, Ordering::Relaxed);
    }

    /// Whether the next frame is the first one since native form was entered. Its writer is a new
    /// one, even if it has come and gone unseen, and may begin with any number.
    pub(crate) fn begins_native_form(&self) -> bool {
        self.is_native && self.native.begins
    }

    pub(in crate::ring) fn has_native_unread(&self, region: &Region) -> bool {
        Self::native_published(region) != self.native_position()
    }

    /// Takes a dead writer's entry away, and leaves its number and the count of frames to the next
    /// one. Nothing else needs repair: a frame is published by one store, and charged by the same.
    pub(in crate::ring) fn repair_native(
        &self,
        region: &Region,
        is_dead: impl Fn(u64) -> bool,
    ) -> Result<bool, Fault> {
        let pid = region.load(Word::WriterPid, Ordering::SeqCst);
        if pid == 0 {
            return Ok(true);
        }
        if !is_dead(pid) {
            return Ok(false);
        }
        let unread = self.walk_unread(region)?;
        if let Some(next) = unread.next {
            region.native_store(NativeWord::NEXT, next, Ordering::Release);
        }
        // It may have counted a frame that it did not come to publish.
        region.native_store(
            NativeWord::FRAMES,
            self.native.frames.wrapping_add(unread.frames),
            Ordering::Relaxed,
        );
        metadata::repair(region);
        // Edge E8, release end: the next writer finds the number.
        let repaired = order(End::E8Release, Ordering::SeqCst);
        Ok(region.exchange_as(Word::WriterPid, pid, 0, repaired))
    }

    /// How many frames are unread in native form, and the number after the newest one: by a walk
    /// over them.
    fn walk_unread(&self, region: &Region) -> Result<Unread, Fault> {
        let (mut walk, mut last, mut frames) = (self.copy(), None, 0);
        let published = Self::native_published(region);
        while walk.native_position() != published {
            let (position, unread) = (walk.native_position(), published.wrapping_sub(walk.native_position()));
            if unread > region.capacity() {
                return Err(Fault::field("published", published, format!("{position} or a little more")));
            }
            let mut here = if walk.available > 0 { walk.available.min(unread) } else { unread };
            if walk.available == 0 && Self::newest_jump(region) > walk.native.jumps {
                here = walk.follow_jump(region, position, unread)?;
            }
            let header = region.header(walk.at);
            let total = header.map_or(u64::MAX, |header| rounded(header.size, ROUNDING));
            let Some(header) = header.filter(|header| header.size != 0 && total <= here) else {
                let most = here.saturating_sub(FRAME_HEADER_SIZE);
                let expected = format!("1 to {most} at offset {}", walk.at);
                return Err(Fault::field(
                    "frame payload size",
                    header.map_or(0, |header| header.size),
                    expected,
                ));
            };
            last = Some(header.sequence);
            frames += 1;
            walk.at += total;
            walk.handed_out += total;
            walk.available = here - total;
        }
        let taken = (self.native.next != 0).then_some(self.native.next);
        Ok(Unread { frames, next: last.map(|last| last.wrapping_add(1) & !FAILURE).or(taken) })
    }

    /// The cursor alone, to walk ahead with.
    fn copy(&self) -> Self {
        let mut copy = Self::new(false);
        copy.at = self.at;
        copy.available = self.available;
        copy.handed_out = self.handed_out;
        copy.native.shift = self.native.shift;
        copy.native.jumps = self.native.jumps;
        copy
    }

    /// Whether everything is read and given back: native form can be left once no writer of this
    /// implementation writes.
    pub(crate) fn may_leave(&self, region: &Region, credit: &Credit) -> bool {
        self.is_native
            && self.available == 0
            && !self.has_native_unread(region)
            && credit.held_bound(self.handed_out) == 0
    }

    /// Back to legacy form, if everything is read and given back (N11). The caller holds the
    /// writer's presence byte: no writer in native form is there, nor comes. `true`: the writer's
    /// semaphore has to be posted.
    pub(crate) fn leave_native_form(&mut self, region: &Region, credit: &Credit) -> bool {
        if !self.may_leave(region, credit) {
            return false;
        }
        // The legacy words have stood still. A writer that finds this count finds no legacy frame
        // since.
        let [count, at] =
            [Word::WrittenCount, Word::WritePos].map(|word| region.load(word, Ordering::Acquire));
        credit.leave_native(|| {
            region.native_store(NativeWord::LEFT_AT, at, Ordering::Relaxed);
            region.native_store(NativeWord::LEFT, count.wrapping_add(1), Ordering::Release);
            region.store(Word::PayloadFree, region.capacity(), Ordering::SeqCst);
            // Edge E9, release end: the writer that enters next finds all of this.
            region.native_add(NativeWord::FORM, 1, order(End::E9Left, Ordering::SeqCst));
        });
        self.native.taken = self.native_position();
        self.is_native = false;
        std::mem::swap(&mut self.at, &mut self.native.other_at);
        true
    }
}
