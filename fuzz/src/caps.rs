//! Any bytes as a metadata block and as caps. They are refused with one line for a terminal, or
//! printed so that they are read again as the same.

use zerobuffer_video::{Audio, Caps, Content, Description, Error, Layout, Video};

pub(crate) fn run(data: &[u8]) {
    match Description::parse(data) {
        Ok(description) => described(&description, data.len()),
        Err(error) => shown(&error),
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let caps = match Caps::parse(text) {
        Ok(caps) => caps,
        Err(error) => return shown(&error),
    };
    let again = Caps::parse(&caps.to_string()).expect("printed caps are caps");
    assert_eq!(again.to_string(), caps.to_string());
    match Video::from_caps(&caps) {
        Ok(Some(video)) => pictures(&video),
        Ok(None) => {}
        Err(error) => shown(&error),
    }
    if let Ok(Some(audio)) = Audio::from_caps(&caps) {
        assert!(audio.step() > 0 && audio.samples(audio.step()).is_ok());
        assert_eq!(Audio::from_caps(&audio.to_caps()), Ok(Some(audio)));
    }
}

/// One line without control characters.
pub(crate) fn shown(error: &Error) {
    assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
}

fn pictures(video: &Video) {
    assert_eq!(Video::from_caps(&video.to_caps()).as_ref(), Ok(&Some(*video)));
    for layout in [Layout::tight(video), Layout::padded(video)].into_iter().flatten() {
        let mut end = 0;
        for plane in layout.planes() {
            assert!(plane.offset >= end && plane.stride >= plane.row, "{video:?}: {layout:?}");
            end = plane.offset + plane.extent();
        }
        assert!(end <= layout.size(), "{video:?}: {layout:?}");
    }
}

fn described(description: &Description, size: usize) {
    let again = Description::parse(&description.to_json()).expect("a description is read again");
    let caps = matches!(&description.content, Content::Video(_) | Content::Audio(_));
    assert!(!caps || again.content == description.content || description.caps.is_none());
    assert_eq!(again.stamped, description.stamped);
    for size in [size, 0, 24, usize::MAX] {
        match description.picture(size) {
            Ok(picture) => assert_eq!(picture.frame_size(), size),
            Err(error) => shown(&error),
        }
    }
}
