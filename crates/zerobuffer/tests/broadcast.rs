//! One source and many subscribers, each in a process of its own: slow, stopped, killed, hostile,
//! coming and going, and of the published 1.3.0.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected panics"
)]

mod common;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use common::stamped::{follow, stamped};
use common::{Name, Peer, expect_error};
#[cfg(target_os = "linux")]
use common::{pattern, stamped::Followed};
use zerobuffer::observe;
use zerobuffer::{
    BroadcastConfig, Broadcaster, BufferConfig, Delivery, Error, FullRingPolicy, Reader, SlowPolicy, Writer,
    WriterConfig,
};

const PATIENCE: Duration = Duration::from_secs(60);
const SEED: u64 = 7;

/// The buffer of a subscriber, whose files are gone when the test is over.
fn of(name: &Name, subscriber: &str) -> Name {
    Name::of(&format!("{}@{subscriber}", &**name))
}

fn reader(name: &str, ring: u64) -> Reader {
    Reader::create(name, BufferConfig::ring(ring).metadata(64)).unwrap()
}

fn subscriber(name: &Name, subscriber: &str, ring: u64) -> Reader {
    reader(&format!("{}@{subscriber}", &**name), ring)
}

#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(2));
    }
}

/// Nothing whose name begins so is left.
#[track_caller]
fn assert_none_left(name: &Name) {
    let left: Vec<String> = observe::list().unwrap().into_iter().map(|info| info.name).collect();
    let left: Vec<&String> = left.iter().filter(|left| left.starts_with(&**name)).collect();
    assert!(left.is_empty(), "{left:?}");
    #[cfg(target_os = "linux")]
    for entry in std::fs::read_dir("/dev/shm").unwrap().flatten() {
        let file = entry.file_name().into_string().unwrap_or_default();
        assert!(!file.contains(&**name), "{file} is left");
    }
}

fn delivered(delivery: Delivery) -> (usize, usize, usize) {
    (delivery.sent, delivery.dropped, delivery.gone)
}

#[test]
fn every_subscriber_gets_metadata_and_each_frame_from_its_coming_on() {
    let name = Name::new("bc-first");
    let mut early = Reader::subscribe(&name).unwrap();
    let mut broadcaster = Broadcaster::new(&name).unwrap();
    broadcaster.set_metadata(b"caps").unwrap();
    assert_eq!(delivered(broadcaster.write(b"one").unwrap()), (1, 0, 0), "it was there at the start");
    let mut late = Reader::subscribe(&name).unwrap();
    assert_ne!(early.name(), late.name());
    assert!(broadcaster.wait_for_subscribers(2, PATIENCE).unwrap());
    assert!(!broadcaster.wait_for_subscribers(3, Duration::from_millis(60)).unwrap());
    assert_eq!(late.metadata().unwrap().unwrap().data(), b"caps", "before any frame");
    let parts = [std::io::IoSlice::new(b"t"), std::io::IoSlice::new(b"wo")];
    assert_eq!(delivered(broadcaster.write_vectored(&parts).unwrap()), (2, 0, 0));
    expect_error(broadcaster.write(b""), "EmptyFrame");
    for (reader, expected) in [(&mut early, &[&b"one"[..], b"two"][..]), (&mut late, &[b"two"])] {
        for (number, expected) in expected.iter().enumerate() {
            let frame = reader.read_timeout(PATIENCE).unwrap().unwrap();
            assert_eq!((frame.data(), frame.sequence()), (*expected, number as u64 + 1));
            assert_eq!(reader.metadata().unwrap().unwrap().data(), b"caps");
        }
    }
    let stats = broadcaster.stats();
    assert_eq!((stats.frames, stats.bytes, stats.sent, stats.dropped, stats.joined), (2, 6, 3, 0, 2));
    let names: HashSet<String> = broadcaster.subscribers().into_iter().map(|one| one.buffer).collect();
    assert_eq!(names, HashSet::from([early.name().to_owned(), late.name().to_owned()]));
    broadcaster.close().unwrap();
    for reader in [&mut early, &mut late] {
        expect_error(reader.read_timeout(PATIENCE), "WriterGone");
    }
    drop((early, late));
    assert_none_left(&name);
}

#[test]
fn nobody_listens() {
    let name = Name::new("bc-alone");
    let mut broadcaster = Broadcaster::new(&name).unwrap();
    for _ in 0..1000 {
        assert_eq!(delivered(broadcaster.write(&[1; 100]).unwrap()), (0, 0, 0));
    }
    assert_eq!(broadcaster.stats().frames, 1000);
    assert!(broadcaster.wait_for_subscribers(0, Duration::ZERO).unwrap());
    for bad in ["", "a/b", &"n".repeat(244)] {
        expect_error(Broadcaster::new(bad), "InvalidName");
        expect_error(Reader::subscribe(bad), "InvalidName");
    }
}

