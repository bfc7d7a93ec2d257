//! Versions, of the library and of its interface.

use std::ffi::c_char;

/// The interface that this header describes: 65536 times the number of the interface, which a
/// library has to share, plus the number of additions, of which it must have as many at least.
pub const ZB_ABI_VERSION: u32 = 0x2_0000;

/// The library's version, such as "2.0.0". Any thread.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn zb_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The library's ZB_ABI_VERSION, to be compared with the header's. Any thread.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn zb_abi_version() -> u32 {
    ZB_ABI_VERSION
}
