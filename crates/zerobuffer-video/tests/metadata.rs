//! Metadata blocks: those of existing clients, this crate's, and hostile ones.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::format_push_string)]
use zerobuffer_video::{
    Caps, ChromaSite, Clock, Content, Description, FieldOrder, Format, Interlace, Range, Rate, Rows, Video,
    y4m,
};

fn video(metadata: &str) -> Video {
    match Description::parse(metadata.as_bytes()).unwrap().content {
        Content::Video(video) => video,
        other => panic!("{metadata}: {other:?}"),
    }
}

fn caps(text: &str) -> Video {
    Video::from_caps(&Caps::parse(text).unwrap()).unwrap().unwrap()
}

#[test]
fn the_forms_that_existing_clients_write() {
    for metadata in [
        r#"{"type":"gstreamer-filter","version":"GStreamer 1.20.3","caps":"video/x-raw, format=(string)RGB, width=(int)640, height=(int)480, framerate=(fraction)30/1","element_name":"zerofilter0"}"#,
        r#"{"caps":"640x480 RGB @ 30.00fps"}"#,
        r#"{"caps":"video/x-raw,width=640,height=480,format=RGB,framerate=30/1"}"#,
        "video/x-raw,width=640,height=480,format=RGB,framerate=30/1",
        "{\"caps\":\"640x480 RGB @ 30fps\"}\0\0\0\0",
        r#"{"width":640,"height":480,"format":"RGB","framerate":[30,1]}"#,
        r#"{"caps":{"width":640,"height":480,"format":"RGB","framerate":[30,1]}}"#,
    ] {
        let video = video(metadata);
        assert_eq!((video.format.name(), video.width, video.height), ("RGB", 640, 480), "{metadata}");
        assert_eq!(video.rate, Rate::new(30, 1), "{metadata}");
    }
}

#[test]
fn what_we_write() {
    let video = caps(
        "video/x-raw, format=(string)I420, width=(int)854, height=(int)480, interlace-mode=(string)interleaved, \
         field-order=(string)bottom-field-first, pixel-aspect-ratio=(fraction)4/3, chroma-site=(string)mpeg2, \
         colorimetry=(string)1:3:5:1, framerate=(fraction)25/1",
    );
    let description = Description::video("me", &video).stamped().clock(Clock::Monotonic);
    let json: serde_json::Value = serde_json::from_slice(&description.to_json()).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "type": "me", "version": env!("CARGO_PKG_VERSION"), "element_name": "me",
            "caps": "video/x-raw, format=(string)I420, width=(int)854, height=(int)480, \
                interlace-mode=(string)interleaved, field-order=(string)bottom-field-first, \
                pixel-aspect-ratio=(fraction)4/3, chroma-site=(string)mpeg2, colorimetry=(string)1:3:5:1, \
                framerate=(fraction)25/1",
            "width": 854, "height": 480, "format": "I420", "framerate": [25, 1], "colorimetry": "1:3:5:1",
            "strides": [854, 427, 427], "offsets": [0, 409_920, 512_400], "frame_size": 614_880,
            "frame_prefix": 24, "clock": "monotonic",
        })
    );
    assert_eq!(Description::parse(&description.to_json()), Ok(description));
}

#[test]
fn colour_and_fields_survive_the_way_through_caps() {
    let line = "YUV4MPEG2 W720 H576 F25:1 Ib A16:15 C420paldv XCOLORRANGE=FULL";
    let header = y4m::Header::parse(line).unwrap();
    let video = caps(&header.video().unwrap().to_caps().to_string());
    assert_eq!(video.interlace, Interlace::Interleaved(Some(FieldOrder::Bottom)));
    assert_eq!(video.chroma_site, Some(ChromaSite::Dv));
    assert_eq!(video.colorimetry.unwrap().range, Range::Full);
    assert_eq!(y4m::Header::from_video(&video).unwrap().line, line);
}

#[test]
fn a_y4m_description_reads_back() {
    for line in [
        "YUV4MPEG2 W176 H144 F30000:1001 It A128:117 C420mpeg2 XYSCSS=420MPEG2 X\"\\ü",
        "YUV4MPEG2 W3 H5 C420p14",
        "YUV4MPEG2  W2 H2  Im Cmono",
    ] {
        let header = y4m::Header::parse(line).unwrap();
        for parameters in ["", " Ip XB=1"] {
            let description = Description::y4m("me", &header, parameters);
            let found = Description::parse(&description.to_json()).unwrap();
            assert_eq!(found.y4m.as_ref(), Some(&header));
            assert_eq!(found.y4m_frame, parameters);
            assert_eq!(found.frame_size, Some(header.frame_size));
        }
    }
}

