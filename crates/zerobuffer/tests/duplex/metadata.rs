//! What a client tells the server before its first request (D7).

use crate::{Channel, LONG, common::content, common::expect_error, server};
use std::sync::{Arc, Mutex, PoisonError};
use zerobuffer::{
    BufferConfig,
    duplex::{Server, ServerConfig},
};

#[test]
fn absent_empty_and_present_metadata() {
    let channel = Channel::new("dmeta");
    let mut server = server(&channel, "echo", "");
    for (len, reported) in
        [(None, "none"), (Some(0), "0"), (Some(4088), "4088"), (None, "none"), (Some(10), "10")]
    {
        let client = channel.connect();
        if let Some(len) = len {
            // The predecessor's are gone by then, or soon.
            client.set_metadata(&content(1, len)).unwrap();
            expect_error(client.set_metadata(b"again"), "MetadataAlreadyWritten");
        }
        for _ in 0..3 {
            drop(client.call(b"x", LONG).unwrap());
        }
        let inits = server.must("inits");
        assert_eq!(inits.split(' ').next_back().unwrap(), reported, "{inits}");
    }
    assert_eq!(server.must("inits"), "none 0 4088 none 10", "once per client");
}

#[test]
fn metadata_that_are_too_large_and_an_init_that_fails() {
    let channel = Channel::new("dmeta2");
    let mut server = server(&channel, "echo", "metadata=1024");
    let client = channel.connect();
    let text = expect_error(client.set_metadata(&[0; 1017]), "MetadataTooLarge");
    assert!(text.contains("1017 bytes") && text.contains("holds 1016"), "{text}");
    client.set_metadata(&[0; 666]).unwrap();
    drop(client.call(b"the request is handled all the same", LONG).unwrap());
    let failures = server.must("failures");
    assert!(failures.starts_with("Init: ") && failures.ends_with("metadata of 666 bytes"), "{failures}");
}

#[test]
fn metadata_of_a_killed_client_do_not_reach_the_next_one() {
    let channel = Channel::new("dmeta3");
    let mut server = server(&channel, "echo", "");
    for round in 0..3 {
        let mut client = crate::agent::start();
        client.must(&format!("connect {} 65536", channel.name));
        client.must(&format!("set-meta 1 {}", 100 + round));
        if round % 2 == 0 {
            client.must("call 1 10 20000");
        }
        client.kill();
    }
    let client = channel.connect();
    drop(client.call(b"x", LONG).unwrap());
    assert_eq!(server.must("inits"), "100 102 none");
}

