//! What a reader knows of its writer: which kind it is, whether it lives, what to do after its
//! death (W5, W8–W10).

use super::ReaderShared;
use crate::{
    config::WAIT_SLICE,
    layout::{TOMBSTONE, Word},
    link::Still,
    liveness::KnownBy,
    ring::{Consumer, Fault},
    sync::{End, Instant, Ordering, lock, order},
    sys::{Held, Role},
};
use std::time::Duration;

/// One reader's view of its writer.
// The flags are facts independent of each other: every combination occurs.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug)]
pub(crate) struct WriterWatch {
    /// `writer_pid` as last seen.
    pid: u64,
    /// The last real writer; 0 if none was ever seen.
    last: u64,
    /// The last real writer is of this implementation.
    native: bool,
    /// The last real writer went without closing.
    died: bool,
    /// A successor has attached, and none of the frames taken since is known to be its first.
    fresh: bool,
    /// Nothing was unread at some time after the last frame was taken.
    drained: bool,
    /// A frame was taken. If no writer was ever seen, its writer came and went between two looks.
    taken: bool,
    /// Frames of writers that came and went between two looks may be unread.
    unseen: bool,
    /// Nobody was attached while nothing was unread, and no frame was taken since. So the next
    /// frame is a new writer's, even if that one has left before it was seen.
    vacant: bool,
    /// Frames of a legacy writer that were taken without their tokens, which are still to come.
    owed_tokens: u32,
    /// When the writer was last judged.
    judged: Instant,
    /// For how long the write position stands still.
    still: Still<u64>,
}

/// The outcome of [`WriterWatch::assess`].
#[derive(Debug)]
pub(crate) enum Finding {
    Nothing,
    /// Published frames may be read without their tokens.
    Stranded,
    /// No writer any more; the ring is repaired.
    Gone {
        pid: u64,
    },
}

impl WriterWatch {
    pub(crate) fn new() -> Self {
        Self {
            pid: 0,
            last: 0,
            native: false,
            died: false,
            fresh: false,
            drained: true,
            taken: false,
            unseen: true,
            vacant: false,
            owed_tokens: 0,
            judged: Instant::now(),
            still: Still::new(),
        }
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.pid != 0 && self.pid != TOMBSTONE
    }

    /// Whether a published position alone announces frames: the writer releases it, or is gone. A
    /// legacy writer's plain stores may be seen out of order, so its tokens count (W5).
    #[inline]
    pub(crate) fn publishes_in_order(&self) -> bool {
        self.native || !self.is_attached()
    }

    /// Whether a writer is attached, and nothing is open about whose frames come: only then may a
    /// look that finds nothing go unnoted (see [`Self::drained`]).
    #[inline]
    pub(crate) fn is_settled(&self) -> bool {
        self.is_attached() && !self.fresh && !self.unseen
    }

    /// `native`: it was in native form.
    pub(crate) fn took_frame(&mut self, native: bool) {
        // A frame that was still unread when the successor came may be its predecessor's.
        self.fresh &= !self.drained;
        // Behind it there is none in legacy form, since its own writer is still there.
        self.unseen &= !(native && self.native && self.is_attached());
        self.taken = true;
        self.drained = false;
        self.vacant = false;
        // After a full lap the position is where it was, and yet has not stood still.
        self.still.forget();
    }

    /// The next frame is taken without its token.
    pub(crate) fn owe_token(&mut self) {
        self.owed_tokens += 1;
    }

    /// A token was taken. `true`: it announces a frame; `false`: that of a frame taken before.
    pub(crate) fn token_announces(&mut self) -> bool {
        let owed = self.owed_tokens > 0 && !self.publishes_in_order();
        self.owed_tokens = self.owed_tokens.saturating_sub(1);
        !owed
    }

    pub(crate) fn has_native_writer(&self) -> bool {
        self.native
    }

    /// Whether the first frame of a new legacy writer may be unread: the numbers in a full ring may
    /// go back to 1. A number is [accepted](Self::accepts) by more than this.
    pub(crate) fn may_restart(&self) -> bool {
        self.fresh && !self.native
    }

    pub(crate) fn died(&self) -> bool {
        self.died
    }

