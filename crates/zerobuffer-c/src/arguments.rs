//! What a caller hands in: texts, data, places for results. What can be checked of it is checked
//! before it is followed.

use crate::fault::Fault;
use std::{
    ffi::{CStr, c_char, c_void},
    ptr::NonNull,
    slice,
    time::Duration,
};
use zerobuffer::Patience;

/// A text.
///
/// # Safety
///
/// `text` is NULL or ends with a NUL, and stays as it is for `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str, Fault> {
    if text.is_null() {
        return Err(Fault::argument(format!("{what} is NULL")));
    }
    // SAFETY: it is not NULL; the rest is the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str()
        .map_err(|_| Fault::argument(format!("{what} '{}' is no UTF-8", text.to_bytes().escape_ascii())))
}

/// Bytes to be read.
///
/// # Safety
///
/// `data` is NULL or points to `size` bytes, which stay as they are for `'a`.
#[inline]
pub(crate) unsafe fn bytes<'a>(data: *const c_void, size: usize) -> Result<&'a [u8], Fault> {
    if size == 0 {
        return Ok(&[]);
    }
    if data.is_null() || size > isize::MAX as usize {
        return Err(cannot_be(data, size));
    }
    // SAFETY: it is not NULL, and not larger than an object can be; the rest is the caller's
    // promise.
    Ok(unsafe { slice::from_raw_parts(data.cast(), size) })
}

#[cold]
#[inline(never)]
fn cannot_be(data: *const c_void, size: usize) -> Fault {
    Fault::argument(format!("{size} bytes at {data:p} cannot be"))
}

/// Bytes to be written.
///
/// # Safety
///
/// `data` is NULL or points to `size` bytes that nobody else uses for `'a`.
pub(crate) unsafe fn room<'a>(data: *mut c_void, size: usize) -> Result<&'a mut [u8], Fault> {
    if size == 0 {
        return Ok(&mut []);
    }
    if data.is_null() || size > isize::MAX as usize {
        return Err(cannot_be(data, size));
    }
    // SAFETY: as in `bytes`.
    Ok(unsafe { slice::from_raw_parts_mut(data.cast(), size) })
}

/// A place for a result.
pub(crate) struct Out<T>(NonNull<T>);

impl<T> Out<T> {
    /// A place that the caller has to give.
    ///
    /// # Safety
    ///
    /// `place` is NULL or can be written to during the call.
    #[inline]
    pub(crate) unsafe fn required(place: *mut T, what: &str) -> Result<Self, Fault> {
        match NonNull::new(place) {
            Some(place) if place.is_aligned() => Ok(Self(place)),
            _ => Err(no_place(place.cast(), what)),
        }
    }

    /// A place that may be NULL.
    ///
    /// # Safety
    ///
    /// As [`Self::required`].
    #[inline]
    pub(crate) unsafe fn optional(place: *mut T) -> Option<Self> {
        NonNull::new(place).filter(|place| place.is_aligned()).map(Self)
    }

    /// Writes, and returns what was there.
    ///
    /// # Safety
    ///
    /// The caller has put a value there.
    #[inline]
    pub(crate) unsafe fn replace(&self, value: T) -> T {
        // SAFETY: as in `set`, and by the caller's promise.
        unsafe { self.0.as_ptr().replace(value) }
    }

    #[inline]
    pub(crate) fn set(&self, value: T) {
        // SAFETY: the caller of `required` or `optional` promises that it can be written to.
        unsafe { self.0.as_ptr().write(value) }
    }
}

#[cold]
#[inline(never)]
fn no_place(place: *const c_void, what: &str) -> Fault {
    Fault::argument(format!("the place for {what} is {place:p}"))
}

/// A time in ns; `None`: for ever.
#[inline]
pub(crate) fn time(ns: i64) -> Option<Duration> {
    u64::try_from(ns).ok().map(Duration::from_nanos)
}

pub(crate) fn patience(ns: i64) -> Patience<'static> {
    Patience::for_timeout(time(ns))
}
