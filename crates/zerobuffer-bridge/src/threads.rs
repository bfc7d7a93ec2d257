//! The threads of a run, one for each stream or channel. One that fails ends the run, with its
//! error: none is lost beside others that go on.
use crate::fail::Fail;
use crate::stop::Stop;

/// Runs all until each has ended. `what` one of them is, if it panics.
pub(crate) fn run_all<W>(stop: &Stop, what: &str, works: impl IntoIterator<Item = W>) -> Result<(), Fail>
where
    W: FnOnce() -> Result<(), Fail> + Send,
{
    std::thread::scope(|scope| {
        let run = |work: W| {
            let mut end = End { stop, is_good: false };
            let result = work();
            end.is_good = result.is_ok();
            result
        };
        let threads: Vec<_> = works.into_iter().map(|work| scope.spawn(move || run(work))).collect();
        let mut result = Ok(());
        for thread in threads {
            let panicked = |_| Err(Fail::other(format!("{what} has panicked, please report it")));
            result = result.and(thread.join().unwrap_or_else(panicked));
        }
        result
    })
}

/// The end of one of them, by a panic too.
struct End<'a> {
    stop: &'a Stop,
    is_good: bool,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        if !self.is_good {
            self.stop.set();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::time::Duration;

    use super::*;

    /// The first goes on until the run ends; the second ends by itself, so or so.
    fn beside(second: fn() -> Result<(), Fail>) -> (bool, Result<(), Fail>) {
        let stop = Stop::default();
        let first = || {
            let begun = std::time::Instant::now();
            while stop.sleep(Duration::from_millis(10)) {
                if begun.elapsed() > Duration::from_secs(60) {
                    return Err(Fail::other("it went on"));
                }
            }
            Ok(())
        };
        let works: [Box<dyn FnOnce() -> Result<(), Fail> + Send + '_>; 2] =
            [Box::new(first), Box::new(second)];
        let result = run_all(&stop, "a channel", works);
        (stop.is_set(), result)
    }

    #[test]
    fn one_that_fails_or_panics_ends_the_run_with_its_error() {
        let (ended, result) = beside(|| Err(Fail::other("the engine refuses")));
        assert_eq!((ended, result.unwrap_err().to_string().as_str()), (true, "the engine refuses"));
        let (ended, result) = beside(|| panic!("a panic of the test"));
        let message = result.unwrap_err().to_string();
        assert!(ended && message.contains("a channel has panicked"), "{message}");
    }

    #[test]
    fn one_that_is_done_ends_nothing() {
        let stop = Stop::default();
        run_all(&stop, "a channel", [|| Ok(()), || Ok(())]).unwrap();
        assert!(!stop.is_set());
    }
}
