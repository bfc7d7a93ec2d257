//! Endpoints behind handles: one thread in a call at a time, and what any thread may ask.

use crate::{
    fault::Fault,
    logging,
    slots::{CLOSING, Kind, Place, Slots, index_of},
    status::zb_status::{ZB_BUSY, ZB_CLOSED, ZB_INVALID_HANDLE, ZB_NO_SPACE},
};
use std::{
    cell::UnsafeCell,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Pause of a close that waits for another thread's call to end.
const PAUSE: Duration = Duration::from_micros(200);

/// The place of one endpoint: `T` for the thread that is in a call, `H` for all threads.
pub(crate) struct Endpoint<T, H> {
    live: AtomicU64,
    uses: AtomicU64,
    /// A thread is in a call, and has `value` for itself.
    busy: AtomicBool,
    value: UnsafeCell<Option<T>>,
    control: Mutex<Option<H>>,
}

// SAFETY: `value` is used by the one thread that has set `busy`. A release store of `busy` hands it
// on. So it is sent from thread to thread, and never shared. `control` is behind a lock.
unsafe impl<T: Send, H: Send> Sync for Endpoint<T, H> {}

impl<T, H> Default for Endpoint<T, H> {
    fn default() -> Self {
        Self {
            live: AtomicU64::new(0),
            uses: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            value: UnsafeCell::new(None),
            control: Mutex::new(None),
        }
    }
}

impl<T, H> Place for Endpoint<T, H> {
    fn uses(&self) -> &AtomicU64 {
        &self.uses
    }
}

impl<T, H> Endpoint<T, H> {
    fn control(&self) -> MutexGuard<'_, Option<H>> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call; `None`: another thread is in one.
    #[inline]
    fn enter(&self) -> Option<Entered<'_, T, H>> {
        let entered = self.busy.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        entered.ok().map(|_| Entered(self))
    }
}

/// A call of one thread, which ends when this is dropped.
struct Entered<'a, T, H>(&'a Endpoint<T, H>);

