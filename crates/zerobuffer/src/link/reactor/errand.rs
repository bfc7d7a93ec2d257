//! A call that has no form without blocking, such as opening files until a buffer appears: done by
//! a thread of its own.

use crate::{
    sync::{Arc, AtomicBool, Builder, Mutex, Ordering, lock},
    sys::fork::Birth,
};
use std::{
    fmt, io,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// What the thread asks, for [`Patience::asking`](crate::Patience::asking).
pub(crate) type GoOn<'a> = &'a mut dyn FnMut() -> ControlFlow<()>;

type Work<T> = Box<dyn FnOnce(GoOn<'_>) -> T + Send>;

/// A future whose work begins with its first poll. Dropped before it is ready, it tells the work to
/// stop, and drops what the work has made by then.
pub(crate) struct Errand<T> {
    work: Option<Work<T>>,
    shared: Arc<Shared<T>>,
    birth: Birth,
    is_over: bool,
}

struct Shared<T> {
    given_up: AtomicBool,
    state: Mutex<State<T>>,
}

struct State<T> {
    result: Option<io::Result<T>>,
    waker: Option<Waker>,
}

impl<T: Send + 'static> Errand<T> {
    pub(crate) fn new(work: impl FnOnce(GoOn<'_>) -> T + Send + 'static) -> Self {
        let state = Mutex::new(State { result: None, waker: None });
        let shared = Arc::new(Shared { given_up: AtomicBool::new(false), state });
        Self { work: Some(Box::new(work)), shared, birth: Birth::now(), is_over: false }
    }

    fn start(&self, work: Work<T>) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let run = move || {
            crate::sys::block_signals();
            let mut go_on = || {
                if shared.given_up.load(Ordering::Relaxed) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            // It may call the application's logger. A panic must not leave the future without an
            // end.
            let result = catch_unwind(AssertUnwindSafe(|| work(&mut go_on)))
                .map_err(|_| io::Error::other("what it calls has panicked"));
            let mut state = lock(&shared.state);
            state.result = Some(result);
            let waker = state.waker.take();
            drop(state);
            if let Some(waker) = waker {
                super::wake(waker);
            }
        };
        Builder::new().name("zerobuffer-open".to_owned()).spawn(run).map(drop)
    }
}

impl<T: Send + 'static> Future for Errand<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        // The thread is the parent's, and so may be its lock.
        if self.birth.is_forked() {
            return Poll::Ready(Err(io::Error::other("it has begun before this process was forked")));
        }
        if self.is_over {
            return Poll::Ready(Err(io::Error::other("it was polled again after it was ready")));
        }
        let waker = context.waker().clone();
        let former = lock(&self.shared.state).waker.replace(waker);
        drop(former);
        if let Some(work) = self.work.take()
            && let Err(error) = self.start(work)
        {
            self.is_over = true;
            return Poll::Ready(Err(error));
        }
        let result = lock(&self.shared.state).result.take();
        self.is_over = result.is_some();
        result.map_or(Poll::Pending, Poll::Ready)
    }
}

impl<T> Drop for Errand<T> {
    fn drop(&mut self) {
        self.shared.given_up.store(true, Ordering::Relaxed);
    }
}

impl<T> fmt::Debug for Errand<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errand").finish_non_exhaustive()
    }
}
