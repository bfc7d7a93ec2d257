//! Which of Foxglove's encodings a pixel format becomes, and how.
use zerobuffer_video::{Layout, Video};
use zerobuffer_view::pixels;

/// How the bytes of a picture become those of the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// They are the same, row by row.
    Same,
    /// The fourth byte of a pixel says nothing: it becomes 255, which hides nothing.
    Opaque,
    /// Words have the other order of bytes.
    Swapped,
    /// The planes of Cb and Cr, by number, become one.
    Woven(usize, usize),
    /// Pairs of chroma have the other order.
    Turned,
    /// Every pixel becomes RGB of 8 bits.
    Converted,
}

/// How pictures of a stream become images.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Form {
    pub(super) encoding: &'static str,
    /// Bytes of a row of the first plane.
    pub(super) step: u32,
    pub(super) height: u32,
    /// Bytes of an image.
    pub(super) size: usize,
    way: Way,
}

impl Form {
    /// `None` where Foxglove has no encoding for the format and it cannot be converted either.
    pub(super) fn of(video: &Video) -> Option<Form> {
        let height = u32::try_from(video.rows()).ok()?;
        // Chroma of half pairs is of no encoding there.
        let is_even = video.width.is_multiple_of(2) && height.is_multiple_of(2);
        let (encoding, way) = match video.format.name() {
            "RGB" => ("rgb8", Way::Same),
            "BGR" => ("bgr8", Way::Same),
            "RGBA" => ("rgba8", Way::Same),
            "BGRA" => ("bgra8", Way::Same),
            "RGBx" => ("rgba8", Way::Opaque),
            "BGRx" => ("bgra8", Way::Opaque),
            "GRAY8" => ("mono8", Way::Same),
            "GRAY16_LE" | "GRAY10_LE16" => ("mono16", Way::Same),
            "GRAY16_BE" => ("mono16", Way::Swapped),
            "UYVY" if video.width.is_multiple_of(2) => ("uyvy", Way::Same),
            "YUY2" if video.width.is_multiple_of(2) => ("yuyv", Way::Same),
            "NV12" if is_even => ("nv12", Way::Same),
            "NV21" if is_even => ("nv12", Way::Turned),
            "I420" if is_even => ("nv12", Way::Woven(1, 2)),
            "YV12" if is_even => ("nv12", Way::Woven(2, 1)),
            _ if pixels::is_known(video.format) => ("rgb8", Way::Converted),
            _ => return None,
        };
        let (row, size) = if way == Way::Converted {
            let row = (video.width as usize).checked_mul(3)?;
            (row, row.checked_mul(video.rows())?)
        } else {
            let tight = Layout::tight(video).ok()?;
            (tight.planes().first()?.row, tight.size())
        };
        Some(Form { encoding, step: u32::try_from(row).ok()?, height, size, way })
    }

    /// Whether something of the pictures is lost: chroma that is made up, or more than 8 bits.
    pub(super) fn is_converted(&self) -> bool {
        self.way == Way::Converted
    }

    /// Appends the image's bytes; `false` if the picture has not as many as it must.
    pub(super) fn append(&self, video: &Video, layout: &Layout, picture: &[u8], into: &mut Vec<u8>) -> bool {
        let start = into.len();
        match self.way {
            Way::Converted => {
                let Some(image) = pixels::convert(video, layout, picture, 1, false) else { return false };
                if image.channels == 1 {
                    into.extend(image.bytes.iter().flat_map(|value| [*value; 3]));
                } else {
                    into.extend_from_slice(&image.bytes);
                }
            }
            Way::Woven(blue, red) => {
                into.extend(rows(layout, picture, 0).flatten());
                let pairs = rows(layout, picture, blue).flatten().zip(rows(layout, picture, red).flatten());
                into.extend(pairs.flat_map(|(blue, red)| [*blue, *red]));
            }
            _ => {
                let chroma = start + layout.planes().first().map_or(0, |plane| plane.row * plane.rows);
                layout.runs(picture).for_each(|run| into.extend_from_slice(run));
                match self.way {
                    Way::Opaque => {
                        for pixel in into.get_mut(start..).unwrap_or_default().chunks_exact_mut(4) {
                            if let Some(unused) = pixel.last_mut() {
                                *unused = 255;
                            }
                        }
                    }
                    Way::Swapped => swap_pairs(into.get_mut(start..).unwrap_or_default()),
                    Way::Turned => swap_pairs(into.get_mut(chroma..).unwrap_or_default()),
                    _ => {}
                }
            }
        }
        into.len() - start == self.size
    }
}

