//! As much of Protocol Buffers as an image and its schema take.

/// A message that is put together field by field.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn new() -> Message {
        Message::default()
    }

    /// A varint: integers and enumerations.
    pub(super) fn number(mut self, field: u32, value: u64) -> Message {
        varint(&mut self.0, u64::from(field) << 3);
        varint(&mut self.0, value);
        self
    }

    /// Four bytes, little-endian.
    pub(super) fn fixed32(mut self, field: u32, value: u32) -> Message {
        varint(&mut self.0, u64::from(field) << 3 | 5);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Text, bytes, or a message in it.
    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Message {
        self = self.open(field, value.len());
        self.0.extend_from_slice(value);
        self
    }

    pub(super) fn text(self, field: u32, value: &str) -> Message {
        self.bytes(field, value.as_bytes())
    }

    pub(super) fn message(self, field: u32, value: &Message) -> Message {
        self.bytes(field, &value.0)
    }

    /// The last field: its `len` bytes are appended by the caller.
    pub(super) fn open(mut self, field: u32, len: usize) -> Message {
        varint(&mut self.0, u64::from(field) << 3 | 2);
        varint(&mut self.0, len as u64);
        self
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification() {
        // "a: 150", "b: testing" and "c { a: 150 }" of its page on encoding.
        let first = Message::new().number(1, 150);
        assert_eq!(first.as_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::new().text(2, "testing").as_bytes(), b"\x12\x07testing");
        assert_eq!(Message::new().message(3, &first).as_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::new().fixed32(2, 1).as_bytes(), [0x15, 1, 0, 0, 0]);
        assert_eq!(Message::new().open(6, 300).as_bytes(), [0x32, 0xac, 0x02]);
    }
}