impl<T, H> Entered<'_, T, H> {
    #[inline]
    fn value(&mut self) -> &mut Option<T> {
        // SAFETY: this thread has set `busy`, and nobody else uses the value until it is dropped.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T, H> Drop for Entered<'_, T, H> {
    #[inline]
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

/// All endpoints of one kind.
pub(crate) struct Table<T, H> {
    slots: Slots<Endpoint<T, H>>,
    what: &'static str,
}

impl<T: Send + 'static, H: Clone + Send + 'static> Table<T, H> {
    pub(crate) const fn new(kind: Kind, what: &'static str) -> Self {
        Self { slots: Slots::new(kind), what }
    }

    /// A handle for an endpoint.
    pub(crate) fn insert<Z>(&self, value: T, control: H) -> Result<*mut Z, Fault> {
        let mut index = Vec::new();
        self.slots.take(1, &mut index);
        let place = index.pop().and_then(|index| Some((index, self.slots.at(index as usize)?)));
        let Some((index, place)) = place else {
            return Err(Fault::new(ZB_NO_SPACE, format!("there are too many open {}s", self.what)));
        };
        if let Some(mut entered) = place.enter() {
            *entered.value() = Some(value);
        }
        *place.control() = Some(control);
        let handle = self.slots.next_handle(index, place);
        place.live.store(handle, Ordering::Release);
        Ok(handle as usize as *mut Z)
    }

    #[inline]
    fn find<Z>(&self, handle: *const Z) -> Result<(u64, &Endpoint<T, H>), Fault> {
        let handle = handle.addr() as u64;
        match self.slots.find(handle) {
            Some(place) if place.live.load(Ordering::Acquire) == handle => Ok((handle, place)),
            _ => Err(self.no_handle(handle)),
        }
    }

    #[cold]
    fn no_handle(&self, handle: u64) -> Fault {
        let what = self.what;
        let closing = self.slots.find(handle).is_some_and(|place| {
            place.live.load(Ordering::Relaxed) == handle | CLOSING && handle & CLOSING == 0
        });
        if closing {
            return Fault::new(ZB_CLOSED, format!("this {what} is being closed by another thread"));
        }
        let text = if handle == 0 {
            format!("the {what} is NULL")
        } else {
            format!("{handle:#x} is no open {what}: it was closed before, or never was one")
        };
        Fault::new(ZB_INVALID_HANDLE, text)
    }

    /// Runs a call on the endpoint, for which it has to be the only one.
    #[inline]
    pub(crate) fn call<Z, R>(
        &self,
        handle: *const Z,
        call: impl FnOnce(&mut T) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let (handle, place) = self.find(handle)?;
        let Some(mut entered) = place.enter() else { return Err(self.busy()) };
        // It may have been closed, and its place used anew, between the two.
        if place.live.load(Ordering::Relaxed) != handle {
            drop(entered);
            return Err(self.no_handle(handle));
        }
        match entered.value() {
            Some(value) => call(value),
            None => Err(self.no_handle(handle)),
        }
    }

    #[cold]
    fn busy(&self) -> Fault {
        Fault::new(
            ZB_BUSY,
            format!("another thread is in a call on this {}: one thread at a time may use it", self.what),
        )
    }

    /// What any thread may ask, also while another one is in a call.
    pub(crate) fn control<Z>(&self, handle: *const Z) -> Result<H, Fault> {
        let (handle, place) = self.find(handle)?;
        let control = place.control();
        // The control goes with the handle, under this lock.
        if place.live.load(Ordering::Relaxed) != handle {
            drop(control);
            return Err(self.no_handle(handle));
        }
        control.clone().ok_or_else(|| self.no_handle(handle))
    }

    /// Takes the endpoint out, after `interrupt` has ended the call of another thread.
    pub(crate) fn close<Z>(&self, handle: *const Z, interrupt: impl FnOnce(&H)) -> Result<(T, H), Fault> {
        let (handle, place) = self.find(handle)?;
        let closing = handle | CLOSING;
        if place.live.compare_exchange(handle, closing, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return Err(self.no_handle(handle));
        }
        let mut entered = place.enter();
        if entered.is_none() {
            if logging::is_in_callback() {
                // The call that logs may be this thread's own.
                place.live.store(handle, Ordering::Release);
                return Err(Fault::new(ZB_BUSY, format!("a log callback cannot close a {}", self.what)));
            }
            if let Some(control) = &*place.control() {
                interrupt(control);
            }
            while entered.is_none() {
                thread::sleep(PAUSE);
                entered = place.enter();
            }
        }
        let mut control = place.control();
        let taken = entered.as_mut().and_then(|entered| entered.value().take()).zip(control.take());
        place.live.store(0, Ordering::Release);
        drop(control);
        drop(entered);
        self.slots.give_back([index_of(handle)]);
        taken.ok_or_else(|| self.no_handle(handle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    static TABLE: Table<u32, ()> = Table::new(Kind::Tap, "thing");

    #[test]
    fn a_handle_is_good_until_it_is_closed_and_never_again() {
        let first: *mut u8 = TABLE.insert(7, ()).unwrap();
        assert_eq!(TABLE.call(first, |value| Ok(*value)).unwrap(), 7);
        TABLE.close(first, |()| ()).unwrap();
        let second: *mut u8 = TABLE.insert(8, ()).unwrap();
        assert_ne!(first, second, "the place is used again, the handle is not");
        for stale in [first, std::ptr::null_mut(), &raw mut *Box::new(1_u8), usize::MAX as *mut u8] {
            assert!(TABLE.call(stale, |_| Ok(())).is_err());
            assert!(TABLE.control(stale).is_err());
            assert!(TABLE.close(stale, |()| ()).is_err());
        }
        assert_eq!(TABLE.call(second, |value| Ok(*value)).unwrap(), 8);
        TABLE.close(second, |()| ()).unwrap();
    }

    #[test]
    fn a_second_thread_is_refused_and_a_close_waits() {
        let handle: *mut u8 = TABLE.insert(1, ()).unwrap();
        let address = handle.addr();
        let (entered, is_entered) = mpsc::channel();
        let (leave, may_leave) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            TABLE.call(address as *const u8, |value| {
                entered.send(()).unwrap();
                may_leave.recv().unwrap();
                *value += 1;
                Ok(())
            })
        });
        is_entered.recv().unwrap();
        assert!(matches!(TABLE.call(handle, |_| Ok(())).map_err(Fault::tell), Err(ZB_BUSY)));
        let (value, ()) = TABLE.close(handle, |()| leave.send(()).unwrap()).unwrap();
        assert_eq!(value, 2);
        thread.join().unwrap().unwrap();
    }
}
