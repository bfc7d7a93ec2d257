//! The measuring process of `bench`: writes streams, sends requests, and asks its peer what that
//! cost there.
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use zerobuffer::{BufferConfig, Error, Reader, Writer, WriterConfig};

use super::peer::Measured;
use super::report::{RoundTrip, Stream};
use super::samples::Samples;
use crate::commands::demo::latency::Latency;
use crate::commands::end::{End, sweep};
use crate::exit::Exit;
use crate::fail::Fail;
use crate::rate::{Pacer, Rate};
use crate::{signals, time};

/// How long the two processes wait for each other.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes written between two looks at the clock.
const CLOCK_EVERY: u64 = 64 << 10;
/// Enough for every percentile printed.
const SAMPLES: usize = 1 << 20;

/// What all measurements of one frame size have in common.
pub(super) struct Session {
    pub(super) frame_bytes: u64,
    pub(super) ring_bytes: u64,
    /// Of each measurement, after a tenth of it to warm up.
    pub(super) seconds: Duration,
}

/// The buffer of the answers.
pub(super) fn back(name: &str) -> String {
    format!("{name}-back")
}

/// The other process, ended with this value, and the buffer that it reads.
struct Peer {
    end: End,
    name: String,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let asked = self.end.ask_to_end();
        self.end.wait(asked);
        sweep(&self.name);
    }
}

impl Session {
    /// Full speed, one way.
    pub(super) fn stream(&self, in_place: bool) -> Result<Stream, Fail> {
        let name = fresh_name();
        let mut peer = self.peer(&name, if in_place { None } else { Some("--touch") })?;
        let mut writer = connect(&name)?;
        let frame = self.frame();
        let every = (CLOCK_EVERY / self.frame_bytes).max(1);
        let mut write_for = |span: Duration| -> Result<u64, Error> {
            let (start, mut frames) = (Instant::now(), 0u64);
            // At least once: a peer that never gets a frame waits for one.
            loop {
                for _ in 0..every {
                    if in_place {
                        let mut loan = writer.loan(frame.len())?;
                        if let Some(head) = loan.first_chunk_mut::<8>() {
                            *head = frames.to_le_bytes();
                        }
                        loan.commit()?;
                    } else {
                        writer.write(&frame)?;
                    }
                    frames += 1;
                }
                if start.elapsed() >= span || signals::caught().is_some() {
                    return Ok(frames);
                }
            }
        };
        let warm = write_for(self.seconds / 10).map_err(|error| blame(&mut peer, error))?;
        let (start, cpu) = (Instant::now(), time::cpu_ns());
        let frames = write_for(self.seconds).map_err(|error| blame(&mut peer, error))?;
        // The ring is as full as it was at the start of the measured part: what went in is what
        // came out.
        let (elapsed, cpu) = (start.elapsed(), time::cpu_ns().saturating_sub(cpu));
        writer.close()?;
        let other = peer.finish(warm + frames)?;
        Ok(Stream::new(frames, self.frame_bytes, elapsed, cpu + share(other.cpu_ns, frames, other.frames)))
    }

    /// There and back, at once or at a pace.
    pub(super) fn round_trip(&self, per_second: Option<u32>) -> Result<RoundTrip, Fail> {
        let name = fresh_name();
        let mut answers = Reader::create(&back(&name), BufferConfig::ring(self.ring_bytes).metadata(0))?;
        let handle = answers.handle();
        signals::on_signal(move || handle.interrupt());
        let mut peer = self.peer(&name, Some("--answer"))?;
        let mut writer = connect(&name)?;
        let request = self.frame();
        let mut ask_for = |span: Duration, samples: &mut Samples| -> Result<u64, Error> {
            let mut pacer =
                per_second.and_then(|rate| Rate::new(rate, 1)).map(|rate| Pacer::new(rate, Instant::now()));
            let (start, mut rounds, mut last) = (Instant::now(), 0u64, Instant::now());
            loop {
                if let Some(pacer) = &mut pacer {
                    std::thread::sleep(pacer.next_delay(last));
                    last = Instant::now();
                }
                writer.write(&request)?;
                drop(answers.read()?);
                // The end of one round trip is the start of the next: one clock reading for each.
                let now = Instant::now();
                samples.push(u64::try_from((now - last).as_nanos()).unwrap_or(u64::MAX));
                last = now;
                rounds += 1;
                if last - start >= span || signals::caught().is_some() {
                    return Ok(rounds);
                }
            }
        };
        let warm = ask_for(self.seconds / 10, &mut Samples::new(SAMPLES));
        let warm = warm.map_err(|error| blame(&mut peer, error))?;
        let mut samples = Samples::new(SAMPLES);
        let cpu = time::cpu_ns();
        let rounds = ask_for(self.seconds, &mut samples).map_err(|error| blame(&mut peer, error))?;
        let cpu = time::cpu_ns().saturating_sub(cpu);
        writer.close()?;
        let other = peer.finish(warm + rounds)?;
        let latency = Latency::of(samples.taken())
            .ok_or_else(|| Fail::new(Exit::Internal, "no round trip was measured"))?;
        Ok(RoundTrip::new(per_second, rounds, latency, cpu + share(other.cpu_ns, rounds, other.frames)))
    }

    fn peer(&self, name: &str, option: Option<&str>) -> Result<Peer, Fail> {
        let mut arguments = vec![name.to_owned(), format!("--ring={}", self.ring_bytes)];
        arguments.extend(option.map(str::to_owned));
        let end = End::start_ready("the other process", "bench-peer", &arguments)?;
        Ok(Peer { end, name: name.to_owned() })
    }

    fn frame(&self) -> Vec<u8> {
        vec![7; usize::try_from(self.frame_bytes).unwrap_or(usize::MAX)]
    }
}

impl Peer {
    /// What it measured, once it has received all `frames`.
    fn finish(&mut self, frames: u64) -> Result<Measured, Fail> {
        if signals::caught().is_some() {
            return Err(signals::interrupted("the other process has ended, too"));
        }
        let until = Instant::now() + PATIENCE;
        while self.end.poll()?.is_none() && Instant::now() < until {
            if signals::sleep(Duration::from_millis(5)) {
                return Err(signals::interrupted("the other process has ended, too"));
            }
        }
        self.end.wait(until);
        if !self.end.poll()?.is_some_and(|status| status.success()) {
            return Err(self.end.failure());
        }
        let measured: Measured = self.end.measured()?;
        if measured.frames == frames {
            return Ok(measured);
        }
        Err(Fail::new(Exit::Mismatch, format!("{frames} frames were sent, {} received", measured.frames)))
    }
}

/// A broken stream is the fault of the peer if that has failed.
fn blame(peer: &mut Peer, error: Error) -> Fail {
    if signals::caught().is_some() {
        return signals::interrupted("the other process has ended, too");
    }
    if error.is_peer_gone() { peer.end.failure() } else { error.into() }
}

fn connect(name: &str) -> Result<Writer, Fail> {
    let config = WriterConfig::default().connect_timeout(PATIENCE).write_timeout(Some(PATIENCE));
    let writer = Writer::connect_with(name, config)?;
    let handle = writer.handle();
    signals::on_signal(move || handle.interrupt());
    Ok(writer)
}

fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("zb-bench-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The part of a process's time that belongs to `part` of `all` frames.
fn share(cpu_ns: u64, part: u64, all: u64) -> u64 {
    let nanos = u128::from(cpu_ns) * u128::from(part) / u128::from(all.max(1));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}
