//! A reader process: creates the buffer, checks every byte of every frame, holds some and releases
//! them in any order.

use super::{Orders, footprint, hello, now, pause, say, segment, starving};
use crate::{
    ledger::{Field, Ledger},
    plan::Plan,
};
use anyhow::{Context as _, Result};
use std::{thread, time::Duration};
use zerobuffer::{Error, Frame, Reader};

/// `number`: which process of the round this is.
pub(crate) fn run(plan: &Plan, number: u64) -> Result<()> {
    let orders = Orders::listen();
    hello()?;
    let mut rng = fastrand::Rng::with_seed(plan.seed ^ (number << 32) ^ 1);
    let Some(reader) = create(plan, orders, &mut rng)? else { return Ok(()) };
    let ledger = Ledger::create(&plan.folder.join(format!("r-{number}")))?;
    let segment = segment(&plan.name);
    ledger.set(Field::Segment, segment);
    ledger.set(Field::First, 1);
    say(&format!("footprint {}", footprint()));
    say(&format!("created {segment}"));
    let mut state = State { plan, ledger, rng, held: Vec::new(), expected: 1, since: now() };
    state.run(reader, orders)
}

/// `None`: the order to close came before the name was free.
fn create(plan: &Plan, orders: &Orders, rng: &mut fastrand::Rng) -> Result<Option<Reader>> {
    loop {
        if orders.closes() {
            say(&format!("closed {}", footprint()));
            return Ok(None);
        }
        let buffer = plan.buffer(rng);
        let Some(created) = starving(rng, || Reader::create(&plan.name, buffer))? else { continue };
        match created {
            Ok(reader) => return Ok(Some(reader)),
            Err(Error::ReaderAlreadyConnected { .. } | Error::NotReady { .. }) => {
                thread::sleep(Duration::from_micros(rng.u64(0..1000)));
            }
            Err(error) => return Err(error).context("create"),
        }
    }
}

/// Whether no writer is there, and perhaps none can come because the supervisor has removed the
/// names.
fn is_end(error: &Error, orders: &Orders) -> bool {
    match error {
        Error::WriterGone { .. } => true,
        Error::NamesRemoved { .. } => orders.unnamed(),
        _ => false,
    }
}

struct State<'a> {
    plan: &'a Plan,
    ledger: Ledger,
    rng: fastrand::Rng,
    held: Vec<Frame>,
    expected: u64,
    /// When there was last something to do: a blocked read has lasted since then.
    since: u64,
}

impl State<'_> {
    fn run(&mut self, mut reader: Reader, orders: &Orders) -> Result<()> {
        let mut drained = false;
        while !orders.closes() {
            if drained {
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            pause(&mut self.rng, self.plan.pause);
            // Looked at before the read: what that says of an earlier writer is not the end of one
            // that came meanwhile.
            let finishes = orders.finishes();
            match self.read(&mut reader) {
                Ok(Some(frame)) => self.take(frame),
                Ok(None) => self.release_one(),
                Err(error) if is_end(&error, orders) => {
                    if orders.take_watch() {
                        say(&format!("gone {} {}", now(), self.since));
                    }
                    self.since = now();
                    if finishes {
                        self.release_all();
                        self.metadata(&reader)?;
                        say("drained");
                        drained = true;
                    }
                    self.release_one();
                    thread::sleep(Duration::from_micros(self.rng.u64(0..500)));
                }
                Err(error) => return Err(error).context("read"),
            }
        }
        if self.rng.bool() {
            self.release_all();
        }
        reader.close()?;
        // Frames outlive their reader.
        self.release_all();
        say(&format!("closed {}", footprint()));
        Ok(())
    }

    fn read(&mut self, reader: &mut Reader) -> zerobuffer::Result<Option<Frame>> {
        match self.rng.u32(0..3) {
            0 => reader.try_read(),
            1 => reader.read_timeout(Duration::from_micros(self.rng.u64(0..2000))),
            _ => reader.read_timeout(Duration::from_millis(self.rng.u64(0..120))),
        }
    }

    fn take(&mut self, frame: Frame) {
        let sequence = frame.sequence();
        if sequence != self.expected {
            say(&format!("gap {} {sequence}", self.expected));
        }
        self.expected = sequence + 1;
        self.check(&frame);
        self.ledger.frame(sequence, frame.len());
        if self.rng.u64(0..=self.plan.hold) > 0 {
            self.held.push(frame);
        }
        if self.held.len() as u64 > self.plan.hold {
            self.release_one();
        }
        self.since = now();
    }

    fn check(&self, frame: &Frame) {
        if let Err(what) = self.plan.pattern.check(frame.data(), frame.sequence()) {
            say(&format!("torn {what}"));
        }
    }

    /// A held frame still shows its bytes when it is released.
    fn release_one(&mut self) {
        if !self.held.is_empty() {
            let frame = self.held.swap_remove(self.rng.usize(0..self.held.len()));
            self.check(&frame);
        }
    }

    fn release_all(&mut self) {
        while !self.held.is_empty() {
            self.release_one();
        }
    }

    fn metadata(&self, reader: &Reader) -> Result<()> {
        let Some(metadata) = reader.metadata().context("metadata")? else { return Ok(()) };
        if let Err(what) = self.plan.pattern.check_content(metadata.data(), 0) {
            say(&format!("torn metadata: {what}"));
        }
        Ok(())
    }
}
