//! What is asked of the processor: cache lines, and the order of stores. Hints change nothing; the
//! order does.

use super::Region;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use std::arch::asm;
use std::ops::Range;

/// Bytes of a cache line.
const CACHE_LINE: u64 = 64;
/// Of a longer frame the processor asks for the rest by itself.
const PREFETCHED: u64 = 256;

/// Orders all stores before it, also those that go past the cache, before all stores after it.
#[inline]
pub(crate) fn order_stores() {
    // SAFETY: every x86-64 processor has it, and it changes no byte, register or flag.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
    // SAFETY: a barrier changes no byte, register or flag.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("dmb ishst", options(nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

/// What a line is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// Asks for a cache line. Only a hint.
#[inline]
fn prefetch(line: *const u8, access: Access) {
    // SAFETY: a prefetch changes no byte, register or flag, and never faults; x86-64 processors
    // without `prefetchw` ignore it.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        if access == Access::Write {
            asm!("prefetchw [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
        } else {
            asm!("prefetcht0 [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
        }
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        if access == Access::Write {
            asm!("prfm pstl1keep, [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
        } else {
            asm!("prfm pldl1keep, [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = (line, access);
}

impl Region {
    /// Asks for what follows a frame's header: it is used behind locked operations, which wait for
    /// what is asked before.
    #[inline]
    pub(crate) fn prefetch_frame(&self, at: u64, total: u64) {
        self.prefetch(at, CACHE_LINE..total.min(PREFETCHED), Access::Read);
    }

    /// Asks for the lines of `len` ring bytes that are to be written soon.
    #[inline]
    pub(crate) fn prefetch_to_write(&self, at: u64, len: u64) {
        self.prefetch(at, 0..len, Access::Write);
    }

    /// Asks for the lines of a range of bytes behind a ring offset. A hint, so nothing is checked:
    /// lines outside of the ring, or of the mapping, do no harm.
    #[inline]
    fn prefetch(&self, at: u64, mut range: Range<u64>, access: Access) {
        let first = self.ring.as_ptr().wrapping_add(at as usize);
        while !range.is_empty() {
            prefetch(first.wrapping_add(range.start as usize), access);
            range.start += CACHE_LINE;
        }
    }

    /// Asks for the line of the native block that a publication stores to.
    #[inline]
    pub(crate) fn prefetch_published(&self) {
        prefetch(self.native.as_ptr(), Access::Write);
    }
}
