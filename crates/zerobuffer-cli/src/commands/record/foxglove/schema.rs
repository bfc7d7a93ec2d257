//! The schemas of the messages that Foxglove shows, as sets of file descriptors.
use super::proto::Message;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `foxglove.RawImage`.
    Raw,
    /// `foxglove.CompressedImage`.
    Compressed,
}

/// How messages and schemas are encoded, as MCAP's registry calls it.
pub(crate) const ENCODING: &str = "protobuf";

/// Types of fields, by the numbers of `descriptor.proto`.
const INT64: u64 = 3;
const INT32: u64 = 5;
const FIXED32: u64 = 7;
const STRING: u64 = 9;
const MESSAGE: u64 = 11;
const BYTES: u64 = 12;

const TIMESTAMP: &str = "google/protobuf/timestamp.proto";

/// Fields of an image that its message and its schema have to agree on.
pub(super) mod field {
    pub(crate) const TIMESTAMP: u32 = 1;
    /// Of `RawImage`.
    pub(crate) mod raw {
        pub(crate) const WIDTH: u32 = 2;
        pub(crate) const HEIGHT: u32 = 3;
        pub(crate) const ENCODING: u32 = 4;
        pub(crate) const STEP: u32 = 5;
        pub(crate) const DATA: u32 = 6;
        pub(crate) const FRAME_ID: u32 = 7;
    }
    /// Of `CompressedImage`.
    pub(crate) mod compressed {
        pub(crate) const DATA: u32 = 2;
        pub(crate) const FORMAT: u32 = 3;
        pub(crate) const FRAME_ID: u32 = 4;
    }
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Raw => "foxglove.RawImage",
            Kind::Compressed => "foxglove.CompressedImage",
        }
    }

    /// A `FileDescriptorSet`, with all that the message refers to.
    pub(crate) fn schema(self) -> Vec<u8> {
        use field::{compressed, raw};
        let fields: &[(&str, u32, u64)] = match self {
            Kind::Raw => &[
                ("timestamp", field::TIMESTAMP, MESSAGE),
                ("frame_id", raw::FRAME_ID, STRING),
                ("width", raw::WIDTH, FIXED32),
                ("height", raw::HEIGHT, FIXED32),
                ("encoding", raw::ENCODING, STRING),
                ("step", raw::STEP, FIXED32),
                ("data", raw::DATA, BYTES),
            ],
            Kind::Compressed => &[
                ("timestamp", field::TIMESTAMP, MESSAGE),
                ("frame_id", compressed::FRAME_ID, STRING),
                ("data", compressed::DATA, BYTES),
                ("format", compressed::FORMAT, STRING),
            ],
        };
        let time = descriptor("Timestamp", &[("seconds", 1, INT64), ("nanos", 2, INT32)]);
        let time = file(TIMESTAMP, "google.protobuf", None, &time);
        let name = self.name().trim_start_matches("foxglove.");
        let path = format!("foxglove/{name}.proto");
        let image = file(&path, "foxglove", Some(TIMESTAMP), &descriptor(name, fields));
        Message::new().message(1, &time).message(1, &image).as_bytes().to_vec()
    }
}

fn file(path: &str, package: &str, needs: Option<&str>, message: &Message) -> Message {
    let mut file = Message::new().text(1, path).text(2, package);
    if let Some(needs) = needs {
        file = file.text(3, needs);
    }
    file.message(4, message).text(12, "proto3")
}

fn descriptor(name: &str, fields: &[(&str, u32, u64)]) -> Message {
    fields.iter().fold(Message::new().text(1, name), |message, (name, number, kind)| {
        // Each is there once at most: label 1.
        let mut field =
            Message::new().text(1, name).number(3, u64::from(*number)).number(4, 1).number(5, *kind);
        if *kind == MESSAGE {
            field = field.text(6, ".google.protobuf.Timestamp");
        }
        message.message(2, &field)
    })
}
