//! Bytes as a script: each step takes what it needs, and the end of the bytes is the end of the
//! script.

use std::time::{Duration, Instant};

/// The library waits up to half a second for a peer that seems to be on its way. A script that has
/// met that has said what it has to say: thousands of others run in the same time.
const ENOUGH: Duration = Duration::from_millis(100);

/// What is left of a script.
pub(crate) struct Script<'a> {
    data: &'a [u8],
    started: Instant,
}

impl<'a> Script<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { data, started: Instant::now() }
    }

    /// The first byte of the next step; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<u8> {
        if self.started.elapsed() > ENOUGH { None } else { self.take() }
    }

    fn take(&mut self) -> Option<u8> {
        let (&first, rest) = self.data.split_first()?;
        self.data = rest;
        Some(first)
    }

    /// A further byte of a step, 0 after the end: a step that has begun is finished.
    pub(crate) fn byte(&mut self) -> u8 {
        self.take().unwrap_or(0)
    }

    pub(crate) fn short(&mut self) -> u64 {
        u16::from_le_bytes([self.byte(), self.byte()]).into()
    }

    pub(crate) fn long(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// One of a list.
    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::from(self.byte()) % list.len()]
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.data)
    }
}
