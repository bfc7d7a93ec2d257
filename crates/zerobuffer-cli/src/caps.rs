//! The stream's description in the metadata block: JSON with a GStreamer caps string, as other video clients read it.
use serde::Serialize;
use serde_json::Value;

use crate::rate::Rate;
use crate::y4m::{Chroma, Header, Interlace, MAX_LINE};

/// `type` and `element_name` of everything this command sends.
const SENDER: &str = "zerobuffer-send";
/// Caps of frames about which nothing is known but their size.
const RAW: &str = "application/octet-stream";

/// What `send` writes into the metadata block.
#[derive(Debug, Serialize)]
pub(crate) struct Description {
    r#type: &'static str,
    version: &'static str,
    element_name: &'static str,
    caps: String,
    /// The original y4m header line, so that the received file is the sent one byte by byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    y4m: Option<String>,
    /// What stands behind `FRAME` on every frame's line, with its leading space.
    #[serde(skip_serializing_if = "Option::is_none")]
    y4m_frame: Option<String>,
    frame_size: u64,
}

impl Description {
    fn new(caps: String, frame_size: u64) -> Description {
        Description {
            r#type: SENDER,
            version: env!("CARGO_PKG_VERSION"),
            element_name: SENDER,
            caps,
            y4m: None,
            y4m_frame: None,
            frame_size,
        }
    }

    /// Describes a y4m stream whose FRAME lines all carry `frame_parameters`.
    pub(crate) fn y4m(header: &Header, frame_parameters: &str) -> Description {
        Description {
            y4m: Some(header.line.clone()),
            y4m_frame: (!frame_parameters.is_empty()).then(|| frame_parameters.to_owned()),
            ..Description::new(caps_of(header), header.frame_size)
        }
    }

    /// Describes frames of one size, with the caps that the user names or none.
    pub(crate) fn raw(frame_size: u64, caps: Option<&str>) -> Description {
        Description::new(caps.unwrap_or(RAW).to_owned(), frame_size)
    }

    /// The bytes for the metadata block.
    pub(crate) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }
}

/// The caps string of a y4m stream.
///
/// GStreamer pads rows to 4 bytes where these frames are packed: the two differ when a plane's width is no multiple of 4,
/// which a reader can tell from the frame size.
fn caps_of(header: &Header) -> String {
    let format = match header.chroma.gstreamer {
        Some(name) => format!("video/x-raw, format=(string){name}"),
        // No name there: say what it is instead of claiming another format.
        None => {
            format!("application/x-yuv4mpeg, y4mversion=(int)2, colorspace=(string){}", header.chroma.tag)
        }
    };
    // GStreamer's way to say "unknown or variable" is 0/1.
    let rate = header.rate.map_or_else(|| String::from("0/1"), |rate| rate.to_string());
    let mut caps = format!(
        "{format}, width=(int){}, height=(int){}, framerate=(fraction){rate}",
        header.width, header.height
    );
    if let Some(aspect) = header.aspect {
        caps.push_str(", pixel-aspect-ratio=(fraction)");
        caps.push_str(&aspect.to_string());
    }
    match header.interlace {
        Interlace::Progressive => {}
        Interlace::Interleaved => caps.push_str(", interlace-mode=(string)interleaved"),
        Interlace::Mixed => caps.push_str(", interlace-mode=(string)mixed"),
    }
    caps
}

/// What a reader finds in the metadata block; every part may be missing, since any program may have written it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The caps string as written.
    pub(crate) caps: Option<String>,
    /// A y4m header: the original one, or one built from the caps.
    pub(crate) header: Option<Header>,
    /// Whether `header` is the original line.
    pub(crate) original: bool,
    /// What stands behind `FRAME` on every frame's line.
    pub(crate) frame_parameters: String,
}

impl Found {
    /// Reads a metadata block. An error says what is wrong with a `y4m` key that is there.
    pub(crate) fn parse(metadata: &[u8]) -> Result<Found, String> {
        let Ok(Value::Object(object)) = serde_json::from_slice(metadata) else {
            return Ok(Found::default());
        };
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let mut found = Found { caps: text("caps").map(str::to_owned), ..Found::default() };
        if let Some(line) = text("y4m") {
            found.header = Some(Header::parse(line).map_err(|why| format!("its 'y4m' key is wrong: {why}"))?);
            found.original = true;
            let parameters = text("y4m_frame").unwrap_or_default();
            let fits = parameters.is_empty() || parameters.starts_with(' ');
            if !fits || parameters.contains('\n') || parameters.len() > MAX_LINE {
                return Err(String::from("its 'y4m_frame' key is not the rest of a FRAME line"));
            }
            parameters.clone_into(&mut found.frame_parameters);
        } else if let Some(caps) = &found.caps {
            found.header = header_of(caps);
        }
        Ok(found)
    }
}

/// A y4m header for caps of uncompressed video, where y4m has that format.
fn header_of(caps: &str) -> Option<Header> {
    // Only the first structure describes the stream once caps are fixed.
    let mut parts = caps.split(';').next()?.split(',').map(str::trim);
    let media = parts.next()?;
    if media != "video/x-raw" {
        return None;
    }
    let fields: Vec<(&str, &str)> = parts.filter_map(field).collect();
    let value = |key: &str| fields.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    let chroma = Chroma::from_gstreamer(value("format")?)?;
    let rate = value("framerate")
        .and_then(|rate| rate.split_once('/'))
        .and_then(|(num, den)| Rate::new(num.parse().ok()?, den.parse().ok()?));
    Header::build(value("width")?.parse().ok()?, value("height")?.parse().ok()?, rate, chroma).ok()
}

