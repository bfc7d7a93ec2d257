//! The process that ends at its crash point, as the run sees it.

use crate::process::PATIENCE;
use anyhow::{Result, ensure};
use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    process::Child,
    thread,
    time::{Duration, Instant},
};

/// A killed child is reaped, whatever happens.
pub(super) struct Victim(pub(super) Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Victim {
    /// Waits for its first word; an end without one is as good.
    pub(super) fn hear(&mut self) {
        if let Some(output) = self.0.stdout.take() {
            let _ = BufReader::new(output).read_line(&mut String::new());
        }
    }

    /// `None`: it still runs.
    pub(super) fn end(&mut self) -> Result<Option<()>> {
        let Some(status) = self.0.try_wait()? else { return Ok(None) };
        ensure!(status.success() || status.signal() == Some(9), "the victim failed: {status}");
        Ok(Some(()))
    }

    pub(super) fn wait(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.end()?.is_none() {
            ensure!(Instant::now() < deadline, "the victim hangs");
            thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }
}
