//! A buffer's state in the words of `ls` and `inspect`, for tables and for JSON.
use serde::Serialize;
use serde_json::Value;
use zerobuffer::observe::{BufferInfo, Peer};

use crate::text;

/// One buffer, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct BufferView {
    pub(crate) name: String,
    pub(crate) ring_bytes: u64,
    pub(crate) used_bytes: u64,
    pub(crate) free_bytes: u64,
    pub(crate) write_position: u64,
    pub(crate) read_position: u64,
    /// The number of the last frame.
    pub(crate) frames_written: u64,
    pub(crate) frames_waiting: u64,
    /// Frames and wrap markers: the protocol counts both.
    pub(crate) written_count: u64,
    pub(crate) read_count: u64,
    pub(crate) writer: Option<PeerView>,
    pub(crate) reader: Option<PeerView>,
    pub(crate) metadata_bytes: u64,
    pub(crate) metadata: Option<MetadataView>,
    /// Permission bits in octal, as `chmod` takes them.
    pub(crate) mode: String,
    pub(crate) uid: u32,
    pub(crate) data_tokens: Option<u32>,
    pub(crate) space_tokens: Option<u32>,
    pub(crate) defects: Vec<String>,
}

/// One end of a buffer.
#[derive(Debug, Serialize)]
pub(crate) struct PeerView {
    pub(crate) pid: u64,
    pub(crate) alive: bool,
    /// 0: another implementation.
    pub(crate) level: u8,
}

/// The content of the metadata block, in the most readable form that it has.
#[derive(Debug, Serialize)]
pub(crate) struct MetadataView {
    pub(crate) bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) json: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hex: Option<String>,
}

impl BufferView {
    pub(crate) fn new(info: BufferInfo) -> BufferView {
        BufferView {
            used_bytes: info.used,
            name: info.name,
            ring_bytes: info.payload_size,
            free_bytes: info.free,
            write_position: info.write_pos,
            read_position: info.read_pos,
            frames_written: info.last_sequence,
            frames_waiting: info.frames_waiting,
            written_count: info.written_count,
            read_count: info.read_count,
            writer: info.writer.as_ref().map(PeerView::new),
            reader: info.reader.as_ref().map(PeerView::new),
            metadata_bytes: info.metadata_size,
            metadata: info.metadata.as_deref().map(MetadataView::new),
            mode: format!("{:04o}", info.mode & 0o7777),
            uid: info.uid,
            data_tokens: info.data_tokens,
            space_tokens: info.space_tokens,
            defects: info.defects,
        }
    }

    /// Frames that the reader has taken.
    pub(crate) fn frames_read(&self) -> u64 {
        self.frames_written.saturating_sub(self.frames_waiting)
    }

    /// How full the ring is, in whole percent; anything in it is at least 1 %.
    pub(crate) fn fill_percent(&self) -> u64 {
        let percent = u128::from(self.used_bytes) * 100;
        let percent = percent.div_ceil(u128::from(self.ring_bytes.max(1)));
        u64::try_from(percent).unwrap_or(100)
    }
}

impl PeerView {
    fn new(peer: &Peer) -> PeerView {
        PeerView { pid: peer.pid, alive: peer.alive, level: peer.level }
    }

    /// `1234` for a living process, `1234 dead` for one that left its traces.
    pub(crate) fn short(peer: Option<&PeerView>) -> String {
        match peer {
            None => String::from("-"),
            Some(PeerView { pid, alive: true, .. }) => pid.to_string(),
            Some(PeerView { pid, alive: false, .. }) => format!("{pid} dead"),
        }
    }
}

impl MetadataView {
    fn new(metadata: &[u8]) -> MetadataView {
        let mut view = MetadataView { bytes: metadata.len(), json: None, text: None, hex: None };
        match std::str::from_utf8(metadata) {
            Ok(text) => match serde_json::from_str(text) {
                Ok(json) => view.json = Some(json),
                Err(_) => view.text = Some(text.to_owned()),
            },
            Err(_) => view.hex = Some(text::hex(metadata)),
        }
        view
    }

    /// The metadata on one line: the caps where there are some, they say most in least space.
    pub(crate) fn excerpt(&self, limit: usize) -> String {
        let caps = self.json.as_ref().and_then(|json| json.get("caps")).and_then(Value::as_str);
        let full = match (caps, &self.json, &self.text, &self.hex) {
            (Some(caps), ..) => caps.to_owned(),
            (_, Some(json), ..) => json.to_string(),
            (_, _, Some(text), _) => text.clone(),
            (_, _, _, Some(hex)) => format!("0x{hex}"),
            _ => String::new(),
        };
        if full.is_empty() { String::from("(empty)") } else { text::excerpt(&full, limit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_in_its_most_readable_form() {
        for (metadata, excerpt) in [
            (&b"{\"caps\": \"video/x-raw, width=(int)4\"}"[..], "video/x-raw, width=(int)4"),
            (b"{\"a\": 1}", "{\"a\":1}"),
            (b"hello\n", "hello\\n"),
            (b"\xff\x00", "0xff00"),
            (b"", "(empty)"),
        ] {
            assert_eq!(MetadataView::new(metadata).excerpt(40), excerpt);
        }
    }
}