    pub(crate) fn drained(&mut self) {
        self.drained = true;
        self.unseen = !self.is_attached();
        self.vacant |= !self.is_attached();
    }

    /// Whether a frame that does not carry the next number may start a new count (W9).
    ///
    /// `native`: it was published in native form, which only native writers do.
    pub(crate) fn accepts(&mut self, sequence: u64, native_form: bool) -> bool {
        let accepted = if native_form {
            self.fresh || self.vacant
        } else {
            // Each legacy writer begins at 1, and the number of a native one may be any. Several of
            // both kinds may have come and gone between two looks.
            sequence == 1 || self.unseen || self.vacant || (self.fresh && self.native)
        };
        self.fresh &= !accepted;
        accepted
    }

    /// Edge E7, acquire end: what a writer that has left published is all visible after this.
    #[inline]
    fn registered(shared: &ReaderShared) -> u64 {
        shared.region.load(Word::WriterPid, order(End::E7Acquire, Ordering::Acquire))
    }

    /// Whether [`Self::look`] would notice no change.
    #[inline]
    pub(crate) fn is_current(&self, shared: &ReaderShared) -> bool {
        Self::registered(shared) == self.pid
    }

    /// Notices a change of writer.
    #[inline]
    pub(crate) fn refresh(&mut self, shared: &ReaderShared) {
        let pid = Self::registered(shared);
        if pid != self.pid {
            self.changed(shared, pid);
        }
    }

    #[cold]
    fn changed(&mut self, shared: &ReaderShared, pid: u64) {
        self.pid = pid;
        self.unseen = true;
        self.still.forget();
        if !self.is_attached() {
            log::info!(target: "zerobuffer::reader", "buffer '{}': writer {} has left", shared.name, self.last);
            return;
        }
        // What was known of a number is not known of its next bearer.
        shared.present_writer.store(0, Ordering::Relaxed);
        shared.sees_writer_present(pid);
        let native = shared.knows_writer(pid);
        if !native && shared.region.load(Word::WriterPid, Ordering::Acquire) != pid {
            // It has left meanwhile, and with it what tells its kind: as good as one that nobody
            // saw.
            self.pid = 0;
            return;
        }
        self.native = native;
        // The first writer of a buffer starts at 1; only a successor may start anywhere.
        self.fresh = self.last != 0 || self.died || self.taken;
        // What was drained before it came says nothing of the frames between.
        self.drained = false;
        self.last = pid;
        self.died = false;
        self.owed_tokens = 0;
        self.judged = Instant::now();
        let kind = if self.native { "" } else { " of another implementation" };
        log::info!(target: "zerobuffer::reader", "buffer '{}': writer {pid}{kind} is attached", shared.name);
    }

    /// Judges the writer when there is no frame to take; at most one slice passes between two
    /// judgements.
    pub(crate) fn assess(
        &mut self,
        shared: &ReaderShared,
        consumer: &mut Consumer,
        now: Instant,
    ) -> Result<Finding, Fault> {
        match self.pid {
            0 => {
                if !consumer.is_settled(&shared.region, &shared.credit) {
                    self.repair(shared, consumer)?;
                }
            }
            TOMBSTONE => {
                // Left by the attach of a successor that found its predecessor dead.
                self.died = true;
                self.repair(shared, consumer)?;
            }
            _ => return self.assess_attached(shared, consumer, now),
        }
        self.refresh(shared);
        if self.is_attached() || !self.has_been_seen(shared) {
            return Ok(Finding::Nothing);
        }
        Ok(Finding::Gone { pid: self.last })
    }

    /// A writer that came and went between two looks has left its traces.
    fn has_been_seen(&self, shared: &ReaderShared) -> bool {
        let region = &shared.region;
        self.last != 0
            || Consumer::has_been_written(region)
            || region.load(Word::MetadataWritten, Ordering::Relaxed) != 0
    }

    /// When a waiting reader has to look around next: a slice from now at the latest, earlier if
    /// the writer's judgement is due earlier. Else its death would be found up to two slices after
    /// it.
    pub(crate) fn due(&self, now: Instant) -> Instant {
        let judgement = self.judged + WAIT_SLICE;
        if judgement > now { judgement.min(now + WAIT_SLICE) } else { now + WAIT_SLICE }
    }

