//! Endpoints behind handles: one thread in a call at a time, and what any thread may ask.

use crate::{
    bias::{Bias, Inside, barrier},
    border::border,
    fault::Fault,
    logging,
    slots::{BUSY, Kind, Place, Slots, index_of},
    status::zb_status::{self, ZB_BUSY, ZB_CLOSED, ZB_INVALID_HANDLE, ZB_NO_SPACE, ZB_OK},
};
use std::{
    cell::UnsafeCell,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Pause of a close that waits for another thread's call to end.
const PAUSE: Duration = Duration::from_micros(200);

/// The place of one endpoint: `T` for the thread that is in a call, `H` for all threads.
pub(crate) struct Endpoint<T, H> {
    /// The handle; 0 when nothing is here. With [`BUSY`] while a thread that is not the owner is in
    /// a call.
    live: AtomicU64,
    /// The owner is in its calls without that mark.
    bias: Bias,
    /// The handle until its close begins.
    open: AtomicU64,
    uses: AtomicU64,
    value: UnsafeCell<Option<T>>,
    control: Mutex<Option<H>>,
}

// SAFETY: `value` is used by one thread. That is the owner inside or, once there is none, the one
// that has set `BUSY`, or the one that puts `live` up. A release store of `live` or of the owner's
// mark hands it on. So it is sent from thread to thread, and never shared. `control` is behind a
// lock.
unsafe impl<T: Send, H: Send> Sync for Endpoint<T, H> {}

impl<T, H> Default for Endpoint<T, H> {
    fn default() -> Self {
        Self {
            live: AtomicU64::new(0),
            bias: Bias::default(),
            open: AtomicU64::new(0),
            uses: AtomicU64::new(0),
            value: UnsafeCell::new(None),
            control: Mutex::new(None),
        }
    }
}

impl<T: Send, H: Send> Place for Endpoint<T, H> {
    fn uses(&self) -> &AtomicU64 {
        &self.uses
    }
}

impl<T, H> Endpoint<T, H> {
    fn control(&self) -> MutexGuard<'_, Option<H>> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call, if the handle is open and no other thread is in one.
    #[inline(always)]
    fn enter(&self, handle: u64) -> Option<Entered<'_, T, H>> {
        match self.bias.enter() {
            Some(inside) => self.entered(inside, handle),
            None => self.enter_slowly(handle),
        }
    }

    /// The owner is inside; whether it may go on.
    #[inline(always)]
    fn entered<'a>(&'a self, inside: Inside<'a>, handle: u64) -> Option<Entered<'a, T, H>> {
        let is_open = self.live.load(Ordering::Acquire) == handle;
        // Not `then_some`: what is made and dropped again would store the handle.
        is_open.then(|| Entered { place: self, inside: Some(inside), then: handle })
    }

    /// The first call of the owner, or one of another thread.
    #[inline(never)]
    fn enter_slowly(&self, handle: u64) -> Option<Entered<'_, T, H>> {
        if let Some(inside) = self.bias.claim() {
            return self.entered(inside, handle);
        }
        if !self.bias.is_ended() {
            return None;
        }
        // One step tells whether the handle is open, and keeps other threads out.
        let entered = self.live.compare_exchange(handle, handle | BUSY, Ordering::Acquire, Ordering::Relaxed);
        entered.ok().map(|_| Entered { place: self, inside: None, then: handle })
    }
}

/// A call of one thread, which ends when this is dropped.
struct Entered<'a, T, H> {
    place: &'a Endpoint<T, H>,
    /// The owner's mark, which goes after `live` is what it will be.
    inside: Option<Inside<'a>>,
    /// What `live` is afterwards.
    then: u64,
}

impl<T, H> Entered<'_, T, H> {
    #[inline]
    fn value(&mut self) -> &mut Option<T> {
        // SAFETY: this thread is inside, alone, and nobody else uses the value until it is dropped.
        unsafe { &mut *self.place.value.get() }
    }
}

