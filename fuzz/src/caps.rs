//! Any bytes as a metadata block and as caps. They are refused with one line for a terminal, or
//! printed so that they are read again as the same.

use zerobuffer_video::{Audio, Caps, Description, Error, Layout, Video, y4m::Header};

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
        let written = Caps::parse(&audio.to_caps().to_string()).expect("printed caps are caps");
        assert_eq!(Audio::from_caps(&written), Ok(Some(audio)));
        let description = Description::audio("fuzz", &audio);
        assert_eq!(Description::parse(&description.to_json()).as_ref(), Ok(&description));
    }
}

/// One line without control characters.
pub(crate) fn shown(error: &Error) {
    assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
}

fn pictures(video: &Video) {
    let written = Caps::parse(&video.to_caps().to_string()).expect("printed caps are caps");
    assert_eq!(Video::from_caps(&written).as_ref(), Ok(&Some(*video)));
    let description = Description::video("fuzz", video);
    assert_eq!(Description::parse(&description.to_json()).as_ref(), Ok(&description));
    if let Some(header) = Header::from_video(video) {
        let again = header.video().expect("a format of GStreamer");
        assert_eq!((again.format, again.width, again.height), (video.format, video.width, video.height));
        assert_eq!((again.rate, again.aspect), (video.rate, video.aspect));
    }
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
    assert_eq!(&again, description);
    for size in [size, 0, 24, usize::MAX] {
        match description.picture(size) {
            Ok(picture) => assert_eq!(picture.frame_size(), size),
            Err(error) => shown(&error),
        }
    }
}
