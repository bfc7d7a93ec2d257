//! The text of a thread's last error.

use crate::border::border_or;
use std::{cell::RefCell, ffi::c_char, ptr};

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

pub(crate) fn set(text: String) {
    // A thread that is ending has no place for it any more.
    let _ = LAST.try_with(|last| last.try_borrow_mut().map(|mut last| *last = text));
}

/// Copies the text of this thread's last status other than ZB_OK and ZB_TIMEOUT into `text`, cut
/// to `size` bytes with the NUL. Returns its whole length without the NUL; 0 if there was none. It
/// stays until the next one. `text` may be NULL if `size` is 0. Any thread.
///
/// # Safety
///
/// `text` points to `size` bytes that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_last_error(text: *mut c_char, size: usize) -> usize {
    border_or(0, || {
        let copy = |last: &RefCell<String>| {
            let Ok(last) = last.try_borrow() else { return 0 };
            if !text.is_null() && size > 0 {
                // A cut character is no UTF-8.
                let most = last.len().min(size - 1);
                let cut = (0..=most).rev().find(|at| last.is_char_boundary(*at)).unwrap_or(0);
                // SAFETY: the caller promises `size` bytes, of which these are at most all: `cut`
                // is at most one less.
                unsafe {
                    ptr::copy_nonoverlapping(last.as_ptr(), text.cast(), cut);
                    text.add(cut).write(0);
                }
            }
            last.len()
        };
        Ok(LAST.try_with(copy).unwrap_or(0))
    })
}
