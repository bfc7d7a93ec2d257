//! The processes under attack, and the attacker: each does its part for a while and says what it
//! has met.

use crate::common::{Peer, process::reply, variant};
use crate::damage::{generator, keep_damaging};
use std::{
    hint::black_box,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};
use zerobuffer::{
    BufferConfig, Error, Frame, Reader, WaitStrategy, Writer, WriterConfig,
    duplex::{Client, ClientConfig, ProcessingMode, Server, ServerConfig},
    observe,
};

const ROLE: &str = "ZEROBUFFER_TEST_UNDER_ATTACK";
const METADATA: u64 = 64;
const RING: u64 = 1024;
/// Address space of a process, bytes: what a field of shared memory claims is not allocated.
const SPACE: u64 = 1 << 30;
/// A call that may wait for some milliseconds at most, or for half a second where a peer may be on
/// its way. Ten times as long on a busy machine is no hang.
const HANG: Duration = Duration::from_secs(20);

#[test]
#[ignore = "entry point of helper processes, started by other tests"]
fn role_under_attack() {
    if std::env::var_os(ROLE).is_some() {
        run();
    }
}

pub(crate) fn start() -> Peer {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "roles::role_under_attack", "--ignored", "--nocapture", "--test-threads", "1"]);
    // In builds with the sanitizer, whose own memory is beyond every limit, its allocator says no
    // instead.
    command.env("ASAN_OPTIONS", "max_allocation_size_mb=256:allocator_may_return_null=0");
    command.env(ROLE, "1");
    Peer::start(command, "process under attack")
}

fn run() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let [role, seed, millis, subjects @ ..] = words.as_slice() else { panic!("{line}") };
    let (seed, time) = (seed.parse().unwrap(), Duration::from_millis(millis.parse().unwrap()));
    if *role == "attack" {
        let names: Vec<String> = subjects.iter().map(ToString::to_string).collect();
        return reply(&format!("ok {}", keep_damaging(&names, METADATA, RING, seed, time)));
    }
    limit_memory();
    let mut scene = Scene {
        name: subjects[0].to_owned(),
        source: Box::new(generator(seed)),
        end: Instant::now() + time,
        done: 0,
        corrupt: Arc::default(),
    };
    match *role {
        "reader" => scene.read(),
        "writer" => scene.write(),
        "observer" => scene.observe(),
        "server" => scene.serve(),
        "client" => scene.ask(),
        other => panic!("no role is called {other}"),
    }
    reply(&format!("ok {} {}", scene.done, scene.corrupt.load(SeqCst)));
}

fn limit_memory() {
    // The sanitizer reserves terabytes.
    if !cfg!(fuzzing) {
        let limit = libc::rlimit { rlim_cur: SPACE, rlim_max: SPACE };
        // SAFETY: the structure outlives the call.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
    }
}

struct Scene {
    name: String,
    source: Box<dyn FnMut() -> u8>,
    end: Instant,
    /// What has succeeded.
    done: u64,
    /// `Corrupt` and `Sequence` errors.
    corrupt: Arc<AtomicU64>,
}

/// Any outcome is right that is an outcome; an error tells which buffer it is about, and what was
/// expected.
fn judge(name: &str, corrupt: &AtomicU64, error: &Error) {
    match error {
        Error::Corrupt { field, expected, .. } => {
            assert!(!field.is_empty() && !expected.is_empty(), "{error}");
            corrupt.fetch_add(1, SeqCst);
        }
        Error::Sequence { .. } => drop(corrupt.fetch_add(1, SeqCst)),
        // No call fails, and nothing is out of room, because of what somebody has written.
        Error::Os { .. } | Error::NoSpace { .. } | Error::PermissionDenied { .. } | Error::Forked { .. } => {
            panic!("{}: {error}", variant(error))
        }
        _ => {}
    }
    assert!(error.to_string().contains(name), "the error does not name the buffer {name}: {error}");
}

impl Scene {
    fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    fn size(&mut self) -> usize {
        usize::from(u16::from_le_bytes([(self.source)(), (self.source)()])) % (RING as usize + 32)
    }

    /// Does one thing, which must come to an end.
    fn attempt<T>(&mut self, what: impl FnOnce() -> zerobuffer::Result<T>) -> Option<T> {
        let started = Instant::now();
        let result = what();
        let took = started.elapsed();
        assert!(took < HANG, "{took:?}: {:?}", result.as_ref().err());
        match result {
            Ok(value) => {
                self.done += 1;
                Some(value)
            }
            Err(error) => {
                judge(&self.name, &self.corrupt, &error);
                None
            }
        }
    }