fn swap_pairs(bytes: &mut [u8]) {
    bytes.chunks_exact_mut(2).for_each(<[u8]>::reverse);
}

/// The rows of one plane, without their padding.
fn rows<'a>(layout: &'a Layout, picture: &'a [u8], plane: usize) -> impl Iterator<Item = &'a [u8]> {
    layout.planes().get(plane).into_iter().flat_map(move |plane| {
        (0..plane.rows).map(move |row| {
            let start = plane.offset + row * plane.stride;
            picture.get(start..start + plane.row).unwrap_or_default()
        })
    })
}

#[cfg(test)]
mod tests {
    use zerobuffer_video::Format;

    use super::*;

    /// The image of a picture whose bytes count up from 1.
    fn image(format: &str, width: u32, height: u32) -> (Form, Vec<u8>) {
        let video = Video::new(Format::from_name(format).unwrap(), width, height).unwrap();
        let layout = Layout::tight(&video).unwrap();
        let picture: Vec<u8> = (1..=layout.size()).map(|byte| byte as u8).collect();
        let form = Form::of(&video).unwrap();
        let mut bytes = Vec::new();
        assert!(form.append(&video, &layout, &picture, &mut bytes), "{format}");
        (form, bytes)
    }

    #[test]
    fn bytes_of_every_way() {
        for (format, width, height, encoding, step, expected) in [
            ("RGB", 1, 2, "rgb8", 3, &[1, 2, 3, 4, 5, 6][..]),
            ("BGRx", 1, 2, "bgra8", 4, &[1, 2, 3, 255, 5, 6, 7, 255]),
            ("GRAY16_LE", 2, 1, "mono16", 4, &[1, 2, 3, 4]),
            ("GRAY16_BE", 2, 1, "mono16", 4, &[2, 1, 4, 3]),
            ("YUY2", 2, 1, "yuyv", 4, &[1, 2, 3, 4]),
            ("NV12", 2, 2, "nv12", 2, &[1, 2, 3, 4, 5, 6]),
            ("NV21", 2, 2, "nv12", 2, &[1, 2, 3, 4, 6, 5]),
            ("I420", 4, 2, "nv12", 4, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 10, 12]),
            ("YV12", 4, 2, "nv12", 4, &[1, 2, 3, 4, 5, 6, 7, 8, 11, 9, 12, 10]),
        ] {
            let (form, bytes) = image(format, width, height);
            assert_eq!((form.encoding, form.step, form.height), (encoding, step, height), "{format}");
            assert_eq!(bytes, expected, "{format}");
            assert!(!form.is_converted());
        }
    }

    #[test]
    fn what_is_converted_and_what_is_not_possible() {
        let (form, bytes) = image("I420", 3, 3);
        assert_eq!((form.encoding, form.step, bytes.len()), ("rgb8", 9, 27));
        assert!(form.is_converted());
        assert_eq!(image("xRGB", 1, 1).1, [2, 3, 4]);
        let packed = Video::new(Format::from_name("v210").unwrap(), 6, 1).unwrap();
        assert_eq!(Form::of(&packed), None);
    }

    #[test]
    fn rows_without_their_padding() {
        let video = Video::new(Format::from_name("I420").unwrap(), 2, 2).unwrap();
        let layout = Layout::announced(&video, &[4, 2, 2], None).unwrap();
        let picture = [1, 2, 0, 0, 3, 4, 0, 0, 5, 0, 6, 0];
        let mut bytes = vec![9];
        let form = Form::of(&video).unwrap();
        assert!(form.append(&video, &layout, &picture, &mut bytes));
        assert_eq!(bytes, [9, 1, 2, 3, 4, 5, 6]);
        assert!(!form.append(&video, &layout, &picture[..9], &mut bytes), "it ends within the last plane");
    }
}
