//! The border: no panic crosses it.

use crate::{
    fault::Fault,
    status::zb_status::{self, ZB_PANIC},
};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs the body of a function of the interface.
#[inline]
pub(crate) fn border(call: impl FnOnce() -> Result<zb_status, Fault>) -> zb_status {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(status)) => status,
        Ok(Err(fault)) => fault.tell(),
        Err(panic) => caught(&*panic),
    }
}

/// As [`border`], for a function that returns a value: `otherwise` if it fails.
#[inline]
pub(crate) fn border_or<T>(otherwise: T, call: impl FnOnce() -> Result<T, Fault>) -> T {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => value,
        Ok(Err(fault)) => {
            let _ = fault.tell();
            otherwise
        }
        Err(panic) => {
            let _ = caught(&*panic);
            otherwise
        }
    }
}

#[cold]
fn caught(panic: &(dyn Any + Send)) -> zb_status {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    Fault::new(ZB_PANIC, format!("a fault of the library, please report it: {text}")).tell()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zb_status::ZB_OK;

    #[test]
    fn a_panic_becomes_a_status() {
        let mut called = false;
        let status = border(|| {
            called = true;
            panic!("on purpose")
        });
        assert_eq!((status, called), (ZB_PANIC, true));
        assert_eq!(border(|| Ok(ZB_OK)), ZB_OK);
    }
}