/// Metadata that change in the middle of a stream belong to the frames behind them.
#[test]
fn other_metadata_come_with_the_first_frame_behind_them() {
    let name = Name::new("bc-meta");
    let mut reader = subscriber(&name, "v", 4096);
    let _tiny = Reader::create(&format!("{}@tiny", &*name), BufferConfig::ring(4096).metadata(0)).unwrap();
    let config = BroadcastConfig::default().policy_for("v", SlowPolicy::Block(PATIENCE));
    for broadcast in 0..2_u8 {
        // The second one is the first one's successor, and its metadata follow those of the first.
        let mut broadcaster = Broadcaster::with_config(&name, config.clone()).unwrap();
        assert!(broadcaster.wait_for_subscribers(2, PATIENCE).unwrap());
        for generation in broadcast * 10..broadcast * 10 + 10 {
            let reading = thread::spawn(move || {
                for _ in 0..3 {
                    let frame = reader.read_timeout(PATIENCE).unwrap().unwrap();
                    assert_eq!(frame.data(), [generation; 100]);
                    assert_eq!(reader.metadata().unwrap().unwrap().data(), [generation; 10]);
                }
                reader
            });
            broadcaster.set_metadata(&[generation; 10]).unwrap();
            for _ in 0..3 {
                assert!(broadcaster.write(&[generation; 100]).unwrap().sent >= 1);
                broadcaster.set_metadata(&[generation; 10]).unwrap();
            }
            reader = reading.join().unwrap();
        }
        let tiny = broadcaster.subscribers().into_iter().find(|one| one.name == "tiny").unwrap();
        assert!(tiny.problem.unwrap().contains("metadata"), "what it does not get is said");
        drop(broadcaster);
        expect_error(reader.read_timeout(PATIENCE), "WriterGone");
    }
}

/// At full speed: five subscribers are waited for and get every byte, beside one that is stopped
/// and one that is killed. A time-out of theirs costs the source that time once.
#[cfg(target_os = "linux")]
#[test]
fn five_at_full_speed_beside_a_stopped_and_a_killed_one() {
    const FRAMES: u64 = 5000;
    const MAX: u64 = 60_000;
    let name = Name::new("bc-speed");
    let mut peers: Vec<Peer> = (0..5).map(|_| Peer::native()).collect();
    let buffers: Vec<Name> = (0..5).map(|number| of(&name, &format!("exact-{number}"))).collect();
    for (peer, buffer) in peers.iter_mut().zip(&buffers) {
        peer.must(&format!("create {} 64 1048576", &**buffer));
    }
    let old_buffer = of(&name, "exact-old");
    let mut old = Peer::old();
    if let Some(old) = &mut old {
        old.must(&format!("create {} 64 1048576", &*old_buffer));
    }
    let (mut stopped, mut killed) = (Peer::native(), Peer::native());
    let (stopped_buffer, killed_buffer) = (of(&name, "stopped"), of(&name, "killed"));
    stopped.must(&format!("create {} 64 1048576", &*stopped_buffer));
    killed.must(&format!("create {} 64 1048576", &*killed_buffer));

    let config = BroadcastConfig::default().policy_for("exact-*", SlowPolicy::Block(PATIENCE));
    let mut broadcaster = Broadcaster::with_config(&name, config).unwrap();
    let exact = 5 + usize::from(old.is_some());
    assert!(broadcaster.wait_for_subscribers(exact + 2, PATIENCE).unwrap());
    for peer in peers.iter_mut().chain(&mut old).chain([&mut stopped, &mut killed]) {
        peer.tell(&format!("follow {SEED} {MAX} 0"));
    }
    let mut slowest = Duration::ZERO;
    for key in 1..=FRAMES {
        if key == FRAMES / 5 {
            stopped.signal(libc::SIGSTOP);
        }
        if key == FRAMES / 4 + pattern::mix(u64::from(std::process::id())) % (FRAMES / 4) {
            killed.kill();
        }
        let frame = stamped(SEED, key, MAX);
        let begun = Instant::now();
        let delivery = broadcaster.write(&frame).unwrap();
        slowest = slowest.max(begun.elapsed());
        assert!(delivery.sent >= exact, "frame {key}: {delivery:?}");
    }
    let stats = broadcaster.subscribers();
    assert_eq!(stats.len(), exact + 1, "the killed one is dropped: {stats:?}");
    let of_stopped = stats.iter().find(|one| one.name == "stopped").unwrap();
    assert!(of_stopped.stats.dropped > 0, "{of_stopped:?}");
    assert_eq!(of_stopped.stats.frames + of_stopped.stats.dropped, FRAMES);
    let totals = broadcaster.stats();
    assert_eq!((totals.left, totals.disconnected, totals.joined as usize), (1, 0, exact + 2));
    broadcaster.close().unwrap();
    for peer in peers.iter_mut().chain(&mut old) {
        let followed = Followed::parse(&peer.must_reply());
        assert_eq!((followed.frames, followed.first, followed.last), (FRAMES, 1, FRAMES));
    }
    // Its ring keeps what was in it.
    stopped.signal(libc::SIGCONT);
    let followed = Followed::parse(&stopped.must_reply());
    assert_eq!(followed.frames, of_stopped.stats.frames);
    println!("{FRAMES} frames to {exact} subscribers, the slowest call took {slowest:?}");
    for peer in peers.iter_mut().chain(&mut old).chain([&mut stopped]) {
        peer.must("close");
    }
    // 1.3.0 always leaves its semaphores, and a killed reader its buffer for its successor.
    drop(old_buffer);
    Reader::create(&killed_buffer, BufferConfig::ring(64).metadata(0)).unwrap().close().unwrap();
    assert_none_left(&name);
}