impl<T, H> Drop for Entered<'_, T, H> {
    #[inline]
    fn drop(&mut self) {
        self.place.live.store(self.then, Ordering::Release);
        drop(self.inside.take());
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
        let handle = self.slots.next_handle(index, place);
        // Not with the first frame, for it may take a while.
        barrier::is_there();
        // A free place, which nobody enters: it has no handle.
        Entered { place, inside: None, then: 0 }.value().replace(value);
        *place.control() = Some(control);
        place.open.store(handle, Ordering::Relaxed);
        place.live.store(handle, Ordering::Release);
        Ok(handle as usize as *mut Z)
    }

    #[inline(always)]
    fn find<Z>(&self, handle: *const Z) -> Result<(u64, &Endpoint<T, H>), Fault> {
        let handle = handle.addr() as u64;
        match self.slots.find(handle) {
            Some(place) => Ok((handle, place)),
            None => Err(self.no_handle(handle)),
        }
    }

    #[cold]
    fn no_handle(&self, handle: u64) -> Fault {
        let what = self.what;
        let closing = self.slots.find(handle).is_some_and(|place| {
            place.live.load(Ordering::Relaxed) & !BUSY == handle
                && place.open.load(Ordering::Relaxed) != handle
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
    #[inline(always)]
    pub(crate) fn call<Z, R>(
        &self,
        handle: *const Z,
        call: impl FnOnce(&mut T) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let (handle, place) = self.find(handle)?;
        let Some(mut entered) = place.enter(handle) else { return Err(self.cannot_enter(handle, place)) };
        if place.open.load(Ordering::Relaxed) != handle {
            drop(entered);
            return Err(self.no_handle(handle));
        }
        match entered.value() {
            Some(value) => call(value),
            None => Err(self.no_handle(handle)),
        }
    }

    #[cold]
    fn cannot_enter(&self, handle: u64, place: &Endpoint<T, H>) -> Fault {
        let open = place.open.load(Ordering::Relaxed) == handle;
        if open { self.busy() } else { self.no_handle(handle) }
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
        if place.open.load(Ordering::Relaxed) != handle {
            drop(control);
            return Err(self.no_handle(handle));
        }
        control.clone().ok_or_else(|| self.no_handle(handle))
    }

    /// A yes or no that any thread may ask for.
    pub(crate) fn asks<Z>(&self, handle: *const Z, no: zb_status, ask: impl FnOnce(&H) -> bool) -> zb_status {
        border(|| Ok(if ask(&self.control(handle)?) { ZB_OK } else { no }))
    }

    /// What any thread may order.
    pub(crate) fn orders<Z>(&self, handle: *const Z, order: impl FnOnce(&H)) -> zb_status {
        self.asks(handle, ZB_OK, |control| {
            order(control);
            true
        })
    }

    /// Takes the endpoint out, after `interrupt` has ended the call of another thread.
    pub(crate) fn close<Z>(&self, handle: *const Z, interrupt: impl FnOnce(&H)) -> Result<(T, H), Fault> {
        let (handle, place) = self.find(handle)?;
        if place.open.compare_exchange(handle, 0, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return Err(self.no_handle(handle));
        }
        let mut entered = place.enter(handle);
        if entered.is_none() {
            if logging::is_in_callback() {
                // The call that logs may be this thread's own.
                place.open.store(handle, Ordering::Release);
                return Err(Fault::new(ZB_BUSY, format!("a log callback cannot close a {}", self.what)));
            }
            if let Some(control) = &*place.control() {
                interrupt(control);
            }
            while entered.is_none() {
                thread::sleep(PAUSE);
                entered = place.enter(handle);
            }
        }
        let taken = entered.and_then(|mut entered| {
            entered.then = 0;
            entered.value().take().zip(place.control().take())
        });
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
        let busy = first.map_addr(|first| first | BUSY as usize);
        for stale in [first, busy, std::ptr::null_mut(), &raw mut *Box::new(1_u8), usize::MAX as *mut u8] {
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
        // The handle with the mark of a call is none.
        let marked = handle.map_addr(|handle| handle | BUSY as usize);
        assert!(matches!(TABLE.call(marked, |_| Ok(())).map_err(Fault::tell), Err(ZB_INVALID_HANDLE)));
        let (value, ()) = TABLE.close(handle, |()| leave.send(()).unwrap()).unwrap();
        assert_eq!(value, 2);
        thread.join().unwrap().unwrap();
    }
}
