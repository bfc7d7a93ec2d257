//! Whole lives of a stream and of a channel in one process, for a run that watches what it holds.

use super::{
    channel_victim::{answered, client_config, converse, server_config},
    victim::{PAYLOAD, buffer, check},
};
use crate::process::PATIENCE;
use anyhow::{Context as _, Result, ensure};
use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use zerobuffer::{
    Error, Reader,
    duplex::{Client, Server},
    observe,
};

/// A child that is killed and reaped at the latest when it is dropped.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where its writers keep their accounts, which nobody reads.
pub(crate) fn ledger(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{name}.ledger"))
}

/// A reader with writers in processes of their own, some of which are killed in the middle of
/// something.
pub(crate) fn stream_with_deaths(name: &str, round: u64) -> Result<()> {
    let mut reader = Reader::create(name, buffer()).context("create")?;
    for turn in 0..3 {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["victim", "writer", name]).arg(ledger(name));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut writer = Writer(command.spawn().context("cannot start a writer")?);
        let lifetime = Duration::from_micros(500 * (1 + (round * 3 + turn) % 16));
        let started = Instant::now();
        let mut ended = false;
        loop {
            match reader.read_timeout(Duration::from_millis(1)) {
                Ok(Some(frame)) => check(&frame)?,
                Ok(None) if ended && started.elapsed() > lifetime + Duration::from_millis(100) => break,
                Ok(None) => {}
                Err(Error::WriterGone { .. }) if ended => break,
                Err(Error::WriterGone { .. }) => thread::sleep(Duration::from_micros(200)),
                Err(error) => return Err(error).context("read"),
            }
            if !ended && started.elapsed() > lifetime {
                let _ = writer.0.kill();
                writer.0.wait()?;
                ended = true;
            }
            ensure!(started.elapsed() < PATIENCE, "a killed writer is not noticed");
        }
    }
    let info = observe::inspect(name)?;
    ensure!(info.free == PAYLOAD && info.writer.is_none(), "the drained ring is not as it must be: {info:?}");
    reader.close().context("close")
}

/// A server, its client, a few requests, the end of both.
pub(crate) fn conversation(name: &str) -> Result<()> {
    let server = Server::new(name, server_config());
    server.start(answered).context("start")?;
    let client = Client::connect_with(name, client_config().connect_timeout(PATIENCE)).context("connect")?;
    converse(&client, 0)?;
    client.close()?;
    ensure!(server.stop(), "the server does not stop");
    Ok(())
}