#[test]
fn announced_rows_and_stamps() {
    let metadata = r#"{"caps":"video/x-raw, format=(string)RGB, width=(int)3, height=(int)2","strides":[12],"frame_prefix":24}"#;
    let description = Description::parse(metadata.as_bytes()).unwrap();
    let picture = description.picture(48).unwrap();
    assert_eq!((picture.rows, picture.stamped), (Rows::Announced, true));
    let message = description.picture(42).unwrap_err().to_string();
    assert!(
        message.contains("42 bytes, but RGB 3 x 2 has 48 (announced strides behind a stamp)"),
        "{message}"
    );
}

#[test]
fn what_describes_nothing_is_no_error() {
    for metadata in [
        &b""[..],
        b"\xff\xfe",
        b"[1]",
        b"{",
        b"{\"caps\": null}",
        b"{\"y4m\": 3}",
        b"{\"caps\": \"hello world\"}",
        b"{\"caps\": \"image/jpeg, width=(int)640\", \"width\": 5, \"height\": 5, \"format\": \"x\"}",
        b"{\"width\": \"wide\", \"height\": [1], \"strides\": \"none\"}",
        b"hello {world}",
    ] {
        assert_eq!(Description::parse(metadata).unwrap().content, Content::Unknown, "{metadata:?}");
    }
}

#[test]
fn wrong_claims_are_errors_with_both_numbers() {
    let caps = |more: &str| {
        format!(r#"{{"caps":"video/x-raw, format=(string)RGB, width=(int)4, height=(int)4"{more}}}"#)
    };
    for (metadata, part) in [
        (
            caps(r#","width":5,"height":4,"format":"RGB""#),
            "the caps say width 4, the metadata key 'width' says 5",
        ),
        (caps(r#","frame_prefix":16"#), "frame_prefix is '16' where 0 or 24"),
        (caps(r#","strides":[-1]"#), "strides is '[-1]'"),
        (caps(r#","y4m":"YUV4MPEG2 W0 H1""#), "leaves no pixels"),
        (caps(r#","y4m":"YUV4MPEG2 W1 H1","y4m_frame":"x""#), "y4m_frame"),
        (String::from(r#"{"caps":"video/x-raw"}"#), "have no format: 'video/x-raw'"),
        (String::from(r#"{"caps":"video/x-raw, format=RGB"}"#), "have no width"),
        (String::from(r#"{"caps":"video/x-raw, format=RGB, width=4"}"#), "have no height"),
        (String::from(r#"{"caps":"video/x-raw, format=RGB, width=0, height=4"}"#), "width is '0'"),
        (String::from(r#"{"caps":"video/x-raw, format=RGB, width=x, height=4"}"#), "width is 'x'"),
        (String::from(r#"{"caps":"video/x-raw, format=RGB, width=-4, height=4"}"#), "width is '-4'"),
        (String::from(r#"{"caps":"video/x-raw, format=RGB, width=[1,5], height=4"}"#), "width is '[ 1, 5 ]'"),
        (String::from(r#"{"caps":"video/x-raw, format={RGB,BGR}, width=4, height=4"}"#), "one value"),
        (String::from(r#"{"caps":"video/x-raw, format=ZZZ, width=4, height=4"}"#), "'ZZZ' is not known"),
        (String::from(r#"{"caps":"video/x-raw, format=(string"}"#), "')' is missing behind a type, at byte"),
        (String::from(r#"{"format":"RGB","width":0,"height":4}"#), "width is '0'"),
    ] {
        let message = Description::parse(metadata.as_bytes()).unwrap_err().to_string();
        assert!(message.contains(part), "{metadata}: {message}");
        assert!(!message.contains('\n'));
    }
}

#[test]
fn a_picture_is_asked_of_what_is_none() {
    let description = Description::parse(br#"{"caps":"audio/x-raw, format=(string)S16LE"}"#).unwrap();
    assert!(matches!(description.content, Content::Audio(_)));
    assert!(description.picture(4).unwrap_err().to_string().contains("no raw pictures"));
    let rgb = Format::from_name("RGB").unwrap();
    for (width, height) in [(0, 1), (1, 0), (1 << 31, 1)] {
        assert!(Video::new(rgb, width, height).is_err());
    }
}

#[test]
fn pictures_of_an_unknown_format_are_frames_where_any_will_do() {
    let block = br#"{"caps":"video/x-raw, format=(string)NV12_4L4, width=(int)4, height=(int)4","frame_prefix":24,"clock":"pts"}"#;
    assert!(Description::parse(block).unwrap_err().to_string().contains("'NV12_4L4' is not known"));
    let description = Description::parse_any_format(block).unwrap();
    assert!(description.caps.as_deref().is_some_and(|caps| caps.contains("NV12_4L4")));
    assert_eq!(description.content, Content::Unknown);
    assert_eq!((description.stamped, description.clock), (Some(true), Some(Clock::Pts)));
    // What is wrong otherwise stays wrong.
    for block in ["video/x-raw, format=NV12, width=0, height=4", "video/x-raw, width=4, height=4"] {
        assert_eq!(Description::parse_any_format(block.as_bytes()), Description::parse(block.as_bytes()));
    }
}
