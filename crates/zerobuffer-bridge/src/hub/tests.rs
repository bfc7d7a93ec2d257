//! The hub without an engine.
#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::source::Payload;

fn item(hub: &Hub, sequence: u64) -> Item {
    Item { payload: Payload::Copied(vec![1]), sequence, stamp: 0, chapter: hub.chapter() }
}

fn hub(policy: Policy, window: u64) -> Hub {
    let hub = Hub::new("test", policy, window);
    hub.turn(7, Opening { live: true, ..Opening::default() });
    hub
}

fn said(next: &Next, taken: u64, sequence: u64) -> Status {
    Status { epoch: next.epoch, received: taken, taken, run: 7, sequence, ..Status::default() }
}

fn sequence(next: Next) -> u64 {
    match next.what {
        What::Frame(item) => item.sequence,
        What::Open(_) => panic!("an opening"),
    }
}

/// Opens the lane; the status that has done it.
fn open(hub: &Hub, serial: u64, sequence: u64) -> Status {
    let open = hub.next("r", serial).unwrap();
    assert!(matches!(open.what, What::Open(_)) && open.number == 1);
    let status = said(&open, 1, sequence);
    hub.status("r", &status);
    status
}

#[test]
fn latest_sends_the_newest_and_counts_the_others() {
    let hub = hub(Policy::Latest, 1);
    let serial = hub.join("r").unwrap();
    let opened = open(&hub, serial, 0);
    hub.give(item(&hub, 1), 0);
    assert_eq!(sequence(hub.next("r", serial).unwrap()), 1);
    // While it is under way.
    (2..=5).for_each(|number| hub.give(item(&hub, number), 0));
    hub.give(item(&hub, 9), 3);
    hub.status("r", &Status { received: 2, taken: 2, sequence: 1, ..opened });
    let next = hub.next("r", serial).unwrap();
    assert_eq!((next.lost, sequence(next)), (7, 9));
    assert_eq!(hub.counts().lost, 7);
}

#[test]
fn drop_keeps_what_was_first() {
    let hub = hub(Policy::Drop, 1);
    let serial = hub.join("r").unwrap();
    let opened = open(&hub, serial, 0);
    (1..=3).for_each(|number| hub.give(item(&hub, number), 0));
    assert_eq!(sequence(hub.next("r", serial).unwrap()), 1);
    hub.give(item(&hub, 4), 0);
    hub.status("r", &Status { received: 2, taken: 2, sequence: 1, ..opened });
    hub.give(item(&hub, 5), 0);
    assert_eq!(sequence(hub.next("r", serial).unwrap()), 5);
    assert_eq!(hub.counts().lost, 3);
}

#[test]
fn block_sends_again_what_has_not_arrived_and_nothing_else() {
    let hub = hub(Policy::Block, 4);
    assert!(!hub.wants_frame(Duration::ZERO), "nobody takes it");
    let serial = hub.join("r").unwrap();
    open(&hub, serial, 0);
    for number in 1..=4 {
        assert!(hub.wants_frame(Duration::ZERO));
        hub.give(item(&hub, number), 0);
        assert_eq!(sequence(hub.next("r", serial).unwrap()), number);
    }
    hub.give(item(&hub, 5), 0);
    assert!(!hub.wants_frame(Duration::ZERO), "one waits");
    // The link breaks; 1 and 2 have arrived, and nothing was said of it.
    assert!(hub.leave("r") && !hub.leave("r"));
    let serial = hub.join("r").unwrap();
    open(&hub, serial, 2);
    for number in 3..=5 {
        assert_eq!(sequence(hub.next("r", serial).unwrap()), number);
    }
    assert_eq!(hub.counts().lost, 0);
}

#[test]
fn block_gives_the_heir_what_a_dead_receiver_has_not_got() {
    let hub = hub(Policy::Block, 4);
    let serial = hub.join("old").unwrap();
    let open_old = hub.next("old", serial).unwrap();
    hub.status("old", &said(&open_old, 1, 0));
    hub.give(item(&hub, 1), 0);
    assert_eq!(sequence(hub.next("old", serial).unwrap()), 1);
    assert!(hub.leave("old"));
    assert!(hub.next("old", serial).is_none(), "its thread ends");
    let serial = hub.join("r").unwrap();
    open(&hub, serial, 0);
    assert_eq!(sequence(hub.next("r", serial).unwrap()), 1);
}

#[test]
fn what_a_receiver_cannot_have_is_not_believed() {
    let hub = hub(Policy::Latest, 1);
    let serial = hub.join("r").unwrap();
    let opened = open(&hub, serial, 0);
    hub.give(item(&hub, 1), 0);
    assert_eq!(sequence(hub.next("r", serial).unwrap()), 1);
    hub.give(item(&hub, 2), 0);
    for (received, taken) in [(u64::MAX, u64::MAX), (3, 3)] {
        hub.status("r", &Status { received, taken, ..opened.clone() });
    }
    assert_eq!(hub.counts().frames, 0);
    hub.status("stranger", &opened);
    hub.status("r", &Status { received: 2, taken: 2, ..opened });
    assert_eq!(hub.counts().frames, 1);
}

#[test]
fn a_changed_stream_is_told_before_its_first_frame_and_without_one() {
    let hub = hub(Policy::Block, 4);
    let serial = hub.join("r").unwrap();
    let opened = open(&hub, serial, 0);
    hub.give(item(&hub, 1), 0);
    hub.turn(8, Opening { live: true, metadata: Some(vec![1]), ..Opening::default() });
    assert_eq!(sequence(hub.next("r", serial).unwrap()), 1);
    let next = hub.next("r", serial).unwrap();
    assert!(matches!(&next.what, What::Open(chapter) if chapter.run == 8), "{next:?}");
    hub.status("r", &Status { received: 3, taken: 3, ..opened });
    hub.turn(8, Opening::default());
    assert!(matches!(hub.next("r", serial).unwrap().what, What::Open(chapter) if !chapter.opening.live));
}
