//! A tap on the simulated machine: the steps of `native` as they ship, beside endpoints that go on
//! before each word that it reads.
#![forbid(unsafe_code)]

// They are formatted where they are at home: from here the tests of `native` are not found.
#[path = "memory.rs"]
#[rustfmt::skip]
mod memory;
#[path = "native.rs"]
#[rustfmt::skip]
mod native;

use self::{
    memory::{Found, Memory},
    native::{Ahead, From, Ring},
};
use crate::{
    layout::{CONTROL_SIZE, ControlSnapshot, NATIVE_SIZE},
    sys::{File, Segment},
};
use std::io;

/// The memory of a buffer, read word by word.
#[derive(Debug)]
struct Words {
    file: File,
    block: u64,
}

impl Memory for Words {
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        for (index, chunk) in into.chunks_mut(8).enumerate() {
            let at = at + index as u64 * 8;
            let word = match at.checked_sub(self.block) {
                Some(offset) if offset < NATIVE_SIZE => self.file.native_word(offset),
                _ => self.file.plain_word(at),
            };
            chunk.copy_from_slice(word.to_le_bytes().get(..chunk.len()).unwrap_or_default());
        }
        Ok(())
    }
}

/// Looks at a buffer in native form.
#[derive(Debug)]
pub struct Tap {
    words: Words,
    ring: Ring,
    ahead: Ahead,
    position: Option<u64>,
    is_lost: bool,
}

impl Tap {
    /// # Errors
    ///
    /// If there is no such buffer.
    pub fn open(name: &str) -> crate::Result<Self> {
        let segment = Segment::open(name)?;
        let control = ControlSnapshot::from_bytes(&segment.control().unwrap_or([0; CONTROL_SIZE as usize]));
        let geometry = control.geometry(name, segment.size)?.with_native_block(name, segment.size)?;
        let block = geometry.native_offset();
        let ring = Ring { start: geometry.payload_offset(), capacity: geometry.payload, block };
        let words = Words { file: segment.file, block };
        Ok(Self { words, ring, ahead: Ahead::default(), position: None, is_lost: false })
    }

    /// Number and bytes of the frames that one look delivers.
    pub fn look(&mut self, newest: bool) -> Vec<(u64, Vec<u8>)> {
        let (mut seen, mut bytes) = (Vec::new(), Vec::new());
        let from = match self.position {
            Some(position) if !newest && !self.is_lost => From::Byte(position),
            other => From::Newest { after: other.unwrap_or(0) },
        };
        let found = native::look(&self.words, self.ring, from, &mut self.ahead, &mut bytes);
        let mut next = found.ok();
        self.is_lost = next == Some(Found::Lost);
        while let Some(found) = next {
            match found {
                Found::Whole { sequence, end } => {
                    self.position = Some(end);
                    seen.push((sequence, bytes.clone()));
                }
                Found::Nothing { next } => self.position = self.position.or(Some(next)),
                _ => {}
            }
            next = self.ahead.take(&mut bytes);
        }
        seen
    }
}
