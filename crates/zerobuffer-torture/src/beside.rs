//! Another program of the machine. It makes, fills and removes buffers of any kind all the time,
//! and takes the lock of `/dev/shm`. Its processes are killed. Tests run beside it.

use crate::leftovers;
use anyhow::{Context as _, Result};
use rustix::fs::FlockOperation;
use std::{
    collections::VecDeque,
    fs::{self, File},
    io::Read as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};
use zerobuffer::{
    Broadcaster, BufferConfig, Reader, Writer,
    duplex::{Client, ClientConfig, Server, ServerConfig},
};

/// Processes at a time.
const HANDS: usize = 3;
/// The files of so many killed processes lie about.
const DEAD: usize = 6;
/// How long the lock of the folder is held now and then.
const LONG_HOLD: Duration = Duration::from_millis(300);
const SHARED: &str = "/dev/shm";

/// Runs until the standard input ends, and leaves nothing.
pub(crate) fn run() -> Result<()> {
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = ended.send(());
    });
    let mut hands = (0..HANDS).map(|_| Hand::start()).collect::<Result<Vec<_>>>()?;
    let mut dead = VecDeque::new();
    let mut killed = 0_u64;
    while matches!(
        end.recv_timeout(Duration::from_millis(fastrand::u64(50..500))),
        Err(RecvTimeoutError::Timeout)
    ) {
        let hand = fastrand::choice(&mut hands).context("no process")?;
        dead.push_back(std::mem::replace(hand, Hand::start()?).kill()?);
        killed += 1;
        if dead.len() > DEAD
            && let Some(tag) = dead.pop_front()
        {
            sweep(&tag)?;
        }
    }
    for hand in hands {
        dead.push_back(hand.kill()?);
    }
    dead.iter().try_for_each(|tag| sweep(tag))?;
    println!("beside: {killed} processes killed");
    Ok(())
}

/// A process that works until it is killed.
struct Hand {
    child: Child,
    /// A part of the names of all that it makes.
    tag: String,
}

impl Hand {
    fn start() -> Result<Self> {
        let tag = format!("{:08x}", fastrand::u32(..));
        let program = std::env::current_exe().context("cannot tell where this program lies")?;
        let mut command = Command::new(program);
        // Its input ends with its parent, however that ends.
        command.args(["hand", &tag]).stdin(Stdio::piped()).stdout(Stdio::null());
        let child = command.spawn().context("cannot start a process")?;
        Ok(Self { child, tag })
    }

    fn kill(mut self) -> Result<String> {
        self.child.kill()?;
        let status = self.child.wait()?;
        anyhow::ensure!(status.code().is_none(), "a process of the neighbour has ended by itself: {status}");
        Ok(self.tag)
    }
}

/// Removes what a killed process has left.
fn sweep(tag: &str) -> Result<()> {
    for folder in leftovers::folders() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry?.path();
            if path.to_string_lossy().contains(tag) {
                let _ = fs::remove_file(path);
            }
        }
    }
    Ok(())
}

/// What one process does.
pub(crate) fn hand(tag: &str) -> Result<()> {
    let parents_end = thread::spawn(|| std::io::stdin().read_to_end(&mut Vec::new()));
    for number in 0_u64.. {
        if parents_end.is_finished() {
            return sweep(tag);
        }
        let word = fastrand::choice(["cam", "zb", "camera-left", "stream", "t"]).unwrap_or_default();
        let name = format!("{word}-{tag}-{number}");
        let done = match fastrand::u32(0..12) {
            0..3 => stream(&name),
            3 => stream(&format!(
                "{name}@{}",
                fastrand::choice(["view", "rec-1", "4711-0"]).unwrap_or_default()
            )),
            4 => broadcast(&name),
            5 => stream(&format!(
                "{name}{}",
                fastrand::choice(["_request", "_response", "+3_request"]).unwrap_or_default()
            )),
            6 => channel(&name),
            7 | 8 => legacy(&name),
            9 => foreign(&name),
            _ => hold(if fastrand::u32(0..50) == 0 { LONG_HOLD } else { Duration::from_millis(5) }),
        };
        // Somebody else may hold the lock of the folder for long, or have filled the memory.
        if let Err(error) = done {
            eprintln!("beside: {name}: {error:#}");
        }
        thread::sleep(Duration::from_micros(fastrand::u64(0..20_000)));
    }
    Ok(())
}

