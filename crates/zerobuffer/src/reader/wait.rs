//! A reader that waits: for a token, a position, the end of its writer.

use super::{Frame, Reader, announced::Announced, watch::Finding};
use crate::{
    error::{Error, Result},
    layout::FRAME_HEADER_SIZE,
    link::Patience,
    sync::Instant,
    sys::Semaphore,
};

/// What one round of looking has found.
pub(super) enum Round {
    Found(Frame),
    /// The patience has ended.
    Over,
    /// Something has changed: poll at once.
    Again,
    /// Nothing is there: sleep until a token comes, at most until then.
    Wait(Instant),
}

impl Reader {
    /// Waits until a frame is there or the patience ends.
    pub(super) fn wait_for_frame(&mut self, patience: &mut Patience<'_>) -> Result<Option<Frame>> {
        #[cfg(feature = "async")]
        self.waits.leave();
        let started = Instant::now();
        patience.begin(started);
        self.waiter.begin(started);
        let result = self.poll_until(started, patience);
        let time = self.waiter.waited(started, matches!(result, Ok(Some(_))));
        self.shared.counters.waited(time, patience.counts());
        result
    }

    fn poll_until(&mut self, mut now: Instant, patience: &mut Patience<'_>) -> Result<Option<Frame>> {
        let mut announced = Announced::No;
        loop {
            match self.round(&mut announced, now, patience)? {
                Round::Found(frame) => return Ok(Some(frame)),
                Round::Over => return Ok(None),
                Round::Again => {}
                Round::Wait(until) => {
                    if !self.spin(until)
                        && self.waiter.sleeps()
                        && self.shared.data.wait(until.saturating_duration_since(Instant::now()))
                    {
                        announced = self.announced_by_token();
                    }
                }
            }
            now = Instant::now();
        }
    }

    /// Looks at everything that can end a wait for a frame, without waiting. `announced`: by a
    /// token that was taken since the last round.
    pub(super) fn round(
        &mut self,
        announced: &mut Announced,
        now: Instant,
        patience: &mut Patience<'_>,
    ) -> Result<Round> {
        self.check()?;
        *announced = self.check_state(now)?.max(*announced);
        let attached = self.watch.is_attached();
        if let Some(frame) = self.poll(std::mem::take(announced))? {
            return Ok(Round::Found(frame));
        }
        if patience.ends(now) {
            return Ok(Round::Over);
        }
        if self.watch.is_attached() {
            self.names_watch.find_lost(self.names.as_ref(), &self.shared.name, now);
        } else {
            self.names_watch.check(self.names.as_ref(), &self.shared.name, now)?;
        }
        let until = patience.until(self.watch.due(now));
        if self.watch.publishes_in_order() {
            // Before the spin: the tokens of frames that were found by their position would end it
            // at once.
            self.drain_tokens();
            // Edge E3: a frame whose token was just taken is seen now.
            self.check()?;
            if let Some(frame) = self.poll(Announced::No)? {
                return Ok(Round::Found(frame));
            }
        }
        // A writer that has just left has posted for the last time, and that token may be among
        // those taken here.
        let left_now = attached && !self.watch.is_attached();
        if !self.watch.publishes_in_order() && self.shared.data.take() {
            // Left lying there, one without a frame would end every spin at once.
            *announced = self.announced_by_token();
            return Ok(Round::Again);
        }
        Ok(if left_now { Round::Again } else { Round::Wait(until) })
    }

    /// A token was taken.
    fn announced_by_token(&mut self) -> Announced {
        if self.watch.token_announces() { Announced::ByToken } else { Announced::No }
    }

    /// Whether a frame of a native writer arrives within the first stage of a wait.
    #[inline]
    pub(super) fn glance(&self) -> bool {
        let region = &self.shared.region;
        // With the reader's own position instead, the look that finds the frame came a moment
        // earlier. The round trip took longer (0.44 against 0.39 µs at 64 B), since the writer is
        // not done with that line.
        let consumer = &self.consumer;
        let before = consumer.progress(region);
        // A ring without room is one that is full of frames: the position will not move.
        self.announces_itself()
            && !consumer.is_full(region)
            && self.waiter.glance(|| consumer.progress(region) != before)
    }

