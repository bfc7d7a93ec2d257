//! What the two ends do with a system: stream, answer, ask; the same code for all.
//!
//! The first 8 bytes of each frame are its number, which the receiver checks; two numbers mark
//! where the measured part begins and ends.

use std::hint::black_box;
use std::io::{Write as _, stdin, stdout};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::transport::{PATIENCE, Receiver as _, Sender, Shape, Transport};
use super::{Task, duplex};
use crate::case::{Kind, Touch};
use crate::clock::{Pace, cpu_seconds, monotonic_ns};

const BEGIN: u64 = u64::MAX - 1;
const END: u64 = u64::MAX;
/// Before anything is measured, as a share of what is.
const WARM_UP: f64 = 0.1;
/// Enough for every percentile, and small enough to stay out of the caches' way.
const MAX_SAMPLES: usize = 1 << 20;
/// After the first frame of a stream. iceoryx2 drops what does not fit its buffer before the
/// subscriber has connected, which it does when it finds the first one.
const SETTLE: Duration = Duration::from_millis(20);
/// Bytes sent between two looks at the clock.
const CLOCK_EVERY: usize = 64 << 10;

impl Task {
    fn shape(&self) -> Shape {
        Shape { bytes: self.bytes, depth: self.depth }
    }

    fn span(&self, share: f64) -> Duration {
        Duration::from_secs_f64(self.seconds * share)
    }
}

/// Reads the frame as the task says, and returns its number.
fn look(frame: &[u8], touch: Touch) -> u64 {
    let word = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    match touch {
        Touch::Head => {}
        Touch::Lines => {
            black_box(frame.chunks(64).fold(0, |sum, line| sum ^ word(line)));
        }
        Touch::All => {
            black_box(frame.chunks_exact(8).fold(0, |sum, bytes| sum ^ word(bytes)));
        }
    }
    word(frame)
}

fn mark(frame: &mut [u8], number: u64) {
    if let Some(head) = frame.first_chunk_mut() {
        *head = number.to_le_bytes();
    }
}