/// A stream in native form, closed by either end first.
fn stream(name: &str) -> Result<()> {
    let config = BufferConfig::ring(1 << fastrand::u32(10..20)).metadata(256);
    let mut reader = Reader::create(name, config)?;
    let mut writer = Writer::connect(name)?;
    if fastrand::bool() {
        writer.set_metadata(b"{}")?;
    }
    for _ in 0..fastrand::u32(0..8) {
        writer.write(&[7; 100])?;
        if fastrand::bool() {
            drop(reader.try_read()?);
        }
    }
    if fastrand::bool() {
        reader.close()?;
    } else {
        writer.close()?;
    }
    Ok(())
}

fn broadcast(name: &str) -> Result<()> {
    let subscriber = Reader::subscribe(name)?;
    let mut broadcaster = Broadcaster::new(name)?;
    for _ in 0..4 {
        broadcaster.write(&[3; 64])?;
    }
    drop(subscriber);
    broadcaster.close()?;
    Ok(())
}

fn channel(name: &str) -> Result<()> {
    let server = Server::new(name, ServerConfig::default().buffer(BufferConfig::ring(4096).metadata(64)));
    server.start(|request, mut response| Ok(response.write(request.data()).map(drop)?))?;
    let client = Client::connect_with(name, ClientConfig::default().response_size(4096))?;
    for _ in 0..fastrand::u32(0..4) {
        drop(client.call(b"?", Duration::from_secs(10))?);
    }
    Ok(())
}

/// A buffer as another implementation's reader makes it, with frames in legacy form.
fn legacy(name: &str) -> Result<()> {
    const METADATA: u64 = 64;
    const RING: u64 = 4096;
    // A reader that has no presence and this process's number would be a dead one.
    let reader = std::os::unix::process::parent_id();
    let control =
        [128 | 1 << 32, METADATA, METADATA, 0, RING, RING, 0, 0, 0, 0, 0, reader.into(), 0, 0, 0, 0_u64];
    let mut segment: Vec<u8> = control.iter().flat_map(|word| word.to_le_bytes()).collect();
    segment.resize(128 + (METADATA + RING) as usize, 0);
    let paths = ["", "sem.sem-w-", "sem.sem-r-"].map(|kind| Path::new(SHARED).join(format!("{kind}{name}")));
    let [path, semaphores @ ..] = &paths;
    for semaphore in semaphores {
        // As the C library of Linux has it in 64 bits, for several processes.
        let mut bytes = [0; 32];
        bytes[8] = 128;
        fs::write(semaphore, bytes)?;
    }
    fs::write(path, segment)?;
    let mut writer = Writer::connect(name)?;
    for _ in 0..fastrand::u32(0..8) {
        writer.write(&[9; 50])?;
    }
    writer.close()?;
    paths.iter().try_for_each(fs::remove_file)?;
    Ok(())
}

/// Memory of another program that is no buffer.
fn foreign(name: &str) -> Result<()> {
    let path = Path::new(SHARED).join(format!("psm_{name}"));
    fs::write(&path, vec![0; fastrand::usize(0..10_000)])?;
    fs::remove_file(path)?;
    Ok(())
}

/// Holds the lock that creations take.
fn hold(time: Duration) -> Result<()> {
    let folder = File::open(SHARED)?;
    rustix::fs::flock(&folder, FlockOperation::LockExclusive)?;
    thread::sleep(time);
    Ok(())
}