/// A client sends and leaves, and the server often meets the next one in its place. Whatever is
/// handled is handled after the metadata of who has sent it.
#[test]
fn a_request_is_never_handled_with_the_metadata_of_the_next_client() {
    // Without the rule nine rounds of ten fail; under wine each takes long.
    const ROUNDS: u32 = if cfg!(windows) { 20 } else { 150 };
    let mut wrong = Vec::new();
    for round in 0..ROUNDS {
        let channel = Channel::new("dmeta4");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let note = |seen: &Mutex<Vec<String>>, bytes: &[u8]| {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(String::from_utf8_lossy(bytes).into());
        };
        let [met, handled] = [Arc::clone(&seen), Arc::clone(&seen)];
        let config = ServerConfig::default()
            .buffer(BufferConfig::ring(4096).metadata(64))
            .on_error(|_| {})
            .on_init(move |metadata| {
                note(&met, metadata.unwrap_or(b"no metadata"));
                Ok(())
            });
        let server = Server::new(&channel.name, config);
        let answer = move |request: zerobuffer::Frame, mut response: zerobuffer::duplex::Responder| {
            note(&handled, request.data());
            Ok(response.write(request.data()).map(drop)?)
        };
        server.start(answer).unwrap();
        let first = channel.connect_with(4096);
        first.set_metadata(b"first").unwrap();
        first.send(b"of the first").unwrap();
        drop(first);
        let next = channel.connect_with(4096);
        let mut expected = ["first", "of the first", "no metadata", "of the next"];
        if round % 2 == 0 {
            next.set_metadata(b"next").unwrap();
            expected[2] = "next";
        }
        let answered = next.call(b"of the next", LONG);
        let seen = seen.lock().unwrap().clone();
        let is_right = seen == expected || seen == expected[2..];
        if !is_right || answered.as_ref().is_ok_and(|answer| answer.data() != b"of the next") {
            wrong.push(format!("round {round}: {seen:?}, {answered:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {ROUNDS} rounds:\n{}", wrong.len(), wrong.join("\n"));
}

/// A client of another implementation by hand: its writer stores words, its process is another one,
/// which is killed.
#[cfg(target_os = "linux")]
mod legacy {
    use crate::{
        Channel, LONG,
        common::{
            Segment, content,
            segment::{
                FREE, METADATA, METADATA_FREE, METADATA_SIZE, METADATA_WRITTEN, PAYLOAD_SIZE, WRITE_POS,
                WRITER_PID, WRITTEN_COUNT,
            },
        },
        eventually, server,
    };
    use std::process::{Child, Command};
    use zerobuffer::{BufferConfig, Reader};

    struct Legacy {
        process: Child,
        requests: Segment,
    }

    impl Legacy {
        fn attach(channel: &Channel) -> Self {
            let process = Command::new("sleep").arg("1000").spawn().unwrap();
            let requests = Segment::open(&channel.request);
            requests.set(WRITER_PID, process.id().into());
            Self { process, requests }
        }

        fn set_metadata(&self, len: usize) {
            let requests = &self.requests;
            assert_eq!(requests.get(METADATA_WRITTEN), 0, "the predecessor's are in the way");
            let mut block = (len as u64).to_le_bytes().to_vec();
            block.extend(content(1, len));
            requests.put(METADATA, &block);
            requests.set(METADATA_FREE, requests.get(METADATA_SIZE) - block.len() as u64);
            requests.set(METADATA_WRITTEN, block.len() as u64);
        }

        /// A request of four bytes; without a token, so it is found when nothing moves.
        fn send(&self, sequence: u64) {
            let requests = &self.requests;
            let at = requests.get(WRITE_POS);
            assert!(at + 20 < requests.get(PAYLOAD_SIZE));
            let mut frame = [4_u64.to_le_bytes(), sequence.to_le_bytes()].concat();
            frame.extend(b"text");
            requests.put(METADATA + requests.get(METADATA_SIZE) + at, &frame);
            requests.set(FREE, requests.get(FREE) - 20);
            requests.set(WRITE_POS, at + 20);
            requests.set(WRITTEN_COUNT, requests.get(WRITTEN_COUNT) + 1);
        }

        fn kill(&mut self) {
            self.process.kill().unwrap();
            self.process.wait().unwrap();
        }
    }

    impl Drop for Legacy {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    #[test]
    fn a_successor_finds_room_for_its_own_whenever_its_predecessor_was_killed() {
        let channel = Channel::new("dmeta-old");
        let mut server = server(&channel, "echo", "");
        let mut expected = Vec::new();
        for round in 0..12_usize {
            let mut client = Legacy::attach(&channel);
            client.set_metadata(10 + round);
            let answers = (round % 3 != 0).then(|| {
                let mut answers = Reader::create(&channel.response, BufferConfig::ring(4096)).unwrap();
                client.send(1);
                assert_eq!(answers.read_timeout(LONG).unwrap().unwrap().data(), b"text");
                expected.push((10 + round).to_string());
                answers
            });
            if round % 3 == 2 {
                client.kill();
                // Another one takes a dead one's place at once. It finds room, and its own are not
                // removed with its predecessor's.
                let next = Legacy::attach(&channel);
                next.set_metadata(100 + round);
                drop(answers);
                let mut answers = Reader::create(&channel.response, BufferConfig::ring(4096)).unwrap();
                next.send(1);
                assert_eq!(answers.read_timeout(LONG).unwrap().unwrap().data(), b"text");
                expected.push((100 + round).to_string());
                client = next;
                drop(answers);
            }
            client.kill();
            // One that waits until the place is free.
            while client.requests.get(WRITER_PID) != 0 {
                std::hint::spin_loop();
            }
            assert_eq!(client.requests.get(METADATA_WRITTEN), 0, "round {round}");
            eventually("the server knows", || {
                server.must("inits").split(' ').filter(|init| !init.is_empty()).count() == expected.len()
            });
        }
        assert_eq!(server.must("inits"), expected.join(" "));
    }
}
