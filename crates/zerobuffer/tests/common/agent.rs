//! The agent: a process that holds one reader and one writer and follows orders, line by line.
//!
//! `python/old_peer.py` understands the same commands with the published package. Each command gets
//! one reply, `ok …` or `err Variant: message`. Frame `key` carries `content(key, len)`.

use std::io::IoSlice;
#[cfg(target_os = "linux")]
use std::io::{Read, Write};
use std::time::Duration;

use zerobuffer::observe::Tap;
use zerobuffer::{Broadcaster, BufferConfig, Frame, Reader, WaitStrategy, Writer, WriterConfig};

use super::process::reply;
use super::stamped::{follow, stamped};
use super::{check, content, pattern, size_of, variant};

/// How long frames and space are waited for where the command does not say.
const PATIENT: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Agent {
    pub(crate) reader: Option<Reader>,
    pub(crate) writer: Option<Writer>,
    held: Vec<Option<Frame>>,
    tap: Option<Tap>,
    broadcaster: Option<Broadcaster>,
}

#[derive(Debug)]
enum Failure {
    Own(zerobuffer::Error),
    Wrong(String),
}

impl From<zerobuffer::Error> for Failure {
    fn from(error: zerobuffer::Error) -> Self {
        Self::Own(error)
    }
}

type Answer = Result<String, Failure>;

/// Obeys stdin until it ends.
pub(crate) fn run() {
    let mut agent = Agent::default();
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).unwrap() > 0 {
        let words: Vec<&str> = line.split_whitespace().collect();
        match agent.obey(&words) {
            Ok(text) => reply(format!("ok {text}").trim_end()),
            Err(Failure::Own(error)) => reply(&format!("err {}: {error}", variant(&error))),
            Err(Failure::Wrong(text)) => reply(&format!("err Wrong: {text}")),
        }
        line.clear();
    }
}

fn number<T: std::str::FromStr>(words: &[&str], at: usize) -> T {
    words.get(at).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{words:?}: word {at}"))
}

fn millis(words: &[&str], at: usize) -> Duration {
    Duration::from_millis(number(words, at))
}

fn strategy(words: &[&str], at: usize) -> WaitStrategy {
    match words.get(at).copied() {
        Some("block") => WaitStrategy::Block,
        Some("spin") => WaitStrategy::Spin,
        _ => WaitStrategy::Adaptive,
    }
}

/// Writes frame `key` through the named API.
pub(crate) fn send(writer: &mut Writer, key: u64, len: usize, api: &str) -> zerobuffer::Result<u64> {
    let outcome = match api {
        "mix" => {
            let apis = ["write", "loan", "vectored", "try", "commit-len"];
            return send(writer, key, len, apis[(key % 5) as usize]);
        }
        // For readers of another kind, which bound the lengths that a commit may have.
        "plain-mix" => {
            let apis = ["write", "loan", "vectored", "try"];
            return send(writer, key, len, apis[(key % 4) as usize]);
        }
        "loan" | "buffer" => {
            let mut frame = writer.loan(len)?;
            pattern::fill(&mut frame, key);
            frame.commit()?
        }
        // From its end to its start, for an observer that reads half of it.
        "backwards" => {
            let mut frame = writer.loan(len)?;
            let data = content(key, len);
            for (target, source) in frame.rchunks_mut(61).zip(data.rchunks(61)) {
                target.copy_from_slice(source);
            }
            frame.commit()?
        }
        // One byte shorter than loaned: always valid for every peer of the agent's streams, which
        // are native.
        "commit-len" => {
            let spare = usize::from(len as u64 + 17 <= writer.capacity() / 2);
            let mut frame = writer.loan(len + spare)?;
            pattern::fill(&mut frame[..len], key);
            frame.commit_len(len)?
        }
        "vectored" => {
            let data = content(key, len);
            let (a, rest) = data.split_at(len / 3);
            let (b, c) = rest.split_at(rest.len() / 2);
            writer.write_vectored(&[IoSlice::new(a), IoSlice::new(b), IoSlice::new(&[]), IoSlice::new(c)])?
        }
        "try" => loop {
            match writer.try_write(&content(key, len)) {
                Err(zerobuffer::Error::Full { .. }) => std::thread::yield_now(),
                other => break other?,
            }
        },
        "write" => writer.write(&content(key, len))?,
        _ => panic!("no write API is called {api}"),
    };
    Ok(outcome.sequence().expect("the agent's writer drops nothing"))
}