/// `width=(int)1280` as `("width", "1280")`; the type and quotes are optional, as in GStreamer.
fn field(part: &str) -> Option<(&str, &str)> {
    let (key, value) = part.split_once('=')?;
    let value = value.trim();
    let value = match value.strip_prefix('(') {
        Some(typed) => typed.split_once(')')?.1.trim(),
        None => value,
    };
    Some((key.trim(), value.trim_matches('"')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_that_video_clients_read() {
        let header = Header::parse("YUV4MPEG2 W1280 H720 F25:1 Ip C420jpeg").unwrap();
        let json = Description::y4m(&header, "").to_json().unwrap();
        let value: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["type"], "zerobuffer-send");
        assert_eq!(value["element_name"], "zerobuffer-send");
        assert_eq!(value["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(
            value["caps"],
            "video/x-raw, format=(string)I420, width=(int)1280, height=(int)720, framerate=(fraction)25/1"
        );
        assert_eq!(value["y4m"], "YUV4MPEG2 W1280 H720 F25:1 Ip C420jpeg");
        assert_eq!(value["frame_size"], 1_382_400);
        assert_eq!(value.get("y4m_frame"), None);
    }

    #[test]
    fn a_description_reads_back() {
        for line in [
            "YUV4MPEG2 W176 H144 F30000:1001 It A128:117 C420mpeg2 XYSCSS=420MPEG2 X\"\\ü",
            "YUV4MPEG2 W3 H5 C420p14",
            "YUV4MPEG2  W2 H2  Im Cmono",
        ] {
            let header = Header::parse(line).unwrap();
            for parameters in ["", " Ip XB=1"] {
                let json = Description::y4m(&header, parameters).to_json().unwrap();
                let found = Found::parse(&json).unwrap();
                assert_eq!(found.header.unwrap(), header);
                assert!(found.original);
                assert_eq!(found.frame_parameters, parameters);
            }
        }
    }

    #[test]
    fn caps_carry_what_the_header_says() {
        let caps = |line: &str| caps_of(&Header::parse(line).unwrap());
        assert_eq!(
            caps("YUV4MPEG2 W8 H4 Ib A4:3 C422"),
            "video/x-raw, format=(string)Y42B, width=(int)8, height=(int)4, framerate=(fraction)0/1, \
             pixel-aspect-ratio=(fraction)4/3, interlace-mode=(string)interleaved"
        );
        assert!(
            caps("YUV4MPEG2 W8 H4 C420p14")
                .starts_with("application/x-yuv4mpeg, y4mversion=(int)2, colorspace=(string)420p14, ")
        );
    }

    #[test]
    fn headers_from_other_clients_caps() {
        let json = |caps: &str| serde_json::json!({ "caps": caps }).to_string();
        let found = Found::parse(
            json("video/x-raw, format=(string)I420, width=(int)1280, height=(int)720, framerate=(fraction)25/1")
                .as_bytes(),
        )
        .unwrap();
        assert!(!found.original);
        assert_eq!(found.header.unwrap().line, "YUV4MPEG2 W1280 H720 F25:1 Ip A0:0 C420jpeg");
        let found = Found::parse(json("video/x-raw,format=\"GRAY8\",width=3,height=2").as_bytes()).unwrap();
        assert_eq!(found.header.unwrap().line, "YUV4MPEG2 W3 H2 F0:0 Ip A0:0 Cmono");
        for caps in [
            "",
            "application/octet-stream",
            "video/x-raw",
            "video/x-raw, format=(string)RGB, width=(int)4, height=(int)4",
            "video/x-raw, format=(string)I420, width=(int)0, height=(int)4",
            "video/x-raw, format=(string)I420, width=(int)x, height=(int)4",
            "video/x-raw, format=(string)I420, width=(int)-4, height=(int)4",
        ] {
            assert_eq!(Found::parse(json(caps).as_bytes()).unwrap().header, None, "{caps}");
        }
    }

    #[test]
    fn foreign_and_hostile_metadata() {
        for metadata in [&b""[..], b"\xff\xfe", b"[1]", b"{", b"{\"y4m\": 3}", b"{\"caps\": null}"] {
            assert_eq!(Found::parse(metadata).unwrap(), Found::default());
        }
        for (metadata, part) in [
            (r#"{"y4m": "YUV4MPEG2 W0 H1"}"#, "leaves no pixels"),
            (r#"{"y4m": "YUV4MPEG2 W1 H1\nFRAME"}"#, "not one line"),
            (r#"{"y4m": "YUV4MPEG2 W1 H1", "y4m_frame": "x"}"#, "y4m_frame"),
            (r#"{"y4m": "YUV4MPEG2 W1 H1", "y4m_frame": " x\n"}"#, "y4m_frame"),
        ] {
            let message = Found::parse(metadata.as_bytes()).unwrap_err();
            assert!(message.contains(part), "{metadata}: {message}");
        }
    }
}
