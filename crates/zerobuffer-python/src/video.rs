//! What `zerobuffer.video` stands on: descriptions of pictures, read and written.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use zerobuffer_video::{Clock, Content, Description, Format, Layout, Range, Rate, Samples, Stamp, Video};

use crate::picture::pixels;

/// Planes as offset, stride, bytes of a row, rows. Offsets count from the frame's start.
type Planes = Vec<(usize, usize, usize, usize)>;

/// What `metadata` say of pictures, and where they lie in a frame of `size` bytes.
///
/// `None` if there are no pictures.
#[pyfunction]
#[pyo3(name = "_picture", signature = (metadata, size = None))]
pub(crate) fn picture<'py>(
    py: Python<'py>,
    metadata: &[u8],
    size: Option<usize>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let description = Description::parse(metadata).map_err(wrong)?;
    let Content::Video(video) = &description.content else { return Ok(None) };
    let found = PyDict::new(py);
    found.set_item("format", video.format.name())?;
    found.set_item("width", video.width)?;
    found.set_item("height", video.height)?;
    found.set_item("rate", video.rate.map(|rate| (rate.num(), rate.den())))?;
    found.set_item("caps", description.caps.clone().unwrap_or_else(|| video.to_caps().to_string()))?;
    found.set_item("colours", colours(video))?;
    found.set_item("dtype", dtype(video.format.samples()))?;
    found.set_item("components", video.format.components())?;
    if let Some(size) = size {
        let picture = description.picture(size).map_err(wrong)?;
        let start = if picture.stamped { Stamp::SIZE } else { 0 };
        found.set_item("stamped", picture.stamped)?;
        found.set_item("planes", planes(&picture.layout, start))?;
        found.set_item("array", pixels(video, &picture.layout, start))?;
    }
    Ok(Some(found))
}

/// The metadata for pictures with tight rows, and what `_picture` says of their frames.
#[pyfunction]
#[pyo3(name = "_announce")]
pub(crate) fn announce<'py>(
    py: Python<'py>,
    format: &str,
    size: (u32, u32),
    rate: Option<(u32, u32)>,
    stamped: bool,
) -> PyResult<(Vec<u8>, usize, Option<Bound<'py, PyDict>>)> {
    let mut video = Video::new(Format::from_name(format).map_err(wrong)?, size.0, size.1).map_err(wrong)?;
    video.rate = match rate {
        Some((num, den)) => {
            let wrong =
                || PyValueError::new_err(format!("{num}/{den} is no rate with parts up to {}", Rate::MOST));
            Some(Rate::new(num, den).ok_or_else(wrong)?.reduced())
        }
        None => None,
    };
    let layout = Layout::tight(&video).map_err(wrong)?;
    let mut description = Description::video("zerobuffer-python", &video);
    if stamped {
        description = description.stamped().clock(Clock::Pts);
    }
    let metadata = description.to_json();
    let bytes = layout.size() + if stamped { Stamp::SIZE } else { 0 };
    let picture = picture(py, &metadata, Some(bytes))?;
    Ok((metadata, bytes, picture))
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` calls")]
fn wrong(why: zerobuffer_video::Error) -> PyErr {
    PyValueError::new_err(why.to_string())
}

fn planes(layout: &Layout, start: usize) -> Planes {
    layout.planes().iter().map(|plane| (start + plane.offset, plane.stride, plane.row, plane.rows)).collect()
}

fn dtype(samples: Samples) -> Option<&'static str> {
    match samples {
        Samples::U8 => Some("|u1"),
        Samples::U16Le => Some("<u2"),
        Samples::U16Be => Some(">u2"),
        _ => None,
    }
}

/// The matrix by GStreamer's number, and whether the range is full.
///
/// Where nothing is said, these are GStreamer's defaults.
fn colours(video: &Video) -> (u8, bool) {
    let usual = video.default_colorimetry(Range::Limited);
    let said = video.colorimetry.unwrap_or(usual);
    (if said.matrix == 0 { usual.matrix } else { said.matrix }, said.range == Range::Full)
}
