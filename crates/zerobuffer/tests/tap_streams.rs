//! Taps beside streams that run: at full speed with kills, at the pace of a camera. What they cost
//! the stream, and what a look costs.
//!
//! `ZEROBUFFER_TAP_FRAMES=1000000 cargo nextest run -p zerobuffer --test tap_streams --no-capture`
//! is the long run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a test that meets the unexpected panics"
)]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::pattern::mix;
use common::{Name, Peer, content};
use zerobuffer::observe::Tap;
use zerobuffer::{BufferConfig, Reader, Writer, WriterConfig};

const LONG: Duration = Duration::from_secs(30);

/// Frames that all taps of a round have seen, and missed.
fn round(key: u64, ring: u64, max: u64) -> (u64, u64) {
    let name = Name::new("tap-storm");
    let mut reader = Peer::native();
    reader.must(&format!("create {} 0 {ring}", &*name));
    let mut taps: Vec<Peer> = (0..4).map(|_| Peer::native()).collect();
    for (number, tap) in taps.iter_mut().enumerate() {
        tap.must(&format!("tap {}", &*name));
        tap.tell(&format!("watch {key} {max} {}", if number == 3 { "latest" } else { "next" }));
    }
    let mut first = 1;
    for turn in 0..3 {
        let mut writer = Peer::native();
        writer.must(&format!("connect {} 5000", &*name));
        let api = ["backwards", "mix", "backwards"][turn];
        writer.tell(&format!("stream {first} 1000000000 {key} {max} {api}"));
        reader.tell(&format!("until-gone {first} {key} {max}"));
        thread::sleep(Duration::from_millis(150 + mix(key + first) % 250));
        if turn == 1 {
            // One tap that dies changes nothing for anybody.
            taps.remove(0).kill();
        }
        writer.kill();
        first += reader.must_reply().parse::<u64>().unwrap();
    }
    reader.kill();
    let sums = taps.iter_mut().map(|tap| {
        let reply = tap.must_reply();
        let (got, missed) = reply.split_once(' ').unwrap();
        (got.parse::<u64>().unwrap(), missed.parse::<u64>().unwrap())
    });
    let (seen, missed) = sums.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    println!("ring {ring}, frames up to {max}: {} streamed, {seen} seen, {missed} missed", first - 1);
    (seen, missed)
}

#[test]
fn nothing_is_torn_at_full_speed_whoever_is_killed() {
    let wanted = std::env::var("ZEROBUFFER_TAP_FRAMES").ok().and_then(|text| text.parse().ok());
    let (mut seen, mut rounds) = (0, 0);
    while seen < wanted.unwrap_or(50_000_u64) {
        let (ring, max) = [(4096, 1000), (1 << 20, 200), (1 << 16, 16_000)][rounds % 3];
        seen += round(rounds as u64, ring, max).0;
        rounds += 1;
        assert!(rounds < 20_000, "taps see nothing: {seen} frames in {rounds} rounds");
    }
    println!("{seen} frames seen in {rounds} rounds, none torn, none wrong");
}

/// One frame every `pace`, by `count`, from a thread of its own; another one reads them.
fn stream(name: &Name, config: WriterConfig, ring: u64, size: usize, pace: Duration, count: u32) -> Paced {
    let mut reader = Reader::create(name, BufferConfig::ring(ring)).unwrap();
    let mut writer = Writer::connect_with(name, config.write_timeout(Some(LONG))).unwrap();
    let reading = thread::spawn(move || while reader.read().is_ok() {});
    let writing = thread::spawn(move || {
        let frame = content(7, size);
        let begun = Instant::now();
        let used = processor_time();
        for number in 0..count {
            thread::sleep((pace * number).saturating_sub(begun.elapsed()));
            writer.write(&frame).unwrap();
        }
        let ran = (begun.elapsed(), processor_time().saturating_sub(used));
        // Let the taps see the last one.
        thread::sleep(Duration::from_millis(400));
        ran
    });
    Paced { reading, writing }
}

struct Paced {
    reading: thread::JoinHandle<()>,
    writing: thread::JoinHandle<(Duration, Duration)>,
}

