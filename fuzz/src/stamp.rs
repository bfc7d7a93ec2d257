//! Any bytes as a frame of any announcement: refused, or split without a byte lost or read twice.

use zerobuffer_video::{Description, Format, Layout, Stamp, Video};

use crate::{caps::shown, script::Script};

pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let formats: Vec<Format> = Format::all().collect();
    let format = script.pick(&formats);
    // Small pictures, whose frames a file of the corpus can hold, and any other.
    let size = |script: &mut Script<'_>| match script.byte() {
        small @ 0..192 => u32::from(small),
        _ => script.long() as u32,
    };
    let (width, height) = (size(&mut script), size(&mut script));
    let video = match Video::new(format, width, height) {
        Ok(video) => video,
        Err(error) => return shown(&error),
    };
    let mut description = Description::video("fuzz", &video);
    description.stamped = script.pick(&[None, Some(false), Some(true)]);
    match script.byte() % 3 {
        0 => (description.strides, description.offsets) = (None, None),
        1 => {}
        _ => description.strides = Some((0..format.planes()).map(|_| script.short()).collect()),
    }
    assert_eq!(Description::parse(&description.to_json()).as_ref(), Ok(&description));
    let frame = script.rest();
    split(frame);
    let known = Layout::tight(&video).map(|layout| layout.size()).unwrap_or_default();
    for size in [frame.len(), known, known.wrapping_add(Stamp::SIZE)] {
        let picture = match description.picture(size) {
            Ok(picture) => picture,
            Err(error) => {
                shown(&error);
                continue;
            }
        };
        assert_eq!(picture.frame_size(), size);
        if size == frame.len() {
            let (stamp, pixels) = picture.split(frame);
            assert_eq!(stamp.is_some(), picture.stamped);
            assert_eq!(pixels.len(), picture.layout.size());
            let taken: usize = picture.layout.runs(pixels).map(<[u8]>::len).sum();
            assert!(taken <= pixels.len());
        }
    }
}

fn split(frame: &[u8]) {
    match Stamp::split(frame) {
        Some((stamp, pixels)) => assert_eq!([&stamp.to_bytes()[..], pixels].concat(), frame),
        None => assert!(frame.len() < Stamp::SIZE),
    }
}
