//! Any text as a name and any numbers as sizes: refused by every call, or made, found and removed
//! without a trace.

use crate::{damage::objects, fresh, script::Script};
use std::{fs, os::unix::fs::MetadataExt as _, time::Duration};
use zerobuffer::{
    BufferConfig, Error, Reader, Writer, WriterConfig,
    duplex::{Client, ClientConfig, Server, ServerConfig},
    observe,
};

/// More than this is not asked for here: it is there, and would be reserved.
const MOST: u64 = 1 << 20;
/// Bytes of the native block behind every ring.
const NATIVE: u64 = 1024;

pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let (metadata, payload, mode) = (number(&mut script), number(&mut script), script.short());
    let name = String::from_utf8_lossy(script.rest()).into_owned();
    if is_allowed(&name) {
        // Nobody else's: a name that others may have is made longer, up to the limit.
        let own = format!("{}-{name}", fresh::name("names"));
        if own.len() <= 245 { make(&own, metadata, payload, mode) } else { refuse(&own) }
    } else {
        refuse(&name);
    }
}

/// The rule W12, in other words than the library's.
fn is_allowed(name: &str) -> bool {
    let bytes = name.as_bytes();
    (1..=245).contains(&bytes.len())
        && bytes.iter().all(|byte| !b"/\0".contains(byte))
        && ![".", ".."].contains(&name)
        && !bytes.starts_with(b"sem.")
}

/// Small, or anything.
fn number(script: &mut Script<'_>) -> u64 {
    match script.byte() {
        kind @ 0..128 => u64::from(kind) * 16,
        128..192 => script.short(),
        _ => script.long(),
    }
}

#[track_caller]
fn invalid<T>(result: zerobuffer::Result<T>) {
    let error = result.err().expect("the name was taken");
    assert!(matches!(error, Error::InvalidName { .. }), "{error}");
    // A terminal that shows it must not obey it.
    assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
}

fn refuse(name: &str) {
    let at_once = WriterConfig::default().connect_timeout(Duration::ZERO);
    invalid(Reader::create(name, BufferConfig::ring(64).metadata(0)));
    invalid(Writer::connect_with(name, at_once));
    invalid(observe::inspect(name));
    // A channel's buffers have longer names.
    let server = Server::new(name, ServerConfig::default().buffer(BufferConfig::ring(64).metadata(0)));
    let client = ClientConfig::default().response_size(64).connect_timeout(Duration::ZERO);
    if !is_allowed(&format!("{name}_response")) {
        invalid(server.start(|_, _| Ok(())));
        invalid(Client::connect_with(name, client));
    }
}

fn make(name: &str, metadata: u64, payload: u64, mode: u64) {
    let config = BufferConfig::ring(payload).metadata(metadata).mode(mode as u32).prefault(false);
    let total = metadata.checked_add(payload);
    if total.is_none_or(|total| total >= MOST) && metadata.max(payload) < 1 << 62 {
        return;
    }
    match Reader::create(name, config) {
        Ok(reader) => {
            assert!(payload > 0 && total.is_some_and(|total| total < MOST), "{metadata} + {payload} bytes");
            let file = fs::symlink_metadata(&objects(name)[0]).unwrap();
            assert!(
                file.is_file() && file.len() == 128 + reader.metadata_capacity() + reader.capacity() + NATIVE
            );
            assert_eq!(u64::from(file.mode() & 0o777), mode & 0o777);
            assert!(reader.capacity() >= payload && reader.metadata_capacity() >= metadata);
            // Its owner may not read it either, unless it is root.
            if mode & 0o400 != 0 {
                let info = observe::inspect(name).unwrap();
                assert!(info.defects.is_empty() && info.payload_size == reader.capacity(), "{info:?}");
            }
            reader.close().unwrap();
        }
        Err(Error::InvalidConfig { .. } | Error::NoSpace { .. }) => {}
        Err(error) => panic!("{metadata} + {payload} bytes, mode {mode:o}: {error}"),
    }
    fresh::assert_gone(name);
}
