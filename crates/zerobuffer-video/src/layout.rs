//! Where the planes and rows of a picture lie in its bytes.
use crate::format::{Padding, PlaneSpec, Spec};
use crate::{Error, Interlace, Result, Video};

/// One plane of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plane {
    /// Byte of the picture at which the first row begins.
    pub offset: usize,
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Bytes of a row that hold samples; the others are padding.
    pub row: usize,
    /// Rows that hold samples.
    pub rows: usize,
}

impl Plane {
    /// Bytes from the first to the end of the last row, without its padding.
    #[must_use]
    pub fn extent(&self) -> usize {
        self.rows.saturating_sub(1) * self.stride + self.row
    }
}

/// The planes of a picture in the order in which they lie in memory, and the bytes that all of it
/// takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    planes: Vec<Plane>,
    size: usize,
}

impl Layout {
    /// Rows without padding, planes without gaps.
    pub fn tight(video: &Video) -> Result<Layout> {
        Layout::stacked(video, |_, bare| Some(bare)).ok_or_else(|| too_large(video))
    }

    /// Rows as GStreamer pads them where nothing else is said, equal to its
    /// `gst_video_info_set_format`.
    pub fn padded(video: &Video) -> Result<Layout> {
        let spec = video.format.spec();
        let halves = video.format.halves_rows();
        let fields = video.interlace != Interlace::Progressive;
        let pad = |plane: &PlaneSpec, bare: Plane| {
            let even = match plane.rows {
                _ if spec.padding == Padding::Even => true,
                // Luma rows for as many as the chroma rows stand for.
                0 | 1 => halves,
                // Two fields share an even number of chroma rows.
                _ => fields && spec.padding == Padding::Usual,
            };
            let rows = if even { bare.rows.checked_next_multiple_of(2)? } else { bare.rows };
            let stride = bare.stride.checked_next_multiple_of(spec.align)?;
            Some(Plane { stride, rows, ..bare })
        };
        Layout::stacked(video, pad).ok_or_else(|| too_large(video))
    }

    /// Rows and planes as the sender announces them. Without `offsets` each plane follows the one
    /// before it.
    ///
    /// The picture ends with its last plane's last row, padding included.
    pub fn announced(video: &Video, strides: &[u64], offsets: Option<&[u64]>) -> Result<Layout> {
        let wrong = |key, found: &[u64], reason: String| Error::Planes {
            key,
            found: format!("{found:?}"),
            format: video.format.name(),
            width: video.width,
            height: video.height,
            reason,
        };
        let count = video.format.planes();
        for (key, list) in [("strides", Some(strides)), ("offsets", offsets)] {
            if let Some(list) = list.filter(|list| list.len() != count) {
                return Err(wrong(key, list, format!("it has {count} planes")));
            }
        }
        let bare = Layout::tight(video)?;
        let mut planes = Vec::with_capacity(count);
        let mut end = 0usize;
        for (index, (plane, stride)) in bare.planes.iter().zip(strides).enumerate() {
            let stride = usize::try_from(*stride).map_err(|_| too_large(video))?;
            if stride < plane.row {
                let reason = format!("a row of plane {index} has {} bytes", plane.row);
                return Err(wrong("strides", strides, reason));
            }
            let offset = match offsets.and_then(|offsets| offsets.get(index)) {
                Some(offset) => usize::try_from(*offset).map_err(|_| too_large(video))?,
                None => end,
            };
            if offset < end {
                let reason = format!("plane {index} begins before byte {end}, where the one before it ends");
                return Err(wrong("offsets", offsets.unwrap_or_default(), reason));
            }
            let size = stride.checked_mul(plane.rows).and_then(|size| offset.checked_add(size));
            end = size.filter(|end| *end <= MOST).ok_or_else(|| too_large(video))?;
            planes.push(Plane { offset, stride, ..*plane });
        }
        Ok(Layout { planes, size: end })
    }

    /// One plane after the other. `pad` gives a plane the stride and the rows that it takes in
    /// memory.
    fn stacked(video: &Video, pad: impl Fn(&PlaneSpec, Plane) -> Option<Plane>) -> Option<Layout> {
        let spec: &Spec = video.format.spec();
        let mut planes = Vec::with_capacity(spec.planes.len());
        let mut size = 0usize;
        for plane in spec.planes {
            let width = video.width as usize;
            let width = if plane.even { width.checked_next_multiple_of(2)? } else { width };
            let row = if plane.partial {
                width.checked_mul(plane.bytes)?.div_ceil(plane.pixels)
            } else {
                width.div_ceil(plane.pixels).checked_mul(plane.bytes)?
            };
            let (row, rows) = match plane.rows {
                0 => (plane.bytes, 256),
                shared => (row, video.rows().div_ceil(shared)),
            };
            let bare = Plane { offset: size, stride: row, row, rows };
            let taken = pad(plane, bare)?;
            size = taken.stride.checked_mul(taken.rows)?.checked_add(size).filter(|size| *size <= MOST)?;
            planes.push(Plane { rows, ..taken });
        }
        Some(Layout { planes, size })
    }

    /// The planes, in the order in which they lie in memory.
    #[must_use]
    pub fn planes(&self) -> &[Plane] {
        &self.planes
    }

    /// Bytes of the whole picture.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether nothing but samples lies in the picture.
    #[must_use]
    pub fn is_tight(&self) -> bool {
        let mut end = 0;
        self.planes.iter().all(|plane| {
            let follows = plane.offset == end && plane.stride == plane.row;
            end = plane.offset + plane.stride * plane.rows;
            follows
        }) && end == self.size
    }