impl Paced {
    /// How long the writer took, and its processor time.
    fn finish(self) -> (Duration, Duration) {
        let ran = self.writing.join().unwrap();
        self.reading.join().unwrap();
        ran
    }
}

/// Of this thread.
#[cfg(target_os = "linux")]
fn processor_time() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the structure outlives the call, and all zero is a value of it.
    let usage = unsafe {
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, usage.as_mut_ptr());
        usage.assume_init()
    };
    Duration::new(u64::try_from(usage.tv_sec).unwrap(), u32::try_from(usage.tv_nsec).unwrap())
}

#[cfg(not(target_os = "linux"))]
fn processor_time() -> Duration {
    Duration::ZERO
}

#[test]
fn a_camera_of_60_pictures_a_second_is_seen_whole_beside_pauses_of_a_quarter_of_a_second() {
    // 1080p RGB: N = ceil((1 + (d + c) / T) * 14 / 13) = ceil((1 + 251 / 16.7) * 14 / 13) = 18.
    let (size, count, pace) = (1920 * 1080 * 3, 180, Duration::from_micros(16_667));
    let (pause, copy) = (Duration::from_millis(250), Duration::from_millis(1));
    let frames = ((pace + pause + copy).as_nanos() * 14).div_ceil(pace.as_nanos() * 13) as u64;
    assert_eq!(frames, 18);
    let name = Name::new("tap-camera");
    let config = WriterConfig::default().whole_ring(true);
    let paced = stream(&name, config, frames * (size as u64 + 16), size, pace, count);
    let mut tap = Tap::open(&name).unwrap();
    let (mut bytes, mut seen, mut last) = (Vec::new(), 0_u64, 0);
    // When the frame of number 0 came, by what the frames show; and by how much another was late.
    let (mut origin, mut first, mut worst) = (None::<Instant>, None, Duration::ZERO);
    let wanted = content(7, size);
    while let Ok(Some(frame)) = tap.next(&mut bytes, Duration::from_millis(350)) {
        let now = Instant::now();
        let of = now.checked_sub(pace * u32::try_from(frame.sequence).unwrap()).unwrap();
        origin = Some(origin.map_or(of, |origin| origin.min(of)));
        // What is missed had been there for so long at the least.
        let behind = of.saturating_duration_since(origin.unwrap());
        worst = worst.max(behind + pace * u32::try_from(frame.skipped.unwrap()).unwrap());
        assert!(bytes == wanted, "frame {} is torn", frame.sequence);
        first.get_or_insert(frame.sequence);
        last = frame.sequence;
        seen += 1;
        if frame.sequence % 60 == 30 {
            thread::sleep(Duration::from_millis(60));
        }
    }
    let all = last + 1 - first.unwrap();
    let share = seen as f64 / all as f64 * 100.0;
    println!(
        "1080p RGB at 60 fps, ring of {frames}: {seen} of {all} frames seen, {share:.2} %, at most {worst:?} behind"
    );
    // A machine that stood still for longer than the ring is made for proves nothing.
    assert!(all > 100 && share >= 99.9 || worst > pause, "{share} % of {all}, {worst:?} behind");
    let _ = paced.finish();
}

