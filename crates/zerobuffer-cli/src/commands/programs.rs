//! The programs that `serve` runs: known while they run, and ended with it.
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::os;

/// Between two looks at programs that were asked to end.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Programs under way.
#[derive(Default)]
pub(super) struct Programs(Mutex<State>);

#[derive(Default)]
struct State {
    running: Vec<Child>,
    /// No further one is started.
    ended: bool,
}

impl Programs {
    /// Starts one. It has a process group of its own: a Ctrl-C at the terminal is for `serve`,
    /// which lets it finish.
    pub(super) fn start<T>(
        &self,
        command: &mut Command,
        take: impl FnOnce(&mut Child) -> T,
    ) -> io::Result<(u32, T)> {
        let mut state = self.lock();
        if state.ended {
            return Err(io::Error::other("the server is stopping"));
        }
        let mut child = os::lead_group(command).spawn()?;
        let (id, taken) = (child.id(), take(&mut child));
        state.running.push(child);
        Ok((id, taken))
    }

    /// How one has ended; `None` while it runs.
    pub(super) fn ended(&self, id: u32) -> io::Result<Option<ExitStatus>> {
        let mut state = self.lock();
        let Some(at) = state.running.iter().position(|child| child.id() == id) else {
            return Err(io::Error::other("the program was ended, since its server stops"));
        };
        if state.running.get_mut(at).map(Child::try_wait).transpose()?.flatten().is_none() {
            return Ok(None);
        }
        // It has ended: this tells how, at once.
        state.running.swap_remove(at).wait().map(Some)
    }

    /// Ends one, with all that it has started.
    pub(super) fn kill(&self, id: u32) {
        let mut state = self.lock();
        if let Some(at) = state.running.iter().position(|child| child.id() == id) {
            let mut child = state.running.swap_remove(at);
            os::kill_group(&mut child);
            let _ = child.wait();
        }
    }

    /// Asks all of them to end, gives them `grace` for it, and ends what is left.
    pub(super) fn end(&self, grace: Duration) {
        let until = Instant::now() + grace;
        let mut asked = false;
        loop {
            let mut state = self.lock();
            state.ended = true;
            // Also those that nobody waits for yet, since something else still holds their output.
            state.running.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
            if state.running.is_empty() {
                return;
            }
            if !asked {
                asked = true;
                state.running.iter_mut().for_each(os::ask_group_to_end);
            } else if Instant::now() >= until {
                for child in &mut state.running {
                    os::kill_group(child);
                    let _ = child.wait();
                }
                state.running.clear();
                return;
            }
            drop(state);
            std::thread::sleep(POLL_EVERY);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
