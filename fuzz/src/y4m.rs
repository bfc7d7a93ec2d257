//! Any text as the header of a y4m stream: refused, or described so that a reader gets it again.

use zerobuffer_video::{Content, Description, Layout, y4m::Header};

use crate::caps::shown;

pub(crate) fn run(data: &[u8]) {
    let Ok(line) = std::str::from_utf8(data) else { return };
    let header = match Header::parse(line) {
        Ok(header) => header,
        Err(error) => return shown(&error),
    };
    assert!(header.width > 0 && header.height > 0 && header.frame_size > 0, "{header:?}");
    let Some(video) = header.video() else { return };
    if let Ok(layout) = Layout::tight(&video) {
        assert_eq!(layout.size() as u64, header.frame_size, "{header:?}");
    }
    let description = Description::y4m("fuzz", &header, "");
    let again = Description::parse(&description.to_json()).expect("a description is read again");
    assert_eq!(again.content, Content::Video(video));
    assert_eq!(again.y4m.as_ref(), Some(&header));
    let made = Header::from_video(&video).expect("a format of y4m");
    assert_eq!((made.width, made.height, made.frame_size), (header.width, header.height, header.frame_size));
}
