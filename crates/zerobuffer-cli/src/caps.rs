//! The stream's description in the metadata block, as `send` writes and `recv` needs it.
use zerobuffer_video::{Clock, Content, Description as Metadata, Error, Layout, Rate, Video, y4m};

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

    /// Describes a y4m stream by caps that say more of its pictures than its header does: their
    /// colours, their rate.
    ///
    /// An error is what the header says otherwise.
    pub(crate) fn y4m_with_caps(
        header: &Header,
        frame_parameters: &str,
        caps: &str,
    ) -> Result<Description, String> {
        let mut metadata = Metadata::raw(SENDER, caps, None).map_err(|why| why.to_string())?;
        let Content::Video(said) = metadata.content else {
            return Err(format!("'{caps}' describes no raw pictures"));
        };
        let brief = |video: &Video| format!("{} {} x {}", video.format, video.width, video.height);
        let of_header = header.video();
        let pictures = of_header
            .as_ref()
            .map_or_else(|| format!("C{} {} x {}", header.chroma.tag(), header.width, header.height), brief);
        if brief(&said) != pictures {
            return Err(format!("they say {}, the header {pictures}", brief(&said)));
        }
        if let (Some(caps), Some(header)) = (said.rate, header.rate)
            && caps != header
        {
            return Err(format!("they say {caps} frames a second, the header {header}"));
        }
        let layout = Layout::tight(&said).map_err(|why| why.to_string())?;
        if layout.size() as u64 != header.frame_size {
            // Frames that are one field each.
            let (caps, header) = (layout.size(), header.frame_size);
            return Err(format!("they say frames of {caps} bytes, the header {header}"));
        }
        metadata = metadata.laid_out(&layout);
        metadata.stamped = Some(false);
        metadata.y4m = Some(header.clone());
        frame_parameters.clone_into(&mut metadata.y4m_frame);
        Ok(Description(metadata))
    }

    /// Describes frames of one size, with the caps that the user names or none.
    ///
    /// Caps of raw pictures must fit the size, which tells how the rows lie and whether the input
    /// has stamps.
    pub(crate) fn raw(frame_size: u64, caps: Option<&str>) -> Result<Description, Error> {
        let mut metadata = Metadata::raw(SENDER, caps.unwrap_or(RAW), Some(frame_size))?;
        if let Content::Video(_) = metadata.content {
            let picture = metadata.picture(usize::try_from(frame_size).unwrap_or(usize::MAX))?;
            metadata = metadata.laid_out(&picture.layout);
            metadata.stamped = Some(picture.stamped);
        }
        Ok(Description(metadata))
    }

    /// Whether the input's frames begin with stamps.
    pub(crate) fn is_stamped(&self) -> bool {
        self.0.stamped == Some(true)
    }

    /// The same with a stamp in front of each frame.
    pub(crate) fn stamped(self, clock: Clock) -> Description {
        Description(self.0.stamped().clock(clock))
    }

    /// The bytes for the metadata block.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        self.0.to_json()
    }
}

/// Bytes of one tight picture that caps describe, if they describe one.
pub(crate) fn picture_size(caps: &str) -> Result<Option<u64>, Error> {
    match Metadata::raw(SENDER, caps, None)?.content {
        Content::Video(video) => Ok(Some(Layout::tight(&video)?.size() as u64)),
        _ => Ok(None),
    }
}

/// The rate of the pictures that caps describe, if they say it.
pub(crate) fn picture_rate(caps: &str) -> Option<Rate> {
    match Metadata::raw(SENDER, caps, None).ok()?.content {
        Content::Video(video) => video.rate,
        _ => None,
    }
}

/// What a reader finds in the metadata block; every part may be missing, since any program may have
/// written it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// All that the metadata say.
    pub(crate) description: Metadata,
    /// A y4m header: the original one, or one built from the caps.
    pub(crate) header: Option<Header>,
}

impl Found {
    /// Reads a metadata block. An error is what claims to describe pictures and does not.
    pub(crate) fn parse(metadata: &[u8]) -> Result<Found, Error> {
        let description = Metadata::parse(metadata)?;
        let header = match (&description.y4m, &description.content) {
            (Some(header), _) => Some(header.clone()),
            (None, Content::Video(video)) => y4m::Header::from_video(video),
            _ => None,
        };
        Ok(Found { description, header })
    }

    /// Whether both say the same about the frames; their writers may differ.
    pub(crate) fn is_like(&self, other: &Found) -> bool {
        let frames = |found: &Found| {
            let mut description = found.description.clone();
            (description.kind, description.version, description.element_name) = (None, None, None);
            description
        };
        self.description.caps.is_some() && frames(self) == frames(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_frames_are_checked_against_their_caps() {
        let caps = "video/x-raw, format=(string)I420, width=(int)854, height=(int)480";
        for (size, stride, stamped) in
            [(614_880, 854, false), (616_320, 856, false), (614_904, 854, true), (616_344, 856, true)]
        {
            let json = Description::raw(size, Some(caps)).unwrap().to_json();
            let found = Found::parse(&json).unwrap().description;
            assert_eq!((found.strides.unwrap()[0], found.stamped), (stride, Some(stamped)));
        }
        let message = Description::raw(614_881, Some(caps)).unwrap_err().to_string();
        assert!(message.contains("614881 bytes, but I420 854 x 480 has 614880"), "{message}");
        assert!(Description::raw(5, None).is_ok());
        assert_eq!(picture_size(caps), Ok(Some(614_880)));
    }

    #[test]
    fn caps_add_to_a_header_and_never_contradict_it() {
        let header = Header::parse("YUV4MPEG2 W4 H2 F25:1 Ip").unwrap();
        let with = |caps: &str| Description::y4m_with_caps(&header, " Ip", caps);
        let caps = "video/x-raw, format=I420, width=4, height=2, framerate=25/1, colorimetry=bt709";
        let found = Found::parse(&with(caps).unwrap().to_json()).unwrap();
        assert_eq!(found.header.unwrap().line, header.line);
        let description = found.description;
        assert_eq!((description.caps.as_deref(), description.y4m_frame.as_str()), (Some(caps), " Ip"));
        assert_eq!((description.frame_size, description.stamped), (Some(12), Some(false)));
        assert_eq!(picture_rate(caps), Rate::new(25, 1));
        for (caps, part) in [
            ("video/x-raw, format=RGB, width=4, height=2", "they say RGB 4 x 2, the header I420 4 x 2"),
            ("video/x-raw, format=I420, width=4, height=4", "I420 4 x 4, the header I420 4 x 2"),
            ("video/x-raw, format=I420, width=4, height=2, framerate=30/1", "30"),
            (
                "video/x-raw, format=I420, width=4, height=2, interlace-mode=alternate",
                "they say frames of 8 bytes, the header 12",
            ),
            ("audio/x-foo", "no raw pictures"),
            ("video/x-raw, format=Q999, width=4, height=2", "Q999"),
        ] {
            let why = with(caps).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn headers_from_other_clients_caps() {
        let header = |caps: &str| Found::parse(caps.as_bytes()).unwrap().header.map(|header| header.line);
        let line = header("video/x-raw,format=I420,width=1280,height=720,framerate=25/1").unwrap();
        assert_eq!(line, "YUV4MPEG2 W1280 H720 F25:1 Ip A0:0 C420jpeg");
        assert_eq!(header("video/x-raw,format=RGB,width=4,height=4"), None);
        assert_eq!(header("application/octet-stream"), None);
    }
}