#[cfg(target_os = "linux")]
/// The soft limit of descriptors; 0 for as many as the hard one allows.
fn limit_descriptors(wanted: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure outlives the calls.
    let done = unsafe {
        let read = libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = if wanted == 0 { limit.rlim_max } else { wanted };
        read | libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit)
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

#[cfg(target_os = "linux")]
/// `starve NAME reader|writer COUNT`: makes an end so many times while another thread lets the
/// descriptors run out for moments. It answers how often that was refused, and how often there was
/// an end of another kind than usual.
fn starve(name: &str, reading: bool, count: u32) -> Answer {
    let over = std::sync::atomic::AtomicBool::new(false);
    // The listing is one of them; the rest need not be the lowest numbers.
    let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
    let (mut refused, mut crippled) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in (0_u64..).take_while(|_| !over.load(std::sync::atomic::Ordering::SeqCst)) {
                limit_descriptors((used + turn % 12).saturating_sub(4).max(3));
                for _ in 0..turn % 50 {
                    std::hint::spin_loop();
                }
                limit_descriptors(0);
                for _ in 0..turn % 300 {
                    std::hint::spin_loop();
                }
            }
            limit_descriptors(0);
        });
        for _ in 0..count {
            let made = if reading {
                Reader::create(name, BufferConfig::ring(1024).metadata(64)).map(|reader| (Some(reader), None))
            } else {
                Writer::connect_with(name, WriterConfig::default()).map(|writer| (None, Some(writer)))
            };
            match made {
                Ok(ends) => {
                    let info = loop {
                        // Looking needs a descriptor, too.
                        if let Ok(info) = zerobuffer::observe::inspect(name) {
                            break info;
                        }
                    };
                    let peer = if reading { info.reader } else { info.writer };
                    let whole = super::Name::of(name);
                    let locked = whole.locks().iter().all(|path| path.exists());
                    // It is the endpoint's to remove its files.
                    std::mem::forget(whole);
                    crippled += u32::from(!locked || peer.is_none_or(|peer| peer.level == 0));
                    drop(ends);
                }
                Err(zerobuffer::Error::Os { .. }) => refused += 1,
                Err(error) => {
                    over.store(true, std::sync::atomic::Ordering::SeqCst);
                    return Err(Failure::Own(error));
                }
            }
        }
        over.store(true, std::sync::atomic::Ordering::SeqCst);
        Ok(())
    })?;
    Ok(format!("{refused} {crippled}"))
}

impl Agent {
    fn reader(&mut self) -> &mut Reader {
        self.reader.as_mut().expect("no reader: create first")
    }

    fn writer(&mut self) -> &mut Writer {
        self.writer.as_mut().expect("no writer: connect first")
    }

