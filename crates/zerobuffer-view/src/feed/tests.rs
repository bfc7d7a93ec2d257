//! Feeds beside real buffers.
use std::net::TcpStream;

use zerobuffer::{BufferConfig, Reader, Writer};

use super::*;

const LONG: Duration = Duration::from_secs(20);

fn picture(feed: &Feed, last: u64) -> Arc<Picture> {
    match feed.newer(last, LONG) {
        Found::Picture(picture) => picture,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_copy_for_all_and_the_newest_for_each() {
    let name = format!("zb-feed-{}", std::process::id());
    let feeds = Feeds::default();
    let feed = feeds.of(&name);
    assert!(matches!(feed.newer(0, LONG), Found::Gone(why) if why.contains(&name)));
    let mut reader = Reader::create(&name, BufferConfig::ring(1 << 16)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    assert!(matches!(feed.newer(0, Duration::ZERO), Found::Nothing));
    let mut write = |bytes: &[u8]| {
        writer.write(bytes).unwrap();
        drop(reader.read().unwrap());
    };
    write(b"one");
    let (first, second) = (picture(&feed, 0), picture(&feeds.of(&name), 0));
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!((&first.bytes[..], first.count, first.sequence), (&b"one"[..], 1, 1));
    assert!(matches!(feed.newer(1, Duration::from_millis(20)), Found::Nothing));
    // Nobody asks meanwhile: what was known before is not the newest.
    write(b"two");
    let two = picture(&feed, 1);
    write(b"three");
    write(b"four");
    let four = picture(&feed, 1);
    assert_eq!((&four.bytes[..], four.count), (&b"four"[..], 4));
    assert_eq!(&two.bytes[..], b"two", "one that is held stays as it is");
    // All who wait get the same.
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| picture(&feed, 4))).collect();
        std::thread::sleep(Duration::from_millis(30));
        write(b"five");
        for waits in waiting {
            assert_eq!(&waits.join().unwrap().bytes[..], b"five");
        }
    });
    drop(feed);
    assert!(lock(&feeds.0).values().all(|feed| feed.strong_count() == 0));
}

#[test]
fn who_holds_frames_for_ever_is_let_go() {
    let name = format!("zb-feed-held-{}", std::process::id());
    let size = 20 << 20;
    let mut reader = Reader::create(&name, BufferConfig::ring(2 * (size as u64 + 64))).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    let feeds = Feeds::default();
    let feed = feeds.of(&name);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let most = ROOM / size;
    let mut held = Vec::new();
    let mut last = 0;
    for number in 0..most + 3 {
        writer.write(&vec![number as u8; size]).unwrap();
        drop(reader.read().unwrap());
        if number + 1 >= most {
            // A client that is let go gives back what it holds.
            let ended = std::thread::scope(|scope| {
                let newer = scope.spawn(|| picture(&feed, last));
                while !newer.is_finished() {
                    held.retain(|(_, _, client, _): &(_, _, TcpStream, _)| client.peek(&mut [0]).is_err());
                    std::thread::sleep(Duration::from_millis(1));
                }
                newer.join().unwrap()
            });
            last = ended.count;
            hold(&feed, ended, &listener, &mut held);
            continue;
        }
        let picture = picture(&feed, last);
        last = picture.count;
        hold(&feed, picture, &listener, &mut held);
    }
    assert_eq!(last, most as u64 + 3, "no frame was missed for those who hold theirs");
    assert!(held.len() <= most, "{} are held", held.len());
    assert!(held.iter().all(|(picture, ..)| picture.bytes.len() == size));
}

type Held = (Arc<Picture>, Arc<Hold>, TcpStream, TcpStream);

fn hold(feed: &Feed, picture: Arc<Picture>, listener: &std::net::TcpListener, held: &mut Vec<Held>) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nonblocking(true).unwrap();
    let server = listener.accept().unwrap().0;
    let one = feed.hold();
    one.connection(Arc::new(server.try_clone().unwrap()));
    one.set(picture.count);
    held.push((picture, one, client, server));
}
