//! A writer process. It attaches, streams frames by every way of the API until the order to finish,
//! and attaches again to the next reader.

use super::{Orders, footprint, hello, now, pause, say, segment, starving};
use crate::{
    ledger::{Field, Ledger},
    plan::{self, Plan},
};
use anyhow::{Context as _, Result};
use std::{io::IoSlice, thread, time::Duration};
use zerobuffer::{Error, Writer, WriterConfig};

/// `number`: which process of the round this is.
pub(crate) fn run(plan: &Plan, number: u64) -> Result<()> {
    let orders = Orders::listen();
    hello()?;
    let mut rng = fastrand::Rng::with_seed(plan.seed ^ (number << 32));
    let mut attached = 0;
    loop {
        let Some((writer, segment)) = attach(plan, orders, &mut rng)? else {
            say(&format!("closed {}", footprint()));
            return Ok(());
        };
        let ledger = Ledger::create(&plan.folder.join(format!("w-{number}-{attached}")))?;
        ledger.set(Field::Segment, segment);
        ledger.set(Field::First, writer.next_sequence());
        if attached == 0 {
            say(&format!("footprint {}", footprint()));
        }
        attached += 1;
        say(&format!("attached {segment}"));
        let mut stream = Stream { plan, ledger, rng: &mut rng };
        if stream.run(writer, orders)? == End::Replaced {
            say("replaced");
            say(&format!("closed {}", footprint()));
            return Ok(());
        }
    }
}

/// `None`: the order to finish. The inode before and after says which segment it is.
fn attach(plan: &Plan, orders: &Orders, rng: &mut fastrand::Rng) -> Result<Option<(Writer, u64)>> {
    loop {
        if orders.finishes() {
            return Ok(None);
        }
        let config = WriterConfig::default()
            .owner(plan.owner())
            .connect_timeout(Duration::from_millis(rng.u64(0..30)))
            .write_timeout(Some(Duration::from_millis(rng.u64(1..200))))
            .wait(plan::wait(rng))
            .full_ring(plan::full_ring(rng));
        let before = segment(&plan.name);
        let Some(attached) = starving(rng, || Writer::connect_with(&plan.name, config))? else { continue };
        match attached {
            Ok(writer) if before != 0 && before == segment(&plan.name) => return Ok(Some((writer, before))),
            // Removed or replaced meanwhile: nobody can tell to which it is attached.
            Ok(writer) => writer.close()?,
            Err(
                Error::NotFound { .. }
                | Error::NotReady { .. }
                | Error::WriterAlreadyConnected { .. }
                | Error::CrashNotNoticed { .. },
            ) => thread::sleep(Duration::from_micros(rng.u64(0..1000))),
            Err(error) => return Err(error).context("attach"),
        }
    }
}

/// How a stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    /// Another writer has taken the place, as the supervisor has announced.
    Replaced,
}

struct Stream<'a> {
    plan: &'a Plan,
    ledger: Ledger,
    rng: &'a mut fastrand::Rng,
}

impl Stream<'_> {
    /// Until the reader is gone (an ordinary end) or the order to finish.
    fn run(&mut self, mut writer: Writer, orders: &Orders) -> Result<End> {
        if self.rng.bool() {
            self.metadata(&mut writer)?;
        }
        let mut written = 0;
        // A writer that comes and goes without a frame, between two looks of a reader that has met
        // no other, is none to it.
        while written == 0 || !orders.finishes() {
            pause(self.rng, self.plan.pause);
            let started = now();
            let outcome = self.frame(&mut writer);
            match outcome {
                Ok(()) => written += 1,
                Err(Error::Full { .. }) => {}
                Err(Error::ReaderGone { .. }) => {
                    say(&format!("gone {} {started}", now()));
                    break;
                }
                Err(Error::Replaced { .. }) if orders.yields() => {
                    writer.close()?;
                    return Ok(End::Replaced);
                }
                Err(error) => return Err(error).context("write"),
            }
        }
        writer.close()?;
        Ok(End::Closed)
    }

    fn metadata(&mut self, writer: &mut Writer) -> Result<()> {
        let room = writer.metadata_capacity();
        if room < 8 {
            return Ok(());
        }
        let mut data = vec![0; self.rng.u64(0..=room - 8) as usize];
        self.plan.pattern.fill(&mut data, 0);
        match writer.set_metadata(&data) {
            // A predecessor's frames may not be taken in time. A writer that is replaced learns it
            // again with its next frame.
            Ok(())
            | Err(
                Error::MetadataAlreadyWritten { .. }
                | Error::MetadataInUse { .. }
                | Error::ReaderGone { .. }
                | Error::Replaced { .. },
            ) => Ok(()),
            Err(error) => Err(error).context("set_metadata"),
        }
    }

    /// One frame by a random way; recorded once it is committed.
    fn frame(&mut self, writer: &mut Writer) -> zerobuffer::Result<()> {
        let pattern = self.plan.pattern;
        if self.rng.u64(0..100) < self.plan.abandon {
            let size = self.rng.u64(1..=pattern.max) as usize;
            writer.loan(size)?.fill(0xEE);
        }
        let sequence = writer.next_sequence();
        let size = pattern.size(sequence);
        let committed = match self.rng.u32(0..6) {
            0 => {
                let mut loan = writer.loan(size)?;
                pattern.fill(&mut loan, sequence);
                loan.commit()?.sequence().unwrap_or(0)
            }
            1 => {
                let most = writer.max_frame_size() as usize;
                let mut loan = writer.loan((size + self.rng.usize(0..40)).min(most))?;
                let (used, spare) = loan.split_at_mut(size);
                pattern.fill(used, sequence);
                spare.fill(0xEE);
                match loan.commit_len(size) {
                    // A legacy reader cannot skip the few bytes that this length would leave at the
                    // end (W2).
                    Err(Error::InvalidCommit { .. }) => {
                        writer.write(&pattern.content(sequence))?.sequence().unwrap_or(0)
                    }
                    committed => committed?.sequence().unwrap_or(0),
                }
            }
            2 => {
                let data = pattern.content(sequence);
                let (a, b) = data.split_at(size / 3);
                writer.write_vectored(&[IoSlice::new(a), IoSlice::new(b)])?.sequence().unwrap_or(0)
            }
            3 => writer.try_write(&pattern.content(sequence))?.sequence().unwrap_or(0),
            4 => {
                // Begun, abandoned by the next begin, begun again.
                writer.begin(size)?;
                writer.begin(size)?;
                pattern.fill(writer.pending().unwrap_or_default(), sequence);
                writer.commit(size)?
            }
            _ => writer.write(&pattern.content(sequence))?.sequence().unwrap_or(0),
        };
        if committed != sequence {
            say(&format!("bad number: frame {sequence} went out as {committed}"));
        }
        self.ledger.frame(sequence, size);
        Ok(())
    }
}