/// At the pace of a camera nobody is waited for, and nobody but the stopped one misses a frame.
#[cfg(target_os = "linux")]
#[test]
fn five_at_sixty_frames_a_second_with_the_default_policy() {
    const FRAMES: u64 = 180;
    const MAX: u64 = 300_000;
    const PACE: Duration = Duration::from_micros(16_667);
    let name = Name::new("bc-pace");
    // Two seconds of the stream: no pause of a busy machine fills it.
    let ring = 120 * (MAX + 64);
    let mut peers: Vec<Peer> = (0..4).map(|_| Peer::native()).collect();
    for peer in &mut peers {
        peer.must(&format!("subscribe {} {ring}", &*name));
    }
    let old_buffer = of(&name, "old");
    let mut old = Peer::old();
    if let Some(old) = &mut old {
        old.must(&format!("create {} 64 {ring}", &*old_buffer));
    }
    let mut stopped = Peer::native();
    stopped.must(&format!("subscribe {} {}", &*name, 4 * MAX));
    let mut killed = Peer::native();
    let killed_buffer = killed.must(&format!("subscribe {} {}", &*name, 4 * MAX));
    let mut broadcaster = Broadcaster::new(&name).unwrap();
    assert!(broadcaster.wait_for_subscribers(6 + usize::from(old.is_some()), PATIENCE).unwrap());
    for peer in peers.iter_mut().chain(&mut old).chain([&mut stopped, &mut killed]) {
        peer.tell(&format!("follow {SEED} {MAX} 0"));
    }
    let (begun, mut slowest) = (Instant::now(), Duration::ZERO);
    for key in 1..=FRAMES {
        match key {
            40 => stopped.signal(libc::SIGSTOP),
            60 => killed.kill(),
            _ => {}
        }
        let frame = stamped(SEED, key, MAX);
        sleep((PACE * u32::try_from(key).unwrap()).saturating_sub(begun.elapsed()));
        let call = Instant::now();
        broadcaster.write(&frame).unwrap();
        slowest = slowest.max(call.elapsed());
    }
    broadcaster.close().unwrap();
    for peer in peers.iter_mut().chain(&mut old) {
        let followed = Followed::parse(&peer.must_reply());
        println!("longest time between two frames: {:?}", followed.gap);
        assert_eq!((followed.frames, followed.first, followed.last), (FRAMES, 1, FRAMES));
    }
    println!("slowest call: {slowest:?} of a frame time of {PACE:?}");
    stopped.signal(libc::SIGCONT);
    stopped.must_reply();
    for peer in peers.iter_mut().chain(&mut old).chain([&mut stopped]) {
        peer.must("close");
    }
    drop(old_buffer);
    Reader::create(&killed_buffer, BufferConfig::ring(64).metadata(0)).unwrap().close().unwrap();
    assert_none_left(&name);
}

