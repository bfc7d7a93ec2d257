//! What can be wrong with a description or a frame.

/// Why a description or a frame cannot be used. Each message carries the numbers that disagree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A caps string that does not follow GStreamer's syntax.
    #[error("the caps cannot be read: {reason}, at byte {at} of '{caps}'")]
    CapsSyntax {
        /// The caps string, shortened.
        caps: String,
        /// Where reading stopped.
        at: usize,
        /// What was wrong there.
        reason: &'static str,
    },
    /// A field that the media type needs is missing.
    #[error("the caps have no {field}: '{caps}'")]
    CapsIncomplete {
        /// The caps string, shortened.
        caps: String,
        /// The missing field.
        field: &'static str,
    },
    /// A field has a value that it cannot have.
    #[error("{field} is '{value}' where {expected} is needed")]
    Field {
        /// The caps field or metadata key.
        field: &'static str,
        /// What it says, shortened.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The caps and another key of the metadata contradict each other.
    #[error("the caps say {field} {caps}, the metadata key '{field}' says {key}")]
    Contradiction {
        /// The key.
        field: &'static str,
        /// What the caps say.
        caps: String,
        /// What the key says.
        key: String,
    },
    /// A pixel format that is not in the table.
    #[error(
        "pixel format '{name}' is not known; known are {known} of GStreamer's formats, among them I420, NV12, RGB, BGR, GRAY8"
    )]
    UnknownFormat {
        /// The name as found.
        name: String,
        /// How many formats the table has.
        known: usize,
    },
    /// A picture of these dimensions does not fit into memory.
    #[error("a {format} picture of {width} x {height} exceeds the address space")]
    TooLarge {
        /// The pixel format.
        format: &'static str,
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Announced strides or offsets cannot be those of this picture.
    #[error("{key} {found} cannot be those of {format} {width} x {height}: {reason}")]
    Planes {
        /// `strides` or `offsets`.
        key: &'static str,
        /// The announced numbers.
        found: String,
        /// The pixel format.
        format: &'static str,
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// What is wrong, with the number that it would take.
        reason: String,
    },
    /// A frame has none of the sizes that its description allows.
    #[error("the frame has {size} bytes, but {what} has {expected}")]
    FrameSize {
        /// Bytes of the frame.
        size: usize,
        /// The picture or sound that was described.
        what: String,
        /// The sizes that would do, each with its arrangement.
        expected: String,
    },
    /// A frame's size fits more than one arrangement.
    #[error(
        "the frame has {size} bytes, which {what} has as {matches}: the sender must announce 'strides' or 'frame_prefix'"
    )]
    Ambiguous {
        /// Bytes of the frame.
        size: usize,
        /// The picture that was described.
        what: String,
        /// The arrangements that fit.
        matches: String,
    },
    /// A stamp was announced and the frame is too short for one.
    #[error("the frame has {size} bytes, fewer than the 24 of the announced stamp")]
    StampMissing {
        /// Bytes of the frame.
        size: usize,
    },
    /// Text that is no ratio above 0.
    #[error("'{0}' is not a frame rate above 0: write for instance 25, 29.97 or 30000/1001")]
    Rate(String),
    /// A y4m header or the metadata keys made from it.
    #[error("{0}")]
    Y4m(String),
}

/// `text` for a message: on one line, at most 120 characters.
pub(crate) fn excerpt(text: &str) -> String {
    let mut line: String = text.chars().take(120).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    printable(&line)
}

/// `text` for a message: without the control characters that a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}
