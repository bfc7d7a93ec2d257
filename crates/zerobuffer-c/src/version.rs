//! Versions, of the library and of its interface.

use std::ffi::c_char;

/// The interface that this header describes: 65536 times its number, plus its additions. A library
/// has to have the same number, and at least as many additions.
pub const ZB_ABI_VERSION: u32 = 0x2_0003;

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