/// A thousand joins and leaves from four processes while the stream runs, some by kill.
#[cfg(target_os = "linux")]
#[test]
fn a_thousand_come_and_go() {
    const TURNS: u64 = 250;
    const MAX: u64 = 4000;
    let name = Name::new("bc-churn");
    // Other tests may run in this process.
    let things = || {
        let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let files = files.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        let open = files.filter(|path| path.to_string_lossy().contains(&*name)).count();
        (open, std::fs::read_to_string("/proc/self/maps").unwrap().matches(&*name).count())
    };
    let mut broadcaster = Broadcaster::new(&name).unwrap();
    let (handle, over) =
        (broadcaster.handle(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let ending = over.clone();
    let writing = thread::spawn(move || {
        for key in 1.. {
            broadcaster.write(&stamped(SEED, key, MAX)).unwrap();
            if ending.load(std::sync::atomic::Ordering::SeqCst) {
                break;
            }
            sleep(Duration::from_micros(200));
        }
        broadcaster
    });
    let mut peers: Vec<Peer> = (0..4).map(|_| Peer::native()).collect();
    for peer in &mut peers {
        peer.tell(&format!("come-and-go {} {TURNS} 65536 {SEED} {MAX}", &*name));
    }
    // Beside them some are killed while they read.
    let mut victims = 0;
    for number in 0..20 {
        let mut victim = Peer::native();
        let buffer = of(&name, &format!("victim-{}", number % 2));
        victim.must(&format!("create {} 64 65536", &*buffer));
        victim.tell(&format!("follow {SEED} {MAX} 0"));
        sleep(Duration::from_millis(20 + pattern::mix(number) % 60));
        victim.kill();
        victims += 1;
        std::mem::forget(buffer);
    }
    for peer in &mut peers {
        assert!(peer.must_reply().parse::<u64>().unwrap() >= TURNS);
        peer.must("close");
    }
    until("all have left", || handle.subscribers().is_empty());
    let stats = handle.stats();
    println!("{stats:?}, {victims} killed");
    assert!(stats.joined >= 4 * TURNS, "{stats:?}");
    assert_eq!((stats.joined, stats.disconnected), (stats.left, 0));
    over.store(true, std::sync::atomic::Ordering::SeqCst);
    let broadcaster = writing.join().unwrap();
    assert_eq!(things(), (0, 0), "descriptors, and mappings of rings");
    drop(broadcaster);
    for number in 0..2 {
        let buffer = of(&name, &format!("victim-{number}"));
        Reader::create(&buffer, BufferConfig::ring(64).metadata(0)).unwrap().close().unwrap();
    }
    assert_none_left(&name);
}

/// What a killed broadcaster sent is read, and its end is seen. A second one waits for its turn,
/// and goes on with the same subscribers.
#[test]
fn a_killed_broadcaster_has_a_successor() {
    let name = Name::new("bc-dead");
    let mut readers = [subscriber(&name, "a", 1 << 20), subscriber(&name, "b", 1 << 20)];
    let mut first = Peer::native();
    first.must(&format!("broadcast {}", &*name));
    first.must("await 2");
    first.must(&format!("shout 1 100 {SEED} 1000 0"));
    // All subscribers are the first one's.
    let mut second = Broadcaster::new(&name).unwrap();
    sleep(Duration::from_millis(100));
    assert_eq!(second.subscribers(), []);
    first.kill();
    for reader in &mut readers {
        let followed = follow(reader, SEED, 1000, 0).unwrap();
        assert_eq!((followed.frames, followed.last), (100, 100));
    }
    assert!(second.wait_for_subscribers(2, PATIENCE).unwrap());
    second.write(&stamped(SEED, 101, 1000)).unwrap();
    drop(second);
    for reader in &mut readers {
        assert_eq!(follow(reader, SEED, 1000, 0).unwrap().last, 101);
    }
}

#[test]
fn a_slow_subscriber_misses_frames_by_default_and_they_are_counted() {
    let name = Name::new("bc-drop");
    let (mut slow, mut quick) = (subscriber(&name, "slow", 1024), subscriber(&name, "quick", 64 << 10));
    let mut broadcaster = Broadcaster::new(&name).unwrap();
    for key in 1..=100 {
        broadcaster.write(&stamped(SEED, key, 100)).unwrap();
    }
    let stats = broadcaster.subscribers();
    let [of_slow, of_quick] =
        ["slow", "quick"].map(|name| stats.iter().find(|one| one.name == name).unwrap());
    assert_eq!((of_quick.stats.frames, of_quick.stats.dropped), (100, 0));
    assert_eq!(of_slow.stats.frames + of_slow.stats.dropped, 100);
    assert!(of_slow.stats.dropped > 50 && of_slow.utilization > 0.8, "{of_slow:?}");
    assert_eq!(of_slow.stats.waits, 0, "nobody waits");
    // It goes on as soon as it has room.
    assert_eq!(follow(&mut slow, SEED, 100, of_slow.stats.frames).unwrap().frames, of_slow.stats.frames);
    assert_eq!(broadcaster.write(&stamped(SEED, 101, 100)).unwrap().sent, 2);
    drop(broadcaster);
    assert_eq!(follow(&mut slow, SEED, 100, 0).unwrap().first, 101);
    assert_eq!(follow(&mut quick, SEED, 100, 0).unwrap().frames, 101);
    // A frame that its ring can never hold is missed as well, and the reason is there.
    let mut broadcaster = Broadcaster::new(&name).unwrap();
    assert_eq!(delivered(broadcaster.write(&[1; 2000]).unwrap()), (1, 1, 0));
    let stats = broadcaster.subscribers();
    let problem = stats.iter().find(|one| one.name == "slow").unwrap().problem.clone().unwrap();
    assert!(problem.contains("2000") && problem.contains("1008"), "{problem}");
}

#[test]
fn a_subscriber_that_is_waited_for_gets_every_frame_and_the_others_get_each_before() {
    let name = Name::new("bc-block");
    let (mut slow, mut quick) = (subscriber(&name, "slow", 1024), subscriber(&name, "quick", 1 << 20));
    let config = BroadcastConfig::default().policy_for("slow", SlowPolicy::Block(PATIENCE));
    let mut broadcaster = Broadcaster::with_config(&name, config).unwrap();
    let handle = broadcaster.handle();
    let writing = thread::spawn(move || {
        for key in 1..=100 {
            assert_eq!(delivered(broadcaster.write(&stamped(SEED, key, 100)).unwrap()), (2, 0, 0));
        }
        broadcaster
    });
    until("a call waits", || handle.subscribers().iter().any(|one| one.utilization > 0.8));
    let taken = handle.subscribers().iter().find(|one| one.name == "slow").unwrap().stats.frames;
    // The frame that the slow one has no room for is the other one's already.
    let ahead = follow(&mut quick, SEED, 100, taken + 1).unwrap();
    assert_eq!(ahead.last, taken + 1);
    for _ in 0..10 {
        sleep(Duration::from_millis(2));
        assert_eq!(follow(&mut slow, SEED, 100, 10).unwrap().frames, 10);
    }
    let broadcaster = writing.join().unwrap();
    let stats = broadcaster.subscribers();
    let of_slow = stats.iter().find(|one| one.name == "slow").unwrap();
    assert_eq!((of_slow.stats.frames, of_slow.stats.dropped), (100, 0));
    assert!(of_slow.stats.waits > 0 && of_slow.stats.blocked > Duration::ZERO, "{of_slow:?}");
}

/// One that takes nothing costs its time limit once, not once a frame.
#[test]
fn a_time_limit_passes_once() {
    const LIMIT: Duration = Duration::from_millis(300);
    let name = Name::new("bc-limit");
    let (_stuck, mut quick) = (subscriber(&name, "stuck", 1024), subscriber(&name, "quick", 1 << 20));
    let config = BroadcastConfig::default().policy(SlowPolicy::Block(LIMIT));
    let mut broadcaster = Broadcaster::with_config(&name, config).unwrap();
    let begun = Instant::now();
    for key in 1..=200 {
        broadcaster.write(&stamped(SEED, key, 100)).unwrap();
    }
    let took = begun.elapsed();
    println!("200 frames beside one that takes nothing, limit {LIMIT:?}: {took:?}");
    assert!(took >= LIMIT && took < LIMIT * 10, "{took:?}");
    let stuck = broadcaster.subscribers().into_iter().find(|one| one.name == "stuck").unwrap();
    assert_eq!(stuck.stats.waits, 1);
    drop(broadcaster);
    assert_eq!(follow(&mut quick, SEED, 100, 0).unwrap().frames, 200);
}

#[test]
fn a_slow_subscriber_may_be_disconnected_until_it_comes_anew() {
    let name = Name::new("bc-out");
    let buffer = of(&name, "slow");
    let mut slow = reader(&buffer, 1024);
    let config = BroadcastConfig::default().policy(SlowPolicy::Disconnect);
    let mut broadcaster = Broadcaster::with_config(&name, config).unwrap();
    let mut written = 0;
    while broadcaster.write(&stamped(SEED, written + 1, 100)).unwrap().sent == 1 {
        written += 1;
    }
    assert_eq!(broadcaster.stats().disconnected, 1);
    assert_eq!(follow(&mut slow, SEED, 100, 0).unwrap().frames, written, "and then its writer has gone");
    // Not by itself, however much room there is.
    assert!(!broadcaster.wait_for_subscribers(1, Duration::from_millis(300)).unwrap());
    slow.close().unwrap();
    let mut slow = reader(&buffer, 1024);
    assert!(broadcaster.wait_for_subscribers(1, PATIENCE).unwrap());
    assert_eq!(broadcaster.write(&stamped(SEED, 1000, 100)).unwrap().sent, 1);
    assert_eq!(follow(&mut slow, SEED, 100, 1).unwrap().last, 1000);
}

/// Buffers of channels, subscribers of another broadcast, and what only looks like a subscriber.
#[cfg(target_os = "linux")]
#[test]
fn planted_files_and_other_names_are_left_alone() {
    let name = Name::new("bc-h");
    let others = ["x_request", "x_response", "a@b"].map(|subscriber| of(&name, subscriber));
    let longer = Name::of(&format!("{}2@x", &*name));
    let readers: Vec<Reader> = others.iter().chain([&longer]).map(|buffer| reader(buffer, 1024)).collect();
    let mut planted = Vec::new();
    let mut plant = |subscriber: String, content: &[u8]| {
        let buffer = of(&name, &subscriber);
        std::fs::write(buffer.shm(), content).unwrap();
        planted.push((buffer, content.to_vec()));
    };
    for number in 0..1000 {
        plant(format!("empty-{number}"), b"");
        plant(format!("garbage-{number}"), &[0xA5; 300]);
    }
    plant("zeros".into(), &[0; 4096]);
    plant("dead".into(), &common::segment::by_hand(64, 4096, 1 << 22));
    let mut huge = common::segment::by_hand(64, 4096, u64::from(std::process::id()));
    huge[common::segment::PAYLOAD_SIZE as usize..][..8].copy_from_slice(&u64::MAX.to_le_bytes());
    plant("huge".into(), &huge);
    plant("foreign\n\u{1b}[31m".into(), b"x");
    let link = of(&name, "link");
    std::os::unix::fs::symlink("/etc/passwd", link.shm()).unwrap();
    let folder = of(&name, "folder");
    std::fs::create_dir(folder.shm()).unwrap();

    let mut broadcaster = Broadcaster::new(&name).unwrap();
    broadcaster.set_metadata(b"x").unwrap();
    let mut good: Vec<Reader> = Vec::new();
    for number in 0..5 {
        let begun = Instant::now();
        good.push(subscriber(&name, &format!("good-{number}"), 64 << 10));
        assert!(broadcaster.wait_for_subscribers(number + 1, PATIENCE).unwrap());
        println!("beside {} planted files it was found after {:?}", planted.len(), begun.elapsed());
    }
    for key in 1..=100 {
        assert_eq!(delivered(broadcaster.write(&stamped(SEED, key, 100)).unwrap()), (5, 0, 0));
    }
    drop(broadcaster);
    for reader in &mut good {
        assert_eq!(follow(reader, SEED, 100, 0).unwrap().frames, 100);
    }
    for reader in &readers {
        let info = observe::inspect(reader.name()).unwrap();
        assert!(info.writer.is_none() && info.metadata.is_none() && info.last_sequence == 0, "{info:?}");
    }
    for (buffer, content) in &planted {
        assert_eq!(&std::fs::read(buffer.shm()).unwrap(), content, "{}", &**buffer);
    }
    std::fs::remove_dir(folder.shm()).unwrap();
}

/// Another user's buffer of such a name gets nothing, unless that is wanted.
#[cfg(target_os = "linux")]
#[test]
fn a_stranger_subscribes() {
    // SAFETY: takes nothing, cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return common::skipped("only root can become another user");
    }
    let name = Name::new("bc-owner");
    let mut stranger = Peer::native();
    stranger.must("become 65534");
    stranger.must(&format!("create {}@spy 64 65536 block 666", &*name));
    let mut broadcaster = Broadcaster::new(&name).unwrap();
    assert!(!broadcaster.wait_for_subscribers(1, Duration::from_millis(200)).unwrap());
    assert_eq!(delivered(broadcaster.write(b"secret").unwrap()), (0, 0, 0));
    drop(broadcaster);
    let trusting = BroadcastConfig::default().owner(zerobuffer::Owner::User(65_534));
    let broadcaster = Broadcaster::with_config(&name, trusting).unwrap();
    assert!(broadcaster.wait_for_subscribers(1, PATIENCE).unwrap());
    drop(broadcaster);
    stranger.must("close");
}

#[test]
fn no_more_than_are_allowed() {
    let name = Name::new("bc-most");
    let mut readers: Vec<Reader> =
        (0..4).map(|number| subscriber(&name, &format!("{number}"), 1024)).collect();
    let config = BroadcastConfig::default().max_subscribers(NonZeroUsize::new(2).unwrap());
    let mut broadcaster = Broadcaster::with_config(&name, config).unwrap();
    assert!(!broadcaster.wait_for_subscribers(3, Duration::from_millis(150)).unwrap());
    assert_eq!(delivered(broadcaster.write(b"x").unwrap()), (2, 0, 0));
    // Another one takes the place of each that leaves.
    let fed = broadcaster.subscribers();
    readers.retain(|reader| fed.iter().all(|one| one.buffer != reader.name()));
    until("the others are fed", || {
        broadcaster.subscribers().iter().filter(|one| readers.iter().any(|r| r.name() == one.buffer)).count()
            == 2
    });
}

/// A full `/dev/shm`: the subscriber gets an error with both numbers, and the broadcast goes on.
#[cfg(all(target_os = "linux", not(macos_sys)))]
#[test]
fn a_full_dev_shm_stops_nobody() {
    // SAFETY: takes nothing, cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return common::skipped("only root can mount a /dev/shm of its own");
    }
    let mut agent = Peer::native_after(|| {
        let (null, kind) = (std::ptr::null(), c"tmpfs".as_ptr());
        // SAFETY: terminated constants only.
        let failed = unsafe {
            libc::unshare(libc::CLONE_NEWNS) != 0
                || libc::mount(null, c"/".as_ptr(), null, libc::MS_REC | libc::MS_PRIVATE, null.cast()) != 0
                || libc::mount(kind, c"/dev/shm".as_ptr(), kind, 0, c"size=1m".as_ptr().cast()) != 0
        };
        if failed { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    });
    agent.must("subscribe cam 700000");
    agent.must("broadcast cam");
    agent.must("await 1");
    let message = agent.must_fail("subscribe cam 700000", "NoSpace");
    assert!(message.contains("701248"), "{message}");
    agent.must(&format!("shout 1 100 {SEED} 1000 0"));
    assert_eq!(agent.must("subscribers"), "1");
    assert_eq!(Followed::parse(&agent.must(&format!("follow {SEED} 1000 100"))).last, 100);
}

/// A forked child that drops the broadcaster takes nothing away, and cannot use it.
#[cfg(target_os = "linux")]
#[test]
fn a_forked_child_leaves_the_broadcast_alone() {
    let name = Name::new("bc-fork");
    let mut reader = subscriber(&name, "v", 1 << 20);
    let mut agent = Peer::native();
    agent.must(&format!("broadcast {}", &*name));
    agent.must("await 1");
    let reply = agent.must("fork use");
    let (child, attempts) = reply.split_once(' ').unwrap();
    assert_eq!(attempts.trim(), "Forked");
    // SAFETY: the child that the agent has just made.
    unsafe { libc::kill(child.parse().unwrap(), libc::SIGKILL) };
    agent.must("fork drop");
    agent.must(&format!("shout 1 10 {SEED} 1000 0"));
    assert_eq!(follow(&mut reader, SEED, 1000, 10).unwrap().last, 10);
    agent.must("close");
}

#[test]
fn another_thread_ends_a_call_that_waits() {
    let name = Name::new("bc-stop");
    let _stuck = subscriber(&name, "stuck", 1024);
    let config = BroadcastConfig::default().policy(SlowPolicy::Block(Duration::from_secs(3600)));
    let mut broadcaster = Broadcaster::with_config(&name, config).unwrap();
    let handle = broadcaster.handle();
    let writing = thread::spawn(move || {
        loop {
            if let Err(error) = broadcaster.write(&[1; 100]) {
                return (error, broadcaster);
            }
        }
    });
    until("a call waits", || handle.subscribers().iter().any(|one| one.utilization > 0.8));
    sleep(Duration::from_millis(20));
    handle.interrupt();
    let (error, mut broadcaster) = writing.join().unwrap();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
    expect_error(broadcaster.write(b"x"), "Closed");
    expect_error(broadcaster.wait_for_subscribers(9, PATIENCE), "Closed");
}

/// A subscriber's ring is as large as that of the buffer of the broadcast, where there is one.
#[test]
fn the_size_of_a_subscriber() {
    let name = Name::new("bc-size");
    assert_eq!(Reader::subscribe(&name).unwrap().capacity(), 1 << 20);
    let _cam = Reader::create(&name, BufferConfig::ring(192 << 10).metadata(2048)).unwrap();
    let reader = Reader::subscribe(&name).unwrap();
    assert_eq!((reader.capacity(), reader.metadata_capacity()), (192 << 10, 2048));
    let reader = Reader::subscribe_with(&name, BufferConfig::ring(640)).unwrap();
    assert_eq!(reader.capacity(), 640);
}

/// A legacy subscriber sees metadata once; others disconnect it, and it comes back anew.
#[cfg(target_os = "linux")]
#[test]
fn a_legacy_subscriber_and_other_metadata() {
    let Some(mut old) = Peer::old() else { return };
    let name = Name::new("bc-old-meta");
    let buffer = of(&name, "old");
    old.must(&format!("create {} 64 65536", &*buffer));
    let mut broadcaster = Broadcaster::new(&name).unwrap();
    assert!(broadcaster.wait_for_subscribers(1, PATIENCE).unwrap());
    broadcaster.set_metadata(&common::content(1, 20)).unwrap();
    broadcaster.write(&stamped(SEED, 1, 1000)).unwrap();
    assert_eq!(old.must("get-meta 1"), "20");
    broadcaster.set_metadata(&common::content(2, 20)).unwrap();
    assert_eq!(broadcaster.stats().disconnected, 1);
    assert_eq!(Followed::parse(&old.must(&format!("follow {SEED} 1000 0"))).last, 1);
    old.must("close");
    old.must(&format!("create {} 64 65536", &*buffer));
    assert!(broadcaster.wait_for_subscribers(1, PATIENCE).unwrap());
    assert_eq!(old.must("get-meta 2"), "20");
    broadcaster.write(&stamped(SEED, 2, 1000)).unwrap();
    assert_eq!(Followed::parse(&old.must(&format!("follow {SEED} 1000 1"))).last, 2);
    old.must("close");
    drop((broadcaster, buffer));
    assert_none_left(&name);
}

/// A plain writer that has taken a subscriber's ring is left to it.
#[test]
fn a_subscriber_with_a_writer_of_its_own() {
    let name = Name::new("bc-taken");
    let buffer = of(&name, "v");
    let mut reader = reader(&buffer, 4096);
    let config = WriterConfig::default().full_ring(FullRingPolicy::Refuse);
    let mut writer = Writer::connect_with(&buffer, config).unwrap();
    let mut broadcaster = Broadcaster::new(&name).unwrap();
    assert!(!broadcaster.wait_for_subscribers(1, Duration::from_millis(150)).unwrap());
    writer.write(&stamped(SEED, 1, 100)).unwrap();
    writer.close().unwrap();
    assert!(broadcaster.wait_for_subscribers(1, PATIENCE).unwrap());
    broadcaster.write(&stamped(SEED, 2, 100)).unwrap();
    assert_eq!(follow(&mut reader, SEED, 100, 2).unwrap().last, 2);
}

/// What the library has said of broadcasts.
#[cfg(target_os = "linux")]
static SAID: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

#[cfg(target_os = "linux")]
struct Listen;

#[cfg(target_os = "linux")]
impl log::Log for Listen {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target() == "zerobuffer::broadcast" {
            SAID.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Anybody can make a file whose name begins like a subscriber's. The log must not show its lines
/// and colours as if they were the library's.
#[cfg(target_os = "linux")]
#[test]
#[cfg_attr(
    macos_sys,
    ignore = "macOS lists buffers by their lock files, so a planted segment is not looked at"
)]
fn names_of_planted_files_write_no_lines_into_the_log() {
    log::set_logger(&Listen).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let name = Name::new("bcl");
    let planted = of(&name, "x\n\u{1b}[1mlost");
    std::fs::write(planted.shm(), b"x").unwrap();
    let said = |part: &str| {
        let mut ours = SAID.lock().unwrap().clone();
        ours.retain(|text| text.contains(&*name));
        assert!(ours.iter().all(|text| !text.contains(char::is_control)), "{ours:?}");
        ours.iter().any(|text| text.contains(part) && text.contains("lost"))
    };
    let most = BroadcastConfig::default().max_subscribers(NonZeroUsize::new(1).unwrap());
    let broadcaster = Broadcaster::with_config(&name, most).unwrap();
    until("it is looked at", || said("waits: "));
    let _reader = subscriber(&name, "v", 1024);
    until("it has to wait", || said("as many as it may have"));
    drop(broadcaster);
    // So do the names of true subscribers.
    std::fs::remove_file(planted.shm()).unwrap();
    let reader = reader(&planted, 1024);
    let mut broadcaster = Broadcaster::new(&name).unwrap();
    assert!(broadcaster.wait_for_subscribers(2, PATIENCE).unwrap());
    for _ in 0..20 {
        broadcaster.write(&[1; 100]).unwrap();
    }
    assert!(said("has come") && said("misses a frame"));
    drop(reader);
    until("it has left", || said("has left"));
}
