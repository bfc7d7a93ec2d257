//! The metadata of a buffer that is only looked at: the words, the bytes, and the same words again.

use super::{control, memory::Memory};
use crate::{
    error::{Error, Result},
    layout::{CONTROL_SIZE, Geometry, NativeWord},
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
        let written = before.written;
        let mut content = None;
        if written != 0 && (8..=geometry.metadata).contains(&written) {
            let mut bytes = vec![0; written as usize];
            memory.read(CONTROL_SIZE, &mut bytes)?;
            content = Some(bytes);
        }
        if words(memory, geometry)? != before {
            continue;
        }
        let corrupt = |field, value, expected| {
            Ok(Err(Error::Corrupt { name: name.to_owned(), field, value, expected }))
        };
        let Some(mut bytes) = content else {
            if written == 0 {
                return Ok(Ok(None));
            }
            return corrupt("metadata_written_bytes", written, format!("0, or 8 to {}", geometry.metadata));
        };
        let prefix = bytes.first_chunk().map_or(0, |prefix| u64::from_le_bytes(*prefix));
        if prefix != written - 8 {
            let expected = format!("{} (metadata_written_bytes less 8)", written - 8);
            return corrupt("metadata length prefix", prefix, expected);
        }
        bytes.drain(..8);
        return Ok(Ok(Some(bytes)));
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