    fn spin(&mut self, until: Instant) -> bool {
        let (shared, consumer) = (&self.shared, &self.consumer);
        let in_order = self.announces_itself();
        // A legacy writer's position may stand ahead of its token for long.
        let before = consumer.progress(&shared.region);
        let moved = || consumer.progress(&shared.region) != before;
        // Tokens count too: for a legacy writer they are the announcement, and a full lap leaves
        // the position as it was. They are looked at less often, since a writer that posts needs
        // their cache line, and the look may be a system call.
        let every = if Semaphore::VALUE_IS_CHEAP { 16 } else { 256 };
        let mut looks = 0_u32;
        self.waiter.spin(until, || {
            looks = looks.wrapping_add(1);
            (if in_order { consumer.has_moved(&shared.region) } else { moved() })
                || (looks.is_multiple_of(every) && shared.data.value() != 0)
        })
    }

    /// Takes all tokens of a writer whose position announces its frames.
    pub(super) fn drain_tokens(&mut self) {
        self.undrained = 0;
        let taken = self.shared.data.take_all();
        if taken > 0 {
            self.watch.refresh(&self.shared);
            if !self.announces_itself() {
                // A legacy writer has just come: without its tokens each of its frames would wait
                // for a later one. The number is anybody's to write (W13).
                let most = self.shared.region.capacity() / (FRAME_HEADER_SIZE + 1);
                (0..most.min(taken.into())).for_each(|_| self.shared.data.post());
            }
        }
    }

    /// Takes tokens until one announces a frame.
    #[cold]
    pub(super) fn take_token(&mut self) -> bool {
        while self.shared.data.take() {
            if self.watch.token_announces() {
                return true;
            }
        }
        false
    }

    /// Without a frame to take: is the writer gone, has it crashed, or has it left a frame without
    /// a token?
    pub(super) fn check_state(&mut self, now: Instant) -> Result<Announced> {
        self.watch.refresh(&self.shared);
        let finding =
            self.watch.assess(&self.shared, &mut self.consumer, now).map_err(|fault| self.fail(fault))?;
        let gone = match finding {
            Finding::Nothing => return Ok(Announced::No),
            Finding::Stranded => None,
            Finding::Gone { pid } => Some(pid),
        };
        self.refresh()?;
        match gone {
            _ if self.consumer.has_available() => Ok(Announced::ByPosition),
            None => Ok(Announced::No),
            Some(pid) => {
                // What it has posted must not vouch for a legacy writer's frames.
                self.drain_tokens();
                let name = self.shared.name.clone();
                let gone = Error::WriterGone { name, pid };
                Err(self.names_watch.after_end(self.names.as_ref(), &self.shared.name, now, gone))
            }
        }
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(macos_sys)))]
mod tests {
    use super::*;
    use crate::{BufferConfig, layout::Word, sync::Ordering};

    #[test]
    fn tokens_of_a_legacy_writer_that_has_just_come_are_given_back() {
        let name = crate::testing::name("zb-wait");
        let mut reader = Reader::create(&name, BufferConfig::ring(1024).metadata(0)).unwrap();
        let post = |reader: &Reader, tokens| (0..tokens).for_each(|_| reader.shared.data.post());
        post(&reader, 3);
        reader.drain_tokens();
        assert_eq!(reader.shared.data.value(), 0, "nobody writes: they announce nothing");
        post(&reader, 3);
        // Not looked at since: a process that lives, and is no native writer.
        reader.shared.region.store(Word::WriterPid, 1, Ordering::SeqCst);
        reader.drain_tokens();
        assert_eq!(reader.shared.data.value(), 3);
        post(&reader, 100);
        reader.watch.refresh(&reader.shared);
        reader.drain_tokens();
        assert_eq!(reader.shared.data.value(), 60, "of 1024 bytes no more frames than that can be announced");
    }
}
