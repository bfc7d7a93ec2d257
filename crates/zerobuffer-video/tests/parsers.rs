//! Parsers beside arbitrary text: nothing panics, and what was read is written and read again
//! alike.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::format_push_string)]
use proptest::prelude::*;
use zerobuffer_video::{
    Audio, Caps, Colorimetry, Content, Description, Format, Interlace, Layout, Rate, Video, y4m,
};

/// Text made of the pieces that the parsers look at.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(vec![
            "video/x-raw",
            "audio/x-raw",
            ", ",
            ",",
            ";",
            "=",
            "(",
            ")",
            "(int)",
            "(string)",
            "(fraction)",
            "{",
            "}",
            "[",
            "]",
            "<",
            ">",
            "\"",
            "\\",
            "\\303",
            "width",
            "height",
            "format",
            "framerate",
            "I420",
            "RGB",
            "S16LE",
            "640",
            "0x10",
            "-1",
            "30/1",
            "1.5",
            "true",
            "640x480 RGB",
            "4294967295x2 RGB",
            "2147483648",
            "(uint)",
            "rate",
            "channels",
            " @ ",
            "30.00fps",
            "ANY",
            "ä",
            "\0",
            "\n",
            "YUV4MPEG2",
            " W3",
            " H5",
            " F25:1",
            " A2147483647:2147483648",
            " It",
            " I?",
            " C420",
            " Ip",
            " XCOLORRANGE=FULL",
            "{\"caps\":\"",
            "\"}",
            "2:3:5:1",
            "bt709",
            "99999999999999999999",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,4}",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn videos() -> impl Strategy<Value = Video> {
    let formats: Vec<Format> = Format::all().collect();
    (proptest::sample::select(formats), 1u32..5000, 1u32..5000, any::<(u32, u32)>()).prop_map(
        |(format, width, height, (num, den))| {
            let mut video = Video::new(format, width, height).unwrap();
            video.rate = Rate::new(num >> 1, den >> 1);
            video
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn caps_read_back(text in pieces()) {
        if let Ok(caps) = Caps::parse(&text) {
            prop_assert_eq!(&Caps::parse(&caps.to_string()).unwrap(), &caps);
            if let Ok(Some(video)) = Video::from_caps(&caps) {
                let written = Caps::parse(&video.to_caps().to_string()).unwrap();
                prop_assert_eq!(Video::from_caps(&written), Ok(Some(video)));
            }
            if let Ok(Some(audio)) = Audio::from_caps(&caps) {
                let written = Caps::parse(&audio.to_caps().to_string()).unwrap();
                prop_assert_eq!(Audio::from_caps(&written), Ok(Some(audio)));
            }
        }
    }

    #[test]
    fn other_parsers_do_not_panic(text in pieces(), bytes: Vec<u8>, size: usize) {
        let _ = (text.parse::<Rate>(), Colorimetry::parse(&text), y4m::Header::parse(&text));
        for metadata in [text.as_bytes(), &bytes] {
            if let Ok(description) = Description::parse(metadata) {
                let _ = (description.picture(size), description.picture(0));
                prop_assert_eq!(Description::parse(&description.to_json()), Ok(description));
            }
        }
    }

    #[test]
    fn descriptions_read_back(video in videos(), stamped: bool) {
        let mut description = Description::video("test", &video);
        if stamped {
            description = description.stamped();
        }
        prop_assert_eq!(Description::parse(&description.to_json()).unwrap(), description.clone());
        let size = Layout::tight(&video).unwrap().size() + if stamped { 24 } else { 0 };
        let picture = description.picture(size).unwrap();
        prop_assert_eq!(picture.frame_size(), size);
    }

    #[test]
    fn planes_lie_apart_and_within_the_picture(video in videos(), mode in 0u8..3) {
        let mut video = video;
        video.interlace = [Interlace::Progressive, Interlace::Mixed, Interlace::Alternate][usize::from(mode)];
        let tight = Layout::tight(&video).unwrap();
        for layout in [&tight, &Layout::padded(&video).unwrap()] {
            let mut end = 0;
            for (plane, bare) in layout.planes().iter().zip(tight.planes()) {
                prop_assert!(plane.offset >= end && plane.stride >= plane.row);
                prop_assert_eq!((plane.row, plane.rows), (bare.row, bare.rows));
                end = plane.offset + plane.extent();
            }
            prop_assert!(end <= layout.size());
            prop_assert!(tight.size() <= layout.size());
        }
        prop_assert!(tight.is_tight());
    }

    #[test]
    fn y4m_headers_read_back_through_caps(video in videos()) {
        if let Some(header) = y4m::Header::from_video(&video) {
            let json = Description::y4m("test", &header, "").to_json();
            let description = Description::parse(&json).unwrap();
            prop_assert_eq!(description.y4m.as_ref(), Some(&header));
            let Content::Video(back) = description.content else { panic!("no pictures") };
            prop_assert_eq!(y4m::Header::from_video(&back), Some(header));
        }
    }
}

#[test]
fn a_separator_behind_any_changes_nothing() {
    for text in ["ANY, ", "ANY;", "EMPTY,", "NONE ;"] {
        assert_eq!(Caps::parse(text).unwrap(), Caps::parse("ANY").unwrap(), "{text}");
    }
}

#[test]
fn numbers_that_an_int_does_not_hold_read_back_and_are_refused_as_sizes() {
    let read = Caps::parse("4000000000x2 RGB").unwrap();
    let written = read.to_string();
    assert!(written.contains("width=(gint64)4000000000, height=(int)2"), "{written}");
    assert_eq!(Caps::parse(&written).unwrap(), read);
    let message = Video::from_caps(&read).unwrap_err().to_string();
    assert_eq!(message, "width is '4000000000' where a number of pixels from 1 to 2147483647 is needed");
}