    /// The next judgement is due: something says that the writer may be dead.
    #[cfg(feature = "async")]
    pub(super) fn hurry(&mut self, now: Instant) {
        self.judged = now.checked_sub(WAIT_SLICE).unwrap_or(self.judged);
    }

    fn assess_attached(
        &mut self,
        shared: &ReaderShared,
        consumer: &mut Consumer,
        now: Instant,
    ) -> Result<Finding, Fault> {
        let position = consumer.progress(&shared.region);
        let still_for = self.still.observe(position, now);
        if now.saturating_duration_since(self.judged) >= WAIT_SLICE {
            self.judged = now;
            if self.is_dead(shared, still_for) {
                log::warn!(target: "zerobuffer::reader", "buffer '{}': writer {} has died", shared.name, self.pid);
                self.died = true;
                self.repair(shared, consumer)?;
                self.refresh(shared);
                if !self.is_attached() {
                    return Ok(Finding::Gone { pid: self.last });
                }
            } else if consumer.is_native() && !self.native {
                // One of another implementation waits for room, which native form does not give it.
                let alone = self.with_writer_byte(shared, |_| {
                    leave_native_form(shared, consumer);
                    Ok(())
                });
                alone?;
            }
        }
        Ok(if still_for >= WAIT_SLICE { Finding::Stranded } else { Finding::Nothing })
    }

    fn is_dead(&mut self, shared: &ReaderShared, still_for: Duration) -> bool {
        let held = shared.sees_writer_present(self.pid);
        if held == Some(true) {
            // Once known it stays so: one that is leaving takes its note away before its lock.
            self.native |= shared.knows_writer(self.pid);
        }
        let known = if self.native { KnownBy::Sight } else { KnownBy::Nothing };
        ReaderShared::writer_life(self.pid, held, known, still_for).is_gone()
    }

    /// Restores the ring while holding the writer's presence byte, so no writer attaches meanwhile
    /// (W10). Does nothing if a writer holds it.
    fn repair(&mut self, shared: &ReaderShared, consumer: &mut Consumer) -> Result<(), Fault> {
        self.with_writer_byte(shared, |watch| {
            let dead = watch.pid;
            if consumer.takes_free_sequences() {
                // Metadata belong to the writer: a legacy successor, which may come as soon as the
                // place is free, finds none.
                let registered = shared.region.load(Word::WriterPid, Ordering::SeqCst);
                if registered != 0 && (registered == dead || registered == TOMBSTONE) {
                    shared.clear_metadata();
                }
            }
            let is_dead = |pid| pid == dead || pid == TOMBSTONE;
            if consumer.repair(&shared.region, &shared.credit, is_dead)? {
                // No writer is attached, and none attaches while the byte is held: nobody sleeps on
                // the space semaphore.
                shared.space.forget_sleepers();
                shared.data.forget_writer();
                watch.vacant |= !consumer.has_unread(&shared.region, &shared.credit);
                leave_native_form(shared, consumer);
            }
            Ok(())
        })
    }

    /// Does something while no native writer is attached, nor attaches; nothing if one is.
    fn with_writer_byte(
        &mut self,
        shared: &ReaderShared,
        act: impl FnOnce(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let presence = lock(&shared.presence);
        let Ok(Some(_held)) = Held::take(presence.as_ref(), Role::Writer) else { return Ok(()) };
        act(self)
    }
}

/// Back to legacy form, if everything is read and given back. The writer's byte is held.
fn leave_native_form(shared: &ReaderShared, consumer: &mut Consumer) {
    if consumer.may_leave(&shared.region, &shared.credit) {
        // What native writers have posted must not vouch for a legacy writer's frames.
        shared.data.take_all();
        if consumer.leave_native_form(&shared.region, &shared.credit) {
            shared.space.post();
        }
    }
}

#[cfg(test)]
mod tests;

// The steps between which a writer comes or goes need the words of a real segment.
#[cfg(test)]
#[cfg(all(target_os = "linux", not(macos_sys)))]
mod successors;
