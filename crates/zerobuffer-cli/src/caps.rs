//! The stream's description in the metadata block, as `send` writes and `recv` needs it.
use zerobuffer_video::{Content, Description as Metadata, Error, y4m};

use crate::y4m::Header;

/// `type` and `element_name` of everything this command sends.
const SENDER: &str = "zerobuffer-send";
/// Caps of frames about which nothing is known but their size.
const RAW: &str = "application/octet-stream";

/// What `send` writes into the metadata block.
#[derive(Debug)]
pub(crate) struct Description(Metadata);

impl Description {
    /// Describes a y4m stream whose FRAME lines all carry `frame_parameters`.
    pub(crate) fn y4m(header: &Header, frame_parameters: &str) -> Description {
        Description(Metadata::y4m(SENDER, header, frame_parameters))
    }

    /// Describes frames of one size, with the caps that the user names or none.
    ///
    /// Where they are caps of raw pictures and the size fits, the rows are announced that it tells.
    pub(crate) fn raw(frame_size: u64, caps: Option<&str>) -> Description {
        let caps = caps.unwrap_or(RAW);
        let Ok(mut metadata) = Metadata::raw(SENDER, caps, Some(frame_size)) else {
            return Description(Metadata::opaque(SENDER, caps, Some(frame_size)));
        };
        if let Content::Video(_) = metadata.content
            && let Ok(picture) = metadata.picture(usize::try_from(frame_size).unwrap_or(usize::MAX))
        {
            metadata = metadata.laid_out(&picture.layout);
            metadata.stamped = Some(picture.stamped);
        }
        Description(metadata)
    }

    /// The bytes for the metadata block.
    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, Error> {
        Ok(self.0.to_json())
    }
}

/// What a reader finds in the metadata block; every part may be missing, since any program may have written it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The caps string as written.
    pub(crate) caps: Option<String>,
    /// A y4m header: the original one, or one built from the caps.
    pub(crate) header: Option<Header>,
    /// What stands behind `FRAME` on every frame's line.
    pub(crate) frame_parameters: String,
}

impl Found {
    /// Reads a metadata block. An error is what claims to describe pictures and does not.
    pub(crate) fn parse(metadata: &[u8]) -> Result<Found, Error> {
        let found = Metadata::parse(metadata)?;
        let header = match (found.y4m, &found.content) {
            (Some(header), _) => Some(header),
            (None, Content::Video(video)) => y4m::Header::from_video(video),
            _ => None,
        };
        Ok(Found { caps: found.caps, header, frame_parameters: found.y4m_frame })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_from_other_clients_caps() {
        let header = |caps: &str| Found::parse(caps.as_bytes()).unwrap().header.map(|header| header.line);
        let line = header("video/x-raw,format=I420,width=1280,height=720,framerate=25/1").unwrap();
        assert_eq!(line, "YUV4MPEG2 W1280 H720 F25:1 Ip A0:0 C420jpeg");
        assert_eq!(header("video/x-raw,format=RGB,width=4,height=4"), None);
        assert_eq!(header("application/octet-stream"), None);
    }
}
