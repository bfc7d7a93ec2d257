//! What headers say, and what they refuse.
use super::chroma::CHROMAS;
use super::*;
use crate::Layout;

fn size(line: &str) -> u64 {
    Header::parse(line).unwrap().frame_size
}

#[test]
fn frame_sizes() {
    for (line, bytes) in [
        ("YUV4MPEG2 W1920 H1080", 3_110_400),
        ("YUV4MPEG2 W1920 H1080 C420", 3_110_400),
        ("YUV4MPEG2 W1920 H1080 C422", 4_147_200),
        ("YUV4MPEG2 W1920 H1080 C444", 6_220_800),
        ("YUV4MPEG2 W1920 H1080 C444alpha", 8_294_400),
        ("YUV4MPEG2 W1920 H1080 C411", 3_110_400),
        ("YUV4MPEG2 W1920 H1080 Cmono", 2_073_600),
        ("YUV4MPEG2 W1920 H1080 Cmono16", 4_147_200),
        ("YUV4MPEG2 W1920 H1080 C420p10", 6_220_800),
        ("YUV4MPEG2 W1920 H1080 C444p16", 12_441_600),
        ("YUV4MPEG2 W1 H1", 3),
        ("YUV4MPEG2 W3 H5 C420", 15 + 2 * 2 * 3),
        ("YUV4MPEG2 W3 H5 C422", 15 + 2 * 2 * 5),
        ("YUV4MPEG2 W5 H3 C411", 15 + 2 * 2 * 3),
        ("YUV4MPEG2 W3 H5 C444p9", 90),
        ("YUV4MPEG2 W3 H5 C420p12", 2 * 27),
    ] {
        assert_eq!(size(line), bytes, "{line}");
    }
}

#[test]
fn a_header_of_ffmpeg() {
    let line = "YUV4MPEG2 W176 H144 F30000:1001 It A128:117 C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=LIMITED";
    let header = Header::parse(line).unwrap();
    assert_eq!((header.width, header.height, header.frame_size), (176, 144, 38_016));
    assert_eq!(header.rate, Rate::new(30000, 1001));
    assert_eq!(header.aspect, Rate::new(128, 117));
    assert_eq!(header.interlace, Interlace::Interleaved(Some(FieldOrder::Top)));
    assert_eq!(header.range, Range::Limited);
    assert_eq!(header.chroma.gstreamer(), Some("I420"));
    assert_eq!(header.line, line);
    let unknown = Header::parse("YUV4MPEG2 W2 H2 F0:0 A0:0").unwrap();
    assert_eq!((unknown.rate, unknown.aspect), (None, None));
}

#[test]
fn refusals() {
    for (line, part) in [
        ("", "does not start"),
        ("YUV4MPEG2 W2 H2\nFRAME", "not one line"),
        ("YUV4MPEG", "does not start"),
        ("YUV4MPEG22 W2 H2", "does not start"),
        ("YUV4MPEG2", "no width"),
        ("YUV4MPEG2 W2", "no height"),
        ("YUV4MPEG2 W0 H2", "'W0' leaves no pixels"),
        ("YUV4MPEG2 W2 H-2", "'H-2' is not a number"),
        ("YUV4MPEG2 W+2 H2", "'W+2' is not a number"),
        ("YUV4MPEG2 W2 H99999999999", "is not a number"),
        ("YUV4MPEG2 W2147483648 H2", "'W2147483648' is not a number of pixels up to 2147483647"),
        ("YUV4MPEG2 W2 H2 F25", "'F25' is not a ratio"),
        ("YUV4MPEG2 W2 H2 F25:", "is not a ratio"),
        ("YUV4MPEG2 W2 H2 Ax:1", "'Ax:1' is not a ratio"),
        ("YUV4MPEG2 W2 H2 Iz", "'Iz' is not one of"),
        ("YUV4MPEG2 W2 H2 C421", "'C421' is not one of C420jpeg, "),
        ("YUV4MPEG2 W2147483647 H2147483647 C444p16", "exceeds 2^64"),
    ] {
        let message = Header::parse(line).unwrap_err().to_string();
        assert!(message.contains(part), "{line}: {message}");
    }
}

#[test]
fn every_chroma_format_reads_back_from_pictures() {
    for chroma in CHROMAS {
        let line = format!("{MAGIC} W3 H5 F25:1 Ib A4:3 C{} XCOLORRANGE=FULL", chroma.tag());
        let header = Header::parse(&line).unwrap();
        let Some(video) = header.video() else {
            assert_eq!(chroma.gstreamer(), None);
            continue;
        };
        let back = Header::from_video(&video).unwrap();
        // Plain 420 is one of four names of one layout, and the only one that does not say where
        // its samples are.
        let tag = if chroma.tag() == "420" { "420jpeg" } else { chroma.tag() };
        assert_eq!(back.line, line.replace("C420 ", &format!("C{tag} ")));
        assert_eq!(Layout::tight(&video).unwrap().size() as u64, header.frame_size, "{line}");
    }
}

#[test]
fn what_y4m_has_no_form_for() {
    let mut video = Video::new(Format::from_name("I420").unwrap(), 4, 4).unwrap();
    assert_eq!(Header::from_video(&video).unwrap().line, "YUV4MPEG2 W4 H4 F0:0 Ip A0:0 C420jpeg");
    video.interlace = Interlace::Alternate;
    assert_eq!(Header::from_video(&video), None);
    let rgb = Video::new(Format::from_name("RGB").unwrap(), 4, 4).unwrap();
    assert_eq!(Header::from_video(&rgb), None);
}
