//! The metadata of a buffer that is only looked at: the words, the bytes, and the same words again.

use super::{control, memory::Memory};
use crate::{
    error::Result,
    layout::{CONTROL_SIZE, Geometry, NativeWord},
    ring::metadata::{check_prefix, content_len},
};
use std::io;

/// How often a look is repeated because the metadata change under it.
const ATTEMPTS: u32 = 8;

/// The content. `Ok(Ok(None))`: none is written, or it is just being written.
pub(super) fn read(
    memory: &impl Memory,
    geometry: Geometry,
    name: &str,
) -> io::Result<Result<Option<Vec<u8>>>> {
    for _ in 0..ATTEMPTS {
        let before = words(memory, geometry)?;
        let len = content_len(before.written, geometry.metadata);
        let mut bytes = vec![0; if len.is_ok() { before.written as usize } else { 0 }];
        memory.read(CONTROL_SIZE, &mut bytes)?;
        if words(memory, geometry)? != before {
            continue;
        }
        if before.written == 0 {
            return Ok(Ok(None));
        }
        let prefix = bytes.first_chunk().map_or(0, |prefix| u64::from_le_bytes(*prefix));
        let checked = len.and_then(|len| check_prefix(prefix, len)).map_err(|fault| fault.on(name));
        return Ok(checked.map(|()| {
            bytes.drain(..8);
            Some(bytes)
        }));
    }
    Ok(Ok(None))
}

/// What changes when the metadata do.
#[derive(PartialEq, Eq)]
struct Words {
    writer: u64,
    written: u64,
    generation: [u8; 16],
}

fn words(memory: &impl Memory, geometry: Geometry) -> io::Result<Words> {
    let control = control(memory)?;
    // And the byte behind it: from where in the stream they hold.
    let mut generation = [0; 16];
    if geometry.native {
        let word = NativeWord::METADATA_GENERATION.offset() as u64;
        memory.read(geometry.native_offset() + word, &mut generation)?;
    }
    Ok(Words { writer: control.writer_pid, written: control.metadata_written, generation })
}
