//! Between GStreamer's caps and buffers and the product's description of pictures.
use std::borrow::Cow;

use zerobuffer_video::{Caps, Clock, Content, Description, Layout, Stamp, Video};

/// What a sink or filter sends: the caps with their description.
pub(crate) struct Outgoing {
    pub(crate) caps: gst::Caps,
    /// `None` for other media and for formats without known planes.
    pub(crate) video: Option<Pictures>,
}

/// Pictures, and how their rows lie: as they are sent, and as GStreamer has them where no meta says
/// otherwise.
#[derive(Clone)]
pub(crate) struct Pictures {
    pub(crate) video: Video,
    pub(crate) tight: Layout,
    pub(crate) padded: Layout,
}

impl Outgoing {
    /// Reads caps that have been negotiated. Raw video that cannot be described is an error, other
    /// media is not looked at.
    pub(crate) fn new(caps: &gst::Caps) -> Result<Outgoing, zerobuffer_video::Error> {
        let is_raw = caps.structure(0).is_some_and(|first| first.name() == "video/x-raw");
        let text = is_raw.then(|| Caps::parse(&caps.to_string())).transpose()?;
        let video = match text.as_ref().map_or(Ok(None), Video::from_caps) {
            Ok(video) => video,
            // A tiled format: its bytes travel as they are.
            Err(zerobuffer_video::Error::UnknownFormat { .. }) => None,
            Err(error) => return Err(error),
        };
        let video = match video {
            Some(video) => {
                let (tight, padded) = (Layout::tight(&video)?, Layout::padded(&video)?);
                Some(Pictures { video, tight, padded })
            }
            None => None,
        };
        Ok(Outgoing { caps: caps.clone(), video })
    }

    /// The metadata that a reader gets.
    pub(crate) fn metadata(&self, kind: &str, element: &str, stamped: bool, clock: Clock) -> Vec<u8> {
        let caps = self.caps.to_string();
        let mut description = match &self.video {
            Some(pictures) => Description::video(kind, &pictures.video),
            None => Description::opaque(kind, &caps, None),
        };
        description.version = Some(gst::version_string().to_string());
        description.element_name = Some(element.to_owned());
        description.caps = Some(caps);
        description.stamped = Some(stamped);
        if stamped {
            description = description.clock(clock);
        }
        description.to_json()
    }

    /// How the rows of `buffer` lie: as its meta says, else with GStreamer's padding. A buffer that
    /// is too small for them is an error with both numbers.
    pub(crate) fn layout_of(&self, buffer: &gst::BufferRef) -> Result<Option<Cow<'_, Layout>>, String> {
        let Some(Pictures { video, tight, padded }) = &self.video else { return Ok(None) };
        let layout = if let Some(meta) = buffer.meta::<gst_video::VideoMeta>() {
            let strides: Vec<u64> =
                meta.stride().iter().map(|stride| u64::try_from(*stride).unwrap_or(u64::MAX)).collect();
            let offsets: Vec<u64> = meta.offset().iter().map(|offset| *offset as u64).collect();
            let layout = Layout::announced(video, &strides, Some(&offsets));
            Cow::Owned(layout.map_err(|why| format!("the meta of a buffer is wrong: {why}"))?)
        } else if buffer.size() != padded.size() && buffer.size() == tight.size() {
            // Some elements pack rows and say so by the size alone.
            Cow::Borrowed(tight)
        } else {
            Cow::Borrowed(padded)
        };
        let needed = layout.planes().last().map_or(0, |last| last.offset + last.extent());
        if buffer.size() < needed {
            return Err(format!(
                "a buffer has {} bytes, a {} picture of {} x {} with these rows has {needed}",
                buffer.size(),
                video.format.name(),
                video.width,
                video.height
            ));
        }
        Ok(Some(layout))
    }
}

/// Adds a meta that says how the rows of a picture lie.
pub(crate) fn add_meta(buffer: &mut gst::BufferRef, video: &Video, layout: &Layout) -> bool {
    let Ok(format) = video.format.name().parse::<gst_video::VideoFormat>() else { return false };
    let offsets: Vec<usize> = layout.planes().iter().map(|plane| plane.offset).collect();
    let strides: Vec<i32> =
        layout.planes().iter().map(|plane| i32::try_from(plane.stride).unwrap_or(i32::MAX)).collect();
    gst_video::VideoMeta::add_full(
        buffer,
        gst_video::VideoFrameFlags::empty(),
        format,
        video.width,
        video.height,
        &offsets,
        &strides,
    )
    .is_ok()
}

/// The stamp for a buffer: its offset or else a counter, its time, no exposure.
pub(crate) fn stamp(number: u64, time: Option<gst::ClockTime>) -> Stamp {
    Stamp { number: Some(number), time_ns: time.map(gst::ClockTime::nseconds), exposure_us: None }
}

/// Reads a metadata block. Pictures of formats that GStreamer alone knows, such as tiled ones, are
/// frames that travel as they are.
pub(crate) fn described(metadata: &[u8]) -> Result<Description, zerobuffer_video::Error> {
    match Description::parse(metadata) {
        Err(zerobuffer_video::Error::UnknownFormat { name, .. })
            if name.parse::<gst_video::VideoFormat>().is_ok() =>
        {
            Description::parse_any_format(metadata)
        }
        description => description,
    }
}

/// What a reader finds in the metadata of its writer.
pub(crate) fn incoming(metadata: &[u8]) -> Result<(Option<gst::Caps>, Description), zerobuffer_video::Error> {
    let description = described(metadata)?;
    let text = match (&description.caps, &description.content) {
        // Caps as GStreamer reads them: existing clients write other forms too.
        (_, Content::Video(video)) if !is_gstreamers(description.caps.as_deref()) => {
            Some(video.to_caps().to_string())
        }
        (Some(caps), _) => Some(caps.clone()),
        (None, Content::Video(video)) => Some(video.to_caps().to_string()),
        (None, _) => None,
    };
    let caps = text.and_then(|text| text.parse::<gst::Caps>().ok()).filter(|caps| caps.is_fixed());
    Ok((caps, description))
}

fn is_gstreamers(caps: Option<&str>) -> bool {
    caps.and_then(|caps| caps.parse::<gst::Caps>().ok())
        .is_some_and(|caps| caps.is_fixed() && !caps.is_empty())
}
