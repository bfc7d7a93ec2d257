//! Versions, of the library and of its interface.

use std::ffi::c_char;

/// The interface that this header describes: a library of another number has another interface.
pub const ZB_ABI_MAJOR: u32 = 2;
/// What was added to it since: a library must have at least the header's.
pub const ZB_ABI_MINOR: u32 = 0;

/// The library's version, such as "2.0.0". Any thread.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn zb_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The library's ZB_ABI_MAJOR * 65536 + ZB_ABI_MINOR, to be compared with the header's. Any thread.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn zb_abi_version() -> u32 {
    ZB_ABI_MAJOR << 16 | ZB_ABI_MINOR
}