    fn read(&mut self) {
        let mut held: Vec<Frame> = Vec::new();
        while !self.is_over() {
            let name = self.name.clone();
            let config = BufferConfig::ring(RING).metadata(METADATA).prefault(false);
            let Some(mut reader) = self.attempt(|| Reader::create(&name, config)) else {
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            while !self.is_over() {
                let timeout = Duration::from_millis(u64::from((self.source)() % 30));
                let read = match (self.source)() % 4 {
                    0 => self.attempt(|| reader.try_read()),
                    1 => self.attempt(|| reader.latest_timeout(timeout).map(|l| l.map(|l| l.frame))),
                    _ => self.attempt(|| reader.read_timeout(timeout)),
                };
                // A reader of a broken buffer creates it anew; a writer that has gone may come
                // again.
                let Some(read) = read else { break };
                held.extend(read);
                if held.len() > usize::from((self.source)() % 4) {
                    drop(held.swap_remove(usize::from((self.source)()) % held.len()));
                }
                for frame in &held {
                    assert!(frame.len() as u64 + 16 <= RING, "a frame of {}", frame.len());
                    black_box(frame.data().iter().fold(0, |sum: u8, byte| sum ^ byte));
                }
                if (self.source)() < 16 {
                    let metadata = self.attempt(|| reader.metadata()).flatten();
                    assert!(metadata.is_none_or(|metadata| metadata.data().len() as u64 + 8 <= METADATA));
                    black_box((reader.is_writer_connected(), reader.stats(), reader.utilization()));
                }
            }
            self.attempt(|| reader.close());
        }
    }

    fn write(&mut self) {
        while !self.is_over() {
            let name = self.name.clone();
            let config = WriterConfig::default().connect_timeout(Duration::from_millis(20));
            let config = config.write_timeout(Some(Duration::from_millis(20)));
            let Some(mut writer) = self.attempt(|| Writer::connect_with(&name, config)) else {
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            let size = self.size() % 60;
            self.attempt(|| writer.set_metadata(&vec![5; size]));
            while !self.is_over() {
                let size = self.size();
                let mut full = false;
                let mut note = |result: zerobuffer::Result<()>| match result {
                    // Not a reason to leave.
                    Err(Error::Full { .. } | Error::FrameTooLarge { .. } | Error::EmptyFrame { .. }) => {
                        full = true;
                        Ok(())
                    }
                    other => other,
                };
                let wrote = match (self.source)() % 4 {
                    0 => self.attempt(|| note(writer.loan(size).map(|mut loan| loan.fill(8)))),
                    1 => self.attempt(|| {
                        let committed = writer.loan(size).and_then(|mut loan| {
                            loan.fill(9);
                            loan.commit_len(size.div_ceil(2)).map(drop)
                        });
                        note(committed)
                    }),
                    _ => self.attempt(|| note(writer.write(&vec![7; size]).map(drop))),
                };
                if wrote.is_none() {
                    break;
                }
                if full {
                    black_box((writer.is_reader_connected(), writer.stats(), writer.utilization()));
                }
            }
            self.attempt(|| writer.close());
        }
    }

    /// Looks, and removes what it finds dead; a living buffer must not be among that.
    fn observe(&mut self) {
        let name = self.name.clone();
        while !self.is_over() {
            let info = self.attempt(|| observe::inspect(&name));
            assert!(info.is_none_or(|info| info.metadata.is_none_or(|bytes| bytes.len() <= 1 << 16)));
            if (self.source)() < 32 {
                observe::list().unwrap();
                let dead = observe::orphans().unwrap().into_iter().find(|orphan| orphan.name == name);
                if let Some(dead) = dead {
                    self.attempt(|| observe::remove(&dead));
                }
            }
            thread::sleep(Duration::from_micros(300));
        }
    }

    fn serve(&mut self) {
        while !self.is_over() {
            let (name, corrupt) = (self.name.clone(), Arc::clone(&self.corrupt));
            let (handled, count) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
            let counter = Arc::clone(&handled);
            let mut config = ServerConfig::default()
                .buffer(BufferConfig::ring(RING).metadata(METADATA).prefault(false))
                .write_timeout(Some(Duration::from_millis(20)))
                .on_error(move |failure| {
                    // A failure tells its cause, or that a client has gone.
                    let text = failure.to_string();
                    assert!(text.contains(&name), "{text}");
                    corrupt.fetch_add(u64::from(text.contains("is corrupt:")), SeqCst);
                })
                .on_init(move |metadata| {
                    count.fetch_add(1, SeqCst);
                    assert!(metadata.is_none_or(|bytes| bytes.len() as u64 + 8 <= METADATA));
                    Ok(())
                });
            if (self.source)() < 128 {
                config = config.mode(ProcessingMode::thread_pool());
            }
            let channel = self.name.clone();
            let server = Server::new(&channel, config);
            let started = self.attempt(|| {
                server.start(move |request, mut response| {
                    counter.fetch_add(1, SeqCst);
                    response.write(request.data())?;
                    Ok(())
                })
            });
            if started.is_some() {
                let while_it_lasts = Duration::from_millis(400 + u64::from((self.source)()) * 4);
                server.wait(Some(while_it_lasts));
                let stopping = Instant::now();
                server.stop();
                assert!(stopping.elapsed() < HANG, "stopping took {:?}", stopping.elapsed());
            }
            self.done += handled.load(SeqCst);
        }
    }

    fn ask(&mut self) {
        let strategies = [WaitStrategy::Block, WaitStrategy::Adaptive, WaitStrategy::Spin];
        while !self.is_over() {
            let name = self.name.clone();
            let config = ClientConfig::default().response_size(RING).response_metadata_size(METADATA);
            let config = config.write_timeout(Some(Duration::from_millis(20)));
            let config = config.wait(strategies[usize::from((self.source)() % 3)]);
            let Some(client) = self.attempt(|| Client::connect_with(&name, config)) else {
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            let size = self.size() % 60;
            self.attempt(|| client.set_metadata(&vec![5; size]));
            for _ in 0..50 {
                let request = vec![7; 1 + self.size() % 500];
                let answer = self.attempt(|| match client.call(&request, Duration::from_millis(30)) {
                    Err(Error::NoResponse { .. }) => Ok(None),
                    other => other.map(Some),
                });
                let Some(answer) = answer else { break };
                let Some(answer) = answer else { continue };
                assert!(answer.data().len() as u64 + 16 <= RING);
                black_box(answer.data().iter().fold(0, |sum: u8, byte| sum ^ byte));
            }
            self.attempt(|| client.close());
        }
    }
}