#[test]
fn the_stream_does_not_notice_five_taps() {
    let run = |taps: u32| {
        let name = Name::new("tap-noticed");
        let (size, pace, count) = (100_000, Duration::from_millis(4), 300);
        let over = AtomicBool::new(false);
        let seen = AtomicU64::new(0);
        let ran = thread::scope(|scope| {
            let paced = stream(&name, WriterConfig::default(), 1 << 20, size, pace, count);
            for _ in 0..taps {
                let mut tap = Tap::open(&name).unwrap();
                let (over, seen) = (&over, &seen);
                scope.spawn(move || {
                    let mut bytes = Vec::new();
                    while !over.load(Ordering::SeqCst) {
                        if let Ok(Some(_)) = tap.next(&mut bytes, Duration::from_millis(100)) {
                            seen.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
            let ran = paced.finish();
            over.store(true, Ordering::SeqCst);
            ran
        });
        (ran, seen.into_inner())
    };
    let ((alone, own), _) = run(0);
    let ((beside, own_beside), seen) = run(5);
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64().max(1e-9);
    println!(
        "five taps (each saw {} of 300): the stream takes {:.3} of its time alone, its writer {:.2} of its processor time",
        seen / 5,
        ratio(beside, alone),
        ratio(own_beside, own)
    );
    assert!(seen > 0);
    assert!(ratio(beside, alone) < 1.5, "{alone:?} alone, {beside:?} beside five taps");
}

/// What the stream's ends store, with and without taps: a tap writes nothing.
#[cfg(target_os = "linux")]
#[test]
fn not_a_byte_changes_by_looking() {
    let name = Name::new("tap-bytes");
    let mut reader = Reader::create(&name, BufferConfig::ring(4096).metadata(64)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    writer.set_metadata(b"about").unwrap();
    for key in 1..=5 {
        writer.write(&content(key, 300)).unwrap();
    }
    drop(reader.read().unwrap());
    let files = || {
        let mut files = vec![name.shm()];
        files.extend(name.semaphores());
        let bytes = files.into_iter().map(|path| std::fs::read(path).unwrap());
        (bytes.collect::<Vec<_>>(), std::fs::read_to_string("/proc/locks").unwrap().lines().count())
    };
    let before = files().0;
    let mut bytes = Vec::new();
    for _ in 0..5 {
        let mut tap = Tap::open(&name).unwrap();
        assert_eq!(tap.next(&mut bytes, Duration::ZERO).unwrap().unwrap().sequence, 5);
        assert_eq!(tap.latest(&mut bytes, Duration::from_millis(120)).unwrap(), None);
        assert_eq!(tap.metadata().unwrap().unwrap(), b"about");
        tap.state().unwrap();
    }
    assert!(before == files().0, "a tap has changed something");
}

/// A look is one copy by `pread`, and twelve short ones. Of a copy in user space, from a mapping,
/// it is about the double: the kernel finds each page on its own.
#[cfg(target_os = "linux")]
#[test]
fn a_look_costs_little_more_than_a_copy() {
    use std::os::unix::fs::FileExt;
    // 1080p I420, in a ring that is larger than the caches.
    let size = 1920 * 1080 * 3 / 2;
    let name = Name::new("tap-copy");
    let ring = 8 * (size as u64 + 16);
    let mut reader = Reader::create(&name, BufferConfig::ring(ring)).unwrap();
    let mut writer = Writer::connect_with(&name, WriterConfig::default().whole_ring(true)).unwrap();
    let mut tap = Tap::open(&name).unwrap();
    let file = std::fs::File::open(name.shm()).unwrap();
    let (frame, mut seen, mut plain) = (content(1, size), Vec::new(), vec![0; size]);
    let mut times = [const { Vec::new() }; 3];
    for number in 0..90 {
        writer.write(&frame).unwrap();
        let taken = reader.read().unwrap();
        // The first tap has it from memory, the others from the cache.
        for turn in 0..3 {
            let which = (number + turn) % 3;
            let begun = Instant::now();
            match which {
                0 => drop(tap.next(&mut seen, LONG).unwrap().unwrap()),
                1 => {
                    let offset = file.metadata().unwrap().len() - 1024 - ring + number as u64 % 8 * 16;
                    file.read_exact_at(&mut plain, offset).unwrap();
                }
                _ => plain.copy_from_slice(&taken),
            }
            times[which].push(begun.elapsed());
        }
        assert!(seen == *taken);
    }
    let middle = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    let [tap, pread, memory] = middle;
    let ratio = |other: Duration| tap.as_secs_f64() / other.as_secs_f64();
    println!(
        "1080p I420: a look {tap:?}; {:.2} of a copy by pread ({pread:?}), {:.2} of one from a mapping ({memory:?})",
        ratio(pread),
        ratio(memory)
    );
    assert!(ratio(pread) < 2.0, "{}", ratio(pread));
}
