//! A loop that waits for descriptors, as those of GUIs do: the reader's is one of them.
//!
//! `cargo run -p zerobuffer-async-tests --example event_loop`
//!
//! With glib it is `glib::source::unix_fd_add_local`, with Qt `QSocketNotifier`, with asyncio
//! `loop.add_reader`; what is done then is the same.

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        os::fd::AsRawFd,
        thread,
        time::{Duration, Instant},
    };
    use zerobuffer::{BufferConfig, Error, EventFd, Reader, Writer};

    /// Shows the newest picture. `false`: there will be none any more.
    fn on_readable(reader: &mut Reader, shown: &mut u64) -> zerobuffer::Result<bool> {
        // The call that finds nothing makes the descriptor unreadable until there is more.
        loop {
            match reader.try_latest() {
                Ok(Some(newest)) => *shown = newest.frame.sequence(),
                Ok(None) => return Ok(true),
                Err(Error::WriterGone { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// What a GUI's loop does: waits for its descriptors and its timer.
    fn wait(event: &EventFd, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now()).as_millis();
        let mut poll = libc::pollfd { fd: event.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, which outlives the call.
        unsafe { libc::poll(&raw mut poll, 1, i32::try_from(left).unwrap_or(i32::MAX)) > 0 }
    }

    pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
        let name = format!("event-loop-{}", std::process::id());
        let mut reader = Reader::create(&name, BufferConfig::ring(1 << 20))?;
        let camera = thread::spawn(move || {
            let mut writer = Writer::connect(&name)?;
            for picture in 0..100 {
                writer.write(&[picture; 1000])?;
                thread::sleep(Duration::from_millis(3));
            }
            writer.close()
        });
        let event = reader.event_fd()?;
        let (mut shown, mut ticks, mut goes_on) = (0, 0, true);
        let mut tick = Instant::now();
        while goes_on {
            if wait(&event, tick) {
                goes_on = on_readable(&mut reader, &mut shown)?;
            }
            if Instant::now() >= tick {
                ticks += 1;
                tick += Duration::from_millis(16);
            }
        }
        camera.join().map_err(|_| "the camera has panicked")??;
        println!("the last picture is {shown}, and the timer has ticked {ticks} times");
        if shown == 100 { Ok(()) } else { Err("the last picture is missing".into()) }
    }
}

/// Shows a stream while a timer ticks.
pub fn example() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(target_os = "linux")]
    linux::main()?;
    Ok(())
}

/// Says in words what went wrong.
pub fn main() -> std::process::ExitCode {
    match example() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("event loop: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
