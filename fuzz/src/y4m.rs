//! Any text as the header of a y4m stream: refused, or described so that a reader gets it again.

use zerobuffer_video::{Caps, Content, Description, Layout, y4m::Header};

use crate::caps::shown;

pub(crate) fn run(data: &[u8]) {
    let Ok(line) = std::str::from_utf8(data) else { return };
    let header = match Header::parse(line) {
        Ok(header) => header,
        Err(error) => return shown(&error),
    };
    assert!(header.width > 0 && header.height > 0 && header.frame_size > 0, "{header:?}");
    let description = Description::y4m("fuzz", &header, "");
    let again = Description::parse(&description.to_json()).expect("a description is read again");
    assert_eq!(again, description);
    let caps = description.caps.as_deref().expect("a y4m stream has caps");
    Caps::parse(caps).expect("printed caps are caps");
    let Some(video) = header.video() else { return };
    if let Ok(layout) = Layout::tight(&video) {
        assert_eq!(layout.size() as u64, header.frame_size, "{header:?}");
    }
    assert_eq!(again.content, Content::Video(video));
    let made = Header::from_video(&video).expect("a format of y4m");
    assert_eq!((made.width, made.height, made.frame_size), (header.width, header.height, header.frame_size));
    let mut made = made.video().expect("a format of GStreamer");
    // Plain 420 does not say where its chroma samples are.
    made.chroma_site = video.chroma_site.and(made.chroma_site);
    assert_eq!(made, video);
}