/// Bytes that no system can guess or compress.
fn content(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn tell(line: &str) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Reports, then stays until the supervisor has looked at this process.
fn finish(result: &Value) -> Result<()> {
    tell(&result.to_string())?;
    stdin().read_line(&mut String::new()).context("the supervisor is gone")?;
    Ok(())
}

/// The receiving end of a stream, which measures it.
pub(crate) fn receive<T: Transport>(task: &Task) -> Result<()> {
    let started = Instant::now();
    let mut receiver = T::receiver(&task.name, task.shape())?;
    let created = started.elapsed();
    tell("ready")?;
    if task.kind == Kind::Start {
        let sent = receiver.take(|frame| look(frame, Touch::Head))?;
        let first = monotonic_ns().saturating_sub(sent);
        return finish(&json!({ "create": created.as_secs_f64(), "first": first as f64 / 1e9 }));
    }
    // What was never written is not worth reading: a loaned frame has 8 bytes.
    let touch = if task.kind == Kind::Loan { Touch::Head } else { task.touch };
    let (mut expected, mut begun) = (0, None);
    loop {
        let number = receiver.take(|frame| look(frame, touch))?;
        if number == expected {
            expected += 1;
        } else if number == BEGIN {
            begun = Some((Instant::now(), cpu_seconds(), expected));
        } else if number == END {
            break;
        } else {
            bail!("frame {number} came, {expected} was expected");
        }
    }
    let (start, cpu, first) = begun.context("the stream ended before it began")?;
    finish(&json!({
        "frames": expected - first,
        "seconds": start.elapsed().as_secs_f64(),
        "cpu": cpu_seconds() - cpu,
    }))
}

/// The sending end of a stream.
pub(crate) fn send<T: Transport>(task: &Task) -> Result<()> {
    let mut frame = content(task.bytes);
    let started = monotonic_ns();
    let mut sender = T::sender(&task.name, task.shape())?;
    if task.kind == Kind::Start {
        mark(&mut frame, started);
        sender.copy(&frame)?;
        return finish(&json!({}));
    }
    let loan = task.kind == Kind::Loan;
    let mut put = |sender: &mut T::Sender, number: u64| {
        if loan {
            return sender.loan(|memory| mark(memory, number));
        }
        mark(&mut frame, number);
        sender.copy(&frame)
    };
    let mut pace = task.kind.rate().map(Pace::new);
    let every = if pace.is_some() { 1 } else { (CLOCK_EVERY / task.bytes).max(1) };
    put(&mut sender, 0)?;
    std::thread::sleep(SETTLE);
    let mut number = 1;
    let mut stream = |sender: &mut T::Sender, span: Duration| -> Result<()> {
        let until = Instant::now() + span;
        while Instant::now() < until {
            for _ in 0..every {
                if let Some(pace) = &mut pace {
                    pace.wait();
                }
                put(sender, number)?;
                number += 1;
            }
        }
        Ok(())
    };
    stream(&mut sender, task.span(WARM_UP))?;
    mark_stream(&mut sender, task, BEGIN)?;
    let cpu = cpu_seconds();
    stream(&mut sender, task.span(1.0))?;
    let cpu = cpu_seconds() - cpu;
    mark_stream(&mut sender, task, END)?;
    finish(&json!({ "cpu": cpu }))
}

fn mark_stream(sender: &mut impl Sender, task: &Task, number: u64) -> Result<()> {
    let mut frame = vec![0; task.bytes];
    mark(&mut frame, number);
    sender.copy(&frame)
}

/// The names of the two directions of a round trip.
fn directions(task: &Task) -> (String, String) {
    (format!("{}-there", task.name), format!("{}-back", task.name))
}

/// The answering end of round trips: sends each request back as it is.
pub(crate) fn answer<T: Transport>(task: &Task) -> Result<()> {
    let (there, back) = directions(task);
    let mut requests = T::receiver(&there, task.shape())?;
    tell("ready")?;
    let mut answers = T::sender(&back, task.shape())?;
    let mut cpu = 0.0;
    loop {
        let number = requests.take(|frame| answers.copy(frame).map(|()| look(frame, Touch::Head)))??;
        match number {
            BEGIN => cpu = cpu_seconds(),
            END => break,
            _ => {}
        }
    }
    finish(&json!({ "cpu": cpu_seconds() - cpu }))
}

/// The asking end of round trips, which measures them.
pub(crate) fn ask<T: Transport>(task: &Task) -> Result<()> {
    let (there, back) = directions(task);
    let mut answers = T::receiver(&back, task.shape())?;
    let mut requests = T::sender(&there, task.shape())?;
    measure(task, |request, touch| {
        requests.copy(request)?;
        answers.take(|frame| look(frame, touch))
    })
}

/// The same through a duplex channel.
pub(crate) fn call(task: &Task) -> Result<()> {
    let client = duplex::client(&task.name, task.shape())?;
    measure(task, |request, touch| Ok(look(client.call(request, PATIENCE)?.data(), touch)))
}

/// The server of a duplex channel: sends each request back as it is.
pub(crate) fn serve(task: &Task) -> Result<()> {
    let (sender, numbers) = mpsc::channel();
    let server = duplex::server(&task.name, task.shape(), move |request| {
        let number = look(request, Touch::Head);
        if number >= BEGIN {
            // The main thread is gone only once it has seen the end.
            let _ = sender.send(cpu_seconds());
        }
    })?;
    tell("ready")?;
    let (begin, end) = (numbers.recv()?, numbers.recv()?);
    finish(&json!({ "cpu": end - begin }))?;
    server.stop();
    Ok(())
}

/// Measures round trips: `exchange` sends a frame and returns the number of the answer.
fn measure(task: &Task, mut exchange: impl FnMut(&[u8], Touch) -> Result<u64>) -> Result<()> {
    let mut frame = content(task.bytes);
    let mut times: Vec<u32> = vec![0; MAX_SAMPLES];
    times.clear();
    let mut round = |number: u64| -> Result<()> {
        mark(&mut frame, number);
        match exchange(&frame, task.touch)? {
            answer if answer == number => Ok(()),
            other => bail!("the answer to {number} is {other}"),
        }
    };
    let mut number = 0;
    let mut rounds =
        |times: &mut Vec<u32>, span: Duration, round: &mut dyn FnMut(u64) -> Result<()>| -> Result<()> {
            let mut pace = task.kind.rate().map(Pace::new);
            let mut last = Instant::now();
            let until = last + span;
            while last < until && times.len() < MAX_SAMPLES {
                if let Some(pace) = &mut pace {
                    pace.wait();
                    last = Instant::now();
                }
                round(number)?;
                number += 1;
                let now = Instant::now();
                // The end of one round is the start of the next: one reading of the clock for each.
                times.push(u32::try_from((now - last).as_nanos()).unwrap_or(u32::MAX));
                last = now;
            }
            Ok(())
        };
    rounds(&mut times, task.span(WARM_UP), &mut round)?;
    times.clear();
    round(BEGIN)?;
    let cpu = cpu_seconds();
    rounds(&mut times, task.span(1.0), &mut round)?;
    let cpu = cpu_seconds() - cpu;
    round(END)?;
    times.sort_unstable();
    // Nearest rank, in microseconds.
    let at = |share: f64| {
        let rank = ((times.len() as f64 * share).ceil() as usize).max(1);
        times.get(rank - 1).map(|nanos| f64::from(*nanos) / 1e3)
    };
    finish(&json!({
        "frames": times.len(), "cpu": cpu,
        "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999),
    }))
}
