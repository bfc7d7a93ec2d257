//! The bytes of a frame that go to the output: without its stamp, its rows as the output wants
//! them.
use zerobuffer_video::{Content, Description, Error, Layout, Picture, Stamp, Video};

use super::OutputRows;

/// The tight picture of `size` bytes that y4m wants. `spare` takes it where the rows have to be
/// moved.
pub(super) fn tight<'a>(
    description: &Description,
    frame: &'a [u8],
    size: u64,
    spare: &'a mut Vec<u8>,
) -> Result<&'a [u8], String> {
    let pixels = match &description.content {
        Content::Video(video) => {
            let picture = description.picture(frame.len()).map_err(|why| why.to_string())?;
            let wanted = Layout::tight(video).map_err(|why| why.to_string())?;
            moved(&picture, &wanted, picture.split(frame).1, spare)
        }
        // A format that y4m alone has a name for.
        _ => unstamped(description, frame),
    };
    if pixels.len() as u64 == size {
        Ok(pixels)
    } else {
        Err(format!("it has {} bytes where its description says {size}", pixels.len()))
    }
}

/// A frame as raw output has it.
pub(super) fn raw<'a>(
    description: &Description,
    frame: &'a [u8],
    rows: OutputRows,
    stamp: bool,
    spare: &'a mut Vec<u8>,
) -> Result<&'a [u8], String> {
    let layout: fn(&Video) -> Result<Layout, Error> = match rows {
        OutputRows::AsSent if stamp => return Ok(frame),
        OutputRows::AsSent => return Ok(as_sent(description, frame)),
        OutputRows::Tight => Layout::tight,
        OutputRows::Padded => Layout::padded,
    };
    let Content::Video(video) = &description.content else {
        return Err(String::from("its description knows of no rows: receive without --rows"));
    };
    let picture = description.picture(frame.len()).map_err(|why| why.to_string())?;
    let wanted = layout(video).map_err(|why| why.to_string())?;
    let (head, pixels) =
        frame.split_at_checked(frame.len() - picture.split(frame).1.len()).unwrap_or_default();
    if !stamp || head.is_empty() {
        return Ok(moved(&picture, &wanted, pixels, spare));
    }
    let mut rest = Vec::new();
    let pixels = moved(&picture, &wanted, pixels, &mut rest);
    spare.clear();
    spare.extend_from_slice(head);
    spare.extend_from_slice(pixels);
    Ok(spare)
}

fn as_sent<'a>(description: &Description, frame: &'a [u8]) -> &'a [u8] {
    match description.picture(frame.len()) {
        Ok(picture) => picture.split(frame).1,
        Err(_) => unstamped(description, frame),
    }
}

fn unstamped<'a>(description: &Description, frame: &'a [u8]) -> &'a [u8] {
    match Stamp::split(frame).filter(|_| description.stamped == Some(true)) {
        Some((_, pixels)) => pixels,
        None => frame,
    }
}

fn moved<'a>(picture: &Picture, wanted: &Layout, pixels: &'a [u8], spare: &'a mut Vec<u8>) -> &'a [u8] {
    if picture.layout == *wanted {
        return pixels;
    }
    // Padding shows nothing of the frame before.
    spare.clear();
    spare.resize(wanted.size(), 0);
    wanted.fill(spare, &picture.layout, pixels);
    spare
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(more: &str) -> Description {
        let caps = "video/x-raw, format=(string)GRAY8, width=(int)3, height=(int)2";
        Description::parse(format!("{{\"caps\":\"{caps}\"{more}}}").as_bytes()).unwrap()
    }

    #[test]
    fn rows_and_stamps() {
        let plain = described("");
        let padded = [1, 2, 3, 0, 4, 5, 6, 0];
        let stamped = [&[7; 24][..], &padded].concat();
        let mut spare = Vec::new();
        for frame in [&padded[..], &stamped] {
            assert_eq!(tight(&plain, frame, 6, &mut spare).unwrap(), [1, 2, 3, 4, 5, 6]);
            assert_eq!(raw(&plain, frame, OutputRows::AsSent, false, &mut spare).unwrap(), padded);
            assert_eq!(raw(&plain, frame, OutputRows::AsSent, true, &mut spare).unwrap(), frame);
            assert_eq!(raw(&plain, frame, OutputRows::Tight, false, &mut spare).unwrap(), [1, 2, 3, 4, 5, 6]);
        }
        assert_eq!(
            raw(&plain, &stamped, OutputRows::Tight, true, &mut spare).unwrap(),
            [&[7; 24][..], &[1, 2, 3, 4, 5, 6]].concat()
        );
        let tight_frame = [1, 2, 3, 4, 5, 6];
        assert_eq!(raw(&plain, &tight_frame, OutputRows::Padded, false, &mut spare).unwrap(), padded);
    }

    #[test]
    fn what_does_not_fit() {
        let mut spare = Vec::new();
        let why = tight(&described(""), &[0; 7], 6, &mut spare).unwrap_err();
        assert!(why.contains("7 bytes, but GRAY8 3 x 2 has 6"), "{why}");
        assert!(tight(&Description::default(), &[0; 7], 6, &mut spare).unwrap_err().contains("says 6"));
        assert_eq!(raw(&described(""), &[9; 7], OutputRows::AsSent, false, &mut spare).unwrap(), [9; 7]);
        assert!(raw(&Description::default(), &[9; 7], OutputRows::Tight, false, &mut spare).is_err());
        let why = tight(&described(",\"frame_prefix\":24"), &[0; 6], 6, &mut spare).unwrap_err();
        assert!(why.contains("fewer than the 24 of the announced stamp"), "{why}");
    }
}
