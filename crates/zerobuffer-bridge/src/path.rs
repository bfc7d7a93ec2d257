//! The rings that a stream has gone through: how a loop of bridges is noticed.
//!
//! A bridge that fills a ring says so in a small buffer beside it, `bridge.RING`, whose metadata
//! are the path of the stream. A bridge that sends that ring reads it there. So the path goes on
//! where the stream leaves a machine again, also by another process.
use zerobuffer::{BufferConfig, Reader, Writer, observe};

use crate::wire::{Hop, MAX_HOPS};

const MAGIC: &[u8] = b"ZBPATH1\0";

/// A ring of this machine, as everybody calls it.
pub(crate) fn hop(ring: &str) -> Hop {
    let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    for byte in machine().bytes().chain([0]).chain(ring.bytes()) {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    hash
}

/// Where names of rings are unique: one boot of one machine, and there one mount of shared memory,
/// since containers have their own.
#[cfg(target_os = "linux")]
fn machine() -> String {
    use std::os::unix::fs::MetadataExt as _;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mount = std::fs::metadata("/dev/shm").map_or(0, |folder| folder.dev());
    format!("{}/{mount}", boot.trim())
}

#[cfg(not(target_os = "linux"))]
fn machine() -> String {
    std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME")).unwrap_or_default()
}

const PREFIX: &str = "bridge.";

fn name_of(ring: &str) -> String {
    format!("{PREFIX}{ring}")
}

/// Whether a buffer of this name says such a thing.
pub(crate) fn is_mark(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// The path of the stream that is in this ring, with the ring at its end.
pub(crate) fn of(ring: &str) -> Vec<Hop> {
    let mut path = filled(ring).unwrap_or_default();
    path.push(hop(ring));
    path
}

/// The path of requests that are read out of this ring, with the ring at its start.
pub(crate) fn of_requests(ring: &str) -> Vec<Hop> {
    let mut path = vec![hop(ring)];
    let served = observe::inspect(ring).ok().and_then(|info| marked(ring, info.reader?.pid));
    path.extend(served.unwrap_or_default());
    path
}

/// The path of what a bridge fills the ring with, if one does.
fn filled(ring: &str) -> Option<Vec<Hop>> {
    let writer = observe::inspect(ring).ok()?.writer?;
    marked(ring, writer.pid)
}

/// The path that the bridge has said which this process is.
fn marked(ring: &str, pid: u64) -> Option<Vec<Hop>> {
    let mark = observe::inspect(&name_of(ring)).ok()?;
    // One that was left by a bridge that was killed is not believed.
    mark.reader.filter(|reader| reader.alive && reader.pid == pid)?;
    // Nor one of somebody else, who would have streams refused by it.
    if !is_of_user(pid, mark.uid) {
        return None;
    }
    parse(&mark.metadata?)
}

/// Whether that process is this user's.
#[cfg(target_os = "linux")]
fn is_of_user(pid: u64, uid: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|process| process.uid() == uid)
}

#[cfg(not(target_os = "linux"))]
fn is_of_user(_pid: u64, _uid: u32) -> bool {
    true
}

fn parse(bytes: &[u8]) -> Option<Vec<Hop>> {
    let (hops, rest) = bytes.strip_prefix(MAGIC)?.as_chunks::<16>();
    (rest.is_empty() && hops.len() <= MAX_HOPS)
        .then(|| hops.iter().map(|hop| Hop::from_le_bytes(*hop)).collect())
}

/// Says that this process fills a ring, and with what, for as long as it is there.
#[derive(Debug)]
pub(crate) struct Mark {
    // The writer leaves first.
    _writer: Writer,
    _reader: Reader,
}

impl Mark {
    pub(crate) fn new(ring: &str, path: &[Hop]) -> zerobuffer::Result<Mark> {
        let name = name_of(ring);
        // The bridge that sends the ring on may be another user's, and has to find it.
        let reader = Reader::create(&name, BufferConfig::ring(64).metadata(1024).mode(0o644))?;
        let mut writer = Writer::connect(&name)?;
        let mut bytes = MAGIC.to_vec();
        path.iter().for_each(|hop| bytes.extend_from_slice(&hop.to_le_bytes()));
        writer.set_metadata(&bytes)?;
        Ok(Mark { _writer: writer, _reader: reader })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_path_goes_on_in_the_ring_that_a_bridge_fills() {
        let mark = std::env::var("ZEROBUFFER_TEST_MARK").unwrap_or_default();
        let name = format!("{mark}zb-bridge-path-{}", std::process::id());
        let reader = Reader::create(&name, BufferConfig::default()).unwrap();
        assert_eq!(of(&name), [hop(&name)]);
        let writer = Writer::connect(&name).unwrap();
        assert_eq!(of(&name), [hop(&name)], "no bridge");
        let filled = Mark::new(&name, &[1, 2]).unwrap();
        assert_eq!(of(&name), [1, 2, hop(&name)]);
        drop(filled);
        assert_eq!(of(&name), [hop(&name)]);
        assert!(observe::inspect(&name_of(&name)).is_err(), "it is removed");
        drop((reader, writer));
    }

    #[test]
    fn foreign_bytes_are_no_path() {
        for bytes in [&b""[..], b"ZBPATH1\0x", b"{}", &[0; 1000]] {
            assert_eq!(parse(bytes), None);
        }
        let long = [MAGIC, &[0; 16 * (MAX_HOPS + 1)]].concat();
        assert_eq!(parse(&long), None);
    }
}