    /// Runs of `picture`'s bytes that make up the picture with tight rows: whole planes where rows
    /// have no padding.
    ///
    /// A run is empty where `picture` is shorter than the layout says.
    pub fn runs<'a>(&'a self, picture: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.planes.iter().flat_map(move |plane| {
            let (rows, row) =
                if plane.stride == plane.row { (1, plane.row * plane.rows) } else { (plane.rows, plane.row) };
            (0..rows).map(move |index| {
                let start = plane.offset + index * plane.stride;
                picture.get(start..start + row).unwrap_or_default()
            })
        })
    }

    /// Copies the rows of `source`, which lie as `from` says, to where this layout has them.
    /// Padding stays as it was.
    ///
    /// Nothing happens to rows that either picture is too short for. Both layouts must be of one
    /// picture.
    pub fn fill(&self, picture: &mut [u8], from: &Layout, source: &[u8]) {
        for (to, from) in self.planes.iter().zip(&from.planes) {
            let (rows, row) = if to.stride == to.row && from.stride == from.row {
                (1, to.row * to.rows)
            } else {
                (to.rows, to.row)
            };
            for index in 0..rows {
                let start = to.offset + index * to.stride;
                let taken = from.offset + index * from.stride;
                let (Some(to), Some(from)) =
                    (picture.get_mut(start..start + row), source.get(taken..taken + row))
                else {
                    continue;
                };
                to.copy_from_slice(from);
            }
        }
    }
}

/// Largest picture: an allocation cannot be larger.
const MOST: usize = isize::MAX as usize;

fn too_large(video: &Video) -> Error {
    Error::TooLarge { format: video.format.name(), width: video.width, height: video.height }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;

    fn video(format: &str, width: u32, height: u32) -> Video {
        Video::new(Format::from_name(format).unwrap(), width, height).unwrap()
    }

    fn plane(offset: usize, stride: usize, row: usize, rows: usize) -> Plane {
        Plane { offset, stride, row, rows }
    }

    #[test]
    fn the_sizes_of_padded_and_tight_rows() {
        let i420 = video("I420", 854, 480);
        let tight = Layout::tight(&i420).unwrap();
        assert_eq!(tight.size(), 614_880);
        assert!(tight.is_tight());
        let padded = Layout::padded(&i420).unwrap();
        assert_eq!(padded.size(), 616_320);
        assert!(!padded.is_tight());
        assert_eq!(
            padded.planes(),
            [plane(0, 856, 854, 480), plane(410_880, 428, 427, 240), plane(513_600, 428, 427, 240)]
        );
        // The last pixel has both chroma components.
        assert_eq!(Layout::tight(&video("YUY2", 33, 17)).unwrap().size(), 68 * 17);
        let odd = video("NV12", 33, 17);
        assert_eq!(Layout::tight(&odd).unwrap().size(), 33 * 17 + 34 * 9);
        assert_eq!(Layout::padded(&odd).unwrap().size(), 36 * 18 + 36 * 9);
    }

    #[test]
    fn announced_planes() {
        let rgb = video("RGB", 3, 2);
        let layout = Layout::announced(&rgb, &[16], None).unwrap();
        assert_eq!((layout.size(), layout.planes()), (32, &[plane(0, 16, 9, 2)][..]));
        let shifted = Layout::announced(&rgb, &[9], Some(&[7])).unwrap();
        assert_eq!(shifted.size(), 25);
        assert!(!shifted.is_tight());
        let nv12 = video("NV12", 4, 4);
        for (strides, offsets, part) in [
            (&[8][..], None, "it has 2 planes"),
            (&[4, 3], None, "strides [4, 3] cannot be those of NV12 4 x 4: a row of plane 1 has 4 bytes"),
            (&[4, 4], Some(&[0, 15][..]), "plane 1 begins before byte 16"),
            (&[4, 4], Some(&[0][..]), "offsets [0] cannot be those of NV12 4 x 4: it has 2 planes"),
            (&[u64::MAX, 4], None, "exceeds"),
            (&[4, 4], Some(&[0, u64::MAX]), "exceeds"),
        ] {
            let message = Layout::announced(&nv12, strides, offsets).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn rows_are_taken_out_and_put_in() {
        let rgb = video("RGB", 1, 2);
        let (tight, padded) = (Layout::tight(&rgb).unwrap(), Layout::padded(&rgb).unwrap());
        let picture = [1, 2, 3, 0, 4, 5, 6, 0];
        assert_eq!(padded.runs(&picture).collect::<Vec<_>>(), [[1, 2, 3], [4, 5, 6]]);
        assert_eq!(tight.runs(&[1, 2, 3, 4, 5, 6]).collect::<Vec<_>>(), [[1, 2, 3, 4, 5, 6]]);
        assert_eq!(padded.runs(&picture[..5]).collect::<Vec<_>>(), [&[1, 2, 3][..], &[]]);
        let mut out = [9; 6];
        tight.fill(&mut out, &padded, &picture);
        assert_eq!(out, [1, 2, 3, 4, 5, 6]);
        let mut out = [9; 8];
        padded.fill(&mut out, &tight, &[1, 2, 3, 4, 5, 6]);
        assert_eq!(out, [1, 2, 3, 9, 4, 5, 6, 9]);
    }

    #[test]
    fn sizes_beyond_memory_are_refused() {
        let most = video("ARGB64", i32::MAX as u32, i32::MAX as u32);
        assert!(matches!(Layout::tight(&most), Err(Error::TooLarge { .. })));
        assert!(matches!(Layout::padded(&most), Err(Error::TooLarge { .. })));
        assert!(Layout::padded(&video("GRAY8", i32::MAX as u32, i32::MAX as u32)).is_ok());
    }
}