    #[allow(clippy::too_many_lines, reason = "a table of words, a few lines each")]
    fn obey(&mut self, words: &[&str]) -> Answer {
        match words[0] {
            "create" => {
                let mut config =
                    BufferConfig::ring(number(words, 3)).metadata(number(words, 2)).wait(strategy(words, 4));
                if let Some(mode) = words.get(5) {
                    config = config.mode(u32::from_str_radix(mode, 8).unwrap());
                }
                self.reader = Some(Reader::create(words[1], config)?);
            }
            "connect" => {
                let config =
                    WriterConfig::default().connect_timeout(millis(words, 2)).wait(strategy(words, 3));
                let config = config.write_timeout(Some(PATIENT));
                self.writer = Some(Writer::connect_with(words[1], config)?);
            }
            "timeout" => {
                let timeout = millis(words, 1);
                self.writer().set_write_timeout(Some(timeout));
            }
            "set-meta" => {
                let data = content(number(words, 1), number(words, 2));
                self.writer().set_metadata(&data)?;
            }
            "get-meta" => return self.metadata(number(words, 1)),
            "write" => {
                return Ok(send(self.writer(), number(words, 1), number(words, 2), words[3])?.to_string());
            }
            "stream" => self.stream(words)?,
            "chatter" => return self.chatter(words),
            "read" => return self.read(words).map(|frame| frame.map_or("none".to_owned(), |f| describe(&f))),
            "hold" => {
                let Some(frame) = self.read(words)? else { return Ok("none".to_owned()) };
                let text = format!("{} {}", self.held.len(), describe(&frame));
                self.held.push(Some(frame));
                return Ok(text);
            }
            "recheck" => {
                let frame = self.held[number::<usize>(words, 1)].as_ref().expect("released already");
                check(frame.data(), number(words, 2)).map_err(Failure::Wrong)?;
            }
            "release" => drop(self.held[number::<usize>(words, 1)].take().expect("released already")),
            "drain" => return self.drain(words),
            "until-gone" => return self.until_gone(words),
            "tap" => self.tap = Some(Tap::open(words[1])?),
            "watch" => return self.watch(words),
            "subscribe" => {
                let config = BufferConfig::ring(number(words, 2)).metadata(64);
                let reader = self.reader.insert(Reader::subscribe_with(words[1], config)?);
                return Ok(reader.name().to_owned());
            }
            "follow" => {
                let reader = self.reader.as_mut().expect("no reader: subscribe first");
                let followed = follow(reader, number(words, 1), number(words, 2), number(words, 3));
                return followed.map(|followed| followed.text()).map_err(Failure::Wrong);
            }
            "come-and-go" => return come_and_go(words),
            "broadcast" => self.broadcaster = Some(Broadcaster::new(words[1])?),
            "await" => {
                let broadcaster = self.broadcaster.as_ref().expect("broadcast first");
                return Ok(broadcaster.wait_for_subscribers(number(words, 1), PATIENT)?.to_string());
            }
            "shout" => return self.shout(words),
            "subscribers" => {
                let broadcaster = self.broadcaster.as_ref().expect("broadcast first");
                return Ok(broadcaster.subscribers().len().to_string());
            }
            "connected" => {
                let reader = self.reader.as_ref().map(Reader::is_writer_connected);
                let writer = self.writer.as_ref().map(Writer::is_reader_connected);
                return Ok(reader.or(writer).unwrap_or(false).to_string());
            }
            "close" => self.close()?,
            #[cfg(target_os = "linux")]
            "become" => {
                let id = number(words, 1);
                // SAFETY: plain numbers; glibc applies the change to every thread.
                let done =
                    unsafe { libc::setgroups(0, std::ptr::null()) | libc::setgid(id) | libc::setuid(id) };
                assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
            }
            #[cfg(target_os = "linux")]
            "limit-descriptors" => limit_descriptors(number(words, 1)),
            #[cfg(target_os = "linux")]
            "count-descriptors" => {
                return Ok(std::fs::read_dir("/proc/self/fd").unwrap().count().to_string());
            }
            #[cfg(target_os = "linux")]
            "starve" => return starve(words[1], words[2] == "reader", number(words, 3)),
            #[cfg(target_os = "linux")]
            "umask" => {
                // SAFETY: takes a number, cannot fail.
                unsafe { libc::umask(u32::from_str_radix(words[1], 8).unwrap()) };
            }
            #[cfg(target_os = "linux")]
            "limit-file-size" => {
                // SAFETY: the structure is filled before it is read, and outlives the calls. The
                // hard limit stays.
                let done = unsafe {
                    let mut limit: libc::rlimit = std::mem::zeroed();
                    let read = libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit);
                    limit.rlim_cur = if words[1] == "0" { limit.rlim_max } else { words[1].parse().unwrap() };
                    read | libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit)
                };
                assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
            }
            // Until this process ends.
            "hold-folder" => {
                let folder = std::fs::File::open(words[1]).unwrap();
                #[allow(
                    clippy::incompatible_msrv,
                    reason = "tests are built by the repository's own toolchain"
                )]
                folder.lock().unwrap();
                std::mem::forget(folder);
            }
            "chdir" => std::env::set_current_dir(words[1]).unwrap(),
            #[cfg(target_os = "linux")]
            "chown" => std::os::unix::fs::lchown(words[1], Some(number(words, 2)), None).unwrap(),
            "mkdir" => std::fs::create_dir_all(words[1]).unwrap(),
            "touch" => std::fs::write(words[1], "").unwrap(),
            #[cfg(target_os = "linux")]
            "link" => {
                // In the place of what is there.
                let _ = std::fs::remove_dir_all(words[2]).or_else(|_| std::fs::remove_file(words[2]));
                std::os::unix::fs::symlink(words[1], words[2]).unwrap();
            }
            #[cfg(target_os = "linux")]
            "tmpfs" => {
                let path = std::ffi::CString::new(words[1]).unwrap();
                let kind = c"tmpfs".as_ptr();
                // SAFETY: terminated strings that live through the call.
                let done = unsafe { libc::mount(kind, path.as_ptr(), kind, 0, std::ptr::null()) };
                assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
            }
            #[cfg(target_os = "linux")]
            "fork" => return self.fork(words[1]),
            "sleeper" => {
                return Ok(std::process::Command::new("sleep").arg("60").spawn().unwrap().id().to_string());
            }
            "churn" => return churn(words[1], number(words, 2)),
            other => return Err(Failure::Wrong(format!("no command is called {other}"))),
        }
        Ok(String::new())
    }

    fn close(&mut self) -> zerobuffer::Result<()> {
        self.held.clear();
        self.broadcaster.take().map_or(Ok(()), Broadcaster::close)?;
        let writer = self.writer.take().map_or(Ok(()), Writer::close);
        let reader = self.reader.take().map_or(Ok(()), Reader::close);
        writer.and(reader)
    }

    /// `fork idle|use|drop`: a child that leaves the endpoints alone, tries them, or drops them; it
    /// stays alive in the first two cases. The child's pid, and what its attempts to read and to
    /// write gave.
    #[cfg(target_os = "linux")]
    fn fork(&mut self, mode: &str) -> Answer {
        let (mut output, mut input) = std::io::pipe().unwrap();
        // SAFETY: the child runs on the forking thread alone and ends by `_exit` or a signal, never
        // by returning.
        let child = unsafe { libc::fork() };
        if child != 0 {
            drop(input);
            let mut text = String::new();
            output.read_to_string(&mut text).unwrap();
            return Ok(format!("{child} {text}"));
        }
        // SAFETY: these calls take plain numbers. The pipes to the test stay the parent's; the
        // alarm ends a child that the test has forgotten.
        unsafe {
            libc::close(0);
            libc::close(1);
            libc::alarm(60);
        }
        let name =
            |result: Result<(), zerobuffer::Error>| result.map_or_else(|e| variant(&e), |()| "Ok".into());
        if mode == "use" {
            let read = self.reader.as_mut().map(|reader| name(reader.try_read().map(drop)));
            let write = self.writer.as_mut().map(|writer| name(writer.try_write(b"x").map(drop)));
            let broadcast = self.broadcaster.as_mut();
            let broadcast = broadcast.map(|broadcaster| name(broadcaster.write(b"x").map(drop)));
            let all = [read, write, broadcast].map(Option::unwrap_or_default);
            let text = all.join(" ");
            input.write_all(text.trim().as_bytes()).unwrap();
        }
        if mode == "drop" {
            self.held.clear();
            drop((self.writer.take(), self.reader.take(), self.broadcaster.take()));
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        drop(input);
        loop {
            std::thread::park();
        }
    }

    fn metadata(&mut self, key: u64) -> Answer {
        let Some(metadata) = self.reader().metadata()? else { return Ok("none".to_owned()) };
        check(metadata.data(), key).map_err(Failure::Wrong)?;
        Ok(metadata.data().len().to_string())
    }

    /// `stream FIRST COUNT SEED MAX API`
    fn stream(&mut self, words: &[&str]) -> Result<(), Failure> {
        let (first, count): (u64, u64) = (number(words, 1), number(words, 2));
        for key in first..first + count {
            let len = size_of(number(words, 3), key, number(words, 4));
            let sequence = send(self.writer(), key, len, words[5])?;
            if sequence != key {
                return Err(Failure::Wrong(format!("frame {key} went out as sequence {sequence}")));
            }
        }
        Ok(())
    }

    /// `chatter FIRST SEED MAX API`: streams until killed and says `sent N` after each frame.
    fn chatter(&mut self, words: &[&str]) -> Answer {
        for key in number(words, 1).. {
            let len = size_of(number(words, 2), key, number(words, 3));
            let sequence = send(self.writer(), key, len, words[4])?;
            if sequence != key {
                return Err(Failure::Wrong(format!("frame {key} went out as sequence {sequence}")));
            }
            reply(&format!("sent {key}"));
        }
        Ok(String::new())
    }

    /// `read MS KEY`: a frame whose content is that of `KEY`.
    fn read(&mut self, words: &[&str]) -> Result<Option<Frame>, Failure> {
        let frame = self.reader().read_timeout(millis(words, 1))?;
        if let Some(frame) = &frame {
            check(frame.data(), number(words, 2)).map_err(Failure::Wrong)?;
        }
        Ok(frame)
    }

    /// `drain FIRST COUNT SEED MAX`: that stream, complete and in order; the first and the last
    /// sequence.
    fn drain(&mut self, words: &[&str]) -> Answer {
        let (first, count): (u64, u64) = (number(words, 1), number(words, 2));
        let (mut start, mut last) = (None, 0);
        for key in first..first + count {
            let Some(frame) = self.reader().read_timeout(PATIENT)? else {
                return Err(Failure::Wrong(format!("frame {key} has not come")));
            };
            expect_frame(&frame, key, size_of(number(words, 3), key, number(words, 4)))?;
            last = frame.sequence();
            start.get_or_insert(last);
        }
        Ok(format!("{} {last}", start.unwrap_or(0)))
    }

    /// `until-gone FIRST SEED MAX`: reads that stream until its writer is gone; the number of
    /// frames.
    fn until_gone(&mut self, words: &[&str]) -> Answer {
        let first: u64 = number(words, 1);
        for key in first.. {
            match self.reader().read_timeout(PATIENT) {
                Ok(Some(frame)) => {
                    expect_frame(&frame, key, size_of(number(words, 2), key, number(words, 3)))?;
                }
                Ok(None) => {
                    return Err(Failure::Wrong("neither a frame nor the writer's end has come".to_owned()));
                }
                Err(zerobuffer::Error::WriterGone { .. }) => return Ok((key - first).to_string()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(String::new())
    }
}

impl Agent {
    /// `watch SEED MAX next|latest`: looks at every frame until the buffer ends; how many were
    /// seen and missed. Each is the one that its number says.
    fn watch(&mut self, words: &[&str]) -> Answer {
        let tap = self.tap.as_mut().expect("no tap: open one first");
        let (mut bytes, mut seen, mut last) = (Vec::new(), 0_u64, 0);
        loop {
            let found = match words[3] {
                "latest" => tap.latest(&mut bytes, PATIENT),
                _ => tap.next(&mut bytes, PATIENT),
            };
            match found {
                Ok(Some(frame)) => {
                    let key = frame.sequence;
                    let len = size_of(number(words, 1), key, number(words, 2));
                    if key <= last || bytes.len() != len {
                        let len = bytes.len();
                        return Err(Failure::Wrong(format!("frame {key} of {len} bytes after {last}")));
                    }
                    check(&bytes, key).map_err(Failure::Wrong)?;
                    last = key;
                    seen += 1;
                }
                Ok(None) => return Err(Failure::Wrong("neither a frame nor the end has come".to_owned())),
                Err(zerobuffer::Error::ReaderGone { .. }) => {
                    return Ok(format!("{seen} {}", tap.missed().unwrap_or(0)));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Agent {
    /// `shout FIRST COUNT SEED MAX MICROS`: broadcasts those frames, one every so many
    /// microseconds. How many copies were made.
    fn shout(&mut self, words: &[&str]) -> Answer {
        let (first, count): (u64, u64) = (number(words, 1), number(words, 2));
        let pace = Duration::from_micros(number(words, 5));
        let broadcaster = self.broadcaster.as_mut().expect("broadcast first");
        let (begun, mut sent) = (std::time::Instant::now(), 0);
        for key in first..first + count {
            let due = pace * u32::try_from(key - first).unwrap();
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
            sent += broadcaster.write(&stamped(number(words, 3), key, number(words, 4)))?.sent;
        }
        Ok(sent.to_string())
    }
}

/// `come-and-go NAME TIMES RING SEED MAX`: subscribes so many times, and leaves after a few frames;
/// how many came in all.
fn come_and_go(words: &[&str]) -> Answer {
    let mut frames = 0;
    for turn in 0..number::<u64>(words, 2) {
        let mut reader = Reader::subscribe_with(words[1], BufferConfig::ring(number(words, 3)).metadata(64))?;
        let some = 1 + pattern::mix(turn) % 3;
        frames +=
            follow(&mut reader, number(words, 4), number(words, 5), some).map_err(Failure::Wrong)?.frames;
        if turn % 2 == 0 {
            reader.close()?;
        }
    }
    Ok(frames.to_string())
}

/// `churn NAME COUNT`: creates, uses and closes that many pairs; the growth in descriptors or
/// handles, and in mappings.
fn churn(name: &str, count: u64) -> Answer {
    let mut before = (0, 0);
    for key in 0..count {
        // The first rounds may grow the allocator's own mappings.
        if key == count / 10 {
            before = open_things();
        }
        let mut reader = Reader::create(name, BufferConfig::ring(1024).metadata(64))?;
        let mut writer = Writer::connect(name)?;
        writer.write(&content(key, 100))?;
        let frame = reader.try_read()?.expect("the frame is published");
        check(frame.data(), key).map_err(Failure::Wrong)?;
        if key % 2 == 0 {
            drop((frame, reader, writer));
        } else {
            drop(frame);
            writer.close()?;
            reader.close()?;
        }
    }
    let after = open_things();
    Ok(format!("{} {}", after.0.abs_diff(before.0), after.1.abs_diff(before.1)))
}

/// Descriptors of this process; its mappings are not counted.
#[cfg(target_os = "macos")]
fn open_things() -> (usize, usize) {
    (std::fs::read_dir("/dev/fd").unwrap().count(), 0)
}

/// Descriptors and mappings of this process.
#[cfg(target_os = "linux")]
fn open_things() -> (usize, usize) {
    let mappings = std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
    (std::fs::read_dir("/proc/self/fd").unwrap().count(), mappings)
}

/// Handles of this process; its mappings are not counted.
#[cfg(windows)]
fn open_things() -> (usize, usize) {
    use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetProcessHandleCount};
    let mut handles = 0;
    // SAFETY: the number outlives the call, and the handle stands for this process.
    assert_ne!(unsafe { GetProcessHandleCount(GetCurrentProcess(), &raw mut handles) }, 0);
    (handles as usize, 0)
}

fn describe(frame: &Frame) -> String {
    format!("{} {}", frame.sequence(), frame.len())
}

fn expect_frame(frame: &Frame, key: u64, len: usize) -> Result<(), Failure> {
    if frame.len() != len {
        return Err(Failure::Wrong(format!("frame {key}: {} bytes instead of {len}", frame.len())));
    }
    check(frame.data(), key).map_err(Failure::Wrong)
}
