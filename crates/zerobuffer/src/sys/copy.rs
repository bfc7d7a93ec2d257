//! Copies out of memory that another process writes, where looking means mapping: words whole, all
//! else byte by byte.

use std::{
    io,
    ptr::NonNull,
    sync::atomic::{AtomicU8, AtomicU64, Ordering, fence},
};

/// Copies the bytes at `offset`; each copy is ordered before all that is read after it.
///
/// # Safety
///
/// `base` is aligned to 8 bytes and points at `len` bytes that stay readable for the call. Only
/// another process writes there, or code that uses atomics.
pub(super) unsafe fn copy(base: NonNull<u8>, len: usize, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    if start.checked_add(bytes.len()).is_none_or(|end| end > len) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut at = start;
    let head = (at.next_multiple_of(8) - at).min(bytes.len());
    let (head, rest) = bytes.split_at_mut(head);
    let (words, tail) = rest.as_chunks_mut::<8>();
    let one = |at: usize| {
        // SAFETY: below the length that was checked; a byte is aligned anywhere.
        unsafe { AtomicU8::from_ptr(base.as_ptr().add(at)) }.load(Ordering::Relaxed)
    };
    for byte in head {
        *byte = one(at);
        at += 1;
    }
    for word in words {
        // SAFETY: below the length that was checked, and at a multiple of 8 from an aligned base.
        let value = unsafe { AtomicU64::from_ptr(base.as_ptr().add(at).cast()) }.load(Ordering::Relaxed);
        *word = value.to_le_bytes();
        at += 8;
    }
    for byte in tail {
        *byte = one(at);
        at += 1;
    }
    fence(Ordering::Acquire);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_piece_is_copied_and_no_other() {
        let source: Vec<u64> = (0..32).map(|word| word * 0x0101_0101_0101_0101).collect();
        let bytes: Vec<u8> = source.iter().flat_map(|word| word.to_le_bytes()).collect();
        let base = NonNull::from(&source[0]).cast();
        for offset in 0..40 {
            for len in [0, 1, 7, 8, 9, 30] {
                let mut copied = vec![0; len];
                // SAFETY: the words live, and nobody writes there.
                unsafe { copy(base, 256, &mut copied, offset as u64) }.unwrap();
                assert_eq!(copied, bytes[offset..offset + len]);
            }
        }
        // SAFETY: as above.
        assert!(unsafe { copy(base, 256, &mut [0; 17], 240) }.is_err());
        // SAFETY: as above.
        assert!(unsafe { copy(base, 256, &mut [0; 17], u64::MAX) }.is_err());
    }
}
